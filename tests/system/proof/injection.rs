//! Untrusted text that tries to become a header field: in commands, names and ids. A delivered message has our own
//! fields, complete and without foreign ones among them, followed by the original message; and no verification mail
//! has a field that the others do not have.

use std::collections::BTreeSet;
use std::fs;

use super::hostile::talk;
use crate::support::client::Smtp;
use crate::support::harness::{Harness, STANDARD, wait_for};

/// The field that the attacker tries to inject.
const EVIL: &str = "X-Evil";

/// Commands that are refused.
const COMMANDS: &[&str] = &[
    "EHLO mx.example\rX-Evil: 1",
    "EHLO mx.example X-Evil: 1",
    "XFORWARD HELO=a+0D+0AX-Evil:+201",
    "XFORWARD NAME=a+0AX-Evil:+201",
    "XFORWARD NAME=a+0DX-Evil:1",
    "MAIL FROM:<bob@partner.example\rX-Evil: 1>",
    "MAIL FROM:<\"bob\rX-Evil: 1\"@partner.example>",
    "MAIL FROM:<bob@partner.example> SIZE=1 X-Evil: 1",
];

/// Messages: a name, the header fields, and true if the author is still recognized.
const FIELDS: &[(&str, &str, bool)] = &[
    (
        "an encoded line end in the author's name (Q)",
        "From: =?utf-8?q?x=0D=0AX-Evil=3A_1=0D=0ABcc=3A_eve?= <AUTHOR>\r\n",
        true,
    ),
    (
        "the same with another address (B)",
        "From: =?utf-8?b?eA0KWC1FdmlsOiAxDQpCY2M6IGV2ZUBldmlsLmV4YW1wbGU=?= <AUTHOR>\r\n",
        false,
    ),
    (
        "a bare CR in the author's name",
        "From: \"x\rX-Evil: 1\" <AUTHOR>\r\n",
        false,
    ),
    (
        "a name on two lines",
        "From: \"x\r\n X-Evil: 1\" <AUTHOR>\r\n",
        true,
    ),
    (
        "an encoded line end in the subject",
        "From: AUTHOR\r\nSubject: =?utf-8?q?x=0D=0AX-Evil:_1=0D=0A=0D=0Abody?=\r\n",
        true,
    ),
    (
        "an encoded line end in the id",
        "From: AUTHOR\r\nMessage-ID: <=?utf-8?q?x=0D=0AX-Evil:_1?=@client.example>\r\n",
        true,
    ),
    (
        "an id on two lines",
        "From: AUTHOR\r\nMessage-ID: <x\r\n X-Evil: 1@client.example>\r\n",
        true,
    ),
    (
        "a bare CR in the id",
        "From: AUTHOR\r\nMessage-ID: <y\rX-Evil: 1@client.example>\r\n",
        true,
    ),
    (
        "an id with a field behind it",
        "From: AUTHOR\r\nMessage-ID: <x@client.example> X-Evil: 1\r\n",
        true,
    ),
    (
        "an encoded line end in the address to answer to",
        "From: AUTHOR\r\nReply-To: =?utf-8?q?x=0D=0AX-Evil:_1?= <eve@evil.example>\r\n",
        true,
    ),
    (
        "fields of our own names",
        "From: AUTHOR\r\nX-Vestibule-Account: X-Evil\r\nx-vestibule-verified : X-Evil\r\n\
         X-VESTIBULE-GROUPS:\r\n X-Evil\r\nX-Vestibule-Request: X-Evil\r\n",
        true,
    ),
];

/// The message of a round, as it was sent.
fn message(number: usize, fields: &str, author: &str) -> String {
    format!(
        "Mark: {number}\r\n{}\r\nX-Evil: in the body\r\n",
        fields.replace("AUTHOR", author)
    )
}

/// The unfolded fields that were added above the original message.
fn added(file: &str) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    for line in file
        .split("\r\n")
        .take_while(|line| !line.starts_with("Mark: "))
    {
        match fields.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(line),
            _ => fields.push(line.to_owned()),
        }
    }
    fields
}

fn names(fields: &[String]) -> BTreeSet<&str> {
    let name = |field: &'_ String| field.find(':').unwrap_or(field.len());
    fields.iter().map(|field| &field[..name(field)]).collect()
}

