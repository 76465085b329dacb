//! Notices to senders whose mail is not accepted: only if a portal is configured for it, only to senders who
//! pass DMARC, and at most once a day.

use crate::support::client::{Smtp, message};
use crate::support::harness::{Harness, STANDARD, wait_for};

const PORTAL: &str = "it-help@corp.example";

fn harness(access: &str) -> Harness {
    let authentication = "\n[authentication]\nauthserv_id = \"mx.corp.example\"\n";
    let contact = "title = \"IT Help\"\ncontact = \"it-office@corp.example\"";
    let portal = STANDARD.replacen("title = \"IT Help\"", contact, 1);
    Harness::start(&format!("{portal}{access}\n{authentication}"))
}

/// A message with this DMARC result of our MTA.
fn send_as(harness: &Harness, envelope: &str, from: &str, dmarc: &str, marker: &str) {
    let domain = from.rsplit('@').next().expect("a domain");
    let results =
        format!("Authentication-Results: mx.corp.example; dmarc={dmarc} header.from={domain}\r\n");
    let whole = [results.as_bytes(), &message(from, marker)].concat();
    let mut smtp = Smtp::connect(harness.smtp).expect("connected");
    let sent = smtp.send(envelope, PORTAL, &whole);
    assert!(sent.expect("an answer").starts_with("250"), "{marker}");
}

fn mail_to(harness: &Harness, address: &str) -> Vec<String> {
    let to = format!("To: {address}\r\n");
    let verification_mails = harness.verification_mails();
    verification_mails
        .into_iter()
        .filter(|verification_mail| verification_mail.contains(&to))
        .collect()
}

#[test]
fn an_authenticated_sender_is_told_once() {
    let harness = harness("external.tell_refused = true\n");
    send_as(
        &harness,
        "eve@elsewhere.example",
        "eve@elsewhere.example",
        "fail",
        "forged",
    );
    send_as(
        &harness,
        "eve@elsewhere.example",
        "eve@elsewhere.example",
        "none",
        "unknown",
    );
    send_as(&harness, "", "dan@elsewhere.example", "pass", "report");
    send_as(
        &harness,
        "x@elsewhere.example",
        "no-reply@elsewhere.example",
        "pass",
        "program",
    );
    send_as(
        &harness,
        "eve@elsewhere.example",
        "eve@elsewhere.example",
        "pass",
        "first",
    );
    let told = wait_for("the mail", || {
        mail_to(&harness, "eve@elsewhere.example").pop()
    });
    for line in [
        "Subject: Your mail to IT Help was not accepted\r\n",
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
        text.contains("mail from addresses at elsewhere.example is not accepted"),
        "{text}"
    );
    assert!(
        text.contains("please contact it-office@corp.example"),
        "{text}"
    );
    for written in ["About first", "The body of", "eve@", "/verify/"] {
        assert!(!text.contains(written), "{written}: {text}");
    }

    // No second notice is sent, not even to another spelling of the mailbox.
    send_as(
        &harness,
        "eve@elsewhere.example",
        "eve@elsewhere.example",
        "pass",
        "second",
    );
    send_as(
        &harness,
        "eve@elsewhere.example",
        "eve+a@elsewhere.example",
        "pass",
        "detail",
    );
    send_as(
        &harness,
        "fay@elsewhere.example",
        "fay@elsewhere.example",
        "pass",
        "other",
    );
    wait_for("the last mail", || {
        mail_to(&harness, "fay@elsewhere.example").pop()
    });
    assert_eq!(
        harness.verification_mails().len(),
        2,
        "{:?}",
        harness.verification_mails()
    );
    assert!(
        harness.json(&["customers", "list"]).is_empty(),
        "nobody gets an account"
    );
    let explained = &harness.json(&["explain", "first@client.example"])[0];
    assert_eq!(explained["reason"], "domain_not_allowed");
    wait_for("the event", || {
        let events = harness.json(&["explain", "first@client.example"]).remove(0);
        let events = events["events"].as_array().expect("events").clone();
        events
            .into_iter()
            .find(|event| event["event"] == "sender.told")
    });
}

#[test]
fn without_the_setting_no_notice_is_sent() {
    let harness = harness("");
    send_as(
        &harness,
        "eve@elsewhere.example",
        "eve@elsewhere.example",
        "pass",
        "quiet",
    );
    harness.json(&[
        "access",
        "set",
        "--portal",
        "it",
        "external.tell_refused=true",
        "external.allow_portal_only_accounts=false",
    ]);
    send_as(
        &harness,
        "fay@partner.example",
        "fay@partner.example",
        "pass",
        "told",
    );
    let told = wait_for("the mail", || {
        mail_to(&harness, "fay@partner.example").pop()
    });
    let mail = mail_parser::MessageParser::default();
    let mail = mail.parse(told.as_bytes()).expect("a mail");
    let text = mail.body_text(0).expect("a text").replace("\r\n", " ");
    assert!(
        text.contains("only people with an account are served there"),
        "{text}"
    );
    assert_eq!(harness.verification_mails().len(), 1);
}
