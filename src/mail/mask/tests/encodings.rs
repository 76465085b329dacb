//! Links in UTF-16, in uuencode, and in base64 with other characters in it.

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
                    let masked = mask(part(encoding, &body).as_bytes(), &own()).expect("the link");
                    assert_eq!(masked.links, 1, "{body}");
                    let expected = utf_16(&without_token(&sentence), is_big_endian);
                    let expected = match encoding {
                        "base64" => in_lines(&expected),
                        _ => escape_all(&expected),
                    };
                    let expected = part(encoding, &expected);
                    assert_eq!(String::from_utf8_lossy(&masked.raw), expected);
                    assert!(mask(&masked.raw, &own()).is_none());
                }
            }
        }
    }
}

#[test]
fn octets_between_nuls_that_are_no_link_stay() {
    for text in ["Nothing to see here, nothing at all.", "verify/short"] {
        let raw = part("base64", &in_lines(&utf_16(text, false)));
        assert!(mask(raw.as_bytes(), &own()).is_none(), "{text}");
    }
}

/// Readers do not show these, so a link with one in it is whole for them.
#[test]
fn a_link_in_utf_16_with_invisible_characters_is_masked() {
    let text = link(TOKEN);
    let within_word = text.find("rify").expect("the word");
    let cuts = [within_word, cut(&text)].map(|at| text.split_at(at));
    for invisible in [
        "\u{ad}", "\u{200b}", "\u{200c}", "\u{200d}", "\u{2060}", "\u{feff}",
    ] {
        for ((start, end), is_big_endian) in
            cuts.into_iter().flat_map(|cut| [(cut, false), (cut, true)])
        {
            let sentence = |text: &str| format!("See {text} and so on.");
            let broken = |text: &str| utf_16(&sentence(text), is_big_endian);
            let whole = without_token(&text);
            let expected = format!(
                "{}{invisible}{}",
                &whole[..start.len()],
                &whole[start.len()..]
            );
            let raw = |octets: &[u8]| part("base64", &in_lines(octets));
            let octets = broken(&format!("{start}{invisible}{end}"));
            let masked = mask(raw(&octets).as_bytes(), &own()).expect("the link");
            assert_eq!(masked.links, 1);
            assert_eq!(
                String::from_utf8_lossy(&masked.raw),
                raw(&broken(&expected))
            );
        }
    }
}

#[test]
fn a_link_in_utf_16_with_gaps_is_masked() {
    let (start, end) = TOKEN.split_at(20);
    let masked_ends = ("x".repeat(20), "x".repeat(TOKEN.len() - 20));
    for (before, between) in [
        ("https://gate.corp.example/ver<b>ify/", "</b>"),
        ("Content-Type: a/b; url*0=verify/", ";\r\n url*1="),
    ] {
        for is_big_endian in [false, true] {
            let raw = |start: &str, end: &str| {
                let text = format!("{before}{start}{between}{end}\r\n");
                part("base64", &in_lines(&utf_16(&text, is_big_endian)))
            };
            let masked = mask(raw(start, end).as_bytes(), &own()).expect("the link");
            let expected = raw(&masked_ends.0, &masked_ends.1);
            assert_eq!(masked.links, 1, "{before}");
            assert_eq!(String::from_utf8_lossy(&masked.raw), expected, "{before}");
        }
    }
}

#[test]
fn a_link_in_encoded_words_of_utf_16_is_masked() {
    for is_big_endian in [false, true] {
        let subject = |text: &str| {
            let pieces = text.as_bytes().chunks(15);
            let words = pieces.map(|piece| {
                let piece = std::str::from_utf8(piece).expect("ASCII");
                // Each word begins with a byte order mark.
                let octets = utf_16(piece, is_big_endian);
                format!("=?utf-16?b?{}?=", STANDARD.encode(octets))
            });
            let words: Vec<String> = words.collect();
            format!("Subject: {}\r\n\r\nx\r\n", words.join("\r\n "))
        };
        let raw = subject(&link(TOKEN));
        let masked = mask(raw.as_bytes(), &own()).expect("the link");
        assert_eq!(masked.links, 1);
        let expected = subject(&without_token(&link(TOKEN)));
        assert_eq!(String::from_utf8_lossy(&masked.raw), expected);
    }
}

