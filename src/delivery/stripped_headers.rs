//! In: a raw message. Out: the parts of it that are delivered: all but the fields of our own names.
//!
//! A help desk trusts `X-Vestibule-*` and the `Authentication-Results` of our name (RFC 8601 5), so nobody
//! outside may set one. Readers differ in where a field begins: some end lines at a bare CR or a form feed,
//! some skip control characters or allow space or a fold before the colon. A field that *any* of them could take
//! for ours is removed, and so are the lines that an mbox file has on top of a message. Only the header section
//! is scanned, once and from left to right, and everything that is kept stays as it is, byte for byte.

#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::domain::Domain;
use crate::mail::mbox_lines;
use crate::sender_auth::claims_to_be_ours;

/// Prefix of the names of our fields; the comparison ignores case, and `_` counts as `-`.
const PREFIX: &[u8] = b"x-vestibule-";

/// Name of a field that is ours if its value begins with our own name.
const RESULTS: &[u8] = b"authentication-results:";

/// The ranges of `raw` that are delivered, in order.
pub(super) fn kept_ranges(raw: &[u8], hostname: &Domain) -> Vec<Range<usize>> {
    let mut kept = Kept::default();
    // A later MTA would take an mbox line for the end of the header section.
    let start = mbox_lines(raw);
    kept.skip(0..start);
    let mut at = start;
    while at < raw.len() {
        let end = end_of_field(raw, at);
        let field = &raw[at..end];
        if is_empty_line(field) {
            break;
        }
        if at == start && is_blank(field[0]) {
            // A continuation line without a field: after our fields it would become part of the last one.
            kept.skip(start..end);
        } else if let Some(mark) = find_own_field(field, hostname) {
            if field[..mark].iter().any(u8::is_ascii_graphic) {
                // A field of our name begins after a line end that only some readers see. The end of the physical
                // line remains.
                let content = end - line_ending(field);
                kept.skip(at + mark - 1..content);
            } else {
                // The line holds only a field of our name. An empty line in its place would end the header section.
                kept.skip(at..end);
            }
        }
        at = end;
    }
    kept.finish(raw.len())
}

/// The end of the field (RFC 5322 2.2.3) that begins at `start`, its continuation lines included.
fn end_of_field(raw: &[u8], start: usize) -> usize {
    let mut end = start;
    loop {
        end = match raw[end..].iter().position(|&b| b == b'\n') {
            Some(offset) => end + offset + 1,
            None => return raw.len(),
        };
        let folded = raw.get(end).is_some_and(|&b| is_blank(b));
        if !folded || is_empty_line(&raw[start..end]) {
            return end;
        }
    }
}

/// Position in `field` where a line begins with one of our names, under any reading of "line". A fold continues the
/// line before it.
fn find_own_field(field: &[u8], hostname: &Domain) -> Option<usize> {
    let mut start = 0;
    let mut matched: Matched = [Some(0); 2];
    let mut before: (usize, Matched) = (0, [None; 2]);
    for (i, &byte) in field.iter().enumerate() {
        if may_end_line(byte) {
            // The LF of a CRLF ends no other line.
            if i > start {
                before = (start, matched);
            }
            start = i + 1;
            matched = [Some(0); 2];
        } else if i == start && i > 0 && is_blank(byte) {
            (start, matched) = before;
        } else if byte.is_ascii_graphic() && matched.iter().any(Option::is_some) {
            push(&mut matched, byte);
            let is_ours = matched[0] == Some(PREFIX.len())
                || matched[1] == Some(RESULTS.len())
                    && claims_to_be_ours(&field[i + 1..], hostname);
            if is_ours {
                return Some(start);
            }
        }
    }
    None
}

/// Number of octets of each of our names that a line has matched so far; `None` once it can no longer match.
type Matched = [Option<usize>; 2];

fn push(matched: &mut Matched, byte: u8) {
    let plain = if byte == b'_' { b'-' } else { byte }.to_ascii_lowercase();
    for (seen, name) in matched.iter_mut().zip([PREFIX, RESULTS]) {
        *seen = seen
            .filter(|count| name.get(*count) == Some(&plain))
            .map(|count| count + 1);
    }
}

/// CR, LF, and the ASCII characters that Python's `splitlines` takes for a line end.
fn may_end_line(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0x0b | 0x0c | 0x1c..=0x1e)
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

pub(super) fn is_empty_line(line: &[u8]) -> bool {
    line == b"\r\n" || line == b"\n"
}

fn line_ending(field: &[u8]) -> usize {
    match field {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    }
}

/// Ranges between the skipped parts.
#[derive(Default)]
struct Kept {
    ranges: Vec<Range<usize>>,
    from: usize,
}

impl Kept {
    fn skip(&mut self, range: Range<usize>) {
        if self.from < range.start {
            self.ranges.push(self.from..range.start);
        }
        self.from = range.end;
    }

    fn finish(mut self, len: usize) -> Vec<Range<usize>> {
        if self.from < len {
            self.ranges.push(self.from..len);
        }
        self.ranges
    }
}
