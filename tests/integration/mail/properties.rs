//! Properties of every message, whatever its bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use vestibule::domain::{Domain, Envelope, ReversePath};
use vestibule::mail::{Facts, Identity, Sender, read};

fn facts(raw: &[u8]) -> Facts {
    let own = Identity {
        hostname: Domain::parse("gate.corp.example").expect("a domain"),
        authserv_id: Some("mx.corp.example".to_owned()),
        spam: [].into(),
    };
    let envelope = Envelope::of_file(ReversePath::Unknown);
    read(raw, &envelope, &own)
}

fn from(field: &str) -> Sender {
    facts(format!("From: {field}\r\n\r\n").as_bytes()).sender
}

/// True for an `@`, small and fullwidth ones included.
fn names_an_address(name: &str) -> bool {
    name.contains(['@', '\u{FE6B}', '\u{FF20}'])
}

/// Bytes that look like a message more often than random bytes do.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        "(From|Reply-To|Sender|X-Original-From)[ ]?: ?[a-z<>@,;:\"() .=?\\[\\]\\\\]{0,40}\r\n",
        "(List-Id|List-Post|Precedence|Auto-Submitted|Subject|Received): [ -~]{0,40}\r\n",
        "Authentication-Results: mx.corp.example; [a-z=();. \"\\\\]{0,40}\r\n",
        "Content-Type: (multipart/(report|mixed)|message/rfc822|text/plain); boundary=[a-b]\r\n",
        "[ \t]?[ -~]{0,20}\r?\n",
        "--[a-b](--)?\r\n",
        "\r\n",
        ".{0,20}",
    ];
    let text = prop::collection::vec(line, 0..20).prop_map(|lines| lines.concat().into_bytes());
    prop_oneof![4 => text, 1 => prop::collection::vec(any::<u8>(), 0..400)]
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(raw in messages()) {
        let facts = facts(&raw);
        let text = serde_json::to_string(&facts).expect("facts are plain data");
        let again: Facts = serde_json::from_str(&text).expect("and can be stored");
        prop_assert_eq!(again, facts);
    }

    /// The sender's address is not decoded, joined or repaired.
    #[test]
    fn a_sender_occurs_in_the_message_as_written(raw in messages()) {
        let facts = facts(&raw);
        if let Sender::Usable { written, .. } = &facts.sender {
            let text = String::from_utf8_lossy(&raw);
            let (local, domain) = written.rsplit_once('@').expect("an @");
            prop_assert!(text.contains(local) && text.contains(domain), "{written}");
        }
    }

    #[test]
    fn evidence_is_short_and_on_one_line(raw in messages()) {
        let facts = facts(&raw);
        for evidence in [facts.evidence(), facts.own_mark.as_ref(), facts.automatic.as_ref()] {
            let text = evidence.map(ToString::to_string).unwrap_or_default();
            prop_assert!(!text.chars().any(char::is_control), "{text:?}");
            prop_assert!(text.chars().count() < 500);
        }
    }

    #[test]
    fn no_quoted_name_makes_another_sender(name in "\\PC{0,60}") {
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        let sender = from(&format!("\"{quoted}\" <x@evil.example>"));
        prop_assert!(matches!(sender.addr_spec(), None | Some("x@evil.example")), "{sender:?}");
        if !names_an_address(&name) {
            prop_assert_eq!(sender.addr_spec(), Some("x@evil.example"));
        }
    }

    #[test]
    fn no_encoded_name_makes_another_sender(name in any::<String>()) {
        let encoded = STANDARD.encode(&name);
        let sender = from(&format!("=?utf-8?b?{encoded}?= <x@evil.example>"));
        prop_assert!(matches!(sender.addr_spec(), None | Some("x@evil.example")), "{sender:?}");
        if !names_an_address(&name) {
            prop_assert_eq!(sender.addr_spec(), Some("x@evil.example"));
        }
    }

    #[test]
    fn no_unquoted_name_makes_another_sender(name in "[ -~]{0,40}") {
        let sender = from(&format!("{name} <x@evil.example>"));
        prop_assert!(matches!(sender.addr_spec(), None | Some("x@evil.example")), "{sender:?}");
    }

    /// The octets of the name are specials to a reader that does not know ISO-2022-JP.
    #[test]
    fn no_raw_japanese_name_makes_another_sender(name in "[!-~]{0,40}") {
        let sender = from(&format!("\x1b$B{name}\x1b(B <x@evil.example>"));
        prop_assert!(matches!(sender.addr_spec(), None | Some("x@evil.example")), "{sender:?}");
        if name.contains(['@', '<', '"']) {
            prop_assert_eq!(sender.addr_spec(), None);
        }
    }

    /// Access, authentication and routing use the same domain: it is in the field as it is, after the only
    /// `@`, and the local part has nothing that an MTA routes by.
    #[test]
    fn a_usable_sender_names_one_domain(
        local in "[a-c%!@\"\\\\.\u{AD}\u{212A}ö]{1,8}",
        domain in "[a-c.\u{AD}\u{3002}ｃö]{1,8}\\.example",
        form in prop::sample::select(vec![
            "{}", "<{}>", "Ann <{}>", "Miller, Ann <{}>", "Ann <{}", "\"{}\"@c.example",
            "Ann <\"{}\"@c.example>", "<@a.example:{}>", "{}.", "({}) {}",
        ]),
    ) {
        let sender = from(&form.replace("{}", &format!("{local}@{domain}")));
        if let Some(address) = sender.address() {
            let written = sender.addr_spec().expect("what was written");
            let (_, behind) = written.rsplit_once('@').expect("an @");
            prop_assert_eq!(written.matches('@').count(), 1);
            prop_assert!(!written.contains(['%', '!']), "{}", written);
            prop_assert_eq!(address.domain().to_unicode(), behind.to_lowercase());
        }
    }

    #[test]
    fn what_relays_add_does_not_change_the_fingerprint(
        raw in messages(),
        trace in "(Received|Return-Path|X-Spam|Delivered-To|ARC-Seal): [ -9;-~]{0,40}\r\n",
    ) {
        let raw = [&b"To: it-help@corp.example\r\n"[..], &raw].concat();
        let relayed = [trace.as_bytes(), &raw].concat();
        prop_assert_eq!(facts(&raw).fingerprint, facts(&relayed).fingerprint);
    }
}
