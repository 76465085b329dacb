//! SIGTERM drains, SIGHUP reloads.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::client::{Smtp, message, send};
use crate::support::harness::{Harness, STANDARD, Signal, wait_for};

#[test]
fn a_transaction_under_way_finishes_before_the_end() {
    let mut harness = Harness::start(STANDARD);
    let mut idle = Smtp::connect(harness.smtp).expect("a connection");
    let mut busy = Smtp::connect(harness.smtp).expect("a connection");
    busy.say("MAIL FROM:<bob@partner.example>")
        .expect("an answer");
    busy.say("RCPT TO:<it-help@corp.example>")
        .expect("an answer");
    let go_ahead = busy.say("DATA").expect("an answer");
    assert!(go_ahead.starts_with("354"), "{go_ahead}");

    harness.signal(Signal::TERM);
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
    assert_eq!(harness.exit_status(), Some(0), "{}", harness.log());

    harness.restart();
    let requests = harness.json(&["requests", "list"]);
    assert_eq!(requests[0]["message_id"], "last@client.example");
}

/// Sends messages one after the other until the daemon accepts no more; returns those that were answered 250.
fn pour(smtp: SocketAddr, name: &str, count: &AtomicUsize) -> Vec<String> {
    let mut taken = Vec::new();
    let Ok(mut client) = Smtp::connect(smtp) else {
        return taken;
    };
    loop {
        let marker = format!("{name}-{}", taken.len());
        let body = message("bob@partner.example", &marker);
        match client.send("bob@partner.example", "it-help@corp.example", &body) {
            Ok(reply) if reply.starts_with("250") => {
                count.fetch_add(1, Ordering::Relaxed);
                taken.push(marker);
            }
            Ok(reply) => {
                assert!(reply.starts_with("421"), "{reply}");
                return taken;
            }
            Err(_) => return taken,
        }
    }
}

#[test]
fn under_load_exactly_the_accepted_mail_is_kept() {
    let mut harness = Harness::start(STANDARD);
    let smtp = harness.smtp;
    let count = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let count = count.clone();
            std::thread::spawn(move || pour(smtp, &format!("client{n}"), &count))
        })
        .collect();
    wait_for("the load", || {
        (count.load(Ordering::Relaxed) >= 100).then_some(())
    });
    harness.signal(Signal::TERM);
    let mut taken: Vec<String> = clients
        .into_iter()
        .flat_map(|client| client.join().expect("no unexpected answer"))
        .map(|marker| format!("{marker}@client.example"))
        .collect();
    assert_eq!(harness.exit_status(), Some(0), "{}", harness.log());

    harness.restart();
    let mut kept: Vec<String> = harness
        .json(&["requests", "list", "--limit", "100000"])
        .iter()
        .map(|request| request["message_id"].as_str().expect("a text").to_owned())
        .collect();
    taken.sort();
    kept.sort();
    assert_eq!(kept, taken);
}

#[test]
fn a_reload_adds_a_portal_without_dropping_a_connection() {
    let harness = Harness::start(STANDARD);
    let mut client = Smtp::connect(harness.smtp).expect("a connection");
    let changed = STANDARD.replace(
        "[destination.desk]",
        "[[portal]]\nname = \"hr\"\ntitle = \"HR\"\naddresses = [\"hr@corp.example\"]\n\
         destination = \"desk\"\n\n[destination.desk]",
    );
    fs::write(harness.path("vestibule.toml"), changed).expect("a file");
    harness.signal(Signal::HUP);
    // The client asks only once: every refused recipient is an error, and too many errors end the connection.
    wait_for("the reload", || {
        harness.log().contains("config.reloaded").then_some(())
    });
    client.say("MAIL FROM:<>").expect("the connection stays");
    let reply = client.say("RCPT TO:<hr@corp.example>").expect("an answer");
    assert!(reply.starts_with("250"), "{reply}");
}

#[test]
fn a_reload_changes_which_peers_are_trusted() {
    let strict = STANDARD.replace("[smtp]", "[smtp]\ntrusted_peers = [\"192.0.2.1\"]");
    let harness = Harness::start(&strict);
    assert!(Smtp::connect(harness.smtp).is_err(), "not trusted");
    fs::write(harness.path("vestibule.toml"), STANDARD).expect("a file");
    harness.signal(Signal::HUP);
    wait_for("the reload", || Smtp::connect(harness.smtp).ok());
}

