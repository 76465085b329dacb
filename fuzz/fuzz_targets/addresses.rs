//! Any bytes, parsed as the value of From: a usable sender is a substring of the input, and an address
//! survives formatting and parsing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::domain::{Domain, EmailAddress, Envelope, ReversePath};
use vestibule::mail::{Identity, Sender, read};

fuzz_target!(|value: &[u8]| {
    if let Ok(text) = std::str::from_utf8(value)
        && let Ok(address) = EmailAddress::parse(text)
    {
        assert_eq!(EmailAddress::parse(&address.to_string()).as_ref(), Ok(&address));
        assert_eq!(
            Domain::parse(address.domain().as_str()).as_ref(),
            Ok(address.domain())
        );
    }
    if value.windows(2).any(|pair| pair[0] == b'\n' && !matches!(pair[1], b' ' | b'\t')) {
        return;
    }
    let own = Identity {
        hostname: Domain::parse("gate.corp.example").expect("a domain"),
        authserv_id: None,
        spam: [].into(),
    };
    let envelope = Envelope::of_file(ReversePath::Unknown);
    let raw = [b"From: ", value, b"\r\n\r\n"].concat();
    if let Sender::Usable { address, written, .. } = read(&raw, &envelope, &own).sender {
        let (local, domain) = written.rsplit_once('@').expect("an @");
        let text = String::from_utf8_lossy(value);
        assert!(text.contains(local) && text.contains(domain), "{written}");
        assert_eq!(EmailAddress::parse(&written), Ok(address.clone()));
        assert!(!address.to_string().chars().any(char::is_control));
    }
});
