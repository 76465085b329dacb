//! The value of a field as programs see it that decode encoded-words before they look for the structure.
//!
//! Takes the value; returns its decoded text in each reading. Returns nothing if an encoded-word cannot be read.

use super::lenient_words::{LenientWord, MAX_WORDS, WordText, lenient_words, words_up_to_close};

/// A decoded value.
#[derive(Default)]
pub(super) struct DecodedFirst {
    pub(super) text: String,
    /// True if an encoded-word contains a character that may begin or end an address, for some readers.
    pub(super) has_delimiters: bool,
    /// Number of `@` signs in the octets of encoded-words. They may be those of addresses, and missing from the text.
    pub(super) enclosed_ats: usize,
}

/// Decodes the value for readers that end a word where the next one begins, and for those that end it at `?=` alone.
/// Returns None if an encoded-word may contain an `@` for some readers only, or if there are too many to read them all.
pub(super) fn decode_first(value: &[u8]) -> Option<Vec<DecodedFirst>> {
    let mut readings = vec![decode(value, lenient_words(value))?];
    if !lenient_words(value).all(|word| word.is_closed()) {
        readings.push(decode(value, words_up_to_close(value))?);
    }
    Some(readings)
}

fn decode<'a>(value: &[u8], words: impl Iterator<Item = LenientWord<'a>>) -> Option<DecodedFirst> {
    let mut decoded = DecodedFirst::default();
    let mut at = 0;
    for (number, word) in words.enumerate() {
        if number == MAX_WORDS || word.is_read_otherwise() {
            return None;
        }
        let WordText { text, is_certain } = word.decode()?;
        let before = &value[at..word.start];
        // Blanks between two words are dropped (RFC 2047 6.2).
        if at == 0 || !before.trim_ascii().is_empty() {
            decoded.text.push_str(&String::from_utf8_lossy(before));
        }
        decoded.has_delimiters |= !is_certain || text.contains(is_delimiter);
        decoded.text.push_str(&text);
        let raw = &value[word.start..word.end];
        if word.is_closed() {
            decoded.enclosed_ats += memchr::memchr_iter(b'@', raw).count();
        } else {
            decoded.text.push_str(&String::from_utf8_lossy(raw));
        }
        at = word.end;
    }
    decoded
        .text
        .push_str(&String::from_utf8_lossy(&value[at..]));
    Some(decoded)
}

/// True for the specials of RFC 5322 3.2.3 without the dot and the `@`, and for control characters and line ends.
fn is_delimiter(c: char) -> bool {
    "()<>[]:;,\\\"\u{2028}\u{2029}".contains(c) || (c.is_control() && c != '\t')
}
