//! Units of encoded text: the octets that a few characters encode, and how changed octets are written back into them.

use crate::mail::transfer_encoding::{BASE64, sextet, uuencoded_value};

/// Origin of decoded octets.
pub(super) enum UnitSource {
    /// Text that is not decoded, and stays.
    Separator,
    Literal(usize),
    /// `=XX`, from the `=` on.
    Hex(usize),
    /// The characters of a base64 group, and the number of those present.
    Group([usize; 4], usize),
    /// The same in uuencode.
    Uuencoded([usize; 4], usize),
}

/// Decoded octets of one unit of encoded text.
pub(super) struct EncodedUnit {
    octets: [u8; 3],
    pub length: usize,
    source: UnitSource,
}

impl EncodedUnit {
    pub fn one(octet: u8, source: UnitSource) -> Self {
        Self {
            octets: [octet, 0, 0],
            length: 1,
            source,
        }
    }

    /// A group of 24 bits.
    pub fn group(bits: u32, length: usize, source: UnitSource) -> Self {
        let [_, octets @ ..] = bits.to_be_bytes();
        Self {
            octets,
            length,
            source,
        }
    }

    /// A group of base64; None for a single character, which has too few bits for an octet.
    pub fn of_base64(bits: u32, places: [usize; 4], count: usize) -> Option<Self> {
        (count > 1).then(|| {
            let bits = bits << (6 * (4 - count));
            Self::group(bits, count - 1, UnitSource::Group(places, count))
        })
    }

    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    /// Writes other octets in place of these.
    pub fn overwrite(&self, new: &[u8], text: &mut [u8]) {
        match self.source {
            UnitSource::Separator => {}
            UnitSource::Literal(at) => text[at] = new[0],
            UnitSource::Hex(at) => {
                let escape = format!("={:02X}", new[0]);
                text[at..at + 3].copy_from_slice(escape.as_bytes());
            }
            UnitSource::Group(places, count) => {
                let value_of = |character| sextet(character).unwrap_or(0);
                let character_of = |value| BASE64[usize::from(value)];
                self.overwrite_group(&places[..count], new, text, value_of, character_of);
            }
            UnitSource::Uuencoded(places, count) => {
                let character_of = |value| if value == 0 { b'`' } else { b' ' + value };
                self.overwrite_group(&places[..count], new, text, uuencoded_value, character_of);
            }
        }
    }

    fn overwrite_group(
        &self,
        places: &[usize],
        new: &[u8],
        text: &mut [u8],
        value_of: fn(u8) -> u8,
        character_of: fn(u8) -> u8,
    ) {
        let mut octets = [0; 4];
        octets[1..=new.len()].copy_from_slice(new);
        let new = u32::from_be_bytes(octets);
        for (number, at) in places.iter().enumerate() {
            // Bits of the character that belong to octets of the unit.
            let bits = (self.length * 8).saturating_sub(number * 6).min(6);
            let kept = (1_u8 << (6 - bits)) - 1;
            let old_value = value_of(text[*at]);
            let [.., octet] = (new >> (6 * (3 - number)) & 0x3f).to_be_bytes();
            let new_value = octet & !kept | old_value & kept;
            // A value of uuencode can have two spellings.
            if new_value != old_value {
                text[*at] = character_of(new_value);
            }
        }
    }
}
