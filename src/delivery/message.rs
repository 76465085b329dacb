//! The raw message in; out, what is handed on: the added fields, then the original bytes unchanged,
//! without any field of our names that came from outside.

use std::borrow::Cow;
use std::ops::Range;

use super::marks;
use crate::domain::Domain;

/// How much of a message is in hand at a time while it is being sent.
const PIECE: usize = 64 * 1024;

/// A message as destinations get it. The original bytes are kept once and never copied as a whole.
#[derive(Debug, Clone)]
pub struct Message {
    added: Vec<u8>,
    raw: Vec<u8>,
    kept: Vec<Range<usize>>,
}

impl Message {
    /// `added` are whole fields, each with its line ending.
    pub(super) fn new(added: Vec<u8>, raw: Vec<u8>, hostname: &Domain) -> Self {
        let kept = marks::foreign(&raw, hostname);
        Self { added, raw, kept }
    }

    /// All of it in order, in pieces of bounded length.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.added.as_slice())
            .chain(self.kept.iter().map(|range| &self.raw[range.clone()]))
            .flat_map(|part| part.chunks(PIECE))
    }

    /// Octets.
    pub fn len(&self) -> usize {
        self.added.len() + self.kept.iter().map(ExactSizeIterator::len).sum::<usize>()
    }

    /// Never: there is always a `Received` field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.len());
        for piece in self.pieces() {
            whole.extend_from_slice(piece);
        }
        whole
    }

    pub fn is_ascii(&self) -> bool {
        self.pieces().all(<[u8]>::is_ascii)
    }

    /// Whether the header section is more than ASCII, for which SMTP has SMTPUTF8 (RFC 6532 3).
    pub fn has_utf8_header(&self) -> bool {
        self.raw
            .split_inclusive(|&b| b == b'\n')
            .take_while(|line| !matches!(*line, b"\r\n" | b"\n"))
            .any(|line| !line.is_ascii())
    }

    /// The pieces for DATA: without the last CRLF, which is the first of `CRLF.CRLF`, and with a
    /// space for every CR and LF that is not part of a CRLF.
    ///
    /// RFC 5321 2.3.8 forbids them on the wire. A space adds no line, where a CRLF in its place
    /// would make a field or an end of the message out of what was neither.
    pub fn lines_of_smtp(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        let mut left = self.len();
        let ends_properly = self.ends_with_crlf();
        let mut previous = 0;
        let mut pieces = self.pieces().peekable();
        std::iter::from_fn(move || {
            let piece = pieces.next()?;
            let next = pieces.peek().and_then(|piece| piece.first().copied());
            left -= piece.len();
            // The last CRLF can lie across two pieces.
            let cut = match (ends_properly, left) {
                (true, 0) => piece.len().min(2),
                (true, 1) => 1,
                _ => 0,
            };
            let line = without_stray(previous, piece, next);
            previous = piece.last().copied().unwrap_or(previous);
            Some(match line {
                Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[..bytes.len() - cut]),
                Cow::Owned(mut bytes) => {
                    bytes.truncate(bytes.len() - cut);
                    Cow::Owned(bytes)
                }
            })
        })
    }

    fn ends_with_crlf(&self) -> bool {
        let mut end = [0; 2];
        for piece in self.pieces() {
            end = match *piece {
                [.., first, last] => [first, last],
                [last] => [end[1], last],
                [] => end,
            };
        }
        end == *b"\r\n"
    }
}

/// The piece with a space for every CR and LF that stands alone, seen with its neighbours.
fn without_stray(before: u8, piece: &[u8], behind: Option<u8>) -> Cow<'_, [u8]> {
    let is_stray = |i: usize| match piece[i] {
        b'\r' => piece.get(i + 1).copied().or(behind) != Some(b'\n'),
        b'\n' => i.checked_sub(1).map_or(before, |i| piece[i]) != b'\r',
        _ => false,
    };
    if !(0..piece.len()).any(is_stray) {
        return Cow::Borrowed(piece);
    }
    let clean = |i: usize| if is_stray(i) { b' ' } else { piece[i] };
    Cow::Owned((0..piece.len()).map(clean).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(raw: &[u8]) -> Message {
        let hostname = Domain::parse("gate.corp.example").expect("a domain");
        Message::new(b"Received: here\r\n".to_vec(), raw.to_vec(), &hostname)
    }

    fn on_the_wire(message: &Message) -> Vec<u8> {
        message.lines_of_smtp().flat_map(Cow::into_owned).collect()
    }

    #[test]
    fn the_last_line_ending_is_left_to_the_final_dot() {
        for (raw, wire) in [
            ("A: b\r\n\r\nbody\r\n", "A: b\r\n\r\nbody"),
            ("A: b\r\n\r\nbody\r\n\r\n", "A: b\r\n\r\nbody\r\n"),
            ("A: b\r\n\r\nbody", "A: b\r\n\r\nbody"),
            ("A: b\r\n\r\nbody\r", "A: b\r\n\r\nbody "),
            ("A: b\r\n\r\n", "A: b\r\n"),
            ("", ""),
        ] {
            let expected = format!("Received: here\r\n{wire}");
            let expected = expected
                .strip_suffix("\r\n")
                .filter(|_| raw.is_empty())
                .unwrap_or(&expected);
            assert_eq!(
                on_the_wire(&message(raw.as_bytes())),
                expected.as_bytes(),
                "{raw:?}"
            );
        }
    }

    #[test]
    fn a_stray_end_of_line_becomes_a_space_on_the_wire_only() {
        let raw = b"A: b\rC: d\r\n\r\n\n.\n\r.\r\r\nend\r\n";
        let message = message(raw);
        assert!(message.to_vec().ends_with(raw));
        assert!(on_the_wire(&message).ends_with(b"A: b C: d\r\n\r\n .  . \r\nend"));
    }

    #[test]
    fn pieces_are_cut_anywhere_without_harm() {
        for length in PIECE - 3..PIECE + 4 {
            let mut raw = b"A: b\r\n\r\n".to_vec();
            raw.resize(length, b'x');
            raw.extend_from_slice(b"\r\n");
            let wire = on_the_wire(&message(&raw));
            assert_eq!(wire.len(), "Received: here\r\n".len() + length);
            assert!(wire.ends_with(b"x"));
        }
    }

    proptest! {
        #[test]
        fn the_original_stands_under_the_added_fields(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut raw = b"From: a@b.example\r\nX-Vestibule-Account: internal\r\n\r\n".to_vec();
            raw.extend_from_slice(&body);
            let mut expected = b"Received: here\r\nFrom: a@b.example\r\n\r\n".to_vec();
            expected.extend_from_slice(&body);
            let message = message(&raw);
            prop_assert_eq!(message.len(), expected.len());
            prop_assert_eq!(message.to_vec(), expected);
        }

        #[test]
        fn only_crlf_ends_a_line_on_the_wire(body in "[\r\n.a]{0,60}") {
            let mut wire = on_the_wire(&message(body.as_bytes()));
            wire.extend_from_slice(b"\r\n");
            let text = String::from_utf8(wire).expect("ASCII");
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
        }
    }
}
