//! Fields that some readers see and others do not.
//!
//! Some take a bare CR, a form feed, a NUL or the like for a line end, so a field may follow one, and an empty line of
//! them may end the header. Some drop control characters from the name of a field. Some append a line that is not a
//! field to the field above it.

use super::{Header, Section};
use crate::mail::lenient_lines::{
    ends_field, has_plain_lines, is_matched, line_end_length, match_octet,
};

impl Header<'_> {
    /// True if a reader that takes other characters than LF for line ends, or drops control characters and octets
    /// outside of ASCII from the name of a field, would see a field of this name that others do not.
    pub(in crate::mail) fn hides(&self, name: &str) -> bool {
        let (fields, name) = (self.section.fields, name.as_bytes());
        if has_plain_lines(fields) {
            return false;
        }
        // The beginnings of the name that the text matches: in a line that every reader sees, with nothing but white
        // space left out, and in any other reading.
        let (mut plain, mut hidden) = (1, 0);
        for (at, &byte) in fields.iter().enumerate() {
            let next = fields.get(at + 1);
            match byte {
                b'\n' if !matches!(next, Some(b' ' | b'\t')) => (plain, hidden) = (1, 0),
                b' ' | b'\t' | b'\n' => {}
                b'\r' if next == Some(&b'\n') => {}
                b':' if is_matched(hidden, name) => return true,
                _ if byte.is_ascii_graphic() => {
                    plain = match_octet(plain, name, byte);
                    hidden = match_octet(hidden, name, byte);
                }
                _ => {
                    hidden |= plain;
                    plain = 0;
                    // 0x85 may be part of a letter, such as the Cyrillic х; the letter after it begins no name.
                    let is_in_word = !byte.is_ascii() && next.is_some_and(|next| !next.is_ascii());
                    if matches!(byte, b'\r' | 0) || (ends_field(fields, at) && !is_in_word) {
                        hidden |= 1;
                    }
                }
            }
        }
        false
    }

    /// True if some reader would see the header end above a field of this name.
    pub(in crate::mail) fn may_end_above(&self, name: &str) -> bool {
        let fields = self.section.fields;
        // Some programs take a NUL for the end of the text.
        let ends = [empty_line(fields), memchr::memchr(0, fields)];
        let end = ends.into_iter().flatten().min();
        end.is_some_and(|at| Section::split(&fields[at..], b"").first(name).is_some())
    }

    /// True if a line that is not a field follows a field of this name: some readers append it to the value.
    pub(in crate::mail) fn may_be_extended(&self, name: &str) -> bool {
        let is_extended = |end: u32| {
            let mut below = Section::split(&self.section.fields[end as usize..], b"").fields();
            !below.section.is_empty() && (below.next().is_none() || below.last > 0)
        };
        self.places
            .iter()
            .filter(|place| usize::from(place.name_length) == name.len())
            .filter(|place| self.field(place).is_some_and(|field| field.is(name)))
            .any(|place| is_extended(place.end))
    }
}

