//! Fields of a message that are passed on as values: Subject, Date, addresses and identifiers.
//!
//! Takes a raw message; returns decoded text, and addresses with their names. The sender controls all of these
//! values; `sender` determines the author.

use std::cell::OnceCell;

use mail_parser::parsers::MessageStream;
use mail_parser::{DateTime, HeaderValue};

use super::body_charset::body_charset;
use super::charset::Label;
use super::header::Section;
use super::named_address::{self, NamedAddress};
use super::text;

/// Maximum number of octets of a field that are read.
const MAX_FIELD: usize = 256 * 1024;

/// The header of a message, for reading single fields.
pub struct MessageFields<'a> {
    pub(super) section: Section<'a>,
    /// Charset of the body, once raw octets have needed it: the search reads the whole message.
    body: OnceCell<Option<Label>>,
}

impl<'a> MessageFields<'a> {
    #[must_use]
    pub fn of(raw: &'a [u8]) -> Self {
        Self {
            section: Section::of(raw),
            body: OnceCell::new(),
        }
    }

    /// The subject, as in [`Facts::subject`](super::Facts::subject).
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        self.text("Subject")
    }

    /// The decoded text of the first field of a name.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        text::decode_field(&self.section.first(name)?, || self.body_charset())
    }

    /// The Date in RFC 3339, in its own zone. Years of two and three digits follow RFC 5322 4.3. None for an
    /// invalid date.
    #[must_use]
    pub fn date(&self) -> Option<String> {
        date(&self.section.first("Date")?.text())
    }

    /// The addresses in a field; empty if there is no such field.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Vec<NamedAddress> {
        let Some(field) = self.section.first(name) else {
            return Vec::new();
        };
        let is_ascii = field.value.is_ascii();
        let body = (!is_ascii).then(|| self.body_charset()).flatten();
        named_address::parse(&field, body.as_ref())
    }

    fn body_charset(&self) -> Option<Label> {
        *self.body.get_or_init(|| body_charset(&self.section))
    }

    /// Identifiers in a field, without angle brackets.
    #[must_use]
    pub fn message_ids(&self, name: &str) -> Vec<String> {
        let Some(field) = self.section.first(name) else {
            return Vec::new();
        };
        let mut line = field.value[..field.value.len().min(MAX_FIELD)].to_vec();
        line.push(b'\n');
        let parsed = MessageStream::new(&line).parse_id();
        let ids = parsed.as_text_list().unwrap_or_default();
        ids.iter().map(ToString::to_string).collect()
    }
}

fn date(value: &str) -> Option<String> {
    // mail-parser reads a hyphen between day, month and year (asctime-like programs) as a zone.
    let line = format!("{}\n", split_hyphens(value));
    let HeaderValue::DateTime(date) = MessageStream::new(line.as_bytes()).parse_date() else {
        return None;
    };
    let year = match date.year {
        year @ 0..=49 => year + 2000,
        year @ 50..=999 => year + 1900,
        year => year,
    };
    let date = DateTime { year, ..date };
    // A leap second is valid (RFC 5322 3.3).
    let checked = DateTime {
        second: date.second.min(59),
        ..date
    };
    checked.is_valid().then(|| date.to_rfc3339())
}

/// `23-Nov-26` as `23 Nov 26`: a hyphen before or after a letter does not begin a zone.
fn split_hyphens(value: &str) -> String {
    let octets = value.as_bytes();
    let is_alphabetic = |place: Option<usize>| {
        place
            .and_then(|place| octets.get(place))
            .is_some_and(u8::is_ascii_alphabetic)
    };
    let replace = |(place, c): (usize, char)| {
        let is_between = is_alphabetic(place.checked_sub(1)) || is_alphabetic(Some(place + 1));
        if c == '-' && is_between { ' ' } else { c }
    };
    value.char_indices().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_old_programs_write_them() {
        for (value, expected) in [
            (
                "Mon, 23 Nov 2026 10:00:00 +0100",
                Some("2026-11-23T10:00:00+01:00"),
            ),
            ("23 Nov 26 10:00:00 GMT", Some("2026-11-23T10:00:00Z")),
            ("Mon, 23 Nov 49 10:00 +0000", Some("2049-11-23T10:00:00Z")),
            (
                "Mon, 23 Nov 98 10:00:00 EST",
                Some("1998-11-23T10:00:00-05:00"),
            ),
            ("23 Nov 126 10:00:00 -0000", Some("2026-11-23T10:00:00Z")),
            (
                "23-Nov-2026 10:00:00 -0330",
                Some("2026-11-23T10:00:00-03:30"),
            ),
            (
                "Mon, 23 Nov 2026 10:00:00 +0000 (UTC)",
                Some("2026-11-23T10:00:00Z"),
            ),
            (
                "Mon (day), 23 Nov 2026 10:00:00 +0000",
                Some("2026-11-23T10:00:00Z"),
            ),
            ("soon", None),
            ("", None),
            ("99 Foo 2026 10:00:00 +0000", None),
        ] {
            assert_eq!(date(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn split_names_are_joined_and_addresses_are_unaffected() {
        let raw = "From: =?utf-8?q?M=C3?= =?utf-8?q?=BCller=2C_x=40evil=2Eexample?=\r\n <ann@corp.example>\r\n\
            To: \"a, b\" <a@corp.example>, =?utf-8?b?w7w?= <b@corp.example>\r\n\
            References: <1@a> <2@b>\r\n\r\n";
        let fields = MessageFields::of(raw.as_bytes());
        let person = |name: &str, address: &str| NamedAddress {
            name: Some(name.to_owned()),
            address: Some(address.to_owned()),
        };
        assert_eq!(
            fields.addresses("From"),
            [person("Müller, x@evil.example", "ann@corp.example")]
        );
        assert_eq!(
            fields.addresses("To"),
            [
                person("a, b", "a@corp.example"),
                person("ü", "b@corp.example")
            ]
        );
        assert!(fields.addresses("Cc").is_empty());
        assert_eq!(fields.message_ids("References"), ["1@a", "2@b"]);
    }

    #[test]
    fn a_raw_name_is_in_the_charset_of_the_body() {
        let raw = b"From: \xe1\xce\xce\xc1 <ann@corp.example>\r\nTo: it@corp.example\r\n\
            Content-Type: text/plain; charset=koi8-r\r\n\r\nx\r\n";
        let fields = MessageFields::of(raw);
        assert_eq!(fields.addresses("To")[0].name, None);
        assert_eq!(fields.addresses("From")[0].name.as_deref(), Some("Анна"));
    }
}
