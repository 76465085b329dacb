//! The body of a message (RFC 5321 4.5.2): chunks as they come from the wire in, the raw message
//! out.
//!
//! Only `CRLF . CRLF` ends it, and the CRLF of the DATA line counts as the first of them. A dot
//! that begins a line is taken off. A bare LF is an error, since a server behind us might take it
//! for the end of a line; a bare CR is a byte like any other. How the input is cut into chunks
//! makes no difference.

use memchr::memchr;

/// What the bytes before the present one mean to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    LineStart,
    /// Within a line, and not behind a CR.
    Text,
    /// Behind a CR within a line.
    Cr,
    /// Behind a dot that began the line.
    Dot,
    /// Behind a dot that began the line, and a CR.
    DotCr,
}

/// How far the body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    More,
    /// It ends behind so many bytes of the chunk; what follows is the next command.
    End(usize),
    BareLf,
}

/// A body on its way in.
#[derive(Debug)]
pub struct Body {
    raw: Vec<u8>,
    place: Place,
    limit: usize,
    expected: usize,
    too_large: bool,
}

/// A client's word for the size is good for this much memory before anything has come.
const TRUST: u64 = 64 * 1024;

impl Body {
    /// A body of at most `limit` octets, and of `expected` if the client is right.
    #[must_use]
    pub fn new(limit: u64, expected: Option<u64>) -> Self {
        let octets = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Self {
            raw: Vec::new(),
            place: Place::LineStart,
            limit: octets(limit),
            expected: octets(expected.unwrap_or(0).min(TRUST)),
            too_large: false,
        }
    }

    /// The capacity to have before a chunk of this length is fed; it at least doubles.
    #[must_use]
    pub fn capacity_for(&self, chunk: usize) -> usize {
        let held = self.raw.capacity();
        let needed = self.raw.len() + chunk;
        if self.too_large || needed <= held {
            return held;
        }
        needed
            .max(2 * held)
            .max(self.expected)
            .min(self.limit)
            .max(held)
    }

    /// Makes room, so that [`feed`](Self::feed) takes no memory.
    pub fn reserve(&mut self, capacity: usize) {
        self.raw
            .reserve_exact(capacity.saturating_sub(self.raw.len()));
    }

    /// Takes a chunk. After `End` or `BareLf` there is nothing more to feed.
    pub fn feed(&mut self, chunk: &[u8]) -> Progress {
        // What lies between `from` and `at` is part of the message and not copied yet.
        let (mut from, mut at) = (0, 0);
        while at < chunk.len() {
            let byte = chunk[at];
            match (self.place, byte) {
                (Place::LineStart, b'.') => {
                    self.keep(&chunk[from..at]);
                    at += 1;
                    from = at;
                    self.place = Place::Dot;
                }
                (Place::LineStart | Place::Text, _) => match memchr(b'\n', &chunk[at..]) {
                    Some(n) if n > 0 && chunk[at + n - 1] == b'\r' => {
                        at += n + 1;
                        self.place = Place::LineStart;
                    }
                    Some(_) => return Progress::BareLf,
                    None => {
                        at = chunk.len();
                        self.place = if chunk[at - 1] == b'\r' {
                            Place::Cr
                        } else {
                            Place::Text
                        };
                    }
                },
                (Place::Cr, b'\n') => {
                    at += 1;
                    self.place = Place::LineStart;
                }
                (Place::Cr | Place::DotCr, b'\r') => {
                    // The CR before this one turns out to be text, and was skipped behind a dot.
                    if self.place == Place::DotCr {
                        self.keep(b"\r");
                    }
                    at += 1;
                    self.place = Place::Cr;
                }
                (Place::Dot, b'\r') => {
                    at += 1;
                    from = at;
                    self.place = Place::DotCr;
                }
                (Place::DotCr, b'\n') => return Progress::End(at + 1),
                (Place::DotCr, _) => {
                    self.keep(b"\r");
                    self.place = Place::Text;
                }
                (Place::Dot, b'\n') => return Progress::BareLf,
                (Place::Cr | Place::Dot, _) => self.place = Place::Text,
            }
        }
        self.keep(&chunk[from..]);
        Progress::More
    }

    fn keep(&mut self, run: &[u8]) {
        if self.too_large {
            return;
        }
        if self.raw.len() + run.len() > self.limit {
            self.too_large = true;
            self.raw = Vec::new();
            return;
        }
        self.raw.extend_from_slice(run);
    }

