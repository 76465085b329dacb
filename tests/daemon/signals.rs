//! SIGTERM drains, SIGHUP reloads.

use std::fs;

use crate::client::{Smtp, message, send};
use crate::house::{House, STANDARD, wait_for};

#[test]
fn a_transaction_under_way_finishes_before_the_end() {
    let mut house = House::start(STANDARD);
    let mut idle = Smtp::connect(house.smtp).expect("a connection");
    let mut busy = Smtp::connect(house.smtp).expect("a connection");
    busy.say("MAIL FROM:<bob@partner.example>")
        .expect("an answer");
    busy.say("RCPT TO:<it-help@corp.example>")
        .expect("an answer");
    let go_ahead = busy.say("DATA").expect("an answer");
    assert!(go_ahead.starts_with("354"), "{go_ahead}");

    house.signal("-TERM");
    wait_for("the idle connection's end", || {
        let farewell = idle.say("NOOP");
        match farewell {
            Ok(reply) if reply.starts_with("421") => Some(()),
            Err(_) => Some(()),
            Ok(_) => None,
        }
    });
    let body = String::from_utf8(message("bob@partner.example", "last")).expect("UTF-8");
    let reply = busy.say(&format!(
        "{}\r\n.",
        body.replace("\r\n.", "\r\n..").trim_end()
    ));
    let reply = reply.expect("the transaction under way is finished");
    assert!(reply.starts_with("250"), "{reply}");
    assert_eq!(house.exit_status(), Some(0), "{}", house.log());

    house.restart();
    let requests = house.json(&["requests", "list"]);
    assert_eq!(requests[0]["message_id"], "last@client.example");
}

#[test]
fn a_reload_adds_a_portal_without_dropping_a_connection() {
    let house = House::start(STANDARD);
    let mut client = Smtp::connect(house.smtp).expect("a connection");
    let changed = STANDARD.replace(
        "[destination.desk]",
        "[[portal]]\nname = \"hr\"\ntitle = \"HR\"\naddresses = [\"hr@corp.example\"]\n\
         destination = \"desk\"\n\n[destination.desk]",
    );
    fs::write(house.path("vestibule.toml"), changed).expect("a file");
    house.signal("-HUP");
    wait_for("the new portal", || {
        client.say("RSET").expect("the connection stays");
        client.say("MAIL FROM:<>").expect("an answer");
        let reply = client.say("RCPT TO:<hr@corp.example>").expect("an answer");
        reply.starts_with("250").then_some(())
    });
}

#[test]
fn a_faulty_file_is_refused_and_the_old_settings_stay() {
    let house = House::start(STANDARD);
    fs::write(house.path("vestibule.toml"), "hostname = 7\n").expect("a file");
    house.signal("-HUP");
    wait_for("the refusal in the log", || {
        house.log().contains("vestibule.toml").then_some(())
    });
    send(house.smtp, "bob@partner.example", "still-here");
}

#[test]
fn a_client_that_falls_asleep_in_a_transaction_does_not_hold_up_the_end() {
    let mut house = House::start(STANDARD);
    let mut asleep = Smtp::connect(house.smtp).expect("a connection");
    asleep.say("MAIL FROM:<>").expect("an answer");
    house.signal("-TERM");
    let farewell = asleep.hear().expect("a farewell");
    assert!(farewell.starts_with("421"), "{farewell}");
    assert_eq!(house.exit_status(), Some(0));
    assert!(!house.log().contains("ERROR"), "{}", house.log());
}

#[test]
fn a_second_daemon_on_the_same_data_is_refused() {
    let house = House::start(STANDARD);
    let output = house.command(&["serve"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another vestibule serves"), "{said}");
    send(house.smtp, "bob@partner.example", "undisturbed");
}
