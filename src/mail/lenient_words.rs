//! Encoded-words (RFC 2047) as different readers may see them.
//!
//! Takes the value of a field; returns the texts that some reader may take for encoded-words. A word whose end is
//! uncertain, because there is none or another word begins before it, ends where the next one begins. So each octet is
//! decoded once at most.

use encoding_rs::{Encoding, UTF_8};
use memchr::memmem;

use super::charset::{self, Label};
use super::{encoded_words, transfer_encoding};

/// Maximum number of words that are read. Looking up a charset takes time.
pub(super) const MAX_WORDS: usize = 1000;

/// A possible encoded-word.
pub(super) struct LenientWord<'a> {
    charset: &'a [u8],
    is_base64: bool,
    text: &'a [u8],
    /// Position in the value.
    pub(super) start: usize,
    pub(super) end: usize,
    ending: WordEnding,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WordEnding {
    Closed,
    /// Another word begins before the end.
    NextWord,
    Missing,
}

/// Finds all possible words.
pub(super) fn lenient_words(value: &[u8]) -> impl Iterator<Item = LenientWord<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + memmem::find(&value[from..], b"=?")?;
            if let Some(word) = word_at(value, start) {
                from = word.end;
                return Some(word);
            }
            from = start + 2;
        }
    })
}

fn word_at(value: &[u8], start: usize) -> Option<LenientWord<'_>> {
    let mut parts = value[start + 2..].splitn(3, |&byte| byte == b'?');
    let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let is_base64 = match encoding {
        [b'b' | b'B'] => true,
        [b'q' | b'Q'] => false,
        _ => return None,
    };
    let next = memmem::find(rest, b"=?");
    // In `==?=`, no word begins at the second `=`.
    let before_next = next.map_or(rest, |next| &rest[..rest.len().min(next + 3)]);
    let close = memmem::find(before_next, b"?=");
    let (length, ending) = match (close, next) {
        (Some(close), _) => (close, WordEnding::Closed),
        (None, Some(next)) => (next, WordEnding::NextWord),
        (None, None) => (rest.len(), WordEnding::Missing),
    };
    let text_end = value.len() - rest.len() + length;
    Some(LenientWord {
        charset,
        is_base64,
        text: &rest[..length],
        start,
        end: text_end + if close.is_some() { 2 } else { 0 },
        ending,
    })
}

impl LenientWord<'_> {
    pub(super) fn is_closed(&self) -> bool {
        self.ending == WordEnding::Closed
    }

    /// True if a reader that skips the beginning of the next word would decode further text.
    pub(super) fn may_continue(&self) -> bool {
        self.is_base64 && self.ending == WordEnding::NextWord
    }

    /// Decodes the text. Returns None if any octet is invalid or if its meaning to a reader is unknown.
    pub(super) fn decode_strictly(&self) -> Option<String> {
        let (label, octets) = (self.label()?, self.octets());
        if is_utf8_or_ascii(label) {
            // A character may continue in the next encoded-word.
            return Some(String::from_utf8_lossy(&octets).into_owned());
        }
        if has_other_mark(&octets) {
            return None;
        }
        charset::decode_strictly(&octets, &label)
    }

    /// Decodes the text, with replacement characters for invalid octets. Returns None if its meaning to a reader is
    /// unknown.
    pub(super) fn decode(&self) -> Option<String> {
        let octets = self.octets();
        let lossy = || String::from_utf8_lossy(&octets).into_owned();
        match self.label() {
            Some(label) if is_utf8_or_ascii(label) => Some(lossy()),
            Some(label) if !has_other_mark(&octets) => Some(charset::decode(&octets, Some(&label))),
            _ => octets.iter().copied().all(is_harmless).then(lossy),
        }
    }

    /// Returns None for an unknown charset, or one in which ASCII is not ASCII.
    fn label(&self) -> Option<Label> {
        // No known name is longer.
        const MAX_CHARSET: usize = 80;
        if self.charset.len() > MAX_CHARSET {
            return None;
        }
        Label::parse(self.charset)
            .filter(|label| is_utf8_or_ascii(*label) || is_ascii_compatible(label))
    }

    fn octets(&self) -> Vec<u8> {
        if self.is_base64 {
            decode_b(self.text)
        } else {
            encoded_words::q_decode(self.text)
        }
    }
}

