//! Decoding of a range of a text, and writing back of changes to what was decoded.
//!
//! Both walk the range unit by unit. Changed octets are written into the characters that encode them, so the text
//! keeps its length. Nothing is stored in between: the time is linear, and the memory that of the decoded octets.

use super::breaks::base64_character;
use super::encoded_words::EncodedWord;
use super::unit::{EncodedUnit, UnitSource};
use crate::mail::transfer_encoding;

/// Octet in place of other text between encoded-words, or between wide characters: it occurs in no token and no
/// break.
const SEPARATOR: u8 = 1;

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
    /// RFC 2047: the text of all encoded-words.
    Words,
    /// RFC 2047 4.2: the text of one word; it has no soft line breaks.
    Q,
}

#[derive(Debug, Clone)]
pub(super) struct Decoder {
    coding: Coding,
    at: usize,
    to: usize,
    /// The encoded-word or the uuencoded line that is decoded.
    piece: Option<Piece>,
    /// End of the last encoded-word.
    last_word: Option<usize>,
}

#[derive(Debug, Clone)]
struct Piece {
    coding: Coding,
    to: usize,
    /// Octets of the line that are not decoded yet.
    left: usize,
}

impl Decoder {
    pub fn new(coding: Coding, from: usize, to: usize) -> Self {
        Self {
            coding,
            at: from,
            to,
            piece: None,
            last_word: None,
        }
    }

    pub fn decode(mut self, text: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::with_capacity(match self.coding {
            Coding::QuotedPrintable => self.to - self.at,
            Coding::Base64 | Coding::EmbeddedBase64 | Coding::Uuencode => {
                (self.to - self.at) / 4 * 3 + 3
            }
            Coding::Wide => (self.to - self.at) / 2 + 1,
            Coding::Words | Coding::Q => 0,
        });
        loop {
            if self.coding == Coding::QuotedPrintable {
                // All octets before the next `=` at once.
                let rest = &text[self.at..self.to];
                let length = memchr::memchr(b'=', rest).unwrap_or(rest.len());
                decoded.extend_from_slice(&rest[..length]);
                self.at += length;
            }
            let Some(unit) = self.next(text) else {
                return decoded;
            };
            decoded.extend_from_slice(unit.octets());
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
            Coding::Words => self.word(text),
            Coding::Uuencode => self.uuencoded_group(text),
            coding => self.unit(text, coding, self.to),
        }
    }

    /// The next unit before `to`, in an encoding without pieces.
    fn unit(&mut self, text: &[u8], coding: Coding, to: usize) -> Option<EncodedUnit> {
        match coding {
            Coding::Base64 => self.group(text, to),
            Coding::EmbeddedBase64 => self.embedded_group(text, to),
            Coding::QuotedPrintable | Coding::Q => self.printable(text, to, coding),
            Coding::Wide => self.wide(text, to),
            Coding::Words | Coding::Uuencode => None,
        }
    }

    fn word(&mut self, text: &[u8]) -> Option<EncodedUnit> {
        loop {
            if let Some(Piece { coding, to, .. }) = self.piece {
                if let Some(unit) = self.unit(text, coding, to) {
                    return Some(unit);
                }
                self.at = self.piece.as_ref().map_or(to, |piece| piece.to) + 2;
                self.last_word = Some(self.at);
                self.piece = None;
            }
            let word = EncodedWord::find(text, self.at)?;
            let gap = self.last_word.map(|end| &text[end..word.start]);
            self.at = word.from;
            self.piece = Some(Piece {
                coding: word.coding,
                to: word.to,
                left: 0,
            });
            if gap.is_some_and(|gap| !gap.iter().all(u8::is_ascii_whitespace)) {
                return Some(EncodedUnit::one(SEPARATOR, UnitSource::Separator));
            }
        }
    }

    fn uuencoded_group(&mut self, text: &[u8]) -> Option<EncodedUnit> {
        loop {
            if let Some(piece) = &mut self.piece
                && piece.left > 0
            {
                let count = (piece.to - self.at).min(4);
                let mut places = [0; 4];
                let mut bits = 0;
                for (number, place) in places.iter_mut().enumerate() {
                    *place = self.at + number;
                    let value = if number < count {
                        text[*place].wrapping_sub(b' ') & 0x3f
                    } else {
                        0
                    };
                    bits = bits << 6 | u32::from(value);
                }
                let length = piece.left.min(3);
                piece.left -= length;
                self.at += count;
                return Some(EncodedUnit::group(
                    bits,
                    length,
                    UnitSource::Uuencoded(places, count),
                ));
            }
            // The first line is the one after `begin`.
            let mut is_begun = self.piece.is_some();
            let mut start = self.piece.take().map_or(self.at, |piece| piece.to);
            let line = loop {
                let rest = &text[start.min(self.to)..self.to];
                if rest.is_empty() {
                    self.at = self.to;
                    return None;
                }
                let end = memchr::memchr(b'\n', rest);
                let line = &rest[..end.unwrap_or(rest.len())];
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                if is_begun {
                    if line == b"end" {
                        self.at = self.to;
                        return None;
                    }
                    if !line.is_empty() {
                        break line;
                    }
                }
                is_begun |= line.starts_with(b"begin ");
                start += end.map_or(rest.len(), |end| end + 1);
            };
            self.at = start + 1;
            let length = usize::from(line[0].wrapping_sub(b' ') & 0x3f);
            let (to, characters) = (start + line.len(), line.len() - 1);
            self.piece = Some(Piece {
                coding: Coding::Uuencode,
                to,
                left: length.min(characters),
            });
        }
    }

    /// Skips the characters U+00AD, U+200B and U+FEFF, too, which are invisible. Of many octets without a NUL,
    /// only those at either end can be characters: other text would be decoded again at each level.
    fn wide(&mut self, text: &[u8], to: usize) -> Option<EncodedUnit> {
        /// Octets without a NUL that are too many for UTF-16 in which a few are lost.
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
                [0x0b, 0x20, ..] | [0x20, 0x0b, ..] | [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                    (None, 2)
                }
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

    /// Skips characters outside of base64, as the reader in `transfer_encoding` does.
    fn group(&mut self, text: &[u8], mut to: usize) -> Option<EncodedUnit> {
        let mut places = [0; 4];
        let mut count = 0;
        let mut bits = 0;
        while count < 4 {
            if self.at >= to {
                match self.continue_group(text, bits, count) {
                    Some(end) => to = end,
                    None => break,
                }
                continue;
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

    /// Moves to the next encoded-word if it continues a group that is cut off within an octet, as the reader in
    /// `encoded_words` does; returns its end.
    fn continue_group(&mut self, text: &[u8], bits: u32, count: usize) -> Option<usize> {
        let is_cut = match count {
            1 => true,
            2 => bits & 0xf != 0,
            3 => bits & 3 != 0,
            _ => false,
        };
        let end = self.piece.as_ref().filter(|_| is_cut)?.to + 2;
        let next = EncodedWord::find(text, end)?;
        let gap = &text[end..next.start];
        if next.coding != Coding::Base64 || !gap.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        self.at = next.from;
        self.piece = Some(Piece {
            coding: next.coding,
            to: next.to,
            left: 0,
        });
        Some(next.to)
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
