//! Any bytes, parsed as the parts of a delivery report: no panic, bounded facts, and only addresses that
//! occur in the input.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::domain::{Class, Domain, Envelope, ReversePath};
use vestibule::mail::{Facts, Identity, read};

const FRONT: &[u8] = b"From: MAILER-DAEMON@mx.example\r\n\
    Subject: Undelivered Mail Returned to Sender\r\n\
    Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\
    \r\n";

fuzz_target!(|parts: &[u8]| {
    let own = Identity {
        hostname: Domain::parse("gate.corp.example").expect("a domain"),
        authserv_id: None,
        spam: [].into(),
    };
    let envelope = Envelope {
        reverse_path: ReversePath::Null,
        recipients: Vec::new(),
        helo: String::new(),
        peer: None,
        client: None,
        tls: false,
        smtputf8: false,
    };
    let raw = [FRONT, parts].concat();
    let facts = read(&raw, &envelope, &own);
    let report = facts.report.as_ref().expect("it says that it is one");
    assert_eq!(facts.class(), Class::Bounce);
    assert!(report.recipients.len() <= 64);
    for recipient in &report.recipients {
        assert!(!recipient.address.chars().any(char::is_control), "{recipient:?}");
        assert!(recipient.address.chars().count() <= 200, "{recipient:?}");
    }
    if let Some(id) = &report.original_message_id {
        assert!(!id.chars().any(char::is_control), "{id:?}");
    }
    let text = serde_json::to_string(&facts).expect("facts are plain data");
    assert!(text.len() < 512 * 1024, "{} octets of facts", text.len());
    let again: Facts = serde_json::from_str(&text).expect("facts can be stored");
    assert_eq!(again, facts);
});
