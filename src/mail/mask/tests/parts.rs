//! Parts with a transfer encoding, found by their field.

use std::time::{Duration, Instant};

use super::*;

/// Masks a message with a link that only a reader of quoted-printable sees; returns the number of links.
fn links(before: &str, after: &str) -> u32 {
    let raw = format!("{before}{}\r\n{after}", quoted_printable(&link(TOKEN)));
    mask(raw.as_bytes(), &own()).map_or(0, |masked| masked.links)
}

#[test]
fn a_part_is_found_by_the_encodings_before_an_empty_line() {
    let field = "Content-Transfer-Encoding";
    for (before, after, expected) in [
        (format!("{field}: quoted-printable\r\n\r\n"), "", 1),
        (format!("{field}: quoted-printable\n\n"), "", 1),
        (
            format!("A: b\r\n{field}:\r\n Quoted-Printable\r\n\r\n"),
            "",
            1,
        ),
        (
            "cONTENT-tRANSFER-eNCODING:quoted-printable\r\n\r\n".to_owned(),
            "",
            1,
        ),
        // Readers choose one of several: ours the first.
        (
            format!("{field}: base64\r\n{field}: quoted-printable\r\n\r\n"),
            "",
            1,
        ),
        (
            format!("{field}: quoted-printable\r\n{field}: base64\r\n\r\n"),
            "",
            1,
        ),
        (
            format!("{field}: quoted-printable (not base64)\r\n\r\n"),
            "",
            1,
        ),
        (
            format!("{field}: base64 (not quoted-printable)\r\n\r\n"),
            "",
            1,
        ),
        (format!("{field}: base64, uuencode\r\n\r\n"), "", 0),
        (
            format!("{field}: quoted-printable\r\n{field}: 8bit\r\n\r\n"),
            "",
            1,
        ),
        // A part ends at the next field that an empty line follows.
        (
            format!("{field}: quoted-printable\r\n\r\n"),
            "Content-Transfer-Encoding: base64\r\n\r\n",
            1,
        ),
        (
            format!("{field}: quoted-printable\r\n\r\nx\r\n{field}: base64\r\n\r\n"),
            "",
            0,
        ),
        (
            format!("{field}: quoted-printable\r\n\r\nx\r\n{field}: base64\r\n"),
            "",
            1,
        ),
        // No field, or no body.
        (format!("{field}: quoted-printable\r\n"), "", 0),
        (format!(" {field}: quoted-printable\r\n\r\n"), "", 0),
        (format!("X-{field}: quoted-printable\r\n\r\n"), "", 0),
        ("\r\n".to_owned(), "", 0),
        (String::new(), "", 0),
    ] {
        assert_eq!(links(&before, after), expected, "{before:?} {after:?}");
    }
}

#[test]
fn a_link_in_base64_is_found_beside_the_name_of_another_encoding() {
    // Without our host, it is not found as that of a gateway.
    let text = format!("verify/{TOKEN}");
    for value in ["base64", "base64 (not quoted-printable)", "x-uue; base64"] {
        let raw = |text: &str| part(value, &in_lines(text));
        let masked = mask(raw(&text).as_bytes(), &own()).expect("the link");
        let expected = raw(&without_token(&text));
        assert_eq!(String::from_utf8_lossy(&masked.raw), expected);
    }
}

#[test]
fn a_link_within_a_part_with_two_encodings_is_found() {
    for (first, second) in [("base64", "8bit, quoted-printable"), ("x-uue", "base64")] {
        let inner = part("base64", &in_lines(&link(TOKEN)));
        let encodings = format!("{first}\r\nContent-Transfer-Encoding: {second}");
        let outer = part(&encodings, &in_lines(&inner));
        let masked = mask(outer.as_bytes(), &own()).expect("the link");
        assert_eq!((masked.links, masked.raw.len()), (1, outer.len()));
        assert!(mask(&masked.raw, &own()).is_none(), "{first} {second}");
    }
}

#[test]
fn many_fields_take_linear_time() {
    let begin = Instant::now();
    for repeated in [
        "Content-Transfer-Encoding: base64\r\n",
        "Content-Transfer-Encoding: base64\n\nAA\n",
    ] {
        let raw = format!("A: b\r\n\r\n{}", repeated.repeat(120_000));
        assert!(mask(raw.as_bytes(), &own()).is_none());
    }
    // Quadratic work would take minutes.
    assert!(begin.elapsed() < Duration::from_mins(1));
}