/// Position of the first line that is empty to some reader. A NEL of ISO 8859 does not count: the last letter of a line
/// in UTF-8 or another charset may contain its octet.
fn empty_line(fields: &[u8]) -> Option<usize> {
    // An empty line that every reader sees ends the header.
    if has_plain_lines(fields) {
        return None;
    }
    let mut line = 0;
    for (at, &byte) in fields.iter().enumerate() {
        let length = line_end_length(&fields[..=at]);
        if length == 0 || (length == 1 && byte == 0x85) {
            continue;
        }
        let is_crlf = byte == b'\n' && fields[..at].ends_with(b"\r");
        if line == at + 1 - length && !is_crlf {
            return Some(line);
        }
        line = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_hidden_by_control_characters_is_noticed() {
        for (raw, hidden) in [
            ("Subject: a\rFROM : b\r\n", true),
            ("Subject: a\rFrom:b\r\n", true),
            ("Subject: a\r\nFrom: b\r\n", false),
            ("Subject: a\rFromage: b\r\n", false),
            ("From: a\r\nFrom\u{B}: b\r\n", true),
            ("From\0 : b\r\nFrom: a\r\n", true),
            ("\u{B}from: b\r\n", true),
            ("Subject: a\r\n From\u{B}: b\r\n", false),
            ("Subject: From\u{B}: b\r\nFrom : a\r\n", false),
            ("From: a\r\nFrom\u{B}\r\n : b\r\n", true),
            ("X: y\rFrom\r\n : b\r\n", true),
            ("X: y\rFrom\r : b\r\n", true),
            ("From\u{A0}: b\r\n", true),
            ("From\r\n : a\r\n", false),
            ("Subject: a\u{B}From: b\r\n", true),
            ("Subject: a\u{C}From: b\r\n", true),
            ("Subject: a\u{1C}from : b\r\n", true),
            ("Subject: a\u{1D}From: b\r\n", true),
            ("Subject: a\u{1E}From: b\r\n", true),
            ("Subject: a\u{85}From: b\r\n", true),
            ("Subject: a\u{2028}From: b\r\n", true),
            ("Subject: a\u{2029}From: b\r\n", true),
            ("Subject: a\r\n b\u{C}From\r\n : b\r\n", true),
            ("Subject: a\u{C}Fr\u{C}om: b\r\n", true),
            ("Subject: a\u{C}\0From: b\r\n", true),
            ("From: a\r\nSubject: a\0From: b\r\n", true),
            ("From: a\r\nSubject: a\0\0from : b\r\n", true),
            ("From: a\r\nSubject: a\0Fromage: b\r\n", false),
            ("Subject: a\u{445}From: b\r\n", true),
            // A fold, another name, and the letters of a word.
            ("Subject: a\u{C} From: b\r\n", false),
            ("Subject: a\u{C}Fromage: b\r\n", false),
            ("Subject: a\u{C}From\r\nTo: b\r\n", false),
            ("Subject: \u{43E} \u{43D}\u{438}\u{445} From: b\r\n", false),
            ("Subject: \u{443}\u{445}\u{43E} From: b\r\n", false),
            ("Subject: a\u{2026}From: b\r\n", false),
        ] {
            assert_eq!(Header::of(raw.as_bytes()).hides("From"), hidden, "{raw:?}");
        }
        assert!(Header::of(b"Subject: a\x85From: b\r\n").hides("From"));
    }

    #[test]
    fn a_header_of_crs_takes_linear_time() {
        let begin = std::time::Instant::now();
        for pattern in [
            "\r",
            "\r ",
            "\r\n ",
            "From\r",
            "From\r ",
            "From\u{B}\r\n ",
            "\u{B}F",
            "\u{85}\0",
            "\r\ngarbage",
        ] {
            let raw = format!("From: {}\r\nFrom: a\r\n", pattern.repeat(500_000));
            let header = Header::of(raw.as_bytes());
            let _ = header.hides("From");
            let _ = header.may_end_above("From");
            let _ = header.may_be_extended("From");
        }
        // Quadratic work would take an hour.
        let limit = std::time::Duration::from_mins(5);
        assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
    }

    #[test]
    fn an_empty_line_above_a_field_is_noticed() {
        for (raw, noticed) in [
            ("X: a\r\r\nFrom: b\r\n", true),
            ("X: a\r\rb\r\nFrom: b\r\n", true),
            ("From: b\r\nX: a\r\r\n", false),
            ("X: a\rb\r\nFrom: b\r\n", false),
            ("X: a\r\r\n", false),
            ("X: a\u{B}\u{B}\r\nFrom: b\r\n", true),
            ("X: a\u{C}\r\nFrom: b\r\n", true),
            ("X: a\r\n\u{1E}Y: c\r\nFrom: b\r\n", true),
            ("X: a\u{85}\u{2028}Y: c\r\nFrom: b\r\n", true),
            ("\u{B}X: a\r\nFrom: b\r\n", true),
            ("X: a\u{B}b\u{B}\tc\r\nFrom: b\r\n", false),
            ("X: \u{43E} \u{43D}\u{438}\u{445}\r\nFrom: b\r\n", false),
            ("From: b\r\nX: a\u{B}\u{B}\r\n", false),
            ("X: a\0b\r\nFrom: b\r\n", true),
            ("From: b\0\r\nX: a\0\r\n", false),
        ] {
            let header = Header::of(raw.as_bytes());
            assert_eq!(header.may_end_above("From"), noticed, "{raw:?}");
        }
    }

    #[test]
    fn a_line_that_some_readers_append_to_a_field_is_noticed() {
        for (raw, noticed) in [
            ("From: a\r\n<b>\r\nTo: c\r\n", true),
            ("From: a\r\n b\r\n, c\r\n", true),
            ("From : a\r\n.b\r\n", true),
            ("From: a\r\n\u{C} b\r\nTo: c\r\n", true),
            ("From: a\r\n: b\r\nTo: c\r\n", true),
            ("From: a\r\nb c: d\r\nTo: c\r\n", true),
            ("From: a\r\nTo: b\r\ngarbage\r\n", false),
            ("From: a\r\nTo : b\r\n", false),
            ("From: a\r\n b\r\n", false),
            ("From: a\r\n\r\ngarbage\r\n", false),
            ("From: a", false),
            ("garbage\r\nFrom: a\r\n", false),
            ("Cc: a\r\ngarbage\r\nFrom: a\r\n", false),
        ] {
            let header = Header::of(raw.as_bytes());
            assert_eq!(header.may_be_extended("From"), noticed, "{raw:?}");
        }
    }
}
