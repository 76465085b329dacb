use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

mod encoded_words;
mod encodings;
mod gaps;
mod gateways;
mod generated;
mod many;
mod parts;
mod reader;

const TOKEN: &str = "mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydcmrtgq2a";
const ANSWER: &str = "mfrggzdfmztwq2lknnwg23tpoa";
const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn own() -> OwnLinks {
    OwnLinks::new("gate.corp.example", Some("confirm"))
}

fn link(token: &str) -> String {
    format!("https://gate.corp.example/verify/{token}")
}

/// A part, or a message, with a transfer encoding.
fn part(encoding: &str, body: &str) -> String {
    format!("Content-Transfer-Encoding: {encoding}\r\n\r\n{body}\r\n")
}

fn quoted_printable(text: &str) -> String {
    let mut out = String::new();
    for (number, octet) in text.bytes().enumerate() {
        if number > 0 && number % 70 == 0 {
            out.push_str("=\r\n");
        }
        if octet == b'=' || !octet.is_ascii() || number % 7 == 3 {
            let _ = write!(out, "={octet:02X}");
        } else {
            out.push(char::from(octet));
        }
    }
    out
}

fn in_lines(text: &(impl AsRef<[u8]> + ?Sized)) -> String {
    let encoded = STANDARD.encode(text);
    let lines: Vec<&str> = (0..encoded.len())
        .step_by(76)
        .map(|at| &encoded[at..encoded.len().min(at + 76)])
        .collect();
    lines.join("\r\n")
}

fn words(kind: char, text: &str) -> String {
    let words: Vec<String> = text
        .as_bytes()
        .chunks(40)
        .map(|part| {
            let part = std::str::from_utf8(part).expect("ASCII");
            let coded = match kind {
                'b' => STANDARD.encode(part),
                _ => part.replace('/', "=2F").replace('+', "=2B"),
            };
            format!("=?utf-8?{kind}?{coded}?=")
        })
        .collect();
    words.join("\r\n ")
}

/// Everything that a reader could decode from the message, concatenated.
fn readable(raw: &[u8]) -> String {
    fn collect(message: &mail_parser::Message, all: &mut String) {
        for header in message.headers() {
            let _ = write!(all, "\n{:?}", header.value);
        }
        for part in &message.parts {
            all.push('\n');
            match &part.body {
                mail_parser::PartType::Message(inner) => collect(inner, all),
                _ => all.push_str(&String::from_utf8_lossy(part.contents())),
            }
        }
    }
    let mut all = String::from_utf8_lossy(raw).into_owned();
    if let Some(message) = mail_parser::MessageParser::default().parse(raw) {
        collect(&message, &mut all);
    }
    all
}

/// The text with an `x` for each character of its token.
fn without_token(text: &str) -> String {
    let masked = mask(text.as_bytes(), &own()).expect("a link");
    String::from_utf8(masked.raw).expect("text")
}

/// Position in the middle of the token.
fn cut(text: &str) -> usize {
    let lower = text.to_lowercase();
    [TOKEN, ANSWER, OLD]
        .iter()
        .find_map(|token| {
            lower
                .find(&token.to_lowercase())
                .map(|at| at + token.len() / 2)
        })
        .expect("a token")
}

fn squeeze(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && *c != '>')
        .collect()
}

