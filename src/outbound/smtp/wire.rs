//! In: a message piece by piece. Out: its wire format after DATA.
//!
//! Lines end in CRLF only: RFC 5321 2.3.8 forbids a bare CR or LF, which becomes a space. A space adds no
//! line, whereas a CRLF in its place could create a field or the end of the message. A dot at the beginning
//! of a line is doubled (4.5.2).

use memchr::memchr2;

/// State of the encoder at the end of a piece.
pub struct Wire {
    /// The last byte was a CR; the next one decides whether it belongs to a CRLF.
    after_cr: bool,
    at_start: bool,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            after_cr: false,
            at_start: true,
        }
    }
}

impl Wire {
    pub fn next(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len() + piece.len() / 64 + 8);
        let mut rest = piece;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_cr) {
                if first == b'\n' {
                    out.extend_from_slice(b"\r\n");
                    self.at_start = true;
                    rest = &rest[1..];
                    continue;
                }
                out.push(b' ');
                self.at_start = false;
            }
            if self.at_start && first == b'.' {
                out.push(b'.');
            }
            let end = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            out.extend_from_slice(&rest[..end]);
            self.at_start &= end == 0;
            match rest.get(end) {
                Some(b'\r') => self.after_cr = true,
                Some(_) => {
                    out.push(b' ');
                    self.at_start = false;
                }
                None => {}
            }
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        out
    }

    /// Returns the final dot, on a line of its own. The last CRLF of the message is also the first CRLF of
    /// `CRLF.CRLF`.
    pub fn end(self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.after_cr {
            out.push(b' ');
        }
        if self.after_cr || !self.at_start {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(pieces: &[&[u8]]) -> Vec<u8> {
        let mut wire = Wire::default();
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| wire.next(piece)).collect();
        out.extend(wire.end());
        out
    }

    #[test]
    fn a_message_ends_in_one_dot_on_a_line_of_its_own() {
        for (message, wire) in [
            ("A: b\r\n\r\nbody\r\n", "A: b\r\n\r\nbody\r\n.\r\n"),
            ("A: b\r\n\r\nbody\r\n\r\n", "A: b\r\n\r\nbody\r\n\r\n.\r\n"),
            ("A: b\r\n\r\nbody", "A: b\r\n\r\nbody\r\n.\r\n"),
            ("A: b\r\n\r\nbody\r", "A: b\r\n\r\nbody \r\n.\r\n"),
            ("A: b\r\n\r\n", "A: b\r\n\r\n.\r\n"),
            (
                "A: b\r\n\r\n.\r\n..two",
                "A: b\r\n\r\n..\r\n...two\r\n.\r\n",
            ),
            (
                "A: b\rC: d\r\n\r\n\n.\n\r.\r\r\nend\r\n",
                "A: b C: d\r\n\r\n .  . \r\nend\r\n.\r\n",
            ),
        ] {
            let sent = encode(&[message.as_bytes()]);
            assert_eq!(String::from_utf8_lossy(&sent), wire, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_but_the_end_looks_like_the_end(message in "[\r\n.a]{0,60}") {
            let text = String::from_utf8(encode(&[message.as_bytes()])).expect("ASCII");
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
            let text = format!("\r\n{text}");
            prop_assert_eq!(text.find("\r\n.\r\n"), Some(text.len() - 5));
        }

        #[test]
        fn pieces_may_be_cut_anywhere(message in "[\r\n.a]{0,30}", cuts in prop::collection::vec(0_usize..30, 0..4)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(message.len())).collect();
            cuts.extend([0, message.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &message.as_bytes()[cut[0]..cut[1]]).collect();
            prop_assert_eq!(encode(&pieces), encode(&[message.as_bytes()]));
        }
    }
}