fn is_utf8_or_ascii(label: Label) -> bool {
    let is = |name: &[u8]| Label::parse(name) == Some(label);
    is(b"utf-8") || is(b"us-ascii")
}

/// True for a byte order mark of UTF-16: a reader may give it precedence over the label.
fn has_other_mark(octets: &[u8]) -> bool {
    Encoding::for_bom(octets).is_some_and(|(encoding, _)| encoding != UTF_8)
}

/// True if printable ASCII is the same in this charset, without shifts as in UTF-7 and HZ.
fn is_ascii_compatible(label: &Label) -> bool {
    let mut octets: Vec<u8> = (b' '..=b'~').collect();
    octets.extend_from_slice(b"+AEA-~{@@~}");
    charset::decode(&octets, Some(label)).as_bytes() == octets
}

/// True for an octet that is not part of an `@` in any charset: letters, digits and a few other characters of ASCII.
fn is_harmless(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b" .'-".contains(&octet)
}

/// Decodes the B encoding (RFC 2047 4.1). Skips characters outside of base64.
fn decode_b(text: &[u8]) -> Vec<u8> {
    text.split(|&byte| byte == b'=')
        .flat_map(transfer_encoding::base64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_their_end_or_at_the_next_word() {
        let read = |value: &str| -> Vec<(String, bool)> {
            let words = lenient_words(value.as_bytes());
            words
                .map(|word| (word.decode().unwrap_or_default(), word.is_closed()))
                .collect()
        };
        for (value, expected) in [
            ("Ann =?", &[][..]),
            ("=?utf-8?x?Ann?=", &[]),
            (
                "=?utf-8?q?=C3=BC?= x =?utf-8?B?w7w?=",
                &[("\u{fc}", true), ("\u{fc}", true)],
            ),
            (
                "=?utf-8?b?YQ==?==?utf-8?b?Yg==?=",
                &[("a", true), ("b", true)],
            ),
            ("=?utf-8?q?a =?utf-8?q?b?=", &[("a ", false), ("b", true)]),
            ("=?utf-8?q?a", &[("a", false)]),
            ("=?utf-8?q??=", &[("", true)]),
        ] {
            let expected = expected
                .iter()
                .map(|&(text, is_closed)| (text.to_owned(), is_closed));
            assert_eq!(read(value), expected.collect::<Vec<_>>(), "{value}");
        }
    }

    #[test]
    fn a_text_of_unknown_meaning_is_not_decoded() {
        let decode = |value: &str| lenient_words(value.as_bytes()).next()?.decode();
        for (value, expected) in [
            ("=?utf-8?q?J=C3=B6rg?=", Some("J\u{f6}rg")),
            ("=?us-ascii?q?=1B$B@A=1B(B?=", Some("\u{1b}$B@A\u{1b}(B")),
            ("=?iso-8859-1?q?J=F6rg?=", Some("J\u{f6}rg")),
            ("=?unknown-8bit?q?J=F6rg?=", Some("J\u{fffd}rg")),
            ("=?cp932?q?a=FF@b?=", Some("a\u{fffd}@b")),
            ("=?x-ias-german?b?bXlHb3Y=?=", Some("myGov")),
            ("=?x-ias-german?q?J=F6rg?=", None),
            ("=?utf-7?q?Ann?=", Some("Ann")),
            ("=?utf-7?q?+AEA-?=", None),
            ("=?unicode_escape?q?=5Cx40?=", None),
            ("=?cp037?q?=7C?=", None),
            ("=?us-ascii?b?/v8AQA==?=", Some("\u{fffd}\u{fffd}\0@")),
            ("=?cp932?b?/v8AQA==?=", None),
        ] {
            assert_eq!(decode(value).as_deref(), expected, "{value}");
        }
    }
}
