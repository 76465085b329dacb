//! Content-Type and Content-Disposition: a token and its parameters.
//!
//! Takes the value of a field; returns the token in lower case and the parameters as octets, with
//! continuations and percent-encoding of RFC 2231 resolved. Tolerates what mail programs write: a missing
//! semicolon, blanks in an unquoted value, and encoded-words in a quoted one (which RFC 2047 5 forbids).
//! mail-parser decodes each section of a parameter by itself, which breaks characters that two sections
//! share, so it is not used for these fields.

use super::charset::{self, Label};
use super::encoded_words;

/// Maximum number of octets of a field that are read.
const MAX_FIELD: usize = 16 * 1024;
/// Maximum number of parameters, counting each section.
const MAX_PARAMETERS: usize = 200;

/// A parsed Content-Type; `text/plain` if there is none (RFC 2045 5.2).
#[derive(Debug, Clone)]
pub struct Media {
    kind: String,
    parameters: Parameters,
    report_type: Option<String>,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            kind: "text/plain".to_owned(),
            parameters: Parameters::default(),
            report_type: None,
        }
    }
}

impl Media {
    /// Returns None if the value has no type with a subtype.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let line = unfold(value);
        let (kind, rest) = split_kind(&line);
        let (main, sub) = kind.split_once('/')?;
        if main.is_empty() || sub.is_empty() {
            return None;
        }
        let parameters = Parameters::parse(rest);
        let report_type = (kind == "multipart/report")
            .then(|| parameters.text("report-type"))
            .flatten();
        Some(Self {
            kind,
            parameters,
            report_type: report_type.map(|value| value.to_ascii_lowercase()),
        })
    }

    /// Default type of a part in a multipart/digest (RFC 2046 5.1.5).
    pub(super) fn message() -> Self {
        Self {
            kind: "message/rfc822".to_owned(),
            ..Self::default()
        }
    }

    /// `type/subtype` in lower case.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    #[must_use]
    pub fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }

    #[must_use]
    pub fn is_multipart(&self) -> bool {
        self.kind.starts_with("multipart/")
    }

    /// True for a whole message (RFC 2046 5.2.1, RFC 6532 3.7).
    #[must_use]
    pub fn is_message(&self) -> bool {
        self.is("message/rfc822") || self.is("message/global")
    }

    /// Text of the delimiter without the dashes; trailing blanks do not count (RFC 2046 5.1.1).
    pub(super) fn boundary(&self) -> Option<Vec<u8>> {
        let (octets, _) = self.parameters.octets("boundary")?;
        let boundary = octets.trim_ascii_end();
        (!boundary.is_empty()).then(|| boundary.to_vec())
    }

    /// Charset of a text, if it is named.
    #[must_use]
    pub fn charset(&self) -> Option<Label> {
        let (octets, _) = self.parameters.octets("charset")?;
        Label::parse(&octets)
    }

    /// Decoded, without control characters.
    pub(super) fn name(&self) -> Option<String> {
        self.parameters.text("name")
    }

    /// The parameter of `multipart/report` (RFC 6522 3), in lower case.
    pub(super) fn report_type(&self) -> Option<&str> {
        self.report_type.as_deref()
    }
}

/// A parsed Content-Disposition (RFC 2183).
pub(super) struct Disposition {
    pub(super) kind: String,
    pub(super) filename: Option<String>,
}

impl Disposition {
    pub(super) fn parse(value: &[u8]) -> Self {
        let line = unfold(value);
        let (kind, rest) = split_kind(&line);
        Self {
            kind,
            filename: Parameters::parse(rest).text("filename"),
        }
    }
}

fn unfold(value: &[u8]) -> Vec<u8> {
    let value = &value[..value.len().min(MAX_FIELD)];
    value
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect()
}

/// Splits the token, without comments and blanks, from the text after it.
fn split_kind(line: &[u8]) -> (String, &[u8]) {
    let mut kind = String::new();
    let mut at = 0;
    let mut was_blank = false;
    while let Some(&byte) = line.get(at) {
        match byte {
            b';' => return (kind, &line[at + 1..]),
            b'(' => {
                at = comment_end(line, at);
                continue;
            }
            b' ' | b'\t' => was_blank = true,
            // A blank around the slash is obsolete syntax; any other one stands for a semicolon.
            _ if was_blank && !kind.is_empty() && byte != b'/' && !kind.ends_with('/') => {
                return (kind, &line[at..]);
            }
            b'"' => {}
            _ => {
                was_blank = false;
                kind.push(char::from(byte).to_ascii_lowercase());
            }
        }
        at += 1;
    }
    (kind, b"")
}

