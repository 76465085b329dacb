//! Content-Type and Content-Disposition: a token and its parameters.
//!
//! Takes the value of a field; returns the token in lower case and the parameters. Tolerates what mail programs
//! write, such as a missing semicolon after the token.

use super::charset::Label;
use super::parameters::{MediaParameters, comment_end};

/// Maximum number of octets of a field that are read.
const MAX_FIELD: usize = 16 * 1024;

/// A parsed Content-Type; `text/plain` if there is none (RFC 2045 5.2).
#[derive(Debug, Clone)]
pub struct Media {
    kind: String,
    parameters: MediaParameters,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            kind: "text/plain".to_owned(),
            parameters: MediaParameters::default(),
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
        Some(Self {
            parameters: MediaParameters::parse(rest),
            kind,
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

    /// True if the lines of a plain text flow (RFC 3676 4.1).
    pub(super) fn is_flowed(&self) -> bool {
        self.is("text/plain") && self.has("format", "flowed")
    }

    /// True if the space before a soft line break of such a text is deleted (RFC 3676 4.1).
    pub(super) fn deletes_space(&self) -> bool {
        self.has("delsp", "yes")
    }

    fn has(&self, parameter: &str, word: &str) -> bool {
        let value = self.parameters.octets(parameter);
        value.is_some_and(|(value, _)| value.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The file name, decoded, without control characters. `body` is the charset of the message's text, for raw octets.
    pub(super) fn name(&self, body: Option<&Label>) -> Option<String> {
        self.parameters.text("name", body)
    }

    /// The parameter of `multipart/report` (RFC 6522 3), in lower case.
    pub(super) fn report_type(&self) -> Option<String> {
        if !self.is("multipart/report") {
            return None;
        }
        let named = self.parameters.text("report-type", None)?;
        Some(named.to_ascii_lowercase())
    }
}

/// A parsed Content-Disposition (RFC 2183).
pub(super) struct Disposition {
    pub(super) kind: String,
    pub(super) filename: Option<String>,
}

impl Disposition {
    /// Parses a value. `body` is the charset of the message's text, for raw octets in the file name.
    pub(super) fn parse(value: &[u8], body: Option<&Label>) -> Self {
        let line = unfold(value);
        let (kind, rest) = split_kind(&line);
        Self {
            kind,
            filename: MediaParameters::parse(rest).text("filename", body),
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

/// Splits the token, without comments and blanks, from the text after it. Control characters are blanks.
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
            b' ' | b'\0'..=b'\x1f' | b'\x7f' => was_blank = true,
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
                "\x0bmultipart/mixed\0; boundary=x",
                "multipart/mixed",
                Some("x"),
            ),
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
                "multipart/mixed; boundary=\"a\\b\"",
                "multipart/mixed",
                Some("ab"),
            ),
            (
                "multipart/mixed; boundary=x\"",
                "multipart/mixed",
                Some("x"),
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
            ("attachment; filename=\"a\r\n\tb\"", Some("a b")),
            ("attachment; filename=a.pdf\"", Some("a.pdf")),
            ("attachment; filename=\"\u{1}\"", None),
            ("attachment", None),
        ] {
            let found = Disposition::parse(value.as_bytes(), None);
            assert_eq!(found.kind, "attachment", "{value}");
            assert_eq!(found.filename.as_deref(), name, "{value}");
        }
        let gbk = Label::parse(b"gbk");
        for (value, body, name) in [
            (&b"inline; filename=\"caf\xe9\""[..], None, "café"),
            (b"inline; filename=\"caf\xe9\"", gbk, "café"),
            (
                b"inline; filename=\"\xb4\xf2\xd3\xa1\xbb\xfa.pdf\"",
                gbk,
                "打印机.pdf",
            ),
            ("inline; filename=\"é.pdf\"".as_bytes(), gbk, "é.pdf"),
        ] {
            let found = Disposition::parse(value, body.as_ref());
            assert_eq!(found.filename.as_deref(), Some(name), "{value:?}");
        }
    }
}
