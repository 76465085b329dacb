//! Messages with many tokens, or with much between two octets of one: none of it hides a token.

use super::*;

/// More than any message of a person contains.
const MANY: usize = 20_000;

fn assert_all_masked(raw: &str, links: usize) {
    let masked = mask(raw.as_bytes(), &own()).expect("a link");
    assert_eq!(masked.links as usize, links, "{}", &raw[..200]);
    assert_eq!(masked.raw.len(), raw.len());
    assert!(mask(&masked.raw, &own()).is_none(), "{}", &raw[..200]);
    assert!(!readable(&masked.raw).contains(TOKEN), "{}", &raw[..200]);
}

#[test]
fn a_link_after_many_others_is_masked() {
    let plain = format!("verify/{TOKEN} ").repeat(MANY);
    let field = |encoding: &str| format!("A: b\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
    let word = format!("=?a?q?verify=2F{TOKEN}?=,\r\n ");
    let part = format!(
        "{}{}\r\n",
        field("base64"),
        STANDARD.encode(format!("verify/{TOKEN} "))
    );
    let gateway = format!("{} ", STANDARD.encode(link(TOKEN)));
    for raw in [
        format!("{}{plain}", field("8bit")),
        format!("{}{}", field("base64"), in_lines(&plain)),
        format!("{}{}", field("quoted-printable"), quoted_printable(&plain)),
        format!("Subject: {}\r\n\r\n", word.repeat(MANY)),
        part.repeat(MANY),
        format!("{}{}", field("8bit"), gateway.repeat(MANY)),
    ] {
        assert_all_masked(&raw, MANY);
    }
}

/// Candidates that begin within the token of another one.
#[test]
fn overlapping_tokens_are_masked() {
    let overlapping = format!("gate.corp.example/{}{TOKEN} ", "verify_".repeat(8));
    let masked = mask(overlapping.as_bytes(), &own()).expect("a link");
    assert_eq!(
        String::from_utf8_lossy(&masked.raw),
        format!("gate.corp.example/verify_{} ", "x".repeat(49 + 52))
    );
    // The characters of a long run continue, so these are no reply addresses.
    let base64 = format!("{}{}", "A".repeat(16), "confirm-2b".repeat(1000));
    assert!(mask(base64.as_bytes(), &own()).is_none());
}

#[test]
fn a_link_with_long_gaps_between_its_octets_is_masked() {
    let text = format!("verify/{TOKEN} ");
    let in_groups = |text: &str| {
        let encoded = STANDARD.encode(text);
        let groups = encoded.as_bytes().chunks(4);
        let groups = groups.map(|group| String::from_utf8_lossy(group).into_owned());
        groups.collect::<Vec<String>>().join(&"!".repeat(250))
    };
    let soft_breaks = |text: &str| {
        let octets = text
            .chars()
            .map(|octet| format!("{octet}{}", "=\r\n".repeat(85)));
        octets.collect::<String>()
    };
    let wide = |text: &str| {
        let nuls = "\0".repeat(255);
        let octets = text.chars().map(|octet| format!("{octet}{nuls}"));
        // Text in UTF-16 is recognised by this.
        in_lines(&format!(
            "{}{}",
            "a\0".repeat(10),
            octets.collect::<String>()
        ))
    };
    let masked_text = format!("verify/{} ", "x".repeat(TOKEN.len()));
    let encodings = ["base64", "quoted-printable", "base64"];
    let [of_text, of_masked_text] = [&text, &masked_text]
        .map(|text| [in_groups(text), soft_breaks(text), wide(text)])
        .map(|bodies| bodies.map(|body| body.repeat(3)));
    for (encoding, (body, masked_body)) in encodings
        .into_iter()
        .zip(of_text.iter().zip(&of_masked_text))
    {
        let raw = |body: &str| part(encoding, body);
        let masked = mask(raw(body).as_bytes(), &own()).expect("a link");
        assert_eq!(String::from_utf8_lossy(&masked.raw), raw(masked_body));
        assert_eq!(masked.links, 3);
    }
}

/// Letters within the marks begin the host, and each of them is followed by all marks after it.
#[test]
fn many_invisible_marks_take_linear_time() {
    let begin = std::time::Instant::now();
    for (host, mark) in [
        ("r.example", "<wbr>"),
        ("r.example", "<wbr />"),
        ("r.example", "<wbr\n>"),
        ("y.example", "&shy;"),
        ("y.example", "&shy"),
        ("d.example", "&#x200d;"),
        ("d.example", "&#x200d"),
        ("3.example", "&#8203"),
        ("0.example", "&#0000000000000000000"),
    ] {
        let own = OwnLinks::new(host, Some("confirm"));
        let marks = mark.repeat(1_000_000);
        // A token of version 0.1 is searched for the host.
        let raw = format!("A: b\r\n\r\n{marks} verify/{OLD} verify{marks}/{TOKEN}\r\n");
        let _ = mask(raw.as_bytes(), &own);
    }
    // Quadratic work would take hours.
    let limit = std::time::Duration::from_mins(5);
    assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
}

/// More octets than are joined at once, with a break after each.
#[test]
fn a_word_after_many_breaks_is_found() {
    let own = OwnLinks::new("gate.corp.example", Some("aaaaaa"));
    for times in 4070..4130 {
        for broken_by in ["\n", "&shy;", "<WBR/>"] {
            let before = format!("a{broken_by}").repeat(times);
            let raw = |token: &str| format!("A: b\r\n\r\n{before}+{token}@corp.example\n");
            let masked = mask(raw(ANSWER).as_bytes(), &own).expect("an address");
            let expected = raw(&"x".repeat(ANSWER.len()));
            assert!(masked.raw == expected.as_bytes(), "{times} {broken_by:?}");
        }
    }
}

/// The second break is not of the kind that is searched first.
#[test]
fn words_with_breaks_of_two_kinds_are_found() {
    for word in [
        "v&shy;er\nify",
        "v\nerif&shy;y",
        "v&shy;&#8203;erify",
        "v<WBR>&#173;erify",
        "v\u{2060}er&zwnj;ify",
    ] {
        let raw = format!("{word}/{TOKEN} v\nerify {word}/{TOKEN} ").repeat(2);
        assert_all_masked(&raw, 4);
    }
}