/// Position after the comment that begins at `at`; comments nest (RFC 5322 3.2.2).
fn comment_end(line: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut skip = false;
    for (offset, &byte) in line[at..].iter().enumerate() {
        match byte {
            _ if skip => skip = false,
            b'\\' => skip = true,
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return at + offset + 1;
                }
            }
            _ => {}
        }
    }
    line.len()
}

/// One `name=value` as written.
#[derive(Debug, Clone)]
struct Parameter {
    /// In lower case, without the asterisks of RFC 2231.
    name: String,
    /// Section number of a continuation (RFC 2231 3).
    section: Option<u32>,
    /// Percent-encoded (RFC 2231 4).
    is_extended: bool,
    value: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct Parameters(Vec<Parameter>);

impl Parameters {
    fn parse(mut rest: &[u8]) -> Self {
        let mut found = Vec::new();
        while !rest.is_empty() && found.len() < MAX_PARAMETERS {
            let (parameter, after) = next_parameter(rest);
            found.extend(parameter);
            rest = after;
        }
        Self(found)
    }

    /// The value and its charset. An extended form takes precedence over a plain one, which programs add for
    /// readers without RFC 2231.
    fn octets(&self, name: &str) -> Option<(Vec<u8>, Option<Label>)> {
        let all = || self.0.iter().filter(|one| one.name == name);
        if let Some(one) = all().find(|one| one.is_extended && one.section.is_none()) {
            let (label, text) = split_charset(&one.value);
            return Some((percent_decode(text), label));
        }
        let mut sections: Vec<_> = all().filter(|one| one.section.is_some()).collect();
        if sections.is_empty() {
            return all().next().map(|one| (one.value.clone(), None));
        }
        sections.sort_by_key(|one| one.section);
        sections.dedup_by_key(|one| one.section);
        let mut octets = Vec::new();
        let mut label = None;
        for (place, one) in sections.iter().enumerate() {
            let mut text = one.value.as_slice();
            if one.is_extended {
                if place == 0 {
                    (label, text) = split_charset(text);
                }
                octets.extend(percent_decode(text));
            } else {
                octets.extend_from_slice(text);
            }
        }
        Some((octets, label))
    }

