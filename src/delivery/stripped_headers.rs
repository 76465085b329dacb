//! In: a raw message. Out: the parts of it that are delivered: all but the fields of our own names.
//!
//! A help desk trusts `X-Vestibule-*` and the `Authentication-Results` of our name (RFC 8601 5), so nobody
//! outside may set one. Readers differ in where a field begins: some end lines at a bare CR, a form feed or a NEL,
//! some skip control characters or allow space or a fold before the colon. A field that *any* of them could take
//! for ours is removed, and so are the lines that an mbox file has on top of a message. Only the header section
//! is scanned, once and from left to right, and everything that is kept stays as it is, byte for byte.

#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::domain::Domain;
use crate::mail::{
    ends_field, has_plain_lines, is_matched, line_end_length, match_octet, mbox_lines,
};
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
                kept.skip(at + mark - line_end_length(&field[..mark])..content);
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
/// line before it, and so does a line end that a reader does not know.
fn find_own_field(field: &[u8], hostname: &Domain) -> Option<usize> {
    // For each name, its beginnings that the text matches.
    let mut matched = [1; 2];
    let is_one_line = has_plain_lines(field);
    for (i, &byte) in field.iter().enumerate() {
        if is_one_line && matched == [0; 2] {
            return None;
        }
        if byte.is_ascii_graphic() {
            let plain = if byte == b'_' { b'-' } else { byte };
            for (seen, name) in matched.iter_mut().zip([PREFIX, RESULTS]) {
                *seen = match_octet(*seen, name, plain);
            }
            if is_matched(matched[0], PREFIX) {
                return Some(start_of_line(field, i, PREFIX));
            }
            if is_matched(matched[1], RESULTS) && claims_to_be_ours(&field[i + 1..], hostname) {
                return Some(start_of_line(field, i, RESULTS));
            }
        } else if ends_field(field, i) {
            matched = matched.map(|seen| seen | 1);
        }
    }
    None
}

/// Start of the line with a name whose last letter is at `last`.
fn start_of_line(field: &[u8], last: usize, name: &[u8]) -> usize {
    let mut letters = (0..=last).rev().filter(|&i| field[i].is_ascii_graphic());
    let first = letters.nth(name.len() - 1).unwrap_or_default();
    let end = (0..first).rev().find(|&i| ends_field(field, i));
    end.map_or(0, |end| end + 1)
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
