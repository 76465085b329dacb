//! Links with other text between their octets: tags, comments, and the sections of a parameter.

use super::*;

/// Each link, with the position at which it is split.
fn splits() -> impl Iterator<Item = (String, usize)> {
    let links = [
        link(TOKEN),
        link(OLD),
        format!("confirm+{ANSWER}@corp.example"),
    ];
    let positions = |link: String| (1..link.len()).map(move |at| (link.clone(), at));
    links.into_iter().flat_map(positions)
}

#[test]
fn a_link_with_a_tag_in_it_is_masked() {
    let long = format!("<span style=\"{}\">", "color: red; ".repeat(200));
    for (text, at) in splits() {
        let masked_text = without_token(&text);
        for gap in [
            "<span>",
            "</span>",
            "</span><SPAN class=\"SpellE\">",
            "<span\r\nlang=EN-GB>",
            "<!-- one -->",
            "<b><i></i></b>",
            "\u{ad}<b>\u{ad}",
            &long,
        ] {
            let with_gap = |text: &str| {
                let (start, end) = text.split_at(at);
                format!("<p>See {start}{gap}{end} now.</p>")
            };
            let (html, expected) = (with_gap(&text), with_gap(&masked_text));
            for encoding in ["8bit", "quoted-printable", "base64"] {
                let encode = |html: &str| match encoding {
                    "8bit" => part(encoding, html),
                    "base64" => part(encoding, &in_lines(html)),
                    _ => part(encoding, &html.replace('=', "=3D")),
                };
                let masked = mask(encode(&html).as_bytes(), &own());
                let masked = masked.unwrap_or_else(|| panic!("{encoding}: {html}"));
                assert_eq!(masked.links, 1, "{encoding}: {html}");
                if encoding == "base64" {
                    // A token of version 0.1, which is shorter, may be found in the base64 first.
                    let found = readable(&masked.raw).replace(gap, "");
                    assert!(!found.contains(&text[text.len() - 43..]), "{found}");
                } else {
                    assert_eq!(String::from_utf8_lossy(&masked.raw), encode(&expected));
                }
                assert!(mask(&masked.raw, &own()).is_none(), "{encoding}: {html}");
            }
        }
    }
}

#[test]
fn a_link_in_the_sections_of_a_parameter_is_masked() {
    for (text, at) in splits() {
        let masked_text = without_token(&text);
        for (before, between, after) in [
            ("URL*0=\"", "\";\r\n URL*1=\"", "\""),
            ("name*0=", ";\r\n\tname*1=", ";"),
            ("name*0=", " ;\r\n name*1=", ""),
            ("name*0=", "\r\n\t; name*1=", ""),
            ("name*0=\"", "\" ; name*1=\"", "\""),
            ("name*0*=utf-8''", "; name*1*=", ""),
            ("filename*0=\"", "\"; filename*1*=", ""),
        ] {
            let raw = |text: &str| {
                let (start, end) = text.split_at(at);
                format!("Content-Type: a/b; {before}{start}{between}{end}{after}\r\n\r\nc\r\n")
            };
            let masked = mask(raw(&text).as_bytes(), &own());
            let masked = masked.unwrap_or_else(|| panic!("{}", raw(&text)));
            assert_eq!(masked.links, 1, "{}", raw(&text));
            assert_eq!(String::from_utf8_lossy(&masked.raw), raw(&masked_text));
            assert!(mask(&masked.raw, &own()).is_none(), "{}", raw(&text));
        }
    }
}

/// A tag that begins another line or cell does not continue a link.
#[test]
fn a_link_does_not_continue_after_a_block() {
    let (start, end) = TOKEN.split_at(30);
    for gap in ["<br>", "</p><p>", "</td><td>", "<bold>"] {
        let raw = format!("A: b\r\n\r\nhttps://other.example/verify/{start}{gap}{end}\r\n");
        assert!(mask(raw.as_bytes(), &own()).is_none(), "{raw}");
    }
}

/// Each part is decoded, and nothing more within the third.
#[test]
fn a_link_with_gaps_in_text_that_is_encoded_three_times_is_masked() {
    let (start, end) = TOKEN.split_at(20);
    let (masked_start, masked_end) = ("x".repeat(20), "x".repeat(TOKEN.len() - 20));
    for (before, between) in [
        ("https://gate.corp.example/ver<b>ify/", "</b>"),
        ("Content-Type: a/b; url*0=verify/", " ; url*1="),
    ] {
        let raw = |start: &str, end: &str| {
            let mut raw = format!("{before}{start}{between}{end}\r\n");
            for _ in 0..MAX_LEVELS {
                raw = part("base64", &in_lines(&raw));
            }
            raw
        };
        let masked = mask(raw(start, end).as_bytes(), &own()).expect("the link");
        let expected = raw(&masked_start, &masked_end);
        assert_eq!(masked.links, 1, "{before}");
        assert_eq!(String::from_utf8_lossy(&masked.raw), expected, "{before}");
    }
}

/// More text than one piece has, and links with longer gaps than the text near them.
#[test]
fn links_between_many_gaps_are_masked() {
    let tag = format!("<span style=\"{}\">", "a".repeat(900));
    let raw = |token: &str| {
        let characters: Vec<String> = link(token).chars().map(String::from).collect();
        let others = "One<b>two</b>three ".repeat(1000);
        let text = format!("{others}{} ", characters.join(tag.as_str()));
        format!("A: b\r\n\r\n{}", text.repeat(10))
    };
    let masked = mask(raw(TOKEN).as_bytes(), &own()).expect("a link");
    assert_eq!(masked.links, 10);
    assert!(masked.raw == raw(&"x".repeat(TOKEN.len())).as_bytes());
}

/// The beginning of a token looks like one of version 0.1.
#[test]
fn a_token_far_from_a_gap_is_masked_as_a_whole() {
    let filler = ".".repeat(9000);
    for length in 3900..4150 {
        for is_base64 in [false, true] {
            let raw = |token: &str| {
                let text = link(token);
                let link = if is_base64 {
                    STANDARD.encode(text)
                } else {
                    text
                };
                let before = &filler[..length];
                format!("A: b\r\n\r\na<b>c{before} {link} {filler}")
            };
            let masked = mask(raw(TOKEN).as_bytes(), &own()).expect("the link");
            let expected = raw(&"x".repeat(TOKEN.len()));
            assert_eq!(masked.links, 1, "{length}");
            assert!(masked.raw == expected.as_bytes(), "{length} {is_base64}");
        }
    }
}
