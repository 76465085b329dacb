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
    for (text, at) in splits() {
        let masked_text = without_token(&text);
        for gap in [
            "<span>",
            "</span>",
            "</span><SPAN class=\"SpellE\">",
            "<span\r\nlang=EN-GB>",
            "<!-- one -->",
            "<b><i></i></b>",
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
