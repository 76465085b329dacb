//! Replies to a verification mail: an answer that confirms, and bounces.

use std::fs;

use crate::support::client::{Smtp, http, message, send};
use crate::support::harness::{Harness, STANDARD, wait_for};

fn harness() -> Harness {
    Harness::start(&STANDARD.replace(
        "[outgoing]",
        "reply_address = \"confirm@corp.example\"\nreturn_address = \"returns@corp.example\"\n\n[outgoing]",
    ))
}

/// The value of a field of the verification mail to Ann.
fn mail_field(harness: &Harness, name: &str) -> String {
    harness.link_for("ann@corp.example");
    let verification_mail = harness.verification_mails().remove(0);
    let prefix = format!("{name}: ");
    let line = verification_mail
        .lines()
        .find_map(|line| line.strip_prefix(&prefix));
    line.unwrap_or_else(|| panic!("no {name} in {verification_mail}"))
        .trim_matches(['<', '>'])
        .to_owned()
}

fn deliver(harness: &Harness, from: &str, to: &str, raw: &[u8]) -> String {
    Smtp::connect(harness.smtp)
        .and_then(|mut client| client.send(from, to, raw))
        .expect("an answer")
}

fn answer(from: &str, marker: &str, more: &str) -> Vec<u8> {
    let plain = String::from_utf8(message(from, marker)).expect("UTF-8");
    plain
        .replace("Subject:", &format!("{more}Subject: Re:"))
        .into_bytes()
}

/// A reply that begins with these words.
fn worded(first: &str, id: &str) -> Vec<u8> {
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
    format!(
        "From: Ann <ann@corp.example>\r\nTo: confirm@corp.example\r\nSubject: Re: yes\r\n\
         Message-ID: <{id}@mail.example>\r\n\r\n{first}\r\n\r\n-- \r\nAnn\r\n"
    )
    .into_bytes()
}

fn id_of(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let (_, rest) = text.split_once("Message-ID: <").expect("an id");
    rest.split('>').next().expect("an id").to_owned()
}

fn status(harness: &Harness) -> String {
    let customer = &harness.json(&["customers", "show", "ann@corp.example"])[0];
    customer["status"].as_str().expect("a status").to_owned()
}

#[test]
fn an_answer_from_the_address_itself_confirms() {
    let harness = harness();
    send(harness.smtp, "ann@corp.example", "held");
    let confirm = mail_field(&harness, "Reply-To");
    assert!(confirm.starts_with("confirm+"), "{confirm}");

    for (from, more, why) in [
        ("eve@corp.example", "", "another address"),
        (
            "ann@corp.example",
            "Auto-Submitted: auto-replied\r\n",
            "a program",
        ),
        (
            "ann@corp.example",
            "List-Id: <x.corp.example>\r\n",
            "a list",
        ),
    ] {
        let raw = answer(from, &why.replace(' ', "-"), more);
        let reply = deliver(&harness, from, &confirm, &raw);
        assert!(reply.starts_with("250"), "{reply}");
        assert_eq!(status(&harness), "pending", "{why} verifies nothing");
    }

    for (first, why) in [
        (
            "I am away until Monday.",
            "an out-of-office reply without a mark",
        ),
        ("> yes", "a quotation"),
        ("yes please", "more than the word"),
    ] {
        let raw = worded(first, &first.replace(' ', "-"));
        let reply = deliver(&harness, "ann@corp.example", &confirm, &raw);
        assert!(reply.starts_with("250"), "{reply}");
        assert_eq!(status(&harness), "pending", "{why} verifies nothing");
        let shown = harness
            .command(&["explain", &id_of(&raw)])
            .output()
            .expect("it runs");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("verification.reply_ignored"), "{shown}");
    }
    let told = harness.json(&["customers", "show", "ann@corp.example"]);
    assert!(!told.is_empty());

    let raw = worded("\r\n  YES! ", "the-word");
    let reply = deliver(&harness, "ann@corp.example", &confirm, &raw);
    assert!(reply.starts_with("250"), "{reply}");
    assert_eq!(status(&harness), "active");
    wait_for("the released request", || harness.delivered().pop());
    let customer = &harness.json(&["customers", "show", "ann@corp.example"])[0];
    assert_eq!(customer["verified_by"], "reply");

    let token = confirm.split(['+', '@']).nth(1).expect("a token");
    for file in ["data/vestibule.db", "data/vestibule.db-wal", "log"] {
        let bytes = fs::read(harness.path(file)).unwrap_or_default();
        let found = bytes
            .windows(token.len())
            .any(|part| part == token.as_bytes());
        assert!(!found, "the token is in {file}");
    }
}

