//! A raw message in; out, the parts of it that are passed on: all but the fields of our own names.
//!
//! A help desk trusts `X-Vestibule-*` and the `Authentication-Results` of our name (RFC 8601 5), so
//! nobody outside may set one. Readers differ in what they
//! take for the beginning of a field: some end lines at a bare CR or a form feed, some skip control
//! characters or allow space before the colon. A field that *any* of them could take for ours is
//! left out. Only the header section is looked at, once and from left to right, and whatever is
//! kept stays as it is, byte for byte.

use std::ops::Range;

use crate::authentication::claims_to_be_ours;
use crate::domain::Domain;

/// How the names of our fields begin; compared without regard to case, `_` counting as `-`.
const PREFIX: &[u8] = b"x-vestibule-";

/// The name of a field that is ours when its value begins with our own.
const RESULTS: &[u8] = b"authentication-results:";

/// The ranges of `raw` to pass on, in order.
pub(super) fn foreign(raw: &[u8], hostname: &Domain) -> Vec<Range<usize>> {
    let mut kept = Kept::default();
    let mut at = 0;
    while at < raw.len() {
        let end = end_of_field(raw, at);
        let field = &raw[at..end];
        if is_empty_line(field) {
            break;
        }
        if at == 0 && is_blank(field[0]) {
            // A continuation of no field: behind ours, it would become part of the last of them.
            kept.skip(0..end);
        } else if let Some(mark) = first_mark(field, hostname) {
            if field[..mark].iter().any(u8::is_ascii_graphic) {
                // Ours behind an end of line that only some see. The line's own end remains.
                let content = end - line_ending(field);
                kept.skip(at + mark - 1..content);
            } else {
                // Nothing but ours; an empty line left in its place would end the header section.
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

/// Where in `field` a line begins whose name is one of ours, under any reading of "line".
fn first_mark(field: &[u8], hostname: &Domain) -> Option<usize> {
    let mut start = 0;
    let mut name = Name::default();
    for (i, &byte) in field.iter().enumerate() {
        if may_end_line(byte) {
            start = i + 1;
            name = Name::default();
        } else if i == start && i > 0 && is_blank(byte) {
            name = Name::of_another();
        } else if byte.is_ascii_graphic() && name.may_be_ours() {
            name.push(byte);
            let is_ours = name.has_prefix()
                || name.is_results() && claims_to_be_ours(&field[i + 1..], hostname);
            if is_ours {
                return Some(start);
            }
        }
    }
    None
}

/// How much of each of our names was seen since a line began; none once it is certain to be another.
struct Name {
    prefix: Option<usize>,
    results: Option<usize>,
}

impl Default for Name {
    fn default() -> Self {
        Self {
            prefix: Some(0),
            results: Some(0),
        }
    }
}

impl Name {
    fn of_another() -> Self {
        Self {
            prefix: None,
            results: None,
        }
    }

    fn may_be_ours(&self) -> bool {
        self.prefix.is_some() || self.results.is_some()
    }

    fn push(&mut self, byte: u8) {
        let plain = if byte == b'_' { b'-' } else { byte }.to_ascii_lowercase();
        for (seen, name) in [(&mut self.prefix, PREFIX), (&mut self.results, RESULTS)] {
            *seen = seen
                .filter(|count| name.get(*count) == Some(&plain))
                .map(|count| count + 1);
        }
    }

    fn has_prefix(&self) -> bool {
        self.prefix == Some(PREFIX.len())
    }

    fn is_results(&self) -> bool {
        self.results == Some(RESULTS.len())
    }
}

/// CR and LF, and what Python's `splitlines` takes for an end of line among the ASCII characters.
fn may_end_line(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0x0b | 0x0c | 0x1c..=0x1e)
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn is_empty_line(line: &[u8]) -> bool {
    line == b"\r\n" || line == b"\n"
}

fn line_ending(field: &[u8]) -> usize {
    match field {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    }
}

/// Ranges between what is skipped.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn without_marks(raw: &[u8]) -> Vec<u8> {
        let hostname = Domain::parse("gate.corp.example").expect("a domain");
        foreign(raw, &hostname)
            .into_iter()
            .flat_map(|range| raw[range].to_vec())
            .collect()
    }

    #[test]
    fn fields_of_our_names_are_left_out_however_written() {
        for (came, passed_on) in [
            ("From: a\r\n\r\nbody", "From: a\r\n\r\nbody"),
            (
                "X-Vestibule-Account: internal\r\nA: b\r\n\r\n",
                "A: b\r\n\r\n",
            ),
            (
                "A: b\r\nx-VESTIBULE-account:internal\r\n\r\n",
                "A: b\r\n\r\n",
            ),
            ("A: b\r\nX-Vestibule-Account : y\r\n\r\n", "A: b\r\n\r\n"),
            (
                "A: b\r\nX-Vestibule-Account\t: y\r\nC: d\r\n\r\n",
                "A: b\r\nC: d\r\n\r\n",
            ),
            (
                "A: b\r\nX-Vestibule-Groups: a,\r\n b,\r\n\tc\r\nC: d\r\n\r\n",
                "A: b\r\nC: d\r\n\r\n",
            ),
            (
                "A: b\r\nX-Vestibule-Account\r\n : y\r\n\r\n",
                "A: b\r\n\r\n",
            ),
            ("A: b\r\nX_Vestibule_Account: y\r\n\r\n", "A: b\r\n\r\n"),
            (
                "A: b\r\n\0X-Vesti\x08bule-Account: y\r\n\r\n",
                "A: b\r\n\r\n",
            ),
            (
                "A: b\r\nX-Vestibule-Anything-New: y\r\n\r\n",
                "A: b\r\n\r\n",
            ),
            // Behind an end of line that only some readers see.
            (
                "A: b\rX-Vestibule-Account: y\r\nC: d\r\n\r\n",
                "A: b\r\nC: d\r\n\r\n",
            ),
            (
                "A: b\x0cX-Vestibule-Account: y\r\n z\r\nC: d\r\n\r\n",
                "A: b\r\nC: d\r\n\r\n",
            ),
            (
                "A: b\r\n \rX-Vestibule-Account: y\r\n\r\n",
                "A: b\r\n \r\n\r\n",
            ),
            ("A: b\r\n\rX-Vestibule-Account: y\r\n\r\n", "A: b\r\n\r\n"),
            ("X-Vestibule-A: b\rFrom: c\r\nD: e\r\n\r\n", "D: e\r\n\r\n"),
            // No field, but it would become part of one of ours.
            (" and more\r\n of it\r\nA: b\r\n\r\n", "A: b\r\n\r\n"),
            // The last line has no end.
            ("A: b\r\nX-Vestibule-Account: y", "A: b\r\n"),
            ("A: b\rX-Vestibule-Account: y", "A: b"),
            // LF alone ends a line, too, in a file that was replayed.
            (
                "A: b\nX-Vestibule-Account: y\nC: d\n\nbody",
                "A: b\nC: d\n\nbody",
            ),
            // Not ours.
            ("X-Vestibulum: y\r\n\r\n", "X-Vestibulum: y\r\n\r\n"),
            (
                "A: X-Vestibule-Account: y\r\n\r\n",
                "A: X-Vestibule-Account: y\r\n\r\n",
            ),
            (
                "A: b\r\n X-Vestibule-Account: y\r\n\r\n",
                "A: b\r\n X-Vestibule-Account: y\r\n\r\n",
            ),
            (
                "A: b\r\n\r\nX-Vestibule-Account: y\r\n",
                "A: b\r\n\r\nX-Vestibule-Account: y\r\n",
            ),
            (
                "\r\nX-Vestibule-Account: y\r\n",
                "\r\nX-Vestibule-Account: y\r\n",
            ),
            ("", ""),
        ] {
            let shown = String::from_utf8(without_marks(came.as_bytes())).expect("ASCII");
            assert_eq!(shown, passed_on, "{came:?}");
        }
    }

    #[test]
    fn results_that_claim_our_name_are_left_out() {
        for (came, passed_on) in [
            (
                "Authentication-Results: gate.corp.example; dmarc=pass\r\nA: b\r\n\r\n",
                "A: b\r\n\r\n",
            ),
            (
                "A: b\r\nAUTHENTICATION-results :\r\n (x) \"Gate.Corp.Example\" 1;\r\n\tdmarc=pass\r\nC: d\r\n\r\n",
                "A: b\r\nC: d\r\n\r\n",
            ),
            (
                "A: b\rAuthentication-Results: gate.corp.example; dmarc=pass\r\nC: d\r\n\r\n",
                "A: b\r\nC: d\r\n\r\n",
            ),
            // Nobody else has to open this many brackets.
            (
                &format!(
                    "Authentication-Results: {}gate.corp.example\r\n\r\n",
                    "()".repeat(300)
                ),
                "\r\n",
            ),
            // Of another machine, with ours behind an end of line that only some see.
            (
                "Authentication-Results: mx.corp.example; dmarc=pass\r\n\r\n",
                "Authentication-Results: mx.corp.example; dmarc=pass\r\n\r\n",
            ),
            (
                "Authentication-Results: mx; none\rAuthentication-Results: gate.corp.example; none\r\n\r\n",
                "Authentication-Results: mx; none\r\n\r\n",
            ),
            (
                "Authentication-Results: mx; none\rX-Vestibule-Account: internal\r\n\r\n",
                "Authentication-Results: mx; none\r\n\r\n",
            ),
            (
                "X-Authentication-Results: gate.corp.example; none\r\n\r\n",
                "X-Authentication-Results: gate.corp.example; none\r\n\r\n",
            ),
        ] {
            let shown = String::from_utf8(without_marks(came.as_bytes())).expect("ASCII");
            assert_eq!(shown, passed_on, "{came:?}");
        }
    }

    /// The lines of a header as the most generous reader sees them.
    fn generous_lines(raw: &[u8]) -> Vec<Vec<u8>> {
        let end = strict_end(raw);
        raw[..end]
            .split(|&b| may_end_line(b))
            .map(<[u8]>::to_vec)
            .collect()
    }

    /// Where the header section ends for a reader that knows LF only.
    fn strict_end(raw: &[u8]) -> usize {
        let mut at = 0;
        for line in raw.split_inclusive(|&b| b == b'\n') {
            if is_empty_line(line) {
                return at;
            }
            at += line.len();
        }
        at
    }

    fn is_forged(line: &[u8]) -> bool {
        let name: Vec<u8> = line
            .iter()
            .take_while(|&&b| b != b':')
            .filter(|b| b.is_ascii_graphic())
            .map(|b| {
                if *b == b'_' {
                    b'-'
                } else {
                    b.to_ascii_lowercase()
                }
            })
            .collect();
        !line.first().is_some_and(|&b| is_blank(b)) && name.starts_with(PREFIX)
    }

    /// Pieces that forgers would put together.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "X-Vestibule-Account",
            "x_VESTIBULE-",
            "X-Vesti",
            "bule-Verified",
            "From: a@b.example",
            ": internal",
            " ",
            "\t",
            "\r\n",
            "\r",
            "\n",
            "\x0b",
            "\0",
            "ü",
            "word",
        ]);
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn no_reader_finds_a_field_of_ours_from_outside(raw in hostile()) {
            let passed_on = without_marks(&raw);
            for line in generous_lines(&passed_on) {
                prop_assert!(!is_forged(&line), "{:?}", String::from_utf8_lossy(&line));
            }
            // Nor does the header section end earlier than it did.
            prop_assert_eq!(
                passed_on.len() - strict_end(&passed_on),
                raw.len() - strict_end(&raw)
            );
        }

        #[test]
        fn the_body_is_never_touched(raw in hostile(), body in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut message = raw[..strict_end(&raw)].to_vec();
            if !message.is_empty() {
                message.extend_from_slice(b"\r\n");
            }
            message.extend_from_slice(b"\r\n");
            message.extend_from_slice(&body);
            let passed_on = without_marks(&message);
            prop_assert!(passed_on.ends_with(&body));
        }

        #[test]
        fn what_has_none_is_passed_on_whole(raw in prop::collection::vec(any::<u8>(), 0..400)) {
            let small = raw.to_ascii_lowercase();
            prop_assume!(!small.windows(4).any(|w| w == b"vest"));
            prop_assume!(!raw.first().is_some_and(|&b| is_blank(b)));
            prop_assert_eq!(without_marks(&raw), raw);
        }
    }
}
