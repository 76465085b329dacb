//! Links in base64 within a URL, and text in base64 that is no link of ours.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

#[test]
fn a_link_in_the_parameter_of_a_gateway_is_masked() {
    for text in [
        link(TOKEN),
        link(&TOKEN.to_uppercase()),
        format!("https%3A%2F%2Fgate.corp.example%2Fverify%2F{TOKEN}"),
        format!("mailto:confirm+{ANSWER}@corp.example"),
    ] {
        let hidden = without_token(&text);
        // Each alignment of the word before the token, and of the end of the token.
        for before in ["", "a", "ab", "abc", "~?>"] {
            for after in ["", "?", "~~~", "/a?b=c&d"] {
                let inner = format!("{before}{text}{after}");
                let masked_inner = format!("{before}{hidden}{after}");
                let url_safe = |inner: &str| URL_SAFE_NO_PAD.encode(inner);
                let escaped = |inner: &str| {
                    let encoded = STANDARD.encode(inner).replace('+', "%2B");
                    encoded.replace('/', "%2F").replace('=', "%3D")
                };
                for (encoded, expected) in [
                    (url_safe(&inner), url_safe(&masked_inner)),
                    (escaped(&inner), escaped(&masked_inner)),
                    (STANDARD.encode(&inner), STANDARD.encode(&masked_inner)),
                ] {
                    let url = |parameter: &str| {
                        format!("See https://gate.example/v1/{parameter}&from=a now.")
                    };
                    let raw = format!("A: b\r\n\r\n{}\r\n", url(&encoded));
                    let masked = mask(raw.as_bytes(), &own()).unwrap_or_else(|| panic!("{raw}"));
                    assert_eq!(masked.links, 1, "{raw}");
                    assert_eq!(
                        String::from_utf8_lossy(&masked.raw),
                        format!("A: b\r\n\r\n{}\r\n", url(&expected))
                    );
                    assert!(mask(&masked.raw, &own()).is_none(), "{raw}");
                    for (encoding, body) in [
                        ("base64", in_lines(&url(&encoded))),
                        ("quoted-printable", quoted_printable(&url(&encoded))),
                    ] {
                        let raw = part(encoding, &body);
                        let masked = mask(raw.as_bytes(), &own()).expect("the link");
                        assert_eq!((masked.links, masked.raw.len()), (1, raw.len()), "{raw}");
                        assert!(readable(&masked.raw).contains(&expected), "{raw}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_link_in_base64_is_masked_wherever_it_is_broken() {
    for before in ["", "a", "ab"] {
        let encoded = URL_SAFE_NO_PAD.encode(format!("{before}{}", link(TOKEN)));
        let expected = URL_SAFE_NO_PAD.encode(format!("{before}{}", without_token(&link(TOKEN))));
        for at in 1..encoded.len() {
            for broken_by in ["\r\n", "\r\n> ", "=\r\n", "\u{ad}"] {
                let raw = |encoded: &str| {
                    let (start, end) = encoded.split_at(at);
                    format!("A: b\r\n\r\nhttps://gate.example/?u={start}{broken_by}{end}\r\n")
                };
                let masked = mask(raw(&encoded).as_bytes(), &own())
                    .unwrap_or_else(|| panic!("{}", raw(&encoded)));
                assert_eq!(String::from_utf8_lossy(&masked.raw), raw(&expected));
                assert_eq!(masked.links, 1);
            }
        }
    }
}

#[test]
fn other_base64_is_not_masked() {
    for inner in [
        "https://gate.corp.example/verify/short",
        "https://other.example/verify",
        "confirm+newsletter@corp.example",
        "verify/verify/verify/verify/verify/verify/verify/verify/verify/",
    ] {
        for before in ["", "a", "ab"] {
            let encoded = URL_SAFE_NO_PAD.encode(format!("{before}{inner}"));
            let raw = format!("A: b\r\n\r\nhttps://gate.example/?u={encoded}\r\n");
            assert!(mask(raw.as_bytes(), &own()).is_none(), "{raw}");
        }
    }
}

#[test]
fn a_link_in_base64_is_masked_however_it_is_written() {
    let token = TOKEN.to_uppercase();
    for text in [
        format!("https%253A%252F%252Fgate.corp.example%252Fverify%252F{TOKEN}"),
        format!(r"https:\/\/gate.corp.example\/verify\/{TOKEN}"),
        format!("https:&#x2F;&#x2F;gate.corp.example&#x2F;verify&#x2F;{TOKEN}"),
        format!("https-3A__gate.corp.example_verify_{TOKEN}&d=x"),
        format!("https://GATE.CORP.EXAMPLE/VERIFY/{token}"),
        format!("https://gate.corp.example/verify/{OLD}"),
        format!("mailto:confirm%2B{ANSWER}%40corp.example"),
        format!("mailto:Confirm%252b{ANSWER}%2540corp.example"),
        format!("confirm+{OLD}@corp.example"),
    ] {
        for before in ["", "a", "ab"] {
            let raw = |text: &str| {
                let encoded = URL_SAFE_NO_PAD.encode(format!("{before}{text}"));
                format!("A: b\r\n\r\nhttps://gate.example/?u={encoded}\r\n")
            };
            let masked = mask(raw(&text).as_bytes(), &own());
            let masked = masked.unwrap_or_else(|| panic!("{before}{text}"));
            assert_eq!(masked.links, 1);
            assert_eq!(
                String::from_utf8_lossy(&masked.raw),
                raw(&without_token(&text))
            );
        }
    }
}

/// Two gateways in a row.
#[test]
fn a_link_in_base64_within_base64_is_masked() {
    for text in [link(TOKEN), format!("confirm+{ANSWER}@corp.example")] {
        for (outer, inner) in [("", ""), ("a", ""), ("ab", "a"), ("", "ab"), ("ab", "ab")] {
            let encode = |before: &str, text: &str| {
                let encoded = URL_SAFE_NO_PAD.encode(format!("{before}{text}"));
                format!("https://gate.example/?u={encoded}&d=")
            };
            let raw = |text: &str| {
                let urls = encode(outer, &encode(inner, text));
                format!("A: b\r\n\r\n{urls}\r\n")
            };
            let masked = mask(raw(&text).as_bytes(), &own()).expect("the link");
            assert_eq!(masked.links, 1);
            let expected = raw(&without_token(&text));
            assert_eq!(String::from_utf8_lossy(&masked.raw), expected);
        }
    }
}

/// Other services have such links, too, and attachments contain them.
#[test]
fn a_link_of_another_host_in_base64_is_not_masked() {
    let text = format!("See https://other.example/verify/{TOKEN} for more.");
    for before in ["", "a", "ab"] {
        let encoded = STANDARD.encode(format!("{before}{text}"));
        let raw = format!("A: b\r\n\r\n?u={encoded}\r\n");
        assert!(mask(raw.as_bytes(), &own()).is_none(), "{before:?}");
    }
    // In plain text, a gateway may have rewritten the host.
    assert!(mask(text.as_bytes(), &own()).is_some());
}

/// A short local part occurs in any large attachment.
#[test]
fn characters_of_base64_are_no_reply_address() {
    let own = OwnLinks::new("gate.corp.example", Some("it"));
    for token in [OLD, ANSWER] {
        for length in 0..43 {
            // The characters after `it+`, broken at each place.
            let (start, end) = token.split_at(length.min(token.len()));
            let raw = format!(
                "Content-Transfer-Encoding: base64\r\n\r\n{}it+{start}\r\n{end}//{}\r\n",
                "Ab0/".repeat(5),
                "Ab0/".repeat(18)
            );
            assert!(mask(raw.as_bytes(), &own).is_none(), "{raw}");
        }
        for after in [
            "@",
            "%40",
            "=40",
            "=\r\n40",
            "&#64;",
            "-40",
            ">",
            " ",
            "",
            "\r\n\r\nx",
        ] {
            let raw = format!("A: b\r\n\r\nit+{token}{after}");
            assert!(mask(raw.as_bytes(), &own).is_some(), "{raw}");
        }
    }
}

#[test]
fn a_reply_address_is_masked_whatever_follows_it_in_text() {
    for (before, token, after) in [
        ("u=mailto-3A", ANSWER, "-40customer-service.example&d=x"),
        ("No such user: ", ANSWER, "\r\nReporting-MTA: dns"),
        ("No such user: ", OLD, "\r\nReporting-MTA: dns"),
        ("user=", ANSWER, "/inbox"),
    ] {
        let plus = if before.ends_with("3A") { "-2B" } else { "+" };
        let raw = format!("A: b\r\n\r\n{before}confirm{plus}{token}{after}\r\n");
        let masked = mask(raw.as_bytes(), &own()).expect(&raw);
        let expected = raw.replace(token, &"x".repeat(token.len()));
        assert_eq!(String::from_utf8_lossy(&masked.raw), expected);
    }
}

#[test]
fn text_after_a_masked_token_stays() {
    let raw = format!("A: b\r\n\r\n{}\r\nsomething else\r\n", link(OLD));
    let masked = mask(raw.as_bytes(), &own()).expect("a link");
    assert!(mask(&masked.raw, &own()).is_none());
}