    /// Whether it went beyond the limit; nothing of it is held any more.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.too_large
    }

    /// The raw message, unless it was too large.
    #[must_use]
    pub fn finish(self) -> Option<Vec<u8>> {
        (!self.too_large).then_some(self.raw)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The whole input in the given chunks: what came of it, with the end counted from the start.
    fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, limit: u64) -> (Progress, Body) {
        let mut body = Body::new(limit, None);
        let mut before = 0;
        for chunk in chunks {
            match body.feed(chunk) {
                Progress::More => before += chunk.len(),
                Progress::End(at) => return (Progress::End(before + at), body),
                Progress::BareLf => return (Progress::BareLf, body),
            }
        }
        (Progress::More, body)
    }

    const ENDS: &[(&[u8], &[u8])] = &[
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n"),
        (b"..a\r\n...b\r\nc.\r\n.\r\n", b".a\r\n..b\r\nc.\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"),
        (b"a\rb\r\r\n.\r\n", b"a\rb\r\r\n"),
        (b".\r\r\n.\r\n", b"\r\r\n"),
        (b".\ra\r\n.\r\n", b"\ra\r\n"),
        (b".\r.\r\n.\r\n", b"\r.\r\n"),
        (b"a\0\xff\r\n.\r\n", b"a\0\xff\r\n"),
        (b"a\r.\r\n.\r\n", b"a\r.\r\n"),
    ];

    #[test]
    fn the_end_and_the_dots_in_every_pair_of_cuts() {
        for (input, message) in ENDS {
            for first in 0..=input.len() {
                for second in first..=input.len() {
                    let chunks = [&input[..first], &input[first..second], &input[second..]];
                    let (progress, body) = read(chunks, 100);
                    assert_eq!(progress, Progress::End(input.len()), "{input:?} {chunks:?}");
                    assert_eq!(body.finish().as_deref(), Some(*message), "{chunks:?}");
                }
            }
        }
    }

    #[test]
    fn a_false_end_is_refused_or_part_of_the_message_in_every_pair_of_cuts() {
        use Progress::{BareLf, More};
        for (input, expected) in [
            (&b"a\n.\n"[..], BareLf),
            (b"a\r\n.\n", BareLf),
            (b"a\n.\r\n", BareLf),
            (b"a\n\r\n.\r\n", BareLf),
            (b"a\r.\n", BareLf),
            (b"a\r\n.\r\r.\n", BareLf),
            (b"\n", BareLf),
            (b".\n", BareLf),
            (b"a\r\n..\n", BareLf),
            (b"a\r.\r", More),
            (b"a\r\n.\r", More),
            (b"a\r.\r\n", More),
            (b"a\r\r.\r\r", More),
            (b"a\r\n.\r\r\n", More),
            (b"a\r\n. \r\n", More),
            (b"a\r\n.\0\r\n", More),
            (b"a\r\n\0.\r\n", More),
        ] {
            for first in 0..=input.len() {
                for second in first..=input.len() {
                    let chunks = [&input[..first], &input[first..second], &input[second..]];
                    assert_eq!(read(chunks, 100).0, expected, "{input:?} {chunks:?}");
                }
            }
        }
    }

    #[test]
    fn the_limit_is_of_the_message_not_of_its_stuffing() {
        let input = b"..\r\n..\r\n.\r\n";
        assert_eq!(
            read([&input[..]], 6).1.finish().as_deref(),
            Some(&b".\r\n.\r\n"[..])
        );
        let (progress, body) = read([&input[..]], 5);
        assert_eq!(progress, Progress::End(input.len()));
        assert!(body.is_too_large());
        assert_eq!(body.finish(), None);
    }

    #[test]
    fn capacity_doubles_up_to_the_limit_and_feeding_keeps_to_it() {
        let mut body = Body::new(100_000, Some(5));
        let line = [b'a'; 1000];
        let mut steps = 0;
        for _ in 0..100 {
            let capacity = body.capacity_for(line.len());
            assert!(capacity <= 100_000);
            if capacity > body.raw.capacity() {
                steps += 1;
                body.reserve(capacity);
            }
            let before = body.raw.capacity();
            assert_eq!(body.feed(&line), Progress::More);
            assert_eq!(body.raw.capacity(), before);
        }
        assert!(steps <= 8, "{steps}");
        assert_eq!(body.feed(b"b"), Progress::More);
        assert!(body.is_too_large());
        assert_eq!(body.raw.capacity(), 0, "the memory is given back");
    }

    proptest! {
        #[test]
        fn cuts_make_no_difference(
            input in prop::collection::vec(prop::sample::select(&b"a.\r\n"[..]), 0..40),
            size in 1_usize..7,
        ) {
            let (whole, one) = read([&input[..]], 20);
            let (cut, other) = read(input.chunks(size), 20);
            prop_assert_eq!(whole, cut);
            if let Progress::End(_) = whole {
                prop_assert_eq!(one.finish(), other.finish());
            }
        }

        #[test]
        fn any_message_survives(lines in prop::collection::vec("[^\n]{0,20}", 0..8), size in 1_usize..9) {
            let message = lines.iter().fold(String::new(), |all, line| all + line + "\r\n");
            let stuffed = |line: &str| if line.starts_with('.') { "." } else { "" };
            let mut wire = lines
                .iter()
                .fold(String::new(), |all, line| all + stuffed(line) + line + "\r\n");
            wire.push_str(".\r\n");
            let (progress, body) = read(wire.as_bytes().chunks(size), 10_000);
            prop_assert_eq!(progress, Progress::End(wire.len()));
            prop_assert_eq!(body.finish(), Some(message.into_bytes()));
        }
    }
}