/// RCPT was answered before the reload. Nothing would ever deliver a message for a portal that is gone.
#[test]
fn a_message_under_way_goes_by_the_portals_at_its_end() {
    let moved = STANDARD.replace("it-help@corp.example", "computers@corp.example");
    let renamed = STANDARD.replace("name = \"it\"", "name = \"computers\"");
    for (changed, expected, portals) in
        [(moved, "451", vec![]), (renamed, "250", vec!["computers"])]
    {
        let harness = Harness::start(STANDARD);
        let mut client = Smtp::connect(harness.smtp).expect("a connection");
        for (command, reply) in [
            ("MAIL FROM:<bob@partner.example>", "250"),
            ("RCPT TO:<it-help@corp.example>", "250"),
            ("DATA", "354"),
        ] {
            let answer = client.say(command).expect("an answer");
            assert!(answer.starts_with(reply), "{command}: {answer}");
        }
        fs::write(harness.path("vestibule.toml"), changed).expect("a file");
        harness.signal(Signal::HUP);
        wait_for("the reload", || {
            harness.log().contains("config.reloaded").then_some(())
        });
        let body = "From: bob@partner.example\r\nMessage-ID: <late@partner.example>\r\n\r\nHelp!";
        let answer = client.say(&format!("{body}\r\n.")).expect("an answer");
        assert!(answer.starts_with(expected), "{answer}");
        let requests = harness.json(&["requests", "list"]);
        let found: Vec<_> = requests.iter().map(|request| &request["portal"]).collect();
        assert_eq!(found, portals);
    }
}

#[test]
fn a_reload_and_a_start_warn_about_requests_for_a_removed_portal() {
    let mut harness = Harness::start(STANDARD);
    send(harness.smtp, "ann@corp.example", "held");
    let renamed = STANDARD.replace("name = \"it\"", "name = \"computers\"");
    fs::write(harness.path("vestibule.toml"), renamed).expect("a file");
    assert!(!harness.log().contains("portal.missing"));
    harness.signal(Signal::HUP);
    let warned = |harness: &Harness, times: usize| {
        wait_for("the warning", || {
            let log = harness.log();
            (log.matches("portal.missing").count() >= times).then_some(log)
        })
    };
    let log = warned(&harness, 1);
    let line = log.lines().find(|line| line.contains("portal.missing"));
    let line = line.expect("a line");
    assert!(
        line.contains("portal=it") && line.contains("requests=1"),
        "{line}"
    );
    harness.restart();
    warned(&harness, 2);
    let listed = harness.json(&["requests", "list", "--portal", "it"]);
    assert_eq!(listed.len(), 1);
}

#[test]
fn an_invalid_file_is_refused_and_the_old_settings_stay() {
    let harness = Harness::start(STANDARD);
    fs::write(harness.path("vestibule.toml"), "hostname = 7\n").expect("a file");
    harness.signal(Signal::HUP);
    wait_for("the refusal in the log", || {
        harness.log().contains("vestibule.toml").then_some(())
    });
    send(harness.smtp, "bob@partner.example", "still-here");
}

#[test]
fn a_stalled_transaction_does_not_delay_the_shutdown() {
    let mut harness = Harness::start(STANDARD);
    let mut asleep = Smtp::connect(harness.smtp).expect("a connection");
    asleep.say("MAIL FROM:<>").expect("an answer");
    harness.signal(Signal::TERM);
    let farewell = asleep.hear().expect("a farewell");
    assert!(farewell.starts_with("421"), "{farewell}");
    assert_eq!(harness.exit_status(), Some(0));
    assert!(!harness.log().contains("ERROR"), "{}", harness.log());
}

#[test]
fn a_second_daemon_on_the_same_data_is_refused() {
    let harness = Harness::start(STANDARD);
    let output = harness.command(&["serve"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another vestibule uses"), "{said}");
    send(harness.smtp, "bob@partner.example", "undisturbed");
}
