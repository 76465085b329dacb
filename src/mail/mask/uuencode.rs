//! Lines of uuencode, decoded group by group.
//!
//! The octets are those that the reader in `transfer_encoding` decodes.

use super::unit::{EncodedUnit, UnitSource};
use crate::mail::transfer_encoding::uuencoded_value;

/// The characters of a line that are not decoded yet.
#[derive(Debug, Clone)]
pub(super) struct UuencodedLine {
    at: usize,
    /// End of the line.
    pub to: usize,
    /// Number of octets that are not decoded yet.
    left: usize,
}

impl UuencodedLine {
    /// Finds the next line with characters. The first one comes after that with `begin`, unless `is_begun` is true.
    /// Returns None at `end`.
    pub fn find(text: &[u8], mut start: usize, to: usize, mut is_begun: bool) -> Option<Self> {
        loop {
            let rest = text.get(start..to).filter(|rest| !rest.is_empty())?;
            let end = memchr::memchr(b'\n', rest);
            let line = &rest[..end.unwrap_or(rest.len())];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if is_begun && line == b"end" {
                return None;
            }
            if is_begun && let [length, characters @ ..] = line {
                return Some(Self {
                    at: start + 1,
                    to: start + line.len(),
                    left: usize::from(uuencoded_value(*length)).min(characters.len()),
                });
            }
            is_begun |= line.starts_with(b"begin ");
            start += end.map_or(rest.len(), |end| end + 1);
        }
    }

    /// Decodes the next group of four characters, or of as many as there are. Returns None at the end of the line.
    pub fn next_group(&mut self, text: &[u8]) -> Option<EncodedUnit> {
        if self.left == 0 {
            return None;
        }
        let count = (self.to - self.at).min(4);
        let mut places = [0; 4];
        let mut bits = 0;
        for place in &mut places[..count] {
            *place = self.at;
            bits = bits << 6 | u32::from(uuencoded_value(text[self.at]));
            self.at += 1;
        }
        let length = self.left.min(3);
        self.left -= length;
        let source = UnitSource::Uuencoded(places, count);
        Some(EncodedUnit::group(
            bits << (6 * (4 - count)),
            length,
            source,
        ))
    }
}
