//! Lines of a header, and names of fields, as the most lenient readers see them.
//!
//! Takes octets of a header. Some readers end lines at more characters than LF: Python's `splitlines` and `PCRE`'s
//! `\R` do. Some leave control characters and other octets out of the name of a field.

/// True if all readers agree on the lines of a text: it has no line ends but CRLF and LF, no other control characters
/// but tabs, and nothing outside of ASCII. Most headers are such texts, so nothing else has to be searched in them.
#[must_use]
pub fn has_plain_lines(text: &[u8]) -> bool {
    let is_plain = |&octet: &u8| matches!(octet, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    // Without an early end, the compiler examines many octets at once.
    text.iter().fold(true, |all, octet| all & is_plain(octet))
        && memchr::memchr_iter(b'\r', text).all(|at| text.get(at + 1) == Some(&b'\n'))
}

/// Number of octets of the line end in which a text ends for some reader; 0 if no reader sees one.
///
/// The line ends are LF, CR, VT, FF, FS, GS, RS, NEL, U+2028 and U+2029. NEL is 0x85 in ISO 8859, and readers that
/// take octets for characters find it within other characters of UTF-8. CRLF counts as its LF.
#[must_use]
pub fn line_end_length(text: &[u8]) -> usize {
    match text {
        [.., 0xc2, 0x85] => 2,
        [.., 0xe2, 0x80, 0xa8 | 0xa9] => 3,
        [.., b'\n' | b'\r' | 0x0b | 0x0c | 0x1c..=0x1e | 0x85] => 1,
        _ => 0,
    }
}

/// True if the octet at a position ends a line for some reader, and neither a fold nor another line end follows.
#[must_use]
pub fn ends_field(text: &[u8], at: usize) -> bool {
    let is_followed = matches!(text.get(at + 1), Some(b' ' | b'\t' | b'\r' | b'\n'));
    !is_followed && line_end_length(&text[..=at]) > 0
}

/// Adds an octet to the beginnings of a name that a text may end in. Bit N of `matched` stands for the first N octets
/// of the name, which has 31 at most.
#[must_use]
pub fn match_octet(matched: u32, name: &[u8], octet: u8) -> u32 {
    if matched == 0 {
        return 0;
    }
    let is_next = |&(place, letter): &(usize, &u8)| {
        matched >> place & 1 == 1 && letter.eq_ignore_ascii_case(&octet)
    };
    let next = name.iter().enumerate().filter(is_next);
    next.fold(0, |all, (place, _)| all | 2 << place)
}

/// True if all octets of the name are matched.
#[must_use]
pub fn is_matched(matched: u32, name: &[u8]) -> bool {
    matched >> name.len() & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_that_some_reader_takes_for_a_line_end_is_known() {
        for (text, length) in [
            (&b"a\n"[..], 1),
            (b"a\r\n", 1),
            (b"a\r", 1),
            (b"a\x0b", 1),
            (b"a\x0c", 1),
            (b"a\x1c", 1),
            (b"a\x1d", 1),
            (b"a\x1e", 1),
            (b"\x85", 1),
            (b"a\xd1\x85", 1),
            ("a\u{85}".as_bytes(), 2),
            ("a\u{2028}".as_bytes(), 3),
            ("a\u{2029}".as_bytes(), 3),
            (b"", 0),
            (b"a", 0),
            (b"a\t", 0),
            (b"a\x1b", 0),
            (b"a\x1f", 0),
            (b"\x80\xa8", 0),
            ("a\u{2026}".as_bytes(), 0),
        ] {
            assert_eq!(line_end_length(text), length, "{text:?}");
        }
    }

    #[test]
    fn lines_are_plain_if_all_readers_agree_on_them() {
        for (text, expected) in [
            (&b""[..], true),
            (b"From: Ann <ann@corp.example>\r\n\t(a)\nTo: ~\r\n", true),
            (b"a\r", false),
            (b"a\rb\r\n", false),
            (b"a\r\r\n", false),
            (b"a\x0b", false),
            (b"a\0", false),
            (b"a\x7f", false),
            ("\u{e9}".as_bytes(), false),
        ] {
            assert_eq!(has_plain_lines(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_field_does_not_end_before_a_fold() {
        for (text, expected) in [
            ("\x0bFrom", true),
            ("\r", true),
            ("\rFrom", true),
            ("\r\nFrom", false),
            ("\r\rFrom", false),
            ("\x0b\r\n From", false),
            ("\x0b From", false),
            ("\x0b\tFrom", false),
            ("From", false),
        ] {
            assert_eq!(ends_field(text.as_bytes(), 0), expected, "{text:?}");
        }
    }

    #[test]
    fn a_name_is_matched_from_every_beginning() {
        let read = |text: &str| {
            let octets = text.bytes();
            let all = octets.fold(1, |seen, octet| match_octet(seen | 1, b"aab", octet));
            is_matched(all, b"aab")
        };
        for (text, expected) in [
            ("aab", true),
            ("xaAB", true),
            ("aaab", true),
            ("aabb", false),
            ("ab", false),
            ("", false),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
