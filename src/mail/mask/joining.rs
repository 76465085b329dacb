//! Ways in which readers join the base64 of adjacent encoded-words. Text that any of them shows is searched.

use crate::mail::encoded_words::{EncodedWord, MAX_FOLDED_TEXT};
use crate::mail::transfer_encoding::sextet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joining {
    /// As `mail::encoded_words`: a word that is cut off within an octet continues in the next one of its charset.
    OurReader,
    /// Each word is decoded by itself (RFC 2047 6.2).
    Never,
    /// Each incomplete group continues in the next word, whatever the charsets.
    Always,
}

impl Joining {
    /// The ways that make a difference in a text.
    pub fn of(text: &[u8]) -> &'static [Self] {
        let mut at = 0;
        let mut joinings: &[Self] = &[];
        while let Some(word) = EncodedWord::find(text, at, MAX_FOLDED_TEXT) {
            if word.is_base64 && ends_within_group(word.text(text)) {
                return &[Self::OurReader, Self::Never, Self::Always];
            }
            joinings = &[Self::OurReader];
            at = word.end();
        }
        joinings
    }
}

/// True if base64 ends within a group that padding does not end.
fn ends_within_group(text: &[u8]) -> bool {
    let mut count = 0;
    for octet in text {
        if sextet(*octet).is_some() {
            count = (count + 1) % 4;
        } else if *octet == b'=' && count > 1 {
            count = 0;
        }
    }
    count > 0
}