#[test]
fn a_valid_link_is_masked_in_any_place() {
    for text in [
        link(TOKEN),
        link(&TOKEN.to_uppercase()),
        link(TOKEN).to_uppercase(),
        link(OLD),
        format!("mailto:confirm+{ANSWER}@corp.example"),
        format!("CONFIRM+{}@CORP.EXAMPLE", ANSWER.to_uppercase()),
        format!("confirm+{OLD}@corp.example"),
        format!("mailto:confirm%2B{ANSWER}%40corp.example"),
        format!(
            "https://safe.example/?url=https%3A%2F%2Fgate.corp.example%2Fverify%2F{TOKEN}&data=1"
        ),
        format!("https:&#x2F;&#x2F;gate.corp.example&#x2F;verify&#x2F;{TOKEN}"),
        format!("https:&#047;&#047;gate.corp.example&#047;verify&#047;{TOKEN}"),
        format!("https:&sol;&sol;gate.corp.example&sol;verify&sol;{TOKEN}"),
        format!("https:&#47&#47gate.corp.example&#47verify&#47{TOKEN}"),
        format!("https:&#x2F&#x2Fgate.corp.example&#x2Fverify&#x2F{TOKEN}"),
        format!("mailto:confirm&#43{ANSWER}&#64corp.example"),
        format!("mailto:confirm&plus;{ANSWER}&commat;corp.example"),
        format!(r"https:\u002F\u002Fgate.corp.example\u002Fverify\u002F{TOKEN}"),
        format!(r"mailto:confirm\u002B{ANSWER}@corp.example"),
        format!("mailto:confirm+-{ANSWER}@corp.example"),
        format!("mailto:confirm+-{ANSWER}+AEA-corp.example"),
        format!("https://v2.example/url?u=https-3A__gate.corp.example_verify_{TOKEN}&d=x"),
    ] {
        let sentence = format!("Please see {text} and so on.");
        // Within the token: programs wrap before the last character that fits.
        let (start, end) = text.split_at(cut(&text));
        let mixed = format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{}--b\r\n{}--b--\r\n",
            part("base64", &in_lines("Nothing here.")),
            part("Quoted-Printable", &quoted_printable(&sentence)),
        );
        for (form, raw) in [
            ("plain", part("7bit", &sentence)),
            (
                "wrapped and quoted",
                part("7bit", &format!("> {start}\r\n> {end} x")),
            ),
            (
                "quoted-printable",
                part("quoted-printable", &quoted_printable(&sentence)),
            ),
            ("base64", part("base64", &in_lines(&sentence))),
            (
                "base64, folded field",
                part("\r\n base64", &in_lines(&sentence)),
            ),
            ("multipart", mixed.clone()),
            (
                "a message inside",
                format!("Content-Type: message/rfc822\r\n\r\n{mixed}"),
            ),
            ("a message in base64", part("base64", &in_lines(&mixed))),
            ("a field", format!("X-Link: {sentence}\r\n\r\nx\r\n")),
            (
                "a folded field",
                format!("X-Link: {start}\r\n {end}\r\n\r\nx\r\n"),
            ),
            (
                "words in q",
                format!("Subject: {}\r\n\r\nx\r\n", words('q', &text)),
            ),
            (
                "words in base64",
                format!("Subject: {}\r\n\r\nx\r\n", words('b', &text)),
            ),
        ] {
            let masked = mask(raw.as_bytes(), &own())
                .unwrap_or_else(|| panic!("{form}: nothing found in {raw}"));
            assert_eq!(masked.raw.len(), raw.len(), "{form}");
            assert_eq!(masked.links, 1, "{form}: {text}");
            let left = squeeze(&readable(&masked.raw)).to_lowercase();
            for token in [TOKEN, ANSWER, OLD] {
                // Half of it would still be half of the secret.
                for half in [&token[..20], &token[token.len() - 6..]] {
                    assert!(
                        !left.contains(&half.to_lowercase()),
                        "{form}: {text}: {left}"
                    );
                }
            }
            assert!(
                mask(&masked.raw, &own()).is_none(),
                "{form}: no token is left"
            );
        }
    }
}

#[test]
fn foreign_links_are_not_masked() {
    for text in [
        "https://gate.corp.example/verify/",
        "https://gate.corp.example/verify/short",
        "https://other.example/verify/eyJhbGciOiJIUzI1NiJ9eyJhbGciOiJIUzI1NiJ9eyJ",
        "https://other.example/verify/AbCdEfGhIjKlMnOpQrStUvWxYz234567AbCdEfGhIjKlMnOpQrStUvWx-98_abcDEF0123",
        &format!("https://other.example/verify/{TOKEN}2"),
        &format!("x.verify_{TOKEN}word"),
        &format!("https://other.example/verify/{TOKEN}=\r\n2bcd"),
        &format!("https://other.example/verify/{TOKEN}= \r\nword"),
        &format!("x.verify_{}\r\n{}word", &TOKEN[..20], &TOKEN[20..]),
        "confirm@corp.example",
        "confirm+newsletter@corp.example",
        "Please verify\r\nit.",
    ] {
        assert!(
            mask(format!("A: b\r\n\r\n{text}\r\n").as_bytes(), &own()).is_none(),
            "{text}"
        );
    }
}

