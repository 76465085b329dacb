//! Messages that are built from random parts are split into exactly these parts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use vestibule::mail::{Content, Structure};

/// A generated part of a message.
#[derive(Debug, Clone)]
enum Made {
    Leaf {
        octets: Vec<u8>,
        encoding: Encoding,
    },
    /// `boundary` is a choice; the depth makes it unique.
    Multipart {
        boundary: usize,
        subtype: &'static str,
        is_closed: bool,
        parts: Vec<Made>,
    },
    Message(Box<Made>),
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Identity,
    Base64 { width: usize, padded: bool },
    QuotedPrintable { width: usize },
}

/// Number of kinds of boundaries.
const BOUNDARIES: usize = 4;

/// A boundary that no enclosing multipart has, but that is a prefix or an extension of one of theirs. It is never
/// one of theirs followed by two hyphens.
fn boundary_of(choice: usize, depth: usize) -> String {
    match choice {
        0 => format!("b{}", "x".repeat(depth)),
        1 => format!("b{}", "x".repeat(20 - depth)),
        2 => format!("b--{}", "x".repeat(depth + 1)),
        _ => format!("=_b ?b{}", "x".repeat(20 - depth)),
    }
}

fn encodings() -> impl Strategy<Value = Encoding> {
    prop_oneof![
        Just(Encoding::Identity),
        (1_usize..80, any::<bool>()).prop_map(|(width, padded)| Encoding::Base64 { width, padded }),
        (4_usize..77).prop_map(|width| Encoding::QuotedPrintable { width }),
    ]
}

/// Octets, and text with many lines that look like delimiters.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        "[ -~]{0,20}",
        "x?--(b|b-|b--|=_b \\?b)x{0,6}[ -]{0,3}",
        "(Content-Type|From): x",
        "[äöüß日本]{1,5}",
    ];
    let text = prop::collection::vec(line, 0..5).prop_map(|lines| lines.join("\r\n").into_bytes());
    prop_oneof![2 => text, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

fn parts() -> impl Strategy<Value = Made> {
    let leaf =
        (octets(), encodings()).prop_map(|(octets, encoding)| Made::Leaf { octets, encoding });
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            4 => (
                0..BOUNDARIES,
                prop::sample::select(&["mixed", "alternative", "related", "report", "x-any"][..]),
                any::<bool>(),
                prop::collection::vec(inner.clone(), 1..4),
            )
                .prop_map(|(boundary, subtype, is_closed, parts)| Made::Multipart {
                    boundary,
                    subtype,
                    is_closed,
                    parts,
                }),
            1 => inner.prop_map(|part| Made::Message(Box::new(part))),
        ]
    })
}

/// True if a line is a delimiter of an enclosing multipart: such octets could not be sent.
fn has_delimiter(octets: &[u8], around: &[String]) -> bool {
    octets.split(|&byte| byte == b'\n').any(|line| {
        let line = line.trim_ascii_end();
        line.strip_prefix(b"--").is_some_and(|token| {
            around.iter().any(|boundary| {
                let rest = token.strip_prefix(boundary.as_bytes());
                rest.is_some_and(|rest| rest.is_empty() || rest == b"--")
            })
        })
    })
}

fn encode(octets: &[u8], encoding: Encoding) -> Vec<u8> {
    let wrapped = |text: &str, width: usize, end: &str| {
        let lines: Vec<_> = text.as_bytes().chunks(width).collect();
        lines.join(end.as_bytes())
    };
    match encoding {
        Encoding::Identity => octets.to_vec(),
        Encoding::Base64 { width, padded } => {
            let text = STANDARD.encode(octets);
            let text = if padded {
                &text
            } else {
                text.trim_end_matches('=')
            };
            wrapped(text, width, "\r\n")
        }
        Encoding::QuotedPrintable { width } => {
            let mut encoded = Vec::new();
            let mut column = 0;
            for &octet in octets {
                if column + 3 >= width {
                    encoded.extend_from_slice(b"=\r\n");
                    column = 0;
                }
                if octet.is_ascii_alphanumeric() {
                    encoded.push(octet);
                    column += 1;
                } else {
                    encoded.extend_from_slice(format!("={octet:02X}").as_bytes());
                    column += 3;
                }
            }
            encoded
        }
    }
}

