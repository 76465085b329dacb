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
mod tests;
