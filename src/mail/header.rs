//! The header section, field by field.
//!
//! Takes the raw message; returns all fields in their order, and the body. Nothing is decoded or copied here.
//! [`Section`] scans again on each call, so that a header of a million short fields takes no memory. [`Header`]
//! stores the positions of the fields that decisions depend on, so that finding one of them does not scan all
//! the others.
//!
//! Readers disagree about a line that is not a field, and about a field with white space before the colon: some
//! skip it, some end the header there. So fields after such a line are marked as not certain.

use std::borrow::Cow;

use memchr::{memchr, memmem};

use super::{LOOP_FIELD, automatic};

mod hidden_fields;

/// A message, or a part of one, split at the first empty line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section<'a> {
    fields: &'a [u8],
    pub(super) body: &'a [u8],
}

/// The header of a message, with the positions of the known fields.
pub(super) struct Header<'a> {
    pub(super) section: Section<'a>,
    places: Vec<FieldPosition>,
}

/// Fields that can be requested from [`Header`], beside the signs of automatic mail.
const KNOWN: [&str; 20] = [
    "Authentication-Results",
    "Feedback-ID",
    "From",
    "In-Reply-To",
    "List-Id",
    "List-Post",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    LOOP_FIELD,
    "Mailing-List",
    "Message-ID",
    "Received",
    "References",
    "Reply-To",
    "Subject",
    "X-Auto-Response-Suppress",
    "X-Failed-Recipients",
    "X-MS-Exchange-Generated-Message-Source",
    "X-MS-Exchange-Inbox-Rules-Loop",
    "X-Original-From",
];

fn known_names() -> impl Iterator<Item = &'static str> {
    let signs = automatic::SIGNS.iter().map(|(name, _)| *name);
    KNOWN.iter().copied().chain(signs)
}

fn is_known(name: &str) -> bool {
    known_names().any(|known| known.eq_ignore_ascii_case(name))
}

/// Octets of a header whose known fields are not counted first. Their positions take less than is reserved for any
/// message.
const SMALL: usize = 16 * 1024;

/// Position of a field in the section. It takes twelve octets, and every known field has at least six.
#[derive(Clone, Copy)]
struct FieldPosition {
    start: u32,
    end: u32,
    /// No known name is longer.
    name_length: u8,
    certain: bool,
}

/// One field.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    /// Printable ASCII without a colon, as written.
    pub(super) name: &'a str,
    /// Everything after the colon, including folds, without the final line end.
    pub(super) value: &'a [u8],
    /// True if white space precedes the colon (RFC 5322 4.5). Some programs see no field there.
    pub(super) is_obsolete: bool,
    /// False after a line that some programs do not take for a field.
    pub(super) certain: bool,
}

impl<'a> Section<'a> {
    /// Finds the end of the header. An mbox line `From …` at the top is not part of it.
    pub(super) fn of(raw: &'a [u8]) -> Self {
        let raw = &raw[mbox_lines(raw)..];
        let (end, body) = if raw.starts_with(b"\r\n") || raw.starts_with(b"\n") {
            (0, line_end(raw, 0))
        } else {
            // The empty line may end in CRLF or in LF; the latter is searched for only before the former.
            let crlf = memmem::find(raw, b"\n\r\n").map(|at| (at + 1, at + 3));
            let before = &raw[..crlf.map_or(raw.len(), |(end, _)| end)];
            let lf = memmem::find(before, b"\n\n").map(|at| (at + 1, at + 2));
            lf.or(crlf).unwrap_or((raw.len(), raw.len()))
        };
        Self {
            fields: &raw[..end],
            body: &raw[body..],
        }
    }

    /// Wraps a header and a body that were split before.
    pub(super) fn split(fields: &'a [u8], body: &'a [u8]) -> Self {
        Self { fields, body }
    }

    /// All fields.
    pub(super) fn fields(&self) -> FieldIter<'a> {
        FieldIter {
            section: self.fields,
            last: 0,
            at: 0,
            certain: true,
        }
    }

    pub(super) fn first(&self, name: &str) -> Option<Field<'a>> {
        self.fields().find(|field| field.is(name))
    }
}