/// Without our host before it, other text must not follow a token.
#[test]
fn a_link_of_another_host_ends_with_its_token() {
    let foreign = "https://gateway.example/verify/";
    for (before, after) in [
        (foreign, ""),
        (foreign, "\r\nThanks"),
        (foreign, "=\r\n Thanks"),
        (foreign, "=\r\n=20Thanks"),
        (foreign, "=3D2"),
        (foreign, "<wbr>Thanks"),
        (foreign, "__;!!"),
        (foreign, "-26a"),
        (foreign, "%26a"),
        (foreign, "\u{2026}"),
        ("https://gate.corp.example/verify/", "Thanks"),
        ("gate.corp.example via x.verify_", "2"),
    ] {
        let raw = |token: &str| format!("A: b\r\n\r\n{before}{token}{after}\r\n");
        let masked = mask(raw(TOKEN).as_bytes(), &own()).unwrap_or_else(|| panic!("{after}"));
        let expected = raw(&"x".repeat(TOKEN.len()));
        assert_eq!(String::from_utf8_lossy(&masked.raw), expected);
    }
}

#[test]
fn a_link_anywhere_in_a_long_part_is_found() {
    for at in [0, 60_000, 131_032, 98_274, 131_077, 300_000] {
        let text = format!(
            "{}{}{}",
            "Some words. ".repeat(at / 12),
            link(TOKEN),
            " more".repeat(40_000)
        );
        for raw in [
            part("base64", &in_lines(&text)),
            part("quoted-printable", &quoted_printable(&text)),
        ] {
            let masked = mask(raw.as_bytes(), &own()).unwrap_or_else(|| panic!("at {at}"));
            assert_eq!((masked.links, masked.raw.len()), (1, raw.len()), "at {at}");
            assert!(!readable(&masked.raw).contains(TOKEN), "at {at}");
        }
    }
}

/// A link in each form, broken in each way at each place, never survives.
#[test]
fn a_link_is_masked_wherever_it_is_broken() {
    for (text, token) in [
        (link(TOKEN), TOKEN),
        (link(OLD), OLD),
        (format!("<confirm+{ANSWER}@corp.example>"), ANSWER),
        (format!("confirm%2B{OLD}%40corp.example"), OLD),
        (format!("confirm=2B{ANSWER}=40corp.example"), ANSWER),
    ] {
        for at in 1..text.len() {
            let (start, end) = text.split_at(at);
            for broken_by in [
                "\r\n", "\n", "=\r\n", "\r\n ", "\r\n> ", " \r\n>> ", "\r\n| ", "\u{ad}",
                "\u{feff}", "\u{2060}", "<wbr>", "<WBR/>", "&#173;", "&zwnj;", "=\r\n> ",
            ] {
                let broken = format!("See {start}{broken_by}{end} x");
                let mut forms = vec![part("7bit", &broken)];
                if matches!(broken_by, "\r\n> " | "\r\n") {
                    forms.push(part("base64", &in_lines(&broken)));
                    forms.push(part("quoted-printable", &quoted_printable(&broken)));
                    let inner = part("base64", &in_lines(&broken));
                    forms.push(part("base64", &in_lines(&inner)));
                    forms.push(part("quoted-printable", &quoted_printable(&inner)));
                }
                for raw in forms {
                    let masked = mask(raw.as_bytes(), &own())
                        .unwrap_or_else(|| panic!("{broken:?} in {raw}"));
                    assert_eq!(masked.raw.len(), raw.len());
                    assert_eq!(masked.links, 1, "{broken:?}");
                    // Masking again finds no token.
                    assert!(mask(&masked.raw, &own()).is_none(), "{broken:?}");
                    let left = String::from_utf8_lossy(&masked.raw).into_owned();
                    assert!(
                        !left.contains(&token[..20]) && !left.contains(&token[token.len() - 6..])
                    );
                }
            }
        }
    }
}

/// An attachment of a megabyte that is a message with an encoded part.
#[test]
fn a_link_deep_in_a_large_attachment_is_masked() {
    for fill in [0, 700_001, 1_000_000] {
        let text = format!("{}{} more", "y".repeat(fill), link(TOKEN));
        let inner = part("base64", &in_lines(&text));
        let raw = format!(
            "Content-Type: application/vnd.ms-outlook\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
            in_lines(&inner)
        );
        let masked = mask(raw.as_bytes(), &own()).expect("the link");
        assert_eq!((masked.links, masked.raw.len()), (1, raw.len()));
        assert!(mask(&masked.raw, &own()).is_none());
    }
}
