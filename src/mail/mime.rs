//! The parts of a message, as far as a report needs them.
//!
//! In: a header and a body. Out: media type, boundary and, one after the other, the parts directly
//! below. Nothing is kept of a part that was gone past, so that a body of a million boundaries
//! costs no memory, and whoever goes down counts the levels.

use mail_parser::HeaderValue;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::parsers::MessageStream;
use memchr::memmem;

use super::header::Section;

/// A Content-Type field longer than this is read up to here.
const MOST_FIELD: usize = 4 * 1024;

/// A header with what belongs below it: a message or a part of one.
#[derive(Clone, Copy)]
pub(super) struct Entity<'a> {
    pub(super) header: Section<'a>,
}

/// What the Content-Type field says, in lower case; `text/plain` where there is none (RFC 2045 5.2).
pub(super) struct Media {
    kind: String,
    report_type: Option<String>,
    boundary: Option<String>,
}

impl Media {
    fn parse(value: &[u8]) -> Option<Self> {
        let mut line = value[..value.len().min(MOST_FIELD)].to_vec();
        line.push(b'\n');
        let HeaderValue::ContentType(parsed) = MessageStream::new(&line).parse_content_type()
        else {
            return None;
        };
        let kind = format!("{}/{}", parsed.ctype(), parsed.subtype()?);
        let boundary = parsed.attribute("boundary").filter(|name| !name.is_empty());
        Some(Self {
            kind: kind.to_ascii_lowercase(),
            report_type: parsed.attribute("report-type").map(str::to_ascii_lowercase),
            boundary: boundary.map(str::to_owned),
        })
    }

    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }

    pub(super) fn is_multipart(&self) -> bool {
        self.kind.starts_with("multipart/")
    }

    /// The parameter of `multipart/report` (RFC 6522 3).
    pub(super) fn report_type(&self) -> Option<&str> {
        self.report_type.as_deref()
    }
}

impl<'a> Entity<'a> {
    pub(super) fn of(raw: &'a [u8]) -> Self {
        Self {
            header: Section::of(raw),
        }
    }

    pub(super) fn media(&self) -> Media {
        self.header
            .first("Content-Type")
            .and_then(|field| Media::parse(field.value))
            .unwrap_or_else(|| Media {
                kind: "text/plain".to_owned(),
                report_type: None,
                boundary: None,
            })
    }

    /// The parts directly below a multipart; none below anything else.
    pub(super) fn parts(&self, media: &Media) -> Parts<'a> {
        let boundary = media.boundary.as_ref().filter(|_| media.is_multipart());
        let mut parts = Parts {
            delimiter: boundary.map_or_else(Vec::new, |name| format!("--{name}").into_bytes()),
            rest: None,
        };
        if boundary.is_some() {
            parts.rest = parts.past_delimiter(self.header.body);
        }
        parts
    }

    /// Up to `most` octets of the body, with the transfer encoding taken off.
    pub(super) fn decoded(&self, most: usize) -> Vec<u8> {
        let body = &self.header.body[..self.header.body.len().min(most)];
        let encoding = self.header.first("Content-Transfer-Encoding");
        let encoding = encoding.map(|field| field.text().to_ascii_lowercase());
        match encoding.as_deref() {
            Some("base64") => base64_decode(body),
            Some("quoted-printable") => quoted_printable_decode(body),
            _ => None,
        }
        .unwrap_or_else(|| body.to_vec())
    }
}

/// Goes through the parts of a multipart (RFC 2046 5.1.1).
pub(super) struct Parts<'a> {
    delimiter: Vec<u8>,
    /// What follows the last delimiter; none behind the closing one.
    rest: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// Where the first line that is a delimiter begins.
    fn delimiter_at(&self, bytes: &'a [u8]) -> Option<usize> {
        memmem::find_iter(bytes, &self.delimiter).find(|&at| at == 0 || bytes[at - 1] == b'\n')
    }

    /// What follows the line of the first delimiter, unless it is the closing one.
    fn past_delimiter(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let at = self.delimiter_at(bytes)?;
        let line = &bytes[at + self.delimiter.len()..];
        if line.starts_with(b"--") {
            return None;
        }
        let end = memchr::memchr(b'\n', line)?;
        Some(&line[end + 1..])
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Entity<'a>;

    fn next(&mut self) -> Option<Entity<'a>> {
        let rest = self.rest.take()?;
        let Some(end) = self.delimiter_at(rest) else {
            return Some(Entity::of(rest));
        };
        self.rest = self.past_delimiter(&rest[end..]);
        Some(Entity::of(&rest[..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(raw: &str) -> Vec<String> {
        let entity = Entity::of(raw.as_bytes());
        let media = entity.media();
        entity.parts(&media).map(|part| part.media().kind).collect()
    }

    #[test]
    fn parts_are_found_with_and_without_an_end() {
        let head = "Content-Type: Multipart/Mixed; boundary=\"x y\"\r\n\r\npreamble\r\n";
        let two = "--x y\r\nContent-Type: text/html\r\n\r\na --x y b\r\n--x y  \r\n\r\nplain\r\n";
        assert_eq!(kinds(&format!("{head}{two}")), ["text/html", "text/plain"]);
        assert_eq!(
            kinds(&format!("{head}{two}--x y--\r\n--x y\r\n\r\nepilogue")),
            ["text/html", "text/plain"]
        );
        assert!(kinds("Content-Type: multipart/mixed\r\n\r\n--\r\n\r\n").is_empty());
        assert!(kinds("Content-Type: text/plain; boundary=x\r\n\r\n--x\r\n\r\n").is_empty());
    }

    #[test]
    fn a_body_is_decoded_up_to_a_bound() {
        for (encoding, body, text) in [
            ("base64", "aGVsbG8=", "hello"),
            ("Quoted-Printable", "h=65llo", "hello"),
            ("8bit", "hello world", "hello world"),
        ] {
            let raw = format!("Content-Transfer-Encoding: {encoding}\r\n\r\n{body}");
            assert_eq!(Entity::of(raw.as_bytes()).decoded(64), text.as_bytes());
        }
        assert_eq!(Entity::of(b"\r\nhello world").decoded(5), b"hello");
    }
}
