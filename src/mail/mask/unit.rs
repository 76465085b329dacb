//! Units of encoded text: the octets that a few characters encode, and how changed octets are written back into them.

use crate::mail::transfer_encoding::{self, BASE64};

/// Origin of decoded octets.
pub(super) enum UnitSource {
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

    /// None for a single character, which has too few bits for an octet.
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
        let character = |number: usize, value: u8| {
            // Bits of the character that belong to octets of the unit.
            let bits = (self.length * 8).saturating_sub(number * 6).min(6);
            let kept = (1_u8 << (6 - bits)) - 1;
            let mut octets = [0; 4];
            octets[1..=new.len()].copy_from_slice(new);
            let written = u32::from_be_bytes(octets) >> (6 * (3 - number)) & 0x3f;
            written.to_be_bytes()[3] & !kept | value & kept
        };
        match self.source {
            UnitSource::Separator => {}
            UnitSource::Literal(at) => text[at] = new[0],
            UnitSource::Hex(at) => {
                let escape = format!("={:02X}", new[0]);
                text[at..at + 3].copy_from_slice(escape.as_bytes());
            }
            UnitSource::Group(places, count) => {
                for (number, at) in places[..count].iter().enumerate() {
                    let value = transfer_encoding::sextet(text[*at]).unwrap_or(0);
                    let new = character(number, value);
                    if new != value {
                        text[*at] = BASE64[usize::from(new)];
                    }
                }
            }
            UnitSource::Uuencoded(places, count) => {
                for (number, at) in places[..count].iter().enumerate() {
                    let value = text[*at].wrapping_sub(b' ') & 0x3f;
                    match character(number, value) {
                        // A zero has two spellings.
                        same if same == value => {}
                        0 => text[*at] = b'`',
                        new => text[*at] = b' ' + new,
                    }
                }
            }
        }
    }
}
