//! The body of a message (RFC 5321 4.5.2): takes chunks from the wire, returns the raw message.
//!
//! Only `CRLF . CRLF` ends it, and the CRLF of the DATA line counts as its first CRLF. A dot that begins a line
//! is removed. A bare LF is an error, since a downstream server might take it for the end of a line; a bare CR
//! is an ordinary octet. The split into chunks makes no difference.
//!
//! The header, everything before the first empty line, has its own limit, because parsing a header takes many
//! times its size. A message over either limit is read to its end and discarded.

use memchr::{memchr, memmem};

/// Parser state after the octets so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    LineStart,
    /// Within a line, not after a CR.
    Text,
    /// After a CR within a line.
    Cr,
    /// After a dot that began the line.
    Dot,
    /// After a dot that began the line, and a CR.
    DotCr,
}

/// Progress of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    More,
    /// It ends after this many octets of the chunk; the next command follows.
    End(usize),
    BareLf,
}

/// The limit that a message exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLarge {
    Message,
    Header,
}

/// Limits of a message, in octets.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub message: u64,
    pub header: u64,
}

/// A body in transfer.
#[derive(Debug)]
pub struct Transfer {
    raw: Vec<u8>,
    position: Position,
    limit: usize,
    header_limit: usize,
    header: Header,
    expected: usize,
    too_large: Option<TooLarge>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    /// Number of octets scanned so far, without an empty line.
    Open(usize),
    /// Octets before the empty line.
    Ended(usize),
}

/// The end of the last field, and the empty line after it.
const EMPTY_LINE: &[u8] = b"\r\n\r\n";

/// Maximum number of octets that are allocated for a declared size before any data has arrived.
const TRUST: u64 = 64 * 1024;

impl Transfer {
    /// Creates a body with these limits; `expected` is the size that the client declared.
    #[must_use]
    pub fn new(bounds: Bounds, expected: Option<u64>) -> Self {
        let octets = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Self {
            raw: Vec::new(),
            position: Position::LineStart,
            limit: octets(bounds.message),
            header_limit: octets(bounds.header),
            header: Header::Open(0),
            expected: octets(expected.unwrap_or(0).min(TRUST)),
            too_large: None,
        }
    }

    /// Capacity needed before a chunk of this length is fed. It grows by doubling, up to the limit.
    #[must_use]
    pub fn capacity_for(&self, chunk: usize) -> usize {
        let held = self.raw.capacity();
        let needed = self.raw.len() + chunk;
        if self.too_large.is_some() || needed <= held {
            return held;
        }
        needed
            .max(2 * held)
            .max(self.expected)
            .min(self.limit)
            .max(held)
    }

    /// Allocates, so that [`feed`](Self::feed) need not.
    pub fn reserve(&mut self, capacity: usize) {
        self.raw
            .reserve_exact(capacity.saturating_sub(self.raw.len()));
    }

    /// Takes a chunk. Nothing may be fed after `End` or `BareLf`.
    pub fn feed(&mut self, chunk: &[u8]) -> Progress {
        // The octets between `from` and `at` belong to the message and are not copied yet.
        let (mut from, mut at) = (0, 0);
        while at < chunk.len() {
            let byte = chunk[at];
            match (self.position, byte) {
                (Position::LineStart, b'.') => {
                    self.keep(&chunk[from..at]);
                    at += 1;
                    from = at;
                    self.position = Position::Dot;
                }
                (Position::LineStart | Position::Text, _) => match memchr(b'\n', &chunk[at..]) {
                    Some(n) if n > 0 && chunk[at + n - 1] == b'\r' => {
                        at += n + 1;
                        self.position = Position::LineStart;
                    }
                    Some(_) => return Progress::BareLf,
                    None => {
                        at = chunk.len();
                        self.position = if chunk[at - 1] == b'\r' {
                            Position::Cr
                        } else {
                            Position::Text
                        };
                    }
                },
                (Position::Cr, b'\n') => {
                    at += 1;
                    self.position = Position::LineStart;
                }
                (Position::Cr | Position::DotCr, b'\r') => {
                    // The CR before this one is text; it was skipped after a dot.
                    if self.position == Position::DotCr {
                        self.keep(b"\r");
                    }
                    at += 1;
                    self.position = Position::Cr;
                }
                (Position::Dot, b'\r') => {
                    at += 1;
                    from = at;
                    self.position = Position::DotCr;
                }
                (Position::DotCr, b'\n') => return Progress::End(at + 1),
                (Position::DotCr, _) => {
                    self.keep(b"\r");
                    self.position = Position::Text;
                }
                (Position::Dot, b'\n') => return Progress::BareLf,
                (Position::Cr | Position::Dot, _) => self.position = Position::Text,
            }
        }
        self.keep(&chunk[from..]);
        Progress::More
    }

    fn keep(&mut self, run: &[u8]) {
        if self.too_large.is_some() {
            return;
        }
        if self.raw.len() + run.len() > self.limit {
            return self.refuse(TooLarge::Message);
        }
        self.raw.extend_from_slice(run);
        if let Header::Open(scanned) = self.header {
            self.scan_header(scanned);
        }
    }

