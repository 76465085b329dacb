//! Encoded-words (RFC 2047).

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use super::decoder::Coding;

static BEGIN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"=?"));

/// Position of the text in `=?charset?B?text?=`, or in the same with `Q`.
pub(super) struct EncodedWord {
    pub start: usize,
    pub coding: Coding,
    pub from: usize,
    pub to: usize,
}

impl EncodedWord {
    /// The first one at or after a position.
    pub fn find(text: &[u8], mut at: usize) -> Option<Self> {
        loop {
            at += BEGIN.find(text.get(at..)?)?;
            if let Some(word) = Self::at(text, at) {
                return Some(word);
            }
            at += 2;
        }
    }

    fn at(text: &[u8], start: usize) -> Option<Self> {
        /// The limits of the reader in `mail::encoded_words`.
        const MAX_CHARSET: usize = 80;
        const MAX_TEXT: usize = 8 * 1024;
        let word = &text[start + 2..];
        let charset = memchr::memchr(b'?', &word[..word.len().min(MAX_CHARSET)])?;
        let (kind, rest) = word[charset + 1..].split_first()?;
        let content = rest.strip_prefix(b"?")?;
        let content = &content[..content.len().min(MAX_TEXT)];
        // No word contains the beginning of another one; padding before the end looks like one.
        let end = BEGIN
            .find(content)
            .map_or(content.len(), |next| content.len().min(next + 3));
        let length = memmem::find(&content[..end], b"?=")?;
        let from = start + 2 + charset + 3;
        Some(Self {
            start,
            coding: match kind.to_ascii_lowercase() {
                b'b' => Coding::Base64,
                b'q' => Coding::Q,
                _ => return None,
            },
            from,
            to: from + length,
        })
    }
}
