//! Readable text of fields.
//!
//! Takes a field; returns one line of valid UTF-8, of bounded length. Encoded-words are decoded only here,
//! after all structure has been parsed.

use std::borrow::Cow;

use super::Evidence;
use super::charset::{Label, is_mostly_utf8};
use super::encoded_words;
use super::header::Field;
use crate::domain::is_bidi_control;

/// Maximum number of octets of a field that are read as text. A header line has at most 998 octets (RFC 5322
/// 2.1.1); nobody reads a subject of more than eight such lines.
const MAX_TEXT: usize = 8 * 1024;
const MAX_EVIDENCE: usize = 200;

impl Evidence {
    /// The field as evidence: unfolded, on one line, shortened.
    pub(super) fn of(field: Field) -> Self {
        Self::new(field.name, field.value)
    }

    pub(super) fn new(field: &str, value: &[u8]) -> Self {
        Self {
            field: printable(field.as_bytes()),
            value: printable(value),
        }
    }
}

/// Text of at most 200 characters, none of which moves a cursor, ends a line or changes the direction of text.
pub(super) fn printable(bytes: &[u8]) -> String {
    let bytes = bytes.trim_ascii();
    let mut text = String::new();
    let mut room = MAX_EVIDENCE;
    for c in lossy(bytes).chars().filter(|c| !matches!(c, '\r' | '\n')) {
        let escaped: String = if c == '\t' {
            " ".to_owned()
        } else if is_unsafe(c) {
            c.escape_unicode().collect()
        } else {
            c.to_string()
        };
        let length = escaped.chars().count();
        if length > room {
            break;
        }
        room -= length;
        text.push_str(&escaped);
    }
    text
}

/// True for control characters, line and paragraph separators, and characters that change the direction of the
/// text around them.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || is_bidi_control(c)
}

/// Decoded text with single spaces; None if it is empty.
pub(super) fn decode_unstructured(field: Field) -> Option<String> {
    decode_unstructured_in(&field, None)
}

/// Decoded text of a field, in which raw octets may be in the charset of the body. That is read only if it is needed.
pub(super) fn decode_field(
    field: &Field,
    body_charset: impl FnOnce() -> Option<Label>,
) -> Option<String> {
    let is_plain = field.value.is_ascii() || is_mostly_utf8(field.value);
    let body = (!is_plain).then(body_charset).flatten();
    decode_unstructured_in(field, body.as_ref())
}

fn decode_unstructured_in(field: &Field, body: Option<&Label>) -> Option<String> {
    let bytes = &field.value[..field.value.len().min(MAX_TEXT)];
    one_line(&encoded_words::decode(bytes, body))
}

/// Text with single spaces in place of white space and control characters; None if it is empty.
pub(super) fn one_line(text: &str) -> Option<String> {
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_control() || c.is_whitespace()) {
        if !word.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    (!line.is_empty()).then_some(line)
}

/// Content of the first angle brackets of a Message-ID or the like, or else the whole value.
pub(super) fn message_id(field: Field) -> Option<String> {
    let bytes = &field.value[..field.value.len().min(MAX_TEXT)];
    let text = lossy(bytes);
    let id = match text.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => text.as_ref(),
    };
    one_line(id)
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT)])
}

#[cfg(test)]
mod tests {
    use super::super::header::Header;
    use super::*;

    fn subject(raw: &[u8]) -> Option<String> {
        decode_unstructured(Header::of(raw).first("Subject").expect("a subject"))
    }

    #[test]
    fn subjects_are_one_decoded_line() {
        for (raw, text) in [
            (&b"Subject: plain  text\r\n"[..], Some("plain text")),
            (b"Subject: a\r\n folded\r\n\tone\r\n", Some("a folded one")),
            (
                b"Subject: =?utf-8?q?M=C3=BCller?=\r\n =?utf-8?b?w7w=?= x\r\n",
                Some("Müllerü x"),
            ),
            (
                b"Subject: =?iso-8859-1?q?caf=E9?= au lait\r\n",
                Some("café au lait"),
            ),
            (b"Subject: =?utf-8?q?a=0D=0ABcc:_x?=\r\n", Some("a Bcc: x")),
            (b"Subject: caf\xC3\xA9\r\n", Some("café")),
            (b"Subject: caf\xE9\r\n", Some("café")),
            (b"Subject: \r\n", None),
        ] {
            assert_eq!(subject(raw).as_deref(), text, "{raw:?}");
        }
    }

    #[test]
    fn evidence_cannot_forge_a_line() {
        let evidence = Evidence::new("X-Loop", "a\r\n b\u{1b}[2J\u{202e}c".as_bytes());
        assert_eq!(evidence.value, "a b\\u{1b}[2J\\u{202e}c");
        // Arabic letter mark, line separator and paragraph separator.
        let evidence = Evidence::new("X-Loop", "a\u{61c}b\u{2028}c\u{2029}d".as_bytes());
        assert_eq!(evidence.value, "a\\u{61c}b\\u{2028}c\\u{2029}d");
        let long = Evidence::new("X", &vec![b'\x07'; 100_000]);
        assert!(long.value.chars().count() <= 200);
    }

    #[test]
    fn message_ids_lose_their_brackets() {
        for (raw, id) in [
            ("Message-ID: <a@b>\r\n", Some("a@b")),
            ("Message-ID: (x) <a@b> y\r\n", Some("a@b")),
            ("Message-ID: a@b\r\n", Some("a@b")),
            ("Message-ID: <>\r\n", None),
        ] {
            let field = Header::of(raw.as_bytes()).first("Message-ID");
            assert_eq!(message_id(field.expect("an id")).as_deref(), id, "{raw}");
        }
    }
}
