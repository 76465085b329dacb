//! Text of header fields: encoded-words (RFC 2047) and the octets around them.
//!
//! Takes the value of a field; returns its text. Adjacent words of one charset are decoded together, so that
//! a character split over two of them is whole again; the blanks between them are dropped (6.2). Other blanks
//! are neither added nor removed. Raw octets are UTF-8 if valid, else in the charset of the body, else
//! windows-1252.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::WINDOWS_1252;
use memchr::memmem::{self, Finder};

use super::charset::{self, Label};
use super::iso2022;
use super::transfer_encoding::{base64_pieces, hex_octet};

/// Maximum number of octets of a word's text. RFC 2047 2 allows 75 for a word; programs put whole subjects into one.
const MAX_TEXT: usize = 8 * 1024;

/// This maximum in a field that is not unfolded: each blank may follow a line end of two octets.
pub(super) const MAX_FOLDED_TEXT: usize = 3 * MAX_TEXT;

static BEGIN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"=?"));

/// Positions of an encoded-word in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct EncodedWord {
    pub start: usize,
    pub is_base64: bool,
    pub text_start: usize,
    pub text_end: usize,
}

/// Decodes a value. `body` is the charset of the message's text.
pub(super) fn decode(value: &[u8], body: Option<&Label>) -> String {
    let mut text = String::with_capacity(value.len());
    for_each(value, body, |piece| match piece {
        Piece::Raw(raw) | Piece::Encoded(raw) => text.push_str(&raw),
    });
    text
}

/// Joins adjacent words and converts raw octets to UTF-8: for a parser that finds the structure first and
/// then decodes each word by itself.
pub(super) fn join(value: &[u8], body: Option<&Label>) -> Vec<u8> {
    let mut line = Vec::with_capacity(value.len());
    for_each(value, body, |piece| match piece {
        Piece::Raw(raw) => line.extend_from_slice(raw.as_bytes()),
        Piece::Encoded(text) => {
            if line.ends_with(b"?=") {
                line.push(b' ');
            }
            let text = STANDARD.encode(text);
            line.extend_from_slice(format!("=?utf-8?b?{text}?=").as_bytes());
        }
    });
    line
}

/// A piece of a value, decoded.
enum Piece {
    Raw(String),
    /// Adjacent encoded-words of one charset.
    Encoded(String),
}

fn for_each(value: &[u8], body: Option<&Label>, mut piece: impl FnMut(Piece)) {
    let unfolded: Vec<u8>;
    let value = if memchr::memchr2(b'\r', b'\n', value).is_some() {
        unfolded = unfold(value);
        &unfolded
    } else {
        value
    };
    let raw = Raw::of(value, body);
    let mut at = 0;
    let mut run: Vec<EncodedWord> = Vec::new();
    while let Some(word) = EncodedWord::find(value, at, MAX_TEXT) {
        let before = &value[at..word.start];
        let last = run.last().copied();
        if !last.is_some_and(|last| last.is_adjacent(&word, value)) {
            flush(value, &mut run, &mut piece);
            piece(Piece::Raw(raw.decode(before)));
        } else if !last.is_some_and(|last| last.has_charset_of(&word, value)) {
            flush(value, &mut run, &mut piece);
        }
        at = word.end();
        run.push(word);
    }
    flush(value, &mut run, &mut piece);
    piece(Piece::Raw(raw.decode(&value[at..])));
}

/// Removes line ends before blanks (RFC 5322 2.2.3); a line end alone becomes a blank.
fn unfold(value: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(value.len());
    for (place, &byte) in value.iter().enumerate() {
        match (byte, value.get(place + 1)) {
            (b'\r', Some(b'\n') | None) | (b'\n', Some(b' ' | b'\t') | None) => {}
            (b'\n', _) => line.push(b' '),
            _ => line.push(byte),
        }
    }
    line
}

/// Charset of octets outside of encoded-words; the same for the whole field.
enum Raw {
    Utf8,
    Iso2022,
    Labelled(Label),
    Windows1252,
}

impl Raw {
    fn of(value: &[u8], body: Option<&Label>) -> Self {
        if value.is_ascii() {
            return if iso2022::is_likely(value) {
                Self::Iso2022
            } else {
                Self::Utf8
            };
        }
        if charset::is_mostly_utf8(value) {
            return Self::Utf8;
        }
        // No field is in UTF-16, even if the body is: an `@` would be part of another character.
        let is_possible = |label: &&Label| {
            charset::decode(b"@", Some(*label)) == "@"
                && charset::decode_strictly(value, label).is_some()
        };
        match body.filter(is_possible) {
            Some(label) => Self::Labelled(*label),
            None => Self::Windows1252,
        }
    }

