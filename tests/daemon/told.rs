//! Senders who are told that their mail is not taken: only where a portal is set to, only who wrote as
//! DMARC shows, and once a day at most.

use crate::client::{Smtp, message};
use crate::house::{House, STANDARD, wait_for};

const PORTAL: &str = "it-help@corp.example";

fn house(access: &str) -> House {
    let authentication = "\n[authentication]\nauthserv_id = \"mx.corp.example\"\n";
    let contact = "title = \"IT Help\"\ncontact = \"it-office@corp.example\"";
    let portal = STANDARD.replacen("title = \"IT Help\"", contact, 1);
    House::start(&format!("{portal}{access}\n{authentication}"))
}

/// A message of which our MTA says this about DMARC.
fn send_as(house: &House, envelope: &str, from: &str, dmarc: &str, marker: &str) {
    let domain = from.rsplit('@').next().expect("a domain");
    let results =
        format!("Authentication-Results: mx.corp.example; dmarc={dmarc} header.from={domain}\r\n");
    let whole = [results.as_bytes(), &message(from, marker)].concat();
    let mut smtp = Smtp::connect(house.smtp).expect("connected");
    let sent = smtp.send(envelope, PORTAL, &whole);
    assert!(sent.expect("an answer").starts_with("250"), "{marker}");
}

fn letters_to(house: &House, address: &str) -> Vec<String> {
    let to = format!("To: {address}\r\n");
    let letters = house.letters();
    letters
        .into_iter()
        .filter(|letter| letter.contains(&to))
        .collect()
}

#[test]
fn an_authenticated_sender_is_told_once() {
    let house = house("external.tell_refused = true\n");
    send_as(
        &house,
        "eve@elsewhere.example",
        "eve@elsewhere.example",
        "fail",
        "forged",
    );
    send_as(
        &house,
        "eve@elsewhere.example",
        "eve@elsewhere.example",
        "none",
        "unknown",
    );
    send_as(&house, "", "dan@elsewhere.example", "pass", "report");
    send_as(
        &house,
        "x@elsewhere.example",
        "no-reply@elsewhere.example",
        "pass",
        "program",
    );
    send_as(
        &house,
        "eve@elsewhere.example",
        "eve@elsewhere.example",
        "pass",
        "first",
    );
    let told = wait_for("the mail", || {
        letters_to(&house, "eve@elsewhere.example").pop()
    });
    for line in [
        "Subject: Your mail to IT Help was not taken\r\n",
        "Auto-Submitted: auto-replied\r\n",
        "X-Auto-Response-Suppress: ",
        "X-Vestibule-Loop: gate.corp.example\r\n",
        "In-Reply-To: <first@client.example>\r\n",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let mail = mail_parser::MessageParser::default();
    let mail = mail.parse(told.as_bytes()).expect("a mail");
    let text = mail.body_text(0).expect("a text").replace("\r\n", " ");
    assert!(
        text.contains("mail from addresses at elsewhere.example is not taken"),
        "{text}"
    );
    assert!(
        text.contains("please contact it-office@corp.example"),
        "{text}"
    );
    for written in ["About first", "The body of", "eve@", "/verify/"] {
        assert!(!text.contains(written), "{written}: {text}");
    }

    // Neither again, nor under another spelling of the mailbox.
    send_as(
        &house,
        "eve@elsewhere.example",
        "eve@elsewhere.example",
        "pass",
        "second",
    );
    send_as(
        &house,
        "eve@elsewhere.example",
        "eve+a@elsewhere.example",
        "pass",
        "detail",
    );
    send_as(
        &house,
        "fay@elsewhere.example",
        "fay@elsewhere.example",
        "pass",
        "other",
    );
    wait_for("the last mail", || {
        letters_to(&house, "fay@elsewhere.example").pop()
    });
    assert_eq!(house.letters().len(), 2, "{:?}", house.letters());
    assert!(
        house.json(&["customers", "list"]).is_empty(),
        "nobody gets an account"
    );
    let explained = &house.json(&["explain", "first@client.example"])[0];
    assert_eq!(explained["reason"], "domain_not_allowed");
    wait_for("the event", || {
        let events = house.json(&["explain", "first@client.example"]).remove(0);
        let events = events["events"].as_array().expect("events").clone();
        events
            .into_iter()
            .find(|event| event["event"] == "sender.told")
    });
}

#[test]
fn nobody_is_told_where_that_is_not_set() {
    let house = house("");
    send_as(
        &house,
        "eve@elsewhere.example",
        "eve@elsewhere.example",
        "pass",
        "quiet",
    );
    house.json(&[
        "access",
        "set",
        "--portal",
        "it",
        "external.tell_refused=true",
        "external.allow_portal_only_accounts=false",
    ]);
    send_as(
        &house,
        "fay@partner.example",
        "fay@partner.example",
        "pass",
        "told",
    );
    let told = wait_for("the mail", || {
        letters_to(&house, "fay@partner.example").pop()
    });
    let mail = mail_parser::MessageParser::default();
    let mail = mail.parse(told.as_bytes()).expect("a mail");
    let text = mail.body_text(0).expect("a text").replace("\r\n", " ");
    assert!(
        text.contains("only people with an account are served there"),
        "{text}"
    );
    assert_eq!(house.letters().len(), 1);
}
