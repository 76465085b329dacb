//! The header section, field by field.
//!
//! In: the raw message. Out: every field in its order, every occurrence, and the body. Nothing is
//! decoded or copied here, and the message is scanned, never indexed, so that a header of a million
//! short fields takes no more memory than one long field.
//!
//! Readers disagree on what a line means that is no field: some go on behind it, some end the
//! header there. Fields behind such a line are therefore marked as not certain.

use std::borrow::Cow;

use memchr::memchr;

/// A message cut in two at the first empty line.
#[derive(Clone, Copy)]
pub(super) struct Header<'a> {
    section: &'a [u8],
    pub(super) body: &'a [u8],
}

/// One field.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    /// Printable ASCII without a colon, as it was written.
    pub(super) name: &'a str,
    /// Everything behind the colon, folds included, without the last line's end.
    pub(super) value: &'a [u8],
    /// No line that is no field stands above it.
    pub(super) certain: bool,
}

impl<'a> Header<'a> {
    /// Finds the end of the header. The line `From …` that mbox files put on top is not part of it.
    pub(super) fn of(raw: &'a [u8]) -> Self {
        let mut start = 0;
        while raw[start..].starts_with(b"From ") || raw[start..].starts_with(b">From ") {
            start = line_end(raw, start);
        }
        let mut at = start;
        while at < raw.len() {
            let next = line_end(raw, at);
            if is_empty_line(&raw[at..next]) {
                return Self {
                    section: &raw[start..at],
                    body: &raw[next..],
                };
            }
            at = next;
        }
        Self {
            section: &raw[start..],
            body: &[],
        }
    }

    pub(super) fn fields(&self) -> Fields<'a> {
        Fields {
            section: self.section,
            at: 0,
            certain: true,
        }
    }

    /// All fields of a name, which is compared without regard to case (RFC 5322 1.2.2).
    pub(super) fn all(&self, name: &'static str) -> impl Iterator<Item = Field<'a>> + use<'a> {
        self.fields().filter(move |field| field.is(name))
    }

    pub(super) fn first(&self, name: &'static str) -> Option<Field<'a>> {
        self.all(name).next()
    }

    /// Whether a reader for whom a bare CR ends a line would see a field that others do not.
    pub(super) fn hides(&self, name: &str) -> bool {
        self.section
            .split(|&byte| byte == b'\r')
            .skip(1)
            .any(|line| {
                line.get(..name.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
                    && line[name.len()..].trim_ascii_start().starts_with(b":")
            })
    }
}

impl<'a> Field<'a> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value without its folds (RFC 5322 2.2.3); a bare CR stays.
    pub(super) fn unfolded(&self) -> Cow<'a, [u8]> {
        if memchr(b'\n', self.value).is_none() {
            return Cow::Borrowed(self.value);
        }
        let mut line = Vec::with_capacity(self.value.len());
        for piece in self.value.split_inclusive(|&byte| byte == b'\n') {
            let piece = piece.strip_suffix(b"\n").unwrap_or(piece);
            line.extend_from_slice(piece.strip_suffix(b"\r").unwrap_or(piece));
        }
        Cow::Owned(line)
    }

    /// The value on one line, without the white space around it. Nothing is decoded.
    pub(super) fn text(&self) -> Cow<'a, str> {
        match self.unfolded() {
            Cow::Borrowed(line) => String::from_utf8_lossy(line.trim_ascii()),
            Cow::Owned(line) => Cow::Owned(String::from_utf8_lossy(line.trim_ascii()).into_owned()),
        }
    }
}

/// Goes through a header section once.
pub(super) struct Fields<'a> {
    section: &'a [u8],
    at: usize,
    certain: bool,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        while self.at < self.section.len() {
            let start = self.at;
            let mut end = line_end(self.section, start);
            while matches!(self.section.get(end), Some(b' ' | b'\t')) {
                end = line_end(self.section, end);
            }
            self.at = end;
            if let Some((name, value)) = split_field(&self.section[start..end]) {
                return Some(Field {
                    name,
                    value,
                    certain: self.certain,
                });
            }
            self.certain = false;
        }
        None
    }
}

/// Where the line at `start` ends, its LF included. Only CRLF comes over SMTP; files have both.
fn line_end(bytes: &[u8], start: usize) -> usize {
    memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length + 1)
}

fn is_empty_line(line: &[u8]) -> bool {
    matches!(line, b"\r\n" | b"\n")
}

/// Name and value. White space in front of the colon is obsolete and still to be read (RFC 5322
/// 4.5); in the name itself there can be none.
fn split_field(lines: &[u8]) -> Option<(&str, &[u8])> {
    let colon = memchr(b':', lines)?;
    let name = lines[..colon].trim_ascii_end();
    if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let value = &lines[colon + 1..];
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    Some((std::str::from_utf8(name).ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(raw: &str) -> Vec<(String, String, bool)> {
        Header::of(raw.as_bytes())
            .fields()
            .map(|field| {
                (
                    field.name.to_owned(),
                    field.text().into_owned(),
                    field.certain,
                )
            })
            .collect()
    }

    fn field(name: &str, value: &str, certain: bool) -> (String, String, bool) {
        (name.to_owned(), value.to_owned(), certain)
    }

    #[test]
    fn folds_and_both_line_ends_are_read() {
        let raw = "From ann@corp.example Mon Jan  1\nA: one\r\n two\r\nb : \t three\n\nC: body";
        assert_eq!(
            fields(raw),
            [field("A", "one two", true), field("b", "three", true)]
        );
        assert_eq!(Header::of(raw.as_bytes()).body, b"C: body");
    }

    #[test]
    fn what_stands_behind_a_line_that_is_no_field_is_not_certain() {
        for garbage in ["garbage", "two words: x", "\u{e9}: x", ": x", " folded"] {
            assert_eq!(
                fields(&format!("{garbage}\r\nA: 1\r\n")),
                [field("A", "1", false)],
                "{garbage}"
            );
        }
    }

    #[test]
    fn a_message_without_a_body_is_all_header() {
        assert_eq!(fields("A: 1"), [field("A", "1", true)]);
        assert_eq!(fields(""), []);
        assert_eq!(fields("\r\nA: 1\r\n"), []);
    }

    #[test]
    fn a_field_behind_a_bare_cr_is_noticed() {
        for (raw, hidden) in [
            ("Subject: a\rFROM : b\r\n", true),
            ("Subject: a\rFrom:b\r\n", true),
            ("Subject: a\r\nFrom: b\r\n", false),
            ("Subject: a\rFromage: b\r\n", false),
        ] {
            assert_eq!(Header::of(raw.as_bytes()).hides("From"), hidden, "{raw:?}");
        }
    }
}