impl<'a> Header<'a> {
    pub(super) fn of(raw: &'a [u8]) -> Self {
        let section = Section::of(raw);
        let known = || {
            let mut fields = section.fields();
            std::iter::from_fn(move || {
                let field = fields.next()?;
                Some((field, fields.last, fields.at))
            })
            .filter(|(field, ..)| is_known(field.name))
        };
        // Count first in a large header, because a growing vector takes three times its size.
        let is_large = section.fields.len() > SMALL;
        let mut places = Vec::with_capacity(if is_large { known().count() } else { 16 });
        places.extend(known().filter_map(|(field, start, end)| {
            Some(FieldPosition {
                start: u32::try_from(start).ok()?,
                end: u32::try_from(end).ok()?,
                name_length: u8::try_from(field.name.len()).ok()?,
                certain: field.certain,
            })
        }));
        Self { section, places }
    }

    /// The known fields, in their order.
    pub(super) fn fields(&self) -> impl Iterator<Item = Field<'a>> {
        self.places
            .iter()
            .filter_map(move |place| self.field(place))
    }

    fn field(&self, place: &FieldPosition) -> Option<Field<'a>> {
        let lines = &self.section.fields[place.start as usize..place.end as usize];
        split_field(lines, place.certain)
    }

    /// All fields of a name, which is compared without regard to case (RFC 5322 1.2.2).
    pub(super) fn all(&self, name: &'static str) -> impl Iterator<Item = Field<'a>> {
        debug_assert!(is_known(name), "{name} is not a known field");
        self.places
            .iter()
            .filter(move |place| usize::from(place.name_length) == name.len())
            .filter_map(move |place| self.field(place))
            .filter(move |field| field.is(name))
    }

    pub(super) fn first(&self, name: &'static str) -> Option<Field<'a>> {
        self.all(name).next()
    }
}

impl<'a> Field<'a> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value without its folds (RFC 5322 2.2.3); a bare CR stays.
    pub(super) fn unfold(&self) -> Cow<'a, [u8]> {
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

    /// The value on one line, without surrounding white space. Nothing is decoded.
    pub(super) fn text(&self) -> Cow<'a, str> {
        match self.unfold() {
            Cow::Borrowed(line) => String::from_utf8_lossy(line.trim_ascii()),
            Cow::Owned(line) => Cow::Owned(String::from_utf8_lossy(line.trim_ascii()).into_owned()),
        }
    }
}

/// Iterates over a header section.
pub(super) struct FieldIter<'a> {
    section: &'a [u8],
    /// Start and end of the last returned field.
    last: usize,
    at: usize,
    certain: bool,
}

impl<'a> Iterator for FieldIter<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        while self.at < self.section.len() {
            let start = self.at;
            let end = field_end(self.section, start);
            self.last = start;
            self.at = end;
            if let Some(field) = split_field(&self.section[start..end], self.certain) {
                self.certain &= !field.is_obsolete;
                return Some(field);
            }
            self.certain = false;
        }
        None
    }
}

/// Length of the mbox lines at the top of a message: `From `, after any number of `>` (mboxrd), as Postfix
/// reads them. `From :` is the field in obsolete syntax (RFC 5322 4.5.2), which names an author.
#[must_use]
pub fn mbox_lines(raw: &[u8]) -> usize {
    let mut start = 0;
    loop {
        let line = &raw[start..];
        let marks = line.iter().take_while(|&&byte| byte == b'>').count();
        let Some(rest) = line[marks..].strip_prefix(b"From ") else {
            return start;
        };
        if marks == 0 && rest.trim_ascii_start().starts_with(b":") {
            return start;
        }
        start = line_end(raw, start);
    }
}

/// True for a field with its continuations, a continuation at the top, or a misplaced mbox line.
pub(super) fn is_header_field(lines: &[u8]) -> bool {
    matches!(lines.first(), Some(b' ' | b'\t'))
        || mbox_lines(lines) > 0
        || split_field(lines, true).is_some()
}

/// True for a field that describes the content of a part (RFC 2045 9).
pub(super) fn is_content_field(line: &[u8]) -> bool {
    let start = split_field(line, true).and_then(|field| field.name.get(..8));
    start.is_some_and(|start| start.eq_ignore_ascii_case("Content-"))
}

/// End of the line at `start`, including its LF. SMTP only delivers CRLF; files have both.
pub(super) fn line_end(bytes: &[u8], start: usize) -> usize {
    memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length + 1)
}

