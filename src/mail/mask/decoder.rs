//! Decoding of a range of a text, and writing back of changes to what was decoded.
//!
//! Both walk the range unit by unit. Changed octets are written into the characters that encode them, so the text
//! keeps its length. Nothing is stored in between: the time is linear, and the memory that of the decoded octets.

use std::ops::Range;

use super::breaks::base64_character;
use super::gaps::Gaps;
use super::joining::Joining;
use super::unit::{EncodedUnit, UnitSource};
use super::uuencode::UuencodedLine;
use crate::mail::encoded_words::{EncodedWord, MAX_FOLDED_TEXT, is_cut};
use crate::mail::transfer_encoding;

/// Octet in place of other text between encoded-words, or between wide characters: it occurs in no token and no
/// break.
const SEPARATOR: u8 = 1;

/// Maximum number of octets next to an encoded-word that can be of the same link, from its host to its token.
const NEAR_WORD: usize = 1024;

/// Encoding of octets in a range of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 2045 6.7.
    QuotedPrintable,
    /// RFC 2045 6.8.
    Base64,
    /// Lines of uuencode, between `begin` and `end`.
    Uuencode,
    /// Base64 that is broken like a link, without anything else in it.
    EmbeddedBase64,
    /// UTF-16 or UTF-32 of ASCII characters: each of them, without the NUL octets beside it.
    Wide,
    /// Text as it is, without its gaps.
    Without(Gaps),
    /// RFC 2047: the text of all encoded-words, and of what is next to them.
    Words(Joining),
    /// RFC 2047 4.2: the text of one word; it has no soft line breaks.
    Q,
}

#[derive(Debug, Clone)]
pub(super) struct Decoder {
    coding: Coding,
    at: usize,
    to: usize,
    /// The encoded-word that is decoded, or that comes next.
    word: Option<EncodedWord>,
    /// Text near an encoded-word that comes before the next one.
    other_text: Range<usize>,
    /// The uuencoded line that is decoded.
    line: Option<UuencodedLine>,
}

impl Decoder {
    pub fn new(coding: Coding, from: usize, to: usize) -> Self {
        Self {
            coding,
            at: from,
            to,
            word: None,
            other_text: 0..0,
            line: None,
        }
    }

    pub fn decode(mut self, text: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::with_capacity(match self.coding {
            Coding::QuotedPrintable => self.to - self.at,
            Coding::Base64 | Coding::EmbeddedBase64 | Coding::Uuencode => {
                (self.to - self.at) / 4 * 3 + 3
            }
            Coding::Wide => (self.to - self.at) / 2 + 1,
            // Counted first, because a growing vector takes three times its size.
            Coding::Words(_) | Coding::Q | Coding::Without(_) => self.clone().count(text),
        });
        loop {
            decoded.extend_from_slice(self.literals(text));
            if self.coding == Coding::Base64 {
                self.decode_whole_groups(text, &mut decoded);
            }
            let Some(unit) = self.next(text) else {
                return decoded;
            };
            decoded.extend_from_slice(unit.octets());
        }
    }

    /// Decodes the groups up to the first that has anything else in it, such as a line end.
    fn decode_whole_groups(&mut self, text: &[u8], decoded: &mut Vec<u8>) {
        let (groups, _) = text[self.at..self.to].as_chunks::<4>();
        for group in groups {
            let Some(octets) = transfer_encoding::base64_group(*group) else {
                return;
            };
            decoded.extend_from_slice(&octets);
            self.at += group.len();
        }
    }

    fn count(mut self, text: &[u8]) -> usize {
        let mut count = 0;
        loop {
            count += self.literals(text).len();
            let Some(unit) = self.next(text) else {
                return count;
            };
            count += unit.length;
        }
    }

