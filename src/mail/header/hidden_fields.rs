//! Fields that some readers see and others do not.
//!
//! Some take a bare CR for a line end, so a field may follow one, and an empty line of CRs may end the header.
//! Some drop control characters from the name of a field.

use memchr::{memchr_iter, memmem};

use super::{Header, Section};

impl Header<'_> {
    /// True if a reader that treats a bare CR as a line end, or drops control characters and octets outside of ASCII
    /// from the name of a field, would see a field of this name that others do not.
    pub(in crate::mail) fn hides(&self, name: &str) -> bool {
        let fields = self.section.fields;
        let after_cr = bare_crs(fields).any(|at| {
            let line = &fields[at + 1..];
            // The line ends at the next bare CR that begins no fold; an indented one ends at any. So a run of CRs takes
            // linear time.
            let is_fold = |at: usize| !is_indented(line) && is_indented(&line[at + 1..]);
            let end = bare_crs(line).find(|&at| !is_fold(at));
            compare_name(&line[..end.unwrap_or(line.len())], name).is_some()
        });
        let starts = memchr_iter(b'\n', fields).map(|at| at + 1);
        let is_disguised = |start| {
            let line = &fields[start..];
            !is_indented(line) && compare_name(line, name) == Some(false)
        };
        after_cr || std::iter::once(0).chain(starts).any(is_disguised)
    }

    /// True if a reader that treats a bare CR as a line end would see the header end above a field of this name.
    pub(in crate::mail) fn may_end_above(&self, name: &str) -> bool {
        let fields = self.section.fields;
        memmem::find(fields, b"\r\r")
            .is_some_and(|end| Section::split(&fields[end..], b"").first(name).is_some())
    }
}

/// Positions of the CRs that no LF follows.
fn bare_crs(bytes: &[u8]) -> impl Iterator<Item = usize> {
    memchr_iter(b'\r', bytes).filter(|&at| bytes.get(at + 1) != Some(&b'\n'))
}

fn is_indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// Compares the graphic octets before the first colon of a field with a name. Returns None if they differ, true if
/// only white space is left out of the comparison, and false if other octets are.
fn compare_name(field: &[u8], name: &str) -> Option<bool> {
    let mut rest = name.bytes();
    let mut is_plain = true;
    for (at, &byte) in field.iter().enumerate() {
        let next = field.get(at + 1);
        match byte {
            b':' => return (rest.len() == 0).then_some(is_plain),
            b'\n' if !matches!(next, Some(b' ' | b'\t')) => return None,
            b'\r' if next == Some(&b'\n') => {}
            b' ' | b'\t' | b'\n' => {}
            _ if byte.is_ascii_graphic() => {
                let expected = rest.next()?;
                if !byte.eq_ignore_ascii_case(&expected) {
                    return None;
                }
            }
            _ => is_plain = false,
        }
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
        ] {
            assert_eq!(Header::of(raw.as_bytes()).hides("From"), hidden, "{raw:?}");
        }
    }

    #[test]
    fn a_header_of_crs_takes_linear_time() {
        let begin = std::time::Instant::now();
        for pattern in ["\r", "\r ", "\r\n ", "From\r", "From\r ", "From\u{B}\r\n "] {
            let raw = format!("X: {}\r\nFrom: a\r\n", pattern.repeat(500_000));
            let _ = Header::of(raw.as_bytes()).hides("From");
        }
        // Quadratic work would take an hour.
        let limit = std::time::Duration::from_mins(5);
        assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
    }

    #[test]
    fn an_empty_line_of_crs_above_a_field_is_noticed() {
        for (raw, noticed) in [
            ("X: a\r\r\nFrom: b\r\n", true),
            ("X: a\r\rb\r\nFrom: b\r\n", true),
            ("From: b\r\nX: a\r\r\n", false),
            ("X: a\rb\r\nFrom: b\r\n", false),
            ("X: a\r\r\n", false),
        ] {
            let header = Header::of(raw.as_bytes());
            assert_eq!(header.may_end_above("From"), noticed, "{raw:?}");
        }
    }
}