    fn text(&self, name: &str) -> Option<String> {
        let (octets, label) = self.octets(name)?;
        let text = match label {
            Some(label) => charset::decode(&octets, Some(&label)),
            None => encoded_words::decode(&octets, None),
        };
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

/// `charset'language'text` (RFC 2231 4).
fn split_charset(value: &[u8]) -> (Option<Label>, &[u8]) {
    let mut quotes = memchr::memchr_iter(b'\'', value);
    match (quotes.next(), quotes.next()) {
        (Some(first), Some(second)) => (Label::parse(&value[..first]), &value[second + 1..]),
        _ => (None, value),
    }
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let value = (first == b'%')
            .then(|| super::transfer_encoding::hex_octet(after))
            .flatten();
        octets.push(value.unwrap_or(first));
        rest = if value.is_some() { &after[2..] } else { after };
    }
    octets
}

/// The first parameter, and the text after its semicolon.
fn next_parameter(line: &[u8]) -> (Option<Parameter>, &[u8]) {
    let line = line.trim_ascii_start();
    if line.first() == Some(&b'(') {
        return (None, &line[comment_end(line, 0)..]);
    }
    let Some(end) = memchr::memchr2(b';', b'=', line) else {
        return (None, b"");
    };
    if line[end] == b';' {
        return (None, &line[end + 1..]);
    }
    let name = String::from_utf8_lossy(line[..end].trim_ascii()).to_ascii_lowercase();
    let rest = line[end + 1..].trim_ascii_start();
    let (value, after) = if rest.first() == Some(&b'"') {
        parse_quoted(&rest[1..])
    } else {
        let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
        (
            without_comment(&rest[..end]).to_vec(),
            rest.get(end + 1..).unwrap_or_default(),
        )
    };
    let (name, is_extended) = match name.strip_suffix('*') {
        Some(name) => (name.to_owned(), true),
        None => (name, false),
    };
    let (name, section) = match name.split_once('*') {
        Some((name, number)) => match number.parse() {
            Ok(section) => (name.to_owned(), Some(section)),
            Err(_) => return (None, after),
        },
        None => (name, None),
    };
    let parameter = Parameter {
        name,
        section,
        is_extended,
        value,
    };
    (Some(parameter), after)
}

/// Parses the value after an opening quote. Resolves only the escapes of a quote and of a backslash, because
/// some programs write file paths unescaped.
fn parse_quoted(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match (byte, text.get(at + 1)) {
            (b'"', _) => {
                let rest = &text[at + 1..];
                let end = memchr::memchr(b';', rest).map_or(rest.len(), |end| end + 1);
                // Without a semicolon, the next parameter begins after a blank.
                let next = rest[..end].trim_ascii();
                let is_missing = next.contains(&b'=');
                return (value, if is_missing { rest } else { &rest[end..] });
            }
            (b'\\', Some(&next @ (b'"' | b'\\'))) => {
                value.push(next);
                at += 1;
            }
            _ => value.push(byte),
        }
        at += 1;
    }
    (value, b"")
}

/// An unquoted value without the comment at its end.
fn without_comment(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    if value.ends_with(b")")
        && let Some(start) = memchr::memmem::find(value, b" (")
    {
        return value[..start].trim_ascii_end();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_programs_write_them() {
        for (value, kind, boundary) in [
            ("text/plain", "text/plain", None),
            (" Text/HTML ; charset=utf-8", "text/html", None),
            (
                "multipart/mixed; boundary=\"a b\"",
                "multipart/mixed",
                Some("a b"),
            ),
            (
                "multipart/mixed; boundary=\"a b  \"",
                "multipart/mixed",
                Some("a b"),
            ),
            (
                "multipart/mixed;\r\n\tboundary==_x:?1",
                "multipart/mixed",
                Some("=_x:?1"),
            ),
            ("multipart/mixed boundary=x", "multipart/mixed", Some("x")),
            (
                "multipart / mixed; boundary = x (y)",
                "multipart/mixed",
                Some("x"),
            ),
            (
                "multipart/mixed (a (b); c) ; boundary=x",
                "multipart/mixed",
                Some("x"),
            ),
            (
                "multipart/mixed; (c) boundary=x; charset=y",
                "multipart/mixed",
                Some("x"),
            ),
            (
                "multipart/mixed; boundary=\"a\\\"b\\\\c\"",
                "multipart/mixed",
                Some("a\"b\\c"),
            ),
            (
                "multipart/mixed; boundary=\"a\" charset=x",
                "multipart/mixed",
                Some("a"),
            ),
            (
                "multipart/mixed; boundary=\"a",
                "multipart/mixed",
                Some("a"),
            ),
            (
                "multipart/mixed; boundary*0=a; boundary*1=b",
                "multipart/mixed",
                Some("ab"),
            ),
            (
                "multipart/mixed; boundary*=us-ascii''a%62",
                "multipart/mixed",
                Some("ab"),
            ),
            ("multipart/mixed; boundary=\"\"", "multipart/mixed", None),
            ("multipart/mixed; boundary=", "multipart/mixed", None),
            (
                "multipart/mixed;;; boundary=x;",
                "multipart/mixed",
                Some("x"),
            ),
        ] {
            let media = Media::parse(value.as_bytes()).expect(value);
            let found = media
                .boundary()
                .map(|b| String::from_utf8(b).expect("ASCII"));
            assert_eq!(
                (media.kind(), found.as_deref()),
                (kind, boundary),
                "{value}"
            );
        }
        for value in ["", "text", "/", "text/", ";", "text plain"] {
            assert!(Media::parse(value.as_bytes()).is_none(), "{value}");
        }
    }

    #[test]
    fn file_names_are_parsed_in_every_encoding() {
        for (value, name) in [
            ("attachment; filename=a.txt", Some("a.txt")),
            (
                "attachment; filename=my report (1).pdf",
                Some("my report (1).pdf"),
            ),
            (
                "attachment; filename=\"a;b=c.txt\"; size=1",
                Some("a;b=c.txt"),
            ),
            (
                "attachment; filename=\"C:\\temp\\a.txt\"",
                Some("C:\\temp\\a.txt"),
            ),
            (
                "attachment; filename*=utf-8''gr%C3%BC%c3%9fe.txt",
                Some("grüße.txt"),
            ),
            (
                "attachment; filename=x; filename*=utf-8'de'%c3%bc",
                Some("ü"),
            ),
            (
                "attachment; filename*0*=utf-8''gr%C3; filename*1*=%BC; filename*2=\"%.txt\"",
                Some("grü%.txt"),
            ),
            ("attachment; filename*1=b; filename*0=a", Some("ab")),
            ("attachment; filename*=iso-8859-1''%E9", Some("é")),
            ("attachment; filename*=''%C3%A9", Some("é")),
            (
                "attachment; filename=\"=?utf-8?q?gr=C3?=\r\n =?utf-8?q?=BC?=\"",
                Some("grü"),
            ),
            ("attachment; filename==?iso-8859-1?q?=E9?=", Some("é")),
            ("attachment; filename=\"a\r\n b\"", Some("a b")),
            ("attachment; filename=\"\u{1}\"", None),
            ("attachment", None),
        ] {
            let found = Disposition::parse(value.as_bytes());
            assert_eq!(found.kind, "attachment", "{value}");
            assert_eq!(found.filename.as_deref(), name, "{value}");
        }
        let raw = Disposition::parse(b"inline; filename=\"caf\xe9\"");
        assert_eq!(raw.filename.as_deref(), Some("café"));
    }
}