    fn decode(&self, octets: &[u8]) -> String {
        match self {
            Self::Utf8 => String::from_utf8_lossy(octets).into_owned(),
            Self::Iso2022 => iso2022::decode(octets),
            Self::Labelled(label) => charset::decode(octets, Some(label)),
            Self::Windows1252 => WINDOWS_1252
                .decode_without_bom_handling(octets)
                .0
                .into_owned(),
        }
    }
}

impl EncodedWord {
    /// Finds the first word at or after a position, in linear time. Blanks in its text violate RFC 2047 2, but occur.
    pub fn find(value: &[u8], mut at: usize, max_text: usize) -> Option<Self> {
        loop {
            at += BEGIN.find(value.get(at..)?)?;
            if let Some(word) = Self::at(value, at, max_text) {
                return Some(word);
            }
            at += 2;
        }
    }

    fn at(value: &[u8], start: usize, max_text: usize) -> Option<Self> {
        const MAX_CHARSET: usize = 80;
        let rest = &value[start + 2..];
        let charset = memchr::memchr(b'?', &rest[..rest.len().min(MAX_CHARSET)])?;
        let is_name = |byte: &u8| byte.is_ascii_graphic() && *byte != b'=';
        if !rest[..charset].iter().all(is_name) {
            return None;
        }
        let [encoding, b'?', text @ ..] = &rest[charset + 1..] else {
            return None;
        };
        let is_base64 = match encoding {
            b'b' | b'B' => true,
            b'q' | b'Q' => false,
            _ => return None,
        };
        // Ends at the first `?=`. If another word starts before that, this one is unterminated and does not count
        // as a word. Padding before the end looks like another word.
        let text = &text[..text.len().min(max_text)];
        let limit = BEGIN.find(text).map_or(text.len(), |next| next + 3);
        let length = memmem::find(&text[..limit.min(text.len())], b"?=")?;
        let text_start = start + 2 + charset + 3;
        Some(Self {
            start,
            is_base64,
            text_start,
            text_end: text_start + length,
        })
    }

    pub fn end(&self) -> usize {
        self.text_end + 2
    }

    pub fn text<'a>(&self, value: &'a [u8]) -> &'a [u8] {
        &value[self.text_start..self.text_end]
    }

    /// The charset as written, including a language (RFC 2231 5).
    fn charset<'a>(&self, value: &'a [u8]) -> &'a [u8] {
        &value[self.start + 2..self.text_start - 3]
    }

    /// True if nothing but blanks is between this word and the next one.
    pub fn is_adjacent(&self, next: &Self, value: &[u8]) -> bool {
        value[self.end()..next.start].trim_ascii().is_empty()
    }

    pub fn has_charset_of(&self, other: &Self, value: &[u8]) -> bool {
        let charset = self.charset(value);
        charset.eq_ignore_ascii_case(other.charset(value))
    }
}

/// Outputs words of one charset.
fn flush(value: &[u8], run: &mut Vec<EncodedWord>, piece: &mut impl FnMut(Piece)) {
    let Some(first) = run.first() else { return };
    let label = Label::parse(first.charset(value));
    let mut octets = Vec::new();
    // Base64 characters cut off within an octet continue in the next word.
    let mut characters: Vec<u8> = Vec::new();
    for word in run.iter() {
        let text = word.text(value);
        if word.is_base64 {
            characters.extend_from_slice(text);
            if !is_cut(text) {
                octets.extend(base64_pieces(&std::mem::take(&mut characters)));
            }
        } else {
            octets.extend(base64_pieces(&std::mem::take(&mut characters)));
            octets.extend(q_decode(text));
        }
    }
    octets.extend(base64_pieces(&characters));
    run.clear();
    piece(Piece::Encoded(charset::decode(&octets, label.as_ref())));
}

/// True for base64 cut off within an octet: neither padded nor whole, and the spare bits are not all zero.
pub(super) fn is_cut(text: &[u8]) -> bool {
    let characters: Vec<u8> = text
        .iter()
        .copied()
        .filter(|b| !b.is_ascii_whitespace())
        .collect();
    if characters.contains(&b'=') {
        return false;
    }
    let zero_ends: &[u8] = match characters.len() % 4 {
        0 => return false,
        2 => b"AQgw",
        3 => b"AEIMQUYcgkosw048",
        _ => b"",
    };
    !characters
        .last()
        .is_some_and(|last| zero_ends.contains(last))
}

