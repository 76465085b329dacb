//! Any bytes, parsed as a message: no panic, and facts that can be stored and are of bounded size.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::domain::{Domain, Envelope, ReversePath};
use vestibule::mail::{Facts, Identity, read};

fuzz_target!(|raw: &[u8]| {
    let own = Identity {
        hostname: Domain::parse("gate.corp.example").expect("a domain"),
        authserv_id: Some("mx.corp.example".to_owned()),
        spam: [].into(),
    };
    let reverse_path = match raw.len() % 3 {
        0 => ReversePath::Null,
        1 => ReversePath::Unknown,
        _ => ReversePath::Mailbox("ann@corp.example".to_owned()),
    };
    let envelope = Envelope::of_file(reverse_path);
    let facts = read(raw, &envelope, &own);
    let text = serde_json::to_string(&facts).expect("facts are plain data");
    assert!(text.len() < 512 * 1024, "{} octets of facts", text.len());
    let again: Facts = serde_json::from_str(&text).expect("facts can be stored");
    assert_eq!(again, facts);
    if let Some(evidence) = facts.evidence() {
        assert!(!evidence.to_string().chars().any(char::is_control));
    }
});