    /// Moves past the octets before the next unit that are as they are; returns them.
    fn literals<'a>(&mut self, text: &'a [u8]) -> &'a [u8] {
        match self.coding {
            Coding::QuotedPrintable => {
                let rest = &text[self.at..self.to];
                let length = memchr::memchr(b'=', rest).unwrap_or(rest.len());
                self.at += length;
                &rest[..length]
            }
            Coding::Without(gaps) => {
                let rest = &text[self.at..self.to];
                let length = gaps.find(rest).unwrap_or(rest.len());
                self.at += length;
                &rest[..length]
            }
            Coding::Words(_) => &text[std::mem::take(&mut self.other_text)],
            _ => &[],
        }
    }

    /// Writes into the text what differs in `decoded` from what the text encodes.
    pub fn write_back(mut self, text: &mut [u8], decoded: &[u8]) {
        let mut rest = decoded;
        while let Some(unit) = self.next(text)
            && let Some((new, after)) = rest.split_at_checked(unit.length)
        {
            if new != unit.octets() {
                unit.overwrite(new, text);
            }
            rest = after;
        }
    }

    fn next(&mut self, text: &[u8]) -> Option<EncodedUnit> {
        match self.coding {
            Coding::Words(_) => self.word(text),
            Coding::Uuencode => self.uuencoded_group(text),
            coding => self.unit(text, coding, self.to),
        }
    }

    /// The next unit before `to`, in an encoding other than those of words and lines.
    fn unit(&mut self, text: &[u8], coding: Coding, to: usize) -> Option<EncodedUnit> {
        match coding {
            Coding::Base64 => self.group(text, to),
            Coding::EmbeddedBase64 => self.embedded_group(text, to),
            Coding::QuotedPrintable | Coding::Q => self.printable(text, to, coding),
            Coding::Wide => self.wide(text, to),
            Coding::Without(gaps) => self.between_gaps(text, to, gaps),
            Coding::Words(_) | Coding::Uuencode => None,
        }
    }

    fn word(&mut self, text: &[u8]) -> Option<EncodedUnit> {
        loop {
            if let Some(at) = self.other_text.next() {
                return Some(EncodedUnit::one(text[at], UnitSource::Literal(at)));
            }
            let Some(word) = self.word else {
                self.word = Some(EncodedWord::find(text, self.at, MAX_FOLDED_TEXT)?);
                continue;
            };
            if self.at < word.start {
                let near = self.at.max(word.start.saturating_sub(NEAR_WORD));
                let is_gap = near > self.at;
                self.other_text = near..word.start;
                self.at = word.start;
                if is_gap {
                    return Some(EncodedUnit::one(SEPARATOR, UnitSource::Separator));
                }
                continue;
            }
            self.at = self.at.max(word.text_start);
            let coding = if word.is_base64 {
                Coding::Base64
            } else {
                Coding::Q
            };
            if let Some(unit) = self.unit(text, coding, word.text_end) {
                return Some(unit);
            }
            self.leave_word(text);
        }
    }

    /// Moves to the next word if it is adjacent, else to the end of the text near this one, or of all text.
    fn leave_word(&mut self, text: &[u8]) {
        // `continue_group` may have moved to this one.
        let Some(word) = self.word.take() else { return };
        self.word = EncodedWord::find(text, word.end(), MAX_FOLDED_TEXT);
        self.at = match self.word {
            Some(next) if word.is_adjacent(&next, text) => next.text_start,
            next => {
                let end = next.map_or(self.to, |next| next.start);
                let near = end.min(word.end() + NEAR_WORD);
                self.other_text = word.end()..near;
                next.map_or(self.to, |_| near)
            }
        };
    }

    fn uuencoded_group(&mut self, text: &[u8]) -> Option<EncodedUnit> {
        loop {
            if let Some(line) = &mut self.line
                && let Some(unit) = line.next_group(text)
            {
                return Some(unit);
            }
            let (start, is_begun) = match &self.line {
                Some(line) => (line.to, true),
                None => (self.at, false),
            };
            self.line = Some(UuencodedLine::find(text, start, self.to, is_begun)?);
        }
    }

    /// Skips NUL octets, and the invisible characters U+00AD, U+200B to U+200D, U+2060 and U+FEFF. Of many octets
    /// without a NUL, only those at either end can be characters: other text would be decoded again at each level.
    fn wide(&mut self, text: &[u8], to: usize) -> Option<EncodedUnit> {
        /// Number of octets without a NUL that is not UTF-16 any more, even with some NULs lost.
        const MANY: usize = 64;
        /// Maximum distance of a character from a NUL, likewise.
        const NEAR: usize = 8;
        loop {
            let at = self.at;
            let rest = &text[at..to];
            if let Some(many) = rest.get(..MANY)
                && memchr::memchr(0, many).is_none()
                && !text[at.saturating_sub(NEAR)..at].contains(&0)
            {
                self.at = memchr::memchr(0, rest).map_or(to, |nul| at + nul - NEAR);
                return Some(EncodedUnit::one(SEPARATOR, UnitSource::Separator));
            }
            let (octet, length) = match *rest {
                [] => return None,
                [0 | 0xad, ..] => (None, 1),
                [0x0b..=0x0d | 0x60, 0x20, ..]
                | [0x20, 0x0b..=0x0d | 0x60, ..]
                | [0xff, 0xfe, ..]
                | [0xfe, 0xff, ..] => (None, 2),
                [octet, ..] => (Some(octet), 1),
            };
            self.at += length;
            if let Some(octet) = octet {
                return Some(EncodedUnit::one(octet, UnitSource::Literal(at)));
            }
        }
    }

    fn printable(&mut self, text: &[u8], to: usize, coding: Coding) -> Option<EncodedUnit> {
        loop {
            let at = self.at;
            let octet = *text[..to].get(at)?;
            if octet == b'=' {
                let rest = &text[at + 1..to];
                if let Some(value) = transfer_encoding::hex_octet(rest) {
                    self.at += 3;
                    return Some(EncodedUnit::one(value, UnitSource::Hex(at)));
                }
                if coding == Coding::QuotedPrintable
                    && let Some(length) = transfer_encoding::soft_break(rest)
                {
                    self.at += 1 + length;
                    continue;
                }
            }
            self.at += 1;
            return Some(EncodedUnit::one(octet, UnitSource::Literal(at)));
        }
    }

    fn between_gaps(&mut self, text: &[u8], to: usize, gaps: Gaps) -> Option<EncodedUnit> {
        while let Some(length) = gaps.length(&text[self.at..to]) {
            self.at += length;
        }
        let at = self.at;
        let octet = *text[..to].get(at)?;
        self.at += 1;
        Some(EncodedUnit::one(octet, UnitSource::Literal(at)))
    }

    /// Skips characters outside of base64, as the reader in `transfer_encoding` does.
    fn group(&mut self, text: &[u8], mut to: usize) -> Option<EncodedUnit> {
        let mut places = [0; 4];
        let mut count = 0;
        let mut bits = 0;
        while count < 4 {
            if self.at >= to {
                if count > 0
                    && let Some(end) = self.continue_group(text)
                {
                    to = end;
                    continue;
                }
                break;
            }
            let octet = text[self.at];
            if let Some(value) = transfer_encoding::sextet(octet) {
                bits = bits << 6 | u32::from(value);
                places[count] = self.at;
                count += 1;
            }
            self.at += 1;
            if octet == b'=' && count > 1 {
                break;
            }
        }
        EncodedUnit::of_base64(bits, places, count)
    }

    /// Moves to the next encoded-word if it continues an incomplete group; returns the end of its text.
    fn continue_group(&mut self, text: &[u8]) -> Option<usize> {
        let (Some(word), Coding::Words(joining)) = (self.word, self.coding) else {
            return None;
        };
        let is_continued = match joining {
            Joining::Never => false,
            Joining::OurReader => is_cut(word.text(text)),
            Joining::Always => true,
        };
        if !is_continued {
            return None;
        }
        let next = EncodedWord::find(text, word.end(), MAX_FOLDED_TEXT)?;
        let is_same = joining == Joining::Always || next.has_charset_of(&word, text);
        if !(next.is_base64 && is_same && word.is_adjacent(&next, text)) {
            return None;
        }
        self.at = next.text_start;
        self.word = Some(next);
        Some(next.text_end)
    }

    fn embedded_group(&mut self, text: &[u8], to: usize) -> Option<EncodedUnit> {
        let mut places = [0; 4];
        let mut count = 0;
        let mut bits = 0;
        while count < 4
            && self.at < to
            && let Some(place) = base64_character(text, self.at)
        {
            let value = transfer_encoding::sextet(text[place]).unwrap_or(0);
            bits = bits << 6 | u32::from(value);
            places[count] = place;
            count += 1;
            self.at = place + 1;
        }
        EncodedUnit::of_base64(bits, places, count)
    }
}