/// Decodes the Q encoding (RFC 2047 4.2). An invalid escape stays as it is.
pub(super) fn q_decode(text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'_' => octets.push(b' '),
            b'=' => match hex_octet(after) {
                Some(octet) => {
                    octets.push(octet);
                    rest = &after[2..];
                }
                None => octets.push(b'='),
            },
            _ => octets.push(first),
        }
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_decode_to_the_original_text() {
        for (value, expected) in [
            ("plain  text", "plain  text"),
            ("=?utf-8?q?a?=", "a"),
            ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
            ("=?utf-8?q?a?==?utf-8?q?b?=", "ab"),
            ("=?utf-8?q?a?=\r\n  =?iso-8859-1?q?=E9?=", "aé"),
            ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
            ("a=?utf-8?q?b?=c", "abc"),
            ("(=?utf-8?q?b?=)", "(b)"),
            ("=?utf-8?q?a_b?=", "a b"),
            ("=?utf-8?q?a_?= =?utf-8?q?_b?=", "a  b"),
            (
                "=?utf-8?b?R3LDvMOfZSDw?=\r\n =?utf-8?b?n5iAIEVuZGU=?=",
                "Grüße 😀 Ende",
            ),
            ("=?utf-8?q?=C3?= =?UTF-8?q?=BC?=", "ü"),
            ("=?utf-8?q?=C3?= =?utf-8?b?vA==?=", "ü"),
            ("=?utf-8*de?q?=C3?= =?utf-8*de?q?=BC?=", "ü"),
            (
                "=?iso-2022-jp?b?GyRCJCI=?= =?iso-2022-jp?b?JCIbKEI=?=",
                "ああ",
            ),
            (
                "=?iso-2022-jp?b?GyRCJCIbKEI=?= =?iso-2022-jp?b?GyRCJCIbKEI=?=",
                "ああ",
            ),
            ("=?utf-8?b?R3LDv?= =?utf-8?b?MOfZQ==?=", "Grüße"),
            ("=?utf-8?b?w7w?=", "ü"),
            ("=?utf-8?b?w7w?= =?utf-8?b?w7w?=", "üü"),
            ("=?utf-8?b?YQ==!Yg==?=", "ab"),
            ("=?us-ascii?q?=C3=BC?=", "ü"),
            ("=?x-nobody?q?=C3=BC?=", "ü"),
            ("=?x-nobody?q?=FC?=", "ü"),
            ("=?utf-8?q?two words?=", "two words"),
            ("=?utf-8?q?what??=", "what?"),
            ("=?utf-8?q?a=zz?=", "a=zz"),
            ("=?utf-8?q??=", ""),
            ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
            ("=?utf-8?q?a", "=?utf-8?q?a"),
            ("=?utf-8?q?a =?utf-8?q?b?=", "=?utf-8?q?a b"),
            ("=? =?utf-8?q?b?=", "=? b"),
            ("caf\u{e9} =?utf-8?q?b?=", "café b"),
            ("\x1b$B$\"\x1b(B", "あ"),
        ] {
            assert_eq!(decode(value.as_bytes(), None), expected, "{value:?}");
        }
    }

    #[test]
    fn raw_octets_are_read_in_the_charset_of_the_body() {
        for (value, body, expected) in [
            (&b"D\xfcben"[..], None, "Düben"),
            (b"D\xfcben", Some("utf-8"), "Düben"),
            (b"\xf0\xd2\xc9", Some("koi8-r"), "При"),
            (b"\xb0\xa1", Some("euc-kr"), "가"),
            (b"\x82\xa0", Some("shift_jis"), "あ"),
            (b"D\xfcbn", Some("utf-16"), "Dübn"),
            ("ü".as_bytes(), Some("koi8-r"), "ü"),
            (b"D\xfcben \xa4", Some("euc-kr"), "Düben ¤"),
        ] {
            let label = body.and_then(|name: &str| Label::parse(name.as_bytes()));
            assert_eq!(
                decode(value, label.as_ref()),
                expected,
                "{value:?} {body:?}"
            );
        }
        // Cut off within a character, as by a limit in octets.
        assert_eq!(decode(b"\xc3\xbc\xc3", None), "ü\u{fffd}");
    }
}