/// Encodes a text, with this character for a zero.
fn uuencode(text: &str, zero: u8) -> String {
    let character = |value: u8| char::from(if value == 0 { zero } else { b' ' + value });
    let mut out = "begin 644 a.txt\r\n".to_owned();
    for line in text.as_bytes().chunks(45) {
        out.push(character(u8::try_from(line.len()).expect("a short line")));
        for group in line.chunks(3) {
            let octet = |index: usize| group.get(index).copied().unwrap_or(0);
            let (first, second, third) = (octet(0), octet(1), octet(2));
            out.push(character(first >> 2));
            out.push(character((first << 4 | second >> 4) & 0x3f));
            out.push(character((second << 2 | third >> 6) & 0x3f));
            out.push(character(third & 0x3f));
        }
        out.push_str("\r\n");
    }
    out + "`\r\nend\r\n"
}

#[test]
fn a_link_in_uuencode_is_masked() {
    for before in 0..50 {
        for (name, zero) in [("x-uuencode", b'`'), ("uuencode", b' '), ("X-UUE", b'`')] {
            let text = format!("{}{}?\r\nbye", " ".repeat(before), link(TOKEN));
            let raw = |text: &str| part(name, &format!("x\r\n{}after", uuencode(text, zero)));
            let masked = mask(raw(&text).as_bytes(), &own()).expect("the link");
            assert_eq!(masked.links, 1);
            assert_eq!(
                String::from_utf8_lossy(&masked.raw),
                raw(&without_token(&text))
            );
        }
    }
}

/// Our reader skips whatever is not base64.
#[test]
fn a_link_in_base64_with_noise_is_masked() {
    let raw = |text: &str, noise: &str| {
        let encoded = STANDARD.encode(text);
        let (start, end) = encoded.split_at(50);
        part("base64", &format!("{start}{noise}{end}"))
    };
    for noise in ["\r\n-", "\r\n--\r\n", "\r\n---- \r\n", "!", "\0"] {
        let octets = raw(&link(TOKEN), noise);
        let masked = mask(octets.as_bytes(), &own()).expect("the link");
        let expected = raw(&without_token(&link(TOKEN)), noise);
        assert_eq!(String::from_utf8_lossy(&masked.raw), expected, "{noise:?}");
    }
}

/// Octets without a NUL are skipped, but not those near one.
#[test]
fn a_link_in_utf_16_next_to_other_text_is_masked() {
    for length in (1..100).chain([1000]) {
        for is_big_endian in [false, true] {
            let other = vec![b'-'; length];
            let wide = |text: &str| utf_16(text, is_big_endian)[2..].to_vec();
            let [text, masked_text] = [TOKEN.to_owned(), "x".repeat(TOKEN.len())].map(|token| {
                let link = wide(&link(&token));
                [&other[..], &link[..], &other, &link].concat()
            });
            let masked = mask(&text, &own()).expect("a link");
            let case = format!("{length} {is_big_endian}");
            assert_eq!(masked.links, 2, "{case}");
            assert!(masked.raw == masked_text, "{case}");
        }
    }
}

/// A lost NUL, and line ends of one octet, between other text.
#[test]
fn a_link_in_damaged_utf_16_is_masked() {
    let lose = |wide: &mut Vec<u8>, at: usize| {
        wide.remove(at);
    };
    let end_line = |wide: &mut Vec<u8>, at: usize| wide.insert(at, b'\n');
    let damages: [fn(&mut Vec<u8>, usize); 2] = [lose, end_line];
    for (text, token) in [
        (link(TOKEN), TOKEN),
        (format!("confirm+{ANSWER}@corp.example"), ANSWER),
        (format!("confirm+{ANSWER}"), ANSWER),
    ] {
        let masked_text = text.replace(token, &"x".repeat(token.len()));
        for is_big_endian in [false, true] {
            let [text, masked_text] = [&text, &masked_text].map(|text| utf_16(text, is_big_endian));
            let nuls = (0..text.len()).filter(|at| text[*at] == 0);
            for (at, damage) in nuls.flat_map(|at| damages.map(|damage| (at, damage))) {
                let [raw, masked_raw] = [&text, &masked_text].map(|text| {
                    let mut wide = text.clone();
                    damage(&mut wide, at);
                    [&[b'!'; 100], &wide[..], &[b'!'; 100]].concat()
                });
                let masked = mask(&raw, &own()).expect("a link");
                assert!(masked.raw == masked_raw, "{is_big_endian} {at}");
            }
        }
    }
}
