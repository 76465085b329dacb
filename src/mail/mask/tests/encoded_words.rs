//! Links in encoded-words.

use std::time::{Duration, Instant};

use super::*;
use crate::mail::encoded_words;

/// Asserts that exactly the token in the text that `subject` makes of a link is masked.
fn assert_masked(subject: impl Fn(&str) -> String, text: &str, token: &str) {
    let raw = |text: &str| format!("Subject: {}\r\n\r\nx\r\n", subject(text));
    let masked_text = text.replace(token, &"x".repeat(token.len()));
    let octets = raw(text);
    let masked = mask(octets.as_bytes(), &own()).unwrap_or_else(|| panic!("{octets}"));
    let expected = raw(&masked_text);
    assert_eq!(String::from_utf8_lossy(&masked.raw), expected, "{octets}");
}

/// A link without its host. It is not found in base64 as that of a gateway.
fn word_and_token() -> String {
    format!("verify/{TOKEN}")
}

/// True if our reader shows the token.
fn is_shown(subject: &str) -> bool {
    encoded_words::decode(subject.as_bytes(), None).contains(TOKEN)
}

/// Encoded-words that readers do not join are not one text.
#[test]
fn encoded_words_with_text_between_them_are_separate() {
    let (start, end) = TOKEN.split_at(20);
    for (between, links) in [(" ", 1), ("\r\n ", 1), (".", 0), (" , ", 0)] {
        let raw = format!("Subject: =?a?q?verify/{start}?={between}=?a?q?{end}?=\r\n\r\n");
        let found = mask(raw.as_bytes(), &own()).map_or(0, |masked| masked.links);
        assert_eq!(found, links, "{between:?}");
    }
}

/// Readers differ in what they join: ours looks at the charsets, and others join none or all.
#[test]
fn a_link_after_a_cut_encoded_word_is_masked() {
    for (before, is_joined) in [
        ("=?utf-8?b?QUF?= =?us-ascii?b?", false),
        ("=?utf-8?b?QUF?=\r\n =?us-ascii?B?", false),
        ("=?utf-8?b?QUF?= =?utf8?b?", false),
        ("=?utf-8?b?QUF?= =?utf-8*en?b?", false),
        ("=?utf-8?b?QUF?=, =?utf-8?b?", false),
        ("=?utf-8?b?QUF?= =?utf-8?q?x?= =?utf-8?b?", false),
        ("=?utf-8?b?QUF?= =?utf-8?b??= =?utf-8?b?", false),
        // The second word is whole.
        ("=?utf-8?b?QUF?= =?utf-8?b?QUFB?= =?utf-8?b?", false),
        // No bit is left.
        ("=?utf-8?b?QUE?= =?utf-8?b?", false),
        ("=?utf-8?b?QUE=?= =?utf-8?b?", false),
        ("=?utf-8?b?QUF!?= =?utf-8?b?", false),
        ("=?utf-8?b?QUF?= =?UTF-8?b?", true),
        ("=?utf-8?b?Q?= =?utf-8?b?", true),
    ] {
        let subject = |text: &str| format!("{before}{}?=", STANDARD.encode(text));
        assert_eq!(
            is_shown(&subject(&word_and_token())),
            !is_joined,
            "{before}"
        );
        assert_masked(subject, &word_and_token(), TOKEN);
    }
}

/// Text before the link and three words, cut off anywhere before the token is complete.
#[test]
fn a_link_in_cut_encoded_words_is_masked() {
    for at in 1..80 {
        for (second, third) in [
            ("utf-8", "utf-8"),
            ("UTF-8", "Utf-8"),
            ("utf-8*en", "us-ascii"),
        ] {
            for length in [0, 1, 5, 18, 19, 20] {
                let subject = |text: &str| {
                    let encoded = STANDARD.encode(text);
                    let (first_text, rest) = encoded.split_at(at);
                    let (second_text, third_text) = rest.split_at(length);
                    format!(
                        "=?utf-8?b?{first_text}?= =?{second}?b?{second_text}?=\r\n =?{third}?b?{third_text}?="
                    )
                };
                assert_masked(subject, &format!("{}?", link(TOKEN)), TOKEN);
            }
        }
    }
}

/// Our reader joins them.
#[test]
fn a_link_in_encoded_words_that_are_cut_within_an_octet_is_masked() {
    let text = format!("{}?", link(TOKEN));
    let encoded = STANDARD.encode(&text);
    let expected = STANDARD.encode(without_token(&text));
    for at in [21, 22, 50, 51, 61, 62] {
        let raw = |text: &str| {
            let (start, end) = text.split_at(at);
            format!("Subject: =?utf-8?b?{start}?=\r\n =?utf-8?b?{end}?=\r\n\r\nx\r\n")
        };
        let masked = mask(raw(&encoded).as_bytes(), &own()).expect("the link");
        assert_eq!(String::from_utf8_lossy(&masked.raw), raw(&expected), "{at}");
    }
}