/// End of the field at `start`, including its continuations.
pub(super) fn field_end(bytes: &[u8], start: usize) -> usize {
    let mut end = line_end(bytes, start);
    while matches!(bytes.get(end), Some(b' ' | b'\t')) {
        end = line_end(bytes, end);
    }
    end
}

/// Splits name and value. White space before the colon is obsolete but must be accepted (RFC 5322 4.5); the
/// name itself contains none.
fn split_field(lines: &[u8], certain: bool) -> Option<Field<'_>> {
    let colon = memchr(b':', lines)?;
    let name = lines[..colon].trim_ascii_end();
    if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let value = &lines[colon + 1..];
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    Some(Field {
        name: std::str::from_utf8(name).ok()?,
        value,
        is_obsolete: name.len() < colon,
        certain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(raw: &str) -> Vec<(String, String, bool)> {
        Section::of(raw.as_bytes())
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
        assert_eq!(Section::of(raw.as_bytes()).body, b"C: body");
    }

    #[test]
    fn a_field_after_a_line_that_is_not_a_field_is_not_certain() {
        assert_eq!(
            fields("A : 1\r\nA: 2\r\n"),
            [field("A", "1", true), field("A", "2", false)]
        );
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
    fn the_first_empty_line_of_either_kind_ends_the_header() {
        for (raw, body) in [
            ("A: 1\r\n\r\nx\n\ny", "x\n\ny"),
            ("A: 1\n\nx\r\n\r\ny", "x\r\n\r\ny"),
            ("A: 1\n\r\nx", "x"),
            ("A: 1\r\n\nx", "x"),
            ("A: 1\r\n \r\nB: 2\r\n", ""),
            ("\nx", "x"),
        ] {
            assert_eq!(Section::of(raw.as_bytes()).body, body.as_bytes(), "{raw:?}");
        }
    }

    #[test]
    fn known_fields_are_found_again() {
        let raw = b"garbage\r\nfrom : a\r\n b\r\nX-Other: c\r\nSUBJECT:d\r\nFrom:e\r\n";
        let header = Header::of(raw);
        let values: Vec<_> = header.all("From").map(|field| field.text()).collect();
        assert_eq!(values, ["a b", "e"]);
        assert!(header.first("From").is_some_and(|field| field.is_obsolete));
        assert!(
            header
                .first("Subject")
                .is_some_and(|field| !field.certain && !field.is_obsolete)
        );
        assert_eq!(header.fields().count(), 3);
    }

    #[test]
    fn the_fields_of_a_name_are_those_that_a_scan_finds() {
        let lines = known_names().map(|name| {
            let (upper, lower) = (name.to_ascii_uppercase(), name.to_ascii_lowercase());
            format!("{upper}: 1\r\n{name}x: 2\r\n{lower} \t: 3\r\n\tfolded\r\n")
        });
        let lines = lines.collect::<Vec<_>>().concat();
        for padding in [0, SMALL] {
            let raw = format!("X-Padding: {}\r\n{lines}", "x".repeat(padding));
            let header = Header::of(raw.as_bytes());
            for name in known_names() {
                let text = |field: Field| (field.name.to_owned(), field.text().into_owned());
                let scan = header.section.fields().filter(|field| field.is(name));
                let found: Vec<_> = header.all(name).map(text).collect();
                assert_eq!(found, scan.map(text).collect::<Vec<_>>(), "{name}");
                assert!(found.len() >= 2, "{name}");
            }
        }
    }

    #[test]
    fn an_mbox_line_is_not_a_field() {
        for (raw, octets) in [
            (&b"From a@b Mon Nov 23\r\nFrom: a@b\r\n"[..], 21),
            (b">From x\nFrom y\nTo: z\n", 15),
            (b">>From : x\nTo: z\n", 11),
            (b"From : a@b\r\nFrom: a@b\r\n", 0),
            (b"From \t : a@b\r\n", 0),
            (b"From: a@b\r\n", 0),
            (b"", 0),
        ] {
            assert_eq!(mbox_lines(raw), octets, "{raw:?}");
        }
        let raw = b"From : ann@corp.example\r\nFrom: bob@corp.example\r\n\r\n";
        assert_eq!(Section::of(raw).fields().count(), 2);
    }
}
