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
        /// RFC 2047 2 allows 75 characters; readers accept more.
        const MAX_LENGTH: usize = 1000;
        let word = &text[start + 2..text.len().min(start + MAX_LENGTH)];
        let charset = memchr::memchr(b'?', word)?;
        let (kind, rest) = word[charset + 1..].split_first()?;
        let content = rest.strip_prefix(b"?")?;
        let length = memmem::find(content, b"?=")?;
        if charset > 40 || content[..length].iter().any(u8::is_ascii_whitespace) {
            return None;
        }
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