/// Padding, and other text after it, does not end what our reader decodes.
#[test]
fn a_link_after_padding_in_an_encoded_word_is_masked() {
    for noise in ["", "!", " "] {
        let subject = |text: &str| {
            let (start, end) = text.split_at(text.len() - 20);
            let (middle, end) = end.split_at(10);
            format!(
                "=?utf-8?b?{}{noise}{}{noise}?= =?utf-8?q?{end}?=",
                STANDARD.encode(start),
                STANDARD.encode(middle),
            )
        };
        assert!(is_shown(&subject(&link(TOKEN))));
        assert_masked(subject, &link(TOKEN), TOKEN);
    }
}

/// Readers show it without a gap.
#[test]
fn a_link_with_text_next_to_an_encoded_word_is_masked() {
    let long = "Some words. ".repeat(300);
    let padding = "a".repeat(500);
    let old = format!("https://gate.corp.example/{padding}/verify/");
    for (before, token, after) in [
        ("https://gate.corp.example/verify/=?a?q?", TOKEN, "?="),
        ("=?a?q?https://gate.corp.example/verify?=/", TOKEN, " x"),
        ("=?a?b?dmVyaWZ5?=/", TOKEN, "=?a?q?=20?="),
        ("=?a?q?ver?==?a?q?ify=2F?=", TOKEN, "\r\n x"),
        ("confirm+=?a?q?", ANSWER, "?=@corp.example"),
        ("confirm=?a?q?=2B?=", ANSWER, "@corp.example"),
        (&format!("{long} verify/=?a?q?"), TOKEN, "?= x"),
        (&format!("=?a?q?x?= {long} verify/=?a?q?"), TOKEN, "?= x"),
        (
            &format!("=?a?q?x?= {long} =?a?q?verify/?="),
            TOKEN,
            &format!(" {long}"),
        ),
        (&format!("{old}=?a?q?"), OLD, "?="),
        (&format!("=?a?q??={old}=?a?q??="), OLD, " x"),
    ] {
        let token = token.to_owned();
        assert_masked(|token| format!("{before}{token}{after}"), &token, &token);
    }
}

/// Our reader decodes such words, too.
#[test]
fn a_link_in_an_unusual_encoded_word_is_masked() {
    let hidden = without_token(&link(TOKEN));
    let long = "a".repeat(2000);
    for (start, end) in [
        (format!("=?{}?q?", "c".repeat(50)), "?="),
        ("=?utf-8?q?See ".to_owned(), "?="),
        (format!("=?utf-8?q?{long}"), "?="),
    ] {
        let raw = |text: &str| {
            format!(
                "Subject: {start}{}{end}\r\n\r\nx\r\n",
                text.replacen('v', "=76", 1)
            )
        };
        let masked = mask(raw(&link(TOKEN)).as_bytes(), &own()).expect("the link");
        assert_eq!(
            String::from_utf8_lossy(&masked.raw),
            raw(&hidden),
            "{start}"
        );
    }
}

/// Our reader counts the octets of a word without its line ends.
#[test]
fn a_link_at_the_end_of_a_long_folded_word_is_masked() {
    let long = "aaaa\r\n ".repeat(1600);
    let subject = |text: &str| format!("=?utf-8?q?{long}{}?=", text.replacen('v', "=76", 1));
    assert!(is_shown(&subject(&link(TOKEN))));
    assert_masked(subject, &link(TOKEN), TOKEN);
}

/// The first octets look like the beginning of another word.
#[test]
fn a_link_in_a_word_with_an_unknown_charset_is_masked() {
    for before in ["=?x=?q?b?", "=? =?q?b?", "=?=?x?b?"] {
        let subject = |text: &str| format!("{before}{}?=", STANDARD.encode(text));
        assert!(is_shown(&subject(&word_and_token())), "{before}");
        assert_masked(subject, &word_and_token(), TOKEN);
    }
}

#[test]
fn many_encoded_words_take_linear_time() {
    let begin = Instant::now();
    for repeated in [
        "=?a?b?QUF?= ",
        "=?a?b?Q?= =?a?b??= ",
        "=?a?b??=",
        "=?a?b?QUF?=                    x",
        "=?a?b?QUE=!",
        "=?a?q?",
    ] {
        let raw = format!("A: =?a?b?Q?= {}", repeated.repeat(20_000));
        assert!(mask(raw.as_bytes(), &own()).is_none());
    }
    // Quadratic work would take minutes.
    assert!(begin.elapsed() < Duration::from_mins(1));
}
