//! Decoded text that maps each octet to its origin in the encoded text.
//!
//! It takes the memory of the decoded octets and an eighth more: positions are stored at intervals only, and
//! the text is decoded again from the nearest one.

use super::Edits;
use crate::mail::transfer_encoding::{self, BASE64};

/// Number of decoded octets between two marks.
const STRIDE: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 2045 6.7.
    QuotedPrintable,
    /// RFC 2047 4.2, which has no soft line breaks.
    Q,
    /// RFC 2045 6.8.
    Base64,
    /// UTF-16 or UTF-32 of ASCII characters: each of them, without the NUL octets beside it.
    Wide,
}

/// Origin of a decoded octet.
#[derive(Clone, Copy)]
enum Source {
    Literal(usize),
    /// `=XX`, from the `=` on.
    Hex(usize),
    /// The characters of a base64 group, and the number of those present.
    Group([usize; 4], usize),
}

/// Decoded octets of one unit of encoded text.
struct Unit {
    octets: [u8; 3],
    length: usize,
    source: Source,
    /// Position after it.
    next: usize,
}

/// Index of a decoded octet, and the position of its encoded text.
struct Mark {
    index: usize,
    at: usize,
    to: usize,
    coding: Coding,
}

#[derive(Default)]
pub(super) struct View {
    pub text: Vec<u8>,
    marks: Vec<Mark>,
}

impl View {
    /// Decodes a range of the message and appends the result.
    pub fn take(&mut self, raw: &[u8], from: usize, to: usize, coding: Coding) {
        let mut at = from;
        let mut next_mark = self.text.len();
        while let Some(unit) = Unit::at(raw, at, to, coding) {
            if self.text.len() >= next_mark {
                let index = self.text.len();
                self.marks.push(Mark {
                    index,
                    at,
                    to,
                    coding,
                });
                next_mark = index + STRIDE;
            }
            self.text.extend_from_slice(&unit.octets[..unit.length]);
            // No other octet is found by way of a long gap.
            if unit.next - at > STRIDE {
                next_mark = self.text.len();
            }
            at = unit.next;
        }
    }

    /// The unit that contains a decoded octet, and the index of the octet in it.
    fn unit(&self, index: usize, raw: &[u8]) -> Option<(Unit, usize)> {
        let after = self.marks.partition_point(|mark| mark.index <= index);
        let mark = &self.marks[after.checked_sub(1)?];
        let (mut first, mut at) = (mark.index, mark.at);
        loop {
            let unit = Unit::at(raw, at, mark.to, mark.coding)?;
            if index < first + unit.length {
                return Some((unit, index - first));
            }
            first += unit.length;
            at = unit.next;
        }
    }

    /// Position of a decoded octet in the message.
    pub fn source(&self, index: usize, raw: &[u8]) -> Option<usize> {
        self.unit(index, raw).map(|(unit, _)| match unit.source {
            Source::Literal(at) | Source::Hex(at) => at,
            Source::Group(at, _) => at[0],
        })
    }

    /// Overwrites a decoded octet without changing the length of its encoded text.
    pub fn overwrite(&self, index: usize, octet: u8, raw: &[u8], edits: &mut Edits) {
        let Some((unit, offset)) = self.unit(index, raw) else {
            return;
        };
        match unit.source {
            Source::Literal(at) => {
                edits.octets.insert(at, octet);
            }
            Source::Hex(at) => {
                for (offset, digit) in format!("={octet:02X}").bytes().enumerate() {
                    edits.octets.insert(at + offset, digit);
                }
            }
            Source::Group(at, count) => {
                let at = &at[..count];
                let mut group = at
                    .iter()
                    .map(|at| transfer_encoding::sextet(edits.octet(raw, *at)).unwrap_or(0))
                    .fold(0_u32, |group, value| group << 6 | u32::from(value));
                group <<= 6 * (4 - count);
                let shift = 8 * (2 - offset);
                group = group & !(0xff << shift) | u32::from(octet) << shift;
                for (number, at) in at.iter().enumerate() {
                    let value = group >> (6 * (3 - number)) & 0x3f;
                    edits.octets.insert(*at, BASE64[value as usize]);
                }
            }
        }
    }
}

impl Unit {
    /// The next unit within a range; None at its end.
    fn at(raw: &[u8], at: usize, to: usize, coding: Coding) -> Option<Self> {
        match coding {
            Coding::Base64 => Self::group(raw, at, to),
            Coding::QuotedPrintable | Coding::Q => Self::printable(raw, at, to, coding),
            Coding::Wide => Self::wide(raw, at, to),
        }
    }

    fn one(octet: u8, source: Source, next: usize) -> Self {
        Self {
            octets: [octet, 0, 0],
            length: 1,
            source,
            next,
        }
    }

    fn wide(raw: &[u8], at: usize, to: usize) -> Option<Self> {
        let at = at + raw[at..to].iter().position(|octet| *octet != 0)?;
        Some(Self::one(raw[at], Source::Literal(at), at + 1))
    }

    fn printable(raw: &[u8], mut at: usize, to: usize, coding: Coding) -> Option<Self> {
        loop {
            let octet = *raw[..to].get(at)?;
            if octet == b'=' {
                let rest = &raw[at + 1..to];
                if let Some(value) = transfer_encoding::hex_octet(rest) {
                    return Some(Self::one(value, Source::Hex(at), at + 3));
                }
                if coding == Coding::QuotedPrintable
                    && let Some(length) = soft_break(rest)
                {
                    at += 1 + length;
                    continue;
                }
            }
            return Some(Self::one(octet, Source::Literal(at), at + 1));
        }
    }

    /// Skips characters outside of base64, as readers do, up to a boundary line.
    fn group(raw: &[u8], mut at: usize, to: usize) -> Option<Self> {
        let mut places = [0; 4];
        let mut count = 0;
        let mut bits = 0_u32;
        while at < to && count < 4 {
            let octet = raw[at];
            if let Some(value) = transfer_encoding::sextet(octet) {
                bits = bits << 6 | u32::from(value);
                places[count] = at;
                count += 1;
            } else if octet == b'=' && count > 1 {
                at += 1;
                break;
            } else if octet == b'-' && at > 0 && raw[at - 1] == b'\n' {
                at = to;
                break;
            }
            at += 1;
        }
        if count < 2 {
            return None;
        }
        let [_, octets @ ..] = (bits << (6 * (4 - count))).to_be_bytes();
        Some(Self {
            octets,
            length: count - 1,
            source: Source::Group(places, count),
            next: at,
        })
    }
}

/// Length of the remainder of a soft line break after its `=`.
fn soft_break(rest: &[u8]) -> Option<usize> {
    let blanks = rest
        .iter()
        .take_while(|octet| matches!(octet, b' ' | b'\t'))
        .count();
    match &rest[blanks..] {
        [b'\r', b'\n', ..] => Some(blanks + 2),
        [b'\n', ..] => Some(blanks + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_octet_after_a_long_gap_has_a_mark_behind_the_gap() {
        let raw = [b"a".as_slice(), &[0; 1000], b"bc"].concat();
        let mut view = View::default();
        view.take(&raw, 0, raw.len(), Coding::Wide);
        assert_eq!(view.text, b"abc");
        let marks: Vec<(usize, usize)> = view
            .marks
            .iter()
            .map(|mark| (mark.index, mark.at))
            .collect();
        assert_eq!(marks, [(0, 0), (2, 1002)]);
        for (index, at) in [(0, 0), (1, 1001), (2, 1002)] {
            assert_eq!(view.source(index, &raw), Some(at));
        }
    }
}