#[test]
fn an_smtp_command_injects_no_header_field() {
    let harness = Harness::start(STANDARD);
    for command in COMMANDS {
        let mut client = Smtp::connect(harness.smtp).expect("a connection");
        let reply = client.say(command).expect("an answer");
        assert!(reply.starts_with('5'), "{command:?}: {reply}");
    }
    // The sender chooses the subaddress, which appears in the `for` clause.
    let said = "EHLO mx.example\r\nMAIL FROM:<bob@partner.example>\r\n\
                RCPT TO:<it-help+\"X-Evil:\"@corp.example>\r\nRCPT TO:<it-help+X-Evil:1@corp.example>\r\n\
                RCPT TO:<it-help@corp.example>\r\nDATA\r\nMark: 1\r\nFrom: bob@partner.example\r\n\r\n.\r\n";
    let heard = talk(harness.smtp, said.as_bytes().to_vec());
    assert!(heard.contains("250 2.0.0 Ok: queued"), "{heard}");
    let files = wait_for("a delivery", || {
        let files = harness.delivered();
        (!files.is_empty()).then_some(files)
    });
    for file in files {
        let text = String::from_utf8(file).expect("text");
        let fields = added(&text);
        assert!(!names(&fields).contains(EVIL), "{text}");
    }
}

#[test]
fn a_message_injects_none_of_our_header_fields() {
    let harness = Harness::start(STANDARD);
    for (number, (name, fields, _)) in FIELDS.iter().enumerate() {
        for author in [
            "bob@partner.example".to_owned(),
            format!("ann{number}@corp.example"),
        ] {
            let mut client = Smtp::connect(harness.smtp).expect("a connection");
            let message = message(number, fields, &author);
            let reply = client.send(&author, "it-help@corp.example", message.as_bytes());
            let reply = reply.expect("an answer");
            assert!(reply.starts_with("250 "), "{name}: {reply}");
        }
    }
    let taken = FIELDS.iter().filter(|(_, _, taken)| *taken).count();
    let delivered = wait_for("all deliveries", || {
        let files = harness.files("desk/new");
        (files.len() == taken).then_some(files)
    });
    for file in delivered {
        let text = String::from_utf8(fs::read(&file).expect("a file")).expect("text");
        let ours = added(&text);
        for field in &ours {
            assert!(!field.contains('\r') && !field.contains('\n'), "{text}");
        }
        let expected: BTreeSet<_> = [
            "Received",
            "X-Vestibule-Request",
            "X-Vestibule-Account",
            "X-Vestibule-Verified",
            "X-Vestibule-Authenticated",
            "X-Vestibule-Loop",
            "Authentication-Results",
        ]
        .into();
        assert!(names(&ours).is_subset(&expected), "{text}");
        assert!(!ours.concat().contains(EVIL), "{text}");
        let number = text.split("Mark: ").nth(1).expect("the message");
        let number: usize = number
            .split("\r\n")
            .next()
            .and_then(|number| number.parse().ok())
            .expect("a number");
        let mut sent = message(number, FIELDS[number].1, "bob@partner.example");
        if FIELDS[number].0 == "fields of our own names" {
            sent = format!(
                "Mark: {number}\r\nFrom: bob@partner.example\r\n\r\nX-Evil: in the body\r\n"
            );
        }
        assert!(text.ends_with(&sent), "{text}");
    }

    let verification_mails = wait_for("all verification mails", || {
        let verification_mails = harness.verification_mails();
        (verification_mails.len() == taken).then_some(verification_mails)
    });
    for verification_mail in verification_mails {
        assert!(
            !verification_mail.contains(EVIL) && !verification_mail.contains("evil."),
            "{verification_mail}"
        );
        let (head, _) = verification_mail.split_once("\r\n\r\n").expect("a header");
        for line in head.split("\r\n") {
            assert!(!line.contains(['\r', '\n']), "{verification_mail}");
        }
        assert_eq!(
            verification_mail.matches("\r\nTo: ").count(),
            1,
            "{verification_mail}"
        );
        assert!(
            !verification_mail.contains("\r\nBcc:") && !verification_mail.contains("\r\nCc:"),
            "{verification_mail}"
        );
    }
}