/// The explanation of a reply names the reason why it confirms nothing.
#[test]
fn a_reply_after_not_me_is_explained_by_the_objection() {
    let harness = harness();
    send(harness.smtp, "ann@corp.example", "held");
    let confirm = mail_field(&harness, "Reply-To");
    let link = harness.link_for("ann@corp.example");
    http(harness.http, "POST", &link, &[("action", "not-me")]);
    let explained = |marker| {
        let raw = worded("yes", marker);
        let reply = deliver(&harness, "ann@corp.example", &confirm, &raw);
        assert!(reply.starts_with("250"), "{reply}");
        harness.run(&["explain", &id_of(&raw)]).out
    };
    let told = explained("yes-1");
    assert!(
        told.contains("the person said \"This was not me\""),
        "{told}"
    );
    assert_eq!(status(&harness), "pending");
    let blocked = harness.run(&["customers", "block", "ann@corp.example"]);
    assert_eq!(blocked.status, 0, "{}", blocked.err);
    let told = explained("yes-2");
    assert!(told.contains("the account is blocked"), "{told}");
}

/// A bounce of mail to Ann.
fn report(name: &str, status: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.corp.example\r\nTo: returns@corp.example\r\n\
         Subject: Undelivered Mail\r\nMessage-ID: <{name}@mx.corp.example>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nNo such user.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; mx.corp.example\r\n\r\n\
         Final-Recipient: rfc822; bob@corp.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n\
         Final-Recipient: rfc822; ann@corp.example\r\nAction: failed\r\nStatus: {status}\r\n\r\n\
         --b--\r\n"
    )
}

#[test]
fn a_bounce_of_a_full_mailbox_or_a_policy_marks_no_account() {
    let harness = harness();
    send(harness.smtp, "ann@corp.example", "held");
    let id = mail_field(&harness, "Message-ID");
    let local = id.split('@').next().expect("a local part").to_owned();
    let returns = format!("returns+{local}@corp.example");
    for status in ["5.2.2", "5.7.1", "5.4.1", "4.2.2"] {
        let name = format!("report-{status}");
        let reply = deliver(&harness, "", &returns, report(&name, status).as_bytes());
        assert!(reply.starts_with("250"), "{reply}");
        let entry = &harness.json(&["explain", &format!("{name}@mx.corp.example")])[0];
        assert_eq!(entry["reason"], "bounce");
    }
    let customer = &harness.json(&["customers", "show", "ann@corp.example"])[0];
    assert_eq!(customer["undeliverable"], false);
}

#[test]
fn a_report_that_the_mail_did_not_arrive_marks_the_account() {
    let harness = harness();
    send(harness.smtp, "ann@corp.example", "held");
    let id = mail_field(&harness, "Message-ID");
    let local = id.split('@').next().expect("a local part").to_owned();
    let report = report("report", "5.1.1");
    let returns = format!("returns+{local}@corp.example");
    let reply = deliver(&harness, "", &returns, report.as_bytes());
    assert!(reply.starts_with("250"), "{reply}");
    wait_for("the event in the log", || {
        harness.log().contains("verification.bounced").then_some(())
    });

    send(harness.smtp, "ann@corp.example", "again");
    assert_eq!(
        harness.json(&["requests", "list", "--state", "held"]).len(),
        2
    );
    let entry = &harness.json(&["explain", "report@mx.corp.example"])[0];
    assert_eq!(entry["reason"], "bounce");
    let customer = &harness.json(&["customers", "show", "ann@corp.example"])[0];
    assert_eq!(customer["undeliverable"], true);
}

