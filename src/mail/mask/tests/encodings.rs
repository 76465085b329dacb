//! Links in text that is not ASCII with a transfer encoding: in UTF-16, and in base64 within a URL.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

fn utf_16(text: &str, is_big_endian: bool) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    let octets = units.map(|unit: u16| {
        if is_big_endian {
            unit.to_be_bytes()
        } else {
            unit.to_le_bytes()
        }
    });
    octets.flatten().collect()
}

fn escape_all(octets: &[u8]) -> String {
    let lines: Vec<String> = octets
        .chunks(20)
        .map(|line| {
            line.iter().fold(String::new(), |mut text, octet| {
                let _ = write!(text, "={octet:02X}");
                text
            })
        })
        .collect();
    lines.join("=\r\n")
}

/// The text with an `x` for each character of its token.
fn without_token(text: &str) -> String {
    let masked = mask(text.as_bytes(), &own()).expect("a link");
    String::from_utf8(masked.raw).expect("text")
}

#[test]
fn a_link_in_utf_16_is_masked() {
    for text in [
        link(TOKEN),
        link(OLD),
        format!("mailto:confirm+{ANSWER}@corp.example"),
    ] {
        let (start, end) = text.split_at(cut(&text));
        for sentence in [
            format!("<p>Bitte \u{f6}ffnen: <a href=\"{text}\">\u{1f4e7}</a></p>"),
            format!("On Monday:\r\n> {start}\r\n> {end} x\r\n"),
        ] {
            for is_big_endian in [false, true] {
                let octets = utf_16(&sentence, is_big_endian);
                for (encoding, body) in [
                    ("base64", in_lines(&octets)),
                    ("quoted-printable", escape_all(&octets)),
                ] {
                    let raw = format!(
                        "Content-Type: text/plain; charset=utf-16\r\n\
                         Content-Transfer-Encoding: {encoding}\r\n\r\n{body}"
                    );
                    let masked = mask(raw.as_bytes(), &own()).expect("the link");
                    assert_eq!(masked.links, 1, "{raw}");
                    let header = raw.len() - body.len();
                    let body = std::str::from_utf8(&masked.raw[header..]).expect("ASCII");
                    let expected = utf_16(&without_token(&sentence), is_big_endian);
                    let expected = match encoding {
                        "base64" => in_lines(&expected),
                        _ => escape_all(&expected),
                    };
                    assert_eq!(body, expected);
                    assert!(mask(&masked.raw, &own()).is_none());
                }
            }
        }
    }
}

#[test]
fn octets_between_nuls_that_are_no_link_stay() {
    for text in ["Nothing to see here, nothing at all.", "verify/short"] {
        let body = in_lines(&utf_16(text, false));
        let raw = format!("Content-Transfer-Encoding: base64\r\n\r\n{body}");
        assert!(mask(raw.as_bytes(), &own()).is_none(), "{text}");
    }
}

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
                        let raw = format!("Content-Transfer-Encoding: {encoding}\r\n\r\n{body}");
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