    /// Searches the new octets for the empty line.
    fn scan_header(&mut self, scanned: usize) {
        let from = scanned.saturating_sub(EMPTY_LINE.len() - 1);
        self.header = if self.raw.starts_with(b"\r\n") {
            Header::Ended(0)
        } else if let Some(at) = memmem::find(&self.raw[from..], EMPTY_LINE) {
            Header::Ended(from + at + 2)
        } else {
            Header::Open(self.raw.len())
        };
        // The last octet may be the first of the empty line.
        let least = match self.header {
            Header::Ended(octets) => octets,
            Header::Open(octets) => octets.saturating_sub(1),
        };
        if least > self.header_limit {
            self.refuse(TooLarge::Header);
        }
    }

    fn refuse(&mut self, bound: TooLarge) {
        self.too_large = Some(bound);
        self.raw = Vec::new();
    }

    /// True if it exceeded a limit; nothing more of it is stored.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.too_large.is_some()
    }

    /// Octets of the header so far: of the whole message if there was no empty line.
    #[must_use]
    pub fn header(&self) -> usize {
        match self.header {
            Header::Ended(octets) | Header::Open(octets) => octets,
        }
    }

    /// The raw message.
    ///
    /// # Errors
    /// The limit that it exceeded.
    pub fn finish(self) -> Result<Vec<u8>, TooLarge> {
        match self.too_large {
            Some(bound) => Err(bound),
            None if self.header() > self.header_limit => Err(TooLarge::Header),
            None => Ok(self.raw),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds the given chunks and returns the result, with the end counted from the start.
    fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, limit: u64) -> (Progress, Transfer) {
        let bounds = Bounds {
            message: limit,
            header: limit,
        };
        read_within(bounds, chunks)
    }

    fn read_within<'a>(
        bounds: Bounds,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Progress, Transfer) {
        let mut body = Transfer::new(bounds, None);
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
    fn the_end_and_dot_stuffing_at_every_two_splits() {
        for (input, message) in ENDS {
            for first in 0..=input.len() {
                for second in first..=input.len() {
                    let chunks = [&input[..first], &input[first..second], &input[second..]];
                    let (progress, body) = read(chunks, 100);
                    assert_eq!(progress, Progress::End(input.len()), "{input:?} {chunks:?}");
                    assert_eq!(body.finish().as_deref(), Ok(*message), "{chunks:?}");
                }
            }
        }
    }

    #[test]
    fn a_false_end_is_refused_or_part_of_the_message_at_every_two_splits() {
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
    fn dot_stuffing_does_not_count_towards_the_limit() {
        let input = b"..\r\n..\r\n.\r\n";
        assert_eq!(
            read([&input[..]], 6).1.finish().as_deref(),
            Ok(&b".\r\n.\r\n"[..])
        );
        let (progress, body) = read([&input[..]], 5);
        assert_eq!(progress, Progress::End(input.len()));
        assert!(body.is_too_large());
        assert_eq!(body.finish(), Err(TooLarge::Message));
    }

    #[test]
    fn the_header_has_its_own_limit_at_every_two_splits() {
        let large = Err(TooLarge::Header);
        for (message, header) in [
            (&b"a:b\r\n\r\nbody\r\n"[..], Ok(5)),
            (b"\r\nbody of any length\r\n", Ok(0)),
            (b"a:12345678\r\n\r\nbody\r\n", Ok(12)),
            (b"a:123456789\r\n\r\nbody\r\n", large),
            (b"a:12345678\r\n", Ok(12)),
            (b"a:123456789\r\n", large),
            (b"a:1\r\nb:2\r\nc:3\r\n\r\n", large),
            (b"a:1\r\n \r\n", Ok(8)),
            (b"a:1\r\n \r\n b\r\n\r\n", Ok(12)),
            (b"a:1\r\r\n\r\r\n\r\n", Ok(9)),
            (b"a:1\r\n..\r\n..\r\nlong enough\r\n", large),
        ] {
            let wire = [message, b".\r\n"].concat();
            let input = &wire[..];
            let bounds = Bounds {
                message: 100,
                header: 12,
            };
            for first in 0..=input.len() {
                for second in first..=input.len() {
                    let chunks = [&input[..first], &input[first..second], &input[second..]];
                    let (progress, body) = read_within(bounds, chunks);
                    assert_eq!(progress, Progress::End(input.len()), "{chunks:?}");
                    let octets = body.header();
                    let found = body.finish().map(|_| octets);
                    assert_eq!(found, header, "{chunks:?}");
                }
            }
        }
    }

    #[test]
    fn an_endless_header_is_discarded_once_it_is_too_large() {
        let bounds = Bounds {
            message: 1 << 20,
            header: 1000,
        };
        let mut body = Transfer::new(bounds, None);
        assert_eq!(body.feed(&[b'a'; 1001]), Progress::More);
        assert!(!body.is_too_large());
        assert_eq!(body.feed(b"a"), Progress::More);
        assert!(body.is_too_large());
        assert_eq!(body.raw.capacity(), 0, "the memory is released");
    }

    #[test]
    fn capacity_doubles_up_to_the_limit_and_feeding_keeps_to_it() {
        let bounds = Bounds {
            message: 100_000,
            header: 100_000,
        };
        let mut body = Transfer::new(bounds, Some(5));
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
        assert_eq!(body.raw.capacity(), 0, "the memory is released");
    }

    proptest! {
        #[test]
        fn the_split_into_chunks_makes_no_difference(
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
            prop_assert_eq!(body.finish(), Ok(message.into_bytes()));
        }
    }
}