#[test]
fn a_copy_of_our_mail_at_a_portal_holds_no_live_link() {
    let harness = harness();
    send(harness.smtp, "ann@corp.example", "held");
    let confirm = mail_field(&harness, "Reply-To");
    let link = harness.link_for("ann@corp.example");
    let verification_mail = harness.verification_mails().remove(0);
    let quoted = lines_of(&verification_mail, "> ");
    let answer = format!(
        "From: ann@corp.example\r\nTo: {confirm}\r\nCc: it-help@corp.example\r\n\
         Subject: What is {link}?\r\nMessage-ID: <copy@mail.example>\r\n\r\nHm.\r\n{quoted}"
    );
    let verification_mail = lines_of(&verification_mail, "");
    let secrets = [
        confirm
            .split(['+', '@'])
            .nth(1)
            .expect("a token")
            .to_owned(),
        link.strip_prefix("/verify/").expect("a link").to_owned(),
    ];
    assert_eq!(secrets.each_ref().map(String::len), [26, 52]);
    for raw in [&answer, &verification_mail] {
        let reply = deliver(
            &harness,
            "ann@corp.example",
            "it-help@corp.example",
            raw.as_bytes(),
        );
        assert!(reply.starts_with("250"), "{reply}");
    }
    let explained = harness.command(&["explain", "copy@mail.example"]).output();
    let explained = String::from_utf8_lossy(&explained.expect("it runs").stdout).into_owned();
    assert!(explained.contains("overwritten with x"), "{explained}");
    for file in ["data/vestibule.db", "data/vestibule.db-wal", "log"] {
        let bytes = fs::read(harness.path(file)).unwrap_or_default();
        for secret in &secrets {
            let found = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} is in {file}");
        }
    }
    // The link itself still works, in the forms that mail programs produce.
    let loud = format!("{}).", link.to_uppercase());
    let (status, page) =
        crate::support::client::http(harness.http, "POST", &loud, &[("action", "confirm")]);
    assert_eq!(status, 200, "{page}");
    wait_for("what was held", || harness.delivered().pop());
}

#[test]
fn what_a_person_writes_in_a_reply_is_kept_and_recovered_for_a_named_portal() {
    let harness = harness();
    send(harness.smtp, "ann@corp.example", "held");
    let confirm = mail_field(&harness, "Reply-To");
    let link = harness.link_for("ann@corp.example");
    let quoted = lines_of(&harness.verification_mails().remove(0), "> ");
    let answer = format!(
        "From: Ann <ann@corp.example>\r\nTo: {confirm}\r\nSubject: Re: {confirm}\r\n\
         Message-ID: <written@mail.example>\r\n\r\nMy screen is black.\r\n\r\n{quoted}"
    );
    let reply = deliver(&harness, "ann@corp.example", &confirm, answer.as_bytes());
    assert!(reply.starts_with("250"), "{reply}");

    let dropped = harness
        .json(&["dropped", "list", "--reason", "confirmation"])
        .remove(0);
    assert_eq!(dropped["portal"], serde_json::Value::Null);
    assert_eq!(dropped["recoverable"], true);
    let ledger = dropped["ledger"].as_str().expect("an id");
    let kept = harness.run(&["dropped", "raw", ledger]);
    assert!(kept.out.contains("My screen is black."), "{}", kept.out);
    let unnamed = harness.run(&["dropped", "recover", ledger]);
    assert_eq!(unnamed.status, 1, "{}", unnamed.err);
    assert!(unnamed.err.contains("--portal"), "{}", unnamed.err);
    let recovered = harness
        .json(&["dropped", "recover", ledger, "--portal", "it"])
        .remove(0);
    assert_eq!(recovered["reason"], "account_pending");

    let secrets = [
        confirm.split(['+', '@']).nth(1).expect("a token"),
        link.strip_prefix("/verify/").expect("a link"),
    ];
    for file in ["data/vestibule.db", "data/vestibule.db-wal", "log"] {
        let bytes = fs::read(harness.path(file)).unwrap_or_default();
        for secret in secrets {
            let found = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} is in {file}");
        }
    }
    let confirmed = [("action", "confirm")];
    let (status, page) = crate::support::client::http(harness.http, "POST", &link, &confirmed);
    assert_eq!(status, 200, "{page}");
    let written = wait_for("the recovered request", || {
        harness.delivered().into_iter().find_map(|raw| {
            let text = String::from_utf8_lossy(&raw).into_owned();
            text.contains("My screen is black.").then_some(text)
        })
    });
    assert!(written.contains("for <it-help@corp.example>"), "{written}");
}

/// The lines of a text, each prefixed by `mark` and ended by CRLF.
fn lines_of(text: &str, mark: &str) -> String {
    let mut marked = String::new();
    for line in text.lines() {
        marked.extend([mark, line, "\r\n"]);
    }
    marked
}
