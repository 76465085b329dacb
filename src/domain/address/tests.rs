use super::*;

#[test]
fn valid_addresses_have_one_spelling() {
    for (written, shown) in [
        ("Ann@Corp.Example", "Ann@corp.example"),
        ("a+b@corp.example.", "a+b@corp.example"),
        ("a..b@docomo.example", "\"a..b\"@docomo.example"),
        ("\".a.\"@docomo.example", "\".a.\"@docomo.example"),
        ("\"ann\"@corp.example", "ann@corp.example"),
        ("\"a\\n\\n\"@corp.example", "ann@corp.example"),
        ("dörte@bücher.example", "dörte@xn--bcher-kva.example"),
    ] {
        assert_eq!(
            EmailAddress::parse(written).expect(written).to_string(),
            shown
        );
    }
}

#[test]
fn bad_addresses_are_refused() {
    for written in [
        "",
        "ann",
        "@corp.example",
        "ann@",
        "a b@corp.example",
        "eve%evil.example@corp.example",
        "evil.example!eve@corp.example",
        "\"eve@evil.example\"@corp.example",
        "\"eve\\%evil.example\"@corp.example",
        "\"a b\"@corp.example",
        "\"\"@corp.example",
        "..@corp.example",
        "mar\u{212A}@corp.example",
        "a\u{AD}b@corp.example",
        "a\u{200D}b@corp.example",
        "a\u{2060}b@corp.example",
        "a\u{3164}b@corp.example",
        "a\u{FE0F}@corp.example",
        "a\u{E0061}@corp.example",
        "a\u{34F}b@corp.example",
        "a\u{FFF9}b@corp.example",
        "a\u{2800}b@corp.example",
        "a\u{FFFC}b@corp.example",
        "a\u{E000}b@corp.example",
        "a\u{378}b@corp.example",
        "a\u{A0}b@corp.example",
        "a\u{3000}b@corp.example",
        "e\u{301}@corp.example",
        "ａnn@corp.example",
        "ann@cor\u{AD}p.example",
        "a@b@corp.example",
        "\"a\"b@corp.example",
        "\"@corp.example",
        "\"a\\\"@corp.example",
        "\"a\\é\"@corp.example",
        "a\u{202e}b@corp.example",
        "a\u{200b}b@corp.example",
        "ann@[192.0.2.1]",
        "ann@corp.example\r\nBcc: x@y.example",
        "<ann@corp.example>",
        "a\u{0}@corp.example",
    ] {
        assert!(EmailAddress::parse(written).is_err(), "{written:?}");
    }
}

#[test]
fn case_does_not_make_another_account() {
    let one = EmailAddress::parse("Ann@CORP.example").expect("an address");
    let two = EmailAddress::parse("ann@corp.example").expect("an address");
    assert_eq!(one, two);
}

#[test]
fn the_detail_is_removed() {
    let address = EmailAddress::parse("it-help+42@corp.example").expect("an address");
    assert_eq!(address.detail(), Some("42"));
    assert_eq!(address.without_detail().to_string(), "it-help@corp.example");
    for (address, detail, without) in [
        ("ann@corp.example", None, "ann@corp.example"),
        ("a+b+c@corp.example", Some("b+c"), "a@corp.example"),
        (
            "\"a..b+x\"@corp.example",
            Some("x"),
            "\"a..b\"@corp.example",
        ),
        // Nothing remains that can be a mailbox.
        ("+x@corp.example", Some("x"), "+x@corp.example"),
        ("\".+x\"@corp.example", Some("x"), "\".+x\"@corp.example"),
    ] {
        let parsed = EmailAddress::parse(address).expect(address);
        assert_eq!(parsed.detail(), detail, "{address}");
        assert_eq!(parsed.without_detail().to_string(), without, "{address}");
    }
}

#[test]
fn an_address_has_the_lengths_of_the_rfc() {
    let label = "d".repeat(63);
    let domain = |last: usize| format!("{label}.{label}.{}.example", "d".repeat(last));
    let local = |length: usize| "a".repeat(length);
    let quoted = |length: usize| format!("\"..{}\"", "a".repeat(length - 4));
    for (local, domain, wrong) in [
        (local(64), "corp.example".to_owned(), None),
        (
            local(65),
            "corp.example".to_owned(),
            Some(AddressError::LocalPartTooLong),
        ),
        (quoted(64), "corp.example".to_owned(), None),
        (
            quoted(65),
            "corp.example".to_owned(),
            Some(AddressError::LocalPartTooLong),
        ),
        // The domain has 189 octets, and then 190.
        (local(64), domain(53), None),
        (local(64), domain(54), Some(AddressError::TooLong)),
    ] {
        let parsed = EmailAddress::from_parts(&local, &domain);
        assert_eq!(parsed.err(), wrong, "{local}@{domain}");
    }
}

#[test]
fn only_ascii_is_folded() {
    let key = |text: &str| EmailAddress::parse(text).expect(text).key();
    assert_eq!(key("\"Ann\"@Corp.Example"), key("ann@corp.example"));
    assert_ne!(key("DÖRTE@corp.example"), key("dörte@corp.example"));
}

#[test]
fn old_stored_addresses_are_shown_and_not_usable() {
    for text in [
        "\"eve@evil.example\"@corp.example",
        "eve%evil.example@corp.example",
        "mar\u{212A}@corp.example",
    ] {
        let stored = EmailAddress::parse_stored(text).expect(text);
        assert!(!stored.is_usable() && stored.to_string() == text, "{text}");
    }
    let usable = EmailAddress::parse_stored("\"a..b\"@corp.example").expect("an address");
    assert!(usable.is_usable());
    for (text, wrong) in [
        ("ann", AddressError::NoDomain),
        ("@corp.example", AddressError::NoLocalPart),
    ] {
        assert_eq!(EmailAddress::parse_stored(text), Err(wrong), "{text}");
    }
}

#[test]
fn a_customer_has_a_full_domain() {
    for text in ["root@localhost", "ann@x.", "ann@corp.example."] {
        assert!(EmailAddress::parse_customer(text).is_err(), "{text}");
    }
    assert!(EmailAddress::parse_customer("ann@corp.example").is_ok());
}

#[test]
fn an_address_is_never_taken_for_an_option() {
    let address = EmailAddress::parse("-oQ/tmp@evil.example").expect("an address");
    assert_eq!(address.as_argument(), "\"-oQ/tmp\"@evil.example");
    assert_eq!(EmailAddress::parse(&address.as_argument()), Ok(address));
    let ordinary = EmailAddress::parse("ann@corp.example").expect("an address");
    assert_eq!(ordinary.as_argument(), "ann@corp.example");
}
