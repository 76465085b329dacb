//! Any bytes, parsed as the value of an Authentication-Results field of our MTA: a message passes only if the
//! value says so outside comments and quotes, and never beside a second result.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::domain::{Domain, Envelope, ReversePath};
use vestibule::mail::{Identity, read};

fuzz_target!(|value: &[u8]| {
    // A line that does not continue the field ends it.
    let ends = |pair: &[u8]| pair[0] == b'\n' && !matches!(pair[1], b' ' | b'\t');
    if [value, b"\r"].concat().windows(2).any(ends) {
        return;
    }
    let own = Identity {
        hostname: Domain::parse("gate.corp.example").expect("a domain"),
        authserv_id: Some("mx".to_owned()),
        spam: [].into(),
    };
    let envelope = Envelope::of_file(ReversePath::Unknown);
    let message = |more: &str| {
        let fields: [&[u8]; 4] = [
            b"Authentication-Results: ",
            value,
            b"\r\n",
            more.as_bytes(),
        ];
        [&fields.concat()[..], b"From: ann@corp.example\r\n\r\n"].concat()
    };
    let found = read(&message(""), &envelope, &own).authentication;
    if found.passes_dmarc() {
        let text = String::from_utf8_lossy(value).to_ascii_lowercase();
        assert!(text.contains("dmarc") && text.contains("pass"));
        let second = "Authentication-Results: mx; dmarc=fail header.from=corp.example\r\n";
        assert!(read(&message(second), &envelope, &own).authentication.fails());
    }
});