/// Writes a part and records the octets of its leaves.
fn write(part: &Made, around: &mut Vec<String>, raw: &mut Vec<u8>, leaves: &mut Vec<Vec<u8>>) {
    match part {
        Made::Leaf { octets, encoding } => {
            let is_plain = matches!(encoding, Encoding::Identity);
            let encoding = if is_plain && has_delimiter(octets, around) {
                Encoding::QuotedPrintable { width: 76 }
            } else {
                *encoding
            };
            let name = match encoding {
                Encoding::Identity => "binary",
                Encoding::Base64 { .. } => "Base64",
                Encoding::QuotedPrintable { .. } => "quoted-printable",
            };
            raw.extend_from_slice(
                format!("Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: {name}\r\n\r\n")
                    .as_bytes(),
            );
            raw.extend_from_slice(&encode(octets, encoding));
            leaves.push(octets.clone());
        }
        Made::Multipart {
            boundary,
            subtype,
            is_closed,
            parts,
        } => {
            let depth = around.len();
            let boundary = boundary_of(*boundary, depth);
            raw.extend_from_slice(
                format!(
                    "Content-Type: multipart/{subtype}; boundary=\"{boundary}\"\r\n\r\nPreamble"
                )
                .as_bytes(),
            );
            around.push(boundary.clone());
            for part in parts {
                raw.extend_from_slice(format!("\r\n--{boundary}  \r\n").as_bytes());
                write(part, around, raw, leaves);
            }
            around.pop();
            // The outermost multipart is always closed: otherwise the end of the text would belong to its last
            // part.
            if *is_closed || around.is_empty() {
                raw.extend_from_slice(format!("\r\n--{boundary}--\r\nEpilogue").as_bytes());
            }
        }
        Made::Message(part) => {
            raw.extend_from_slice(b"Content-Type: message/rfc822\r\n\r\nSubject: within\r\n");
            write(part, around, raw, leaves);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_message_is_taken_apart_into_the_parts_that_it_was_made_of(part in parts()) {
        let (mut raw, mut leaves) = (b"From: ann@corp.example\r\n".to_vec(), Vec::new());
        write(&part, &mut Vec::new(), &mut raw, &mut leaves);
        let structure = Structure::of(&raw);
        let found: Vec<_> = structure.leaves().map(|leaf| leaf.decode()).collect();
        prop_assert_eq!(found, leaves, "{}", String::from_utf8_lossy(&raw));
        // Each leaf that is not within a message is one attachment.
        let whole = structure.leaves().filter(|leaf| !leaf.is_within_message());
        let whole: Vec<_> = whole.map(|leaf| leaf.decode()).collect();
        let attached: Vec<_> = Content::of(&raw)
            .attachments
            .into_iter()
            .filter(|one| one.content_type == "application/octet-stream")
            .map(|one| one.octets)
            .collect();
        prop_assert_eq!(attached, whole);
    }

    /// Non-base64 characters between base64 ones: each octet is preserved.
    #[test]
    fn noise_in_base64_loses_no_octet(
        octets in prop::collection::vec(any::<u8>(), 0..300),
        noise in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b" \t\r\n!*-_.:\x00\xff"[..])), 0..20),
        padded in any::<bool>(),
    ) {
        let text = STANDARD.encode(&octets);
        let text = text.trim_end_matches('=');
        let mut encoded = text.as_bytes().to_vec();
        for (place, byte) in noise {
            let place = place.index(encoded.len() + 1);
            encoded.insert(place, byte);
        }
        if padded {
            encoded.extend_from_slice(b"==");
        }
        let mut raw = b"Content-Transfer-Encoding: base64\r\n\r\n".to_vec();
        raw.extend_from_slice(&encoded);
        let structure = Structure::of(&raw);
        let part = structure.leaves().next().expect("a part");
        prop_assert_eq!(part.decode(), octets);
    }

    /// Whatever the text, only octets of escapes and soft line breaks are removed.
    #[test]
    fn broken_quoted_printable_keeps_its_text(text in "([a-zG-Z !]|=[G-Z]|=[0-9A-F]{2}|=[ ]{0,2}\r\n|\r\n){0,40}") {
        let raw = format!("Content-Transfer-Encoding: quoted-printable\r\n\r\n{text}");
        let structure = Structure::of(raw.as_bytes());
        let part = structure.leaves().next().expect("a part");
        let decoded = part.decode();
        let verification_mails = |bytes: &[u8]| -> Vec<u8> {
            bytes.iter().copied().filter(|byte| (b'G'..=b'Z').contains(byte) || byte.is_ascii_lowercase()).collect()
        };
        // Escapes of letters add some; they are replaced by the octets that they encode.
        let mut expected = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
            let digits = digits.filter(|two| byte == b'=' && !two.starts_with('+'));
            if let Some(octet) = digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
                expected.push(octet);
                rest = &after[2..];
            } else {
                expected.push(byte);
                rest = after;
            }
        }
        prop_assert_eq!(verification_mails(&decoded), verification_mails(&expected));
    }
}
