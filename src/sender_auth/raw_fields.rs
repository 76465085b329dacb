//! Splits a header into fields exactly as `mail-auth` does, so that the same octets are hashed.
//!
//! Takes a raw message; returns name and value of each field, unparsed, and the start of the body.
//! `mail-auth` parses every field that it knows, which for a hostile field takes up to a hundred times its size in
//! memory. Here a field is parsed only after its size was checked.

use memchr::{memchr, memchr2};

/// Iterates over the fields of a header.
pub(super) struct RawFields<'x> {
    raw: &'x [u8],
    at: usize,
}

impl<'x> RawFields<'x> {
    pub(super) fn of(raw: &'x [u8]) -> Self {
        Self { raw, at: 0 }
    }

    /// Start of the body, once there are no more fields.
    pub(super) fn body_offset(&self) -> usize {
        self.at
    }

    /// End of the field with this colon: the first line end without white space after it. None if the message
    /// ends first.
    fn value_end(&self, colon: usize) -> Option<usize> {
        let mut at = colon + 1;
        loop {
            let line_end = at + memchr(b'\n', &self.raw[at..])? + 1;
            if !self.is_folded(line_end) {
                return Some(line_end);
            }
            at = line_end;
        }
    }

    fn is_folded(&self, at: usize) -> bool {
        matches!(self.raw.get(at), Some(b' ' | b'\t'))
    }
}

impl<'x> Iterator for RawFields<'x> {
    type Item = (&'x [u8], &'x [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let mut at = start;
        while let Some(found) = memchr2(b':', b'\n', &self.raw[at..]) {
            let stop = at + found;
            if self.raw[stop] == b':' {
                let Some(end) = self.value_end(stop) else {
                    break;
                };
                self.at = end;
                return Some((&self.raw[start..stop], &self.raw[stop + 1..end]));
            }
            let line_end = stop + 1;
            // The empty line, or any line without a colon that CRLF ends.
            if stop == start || self.raw[at..stop].last() == Some(&b'\r') {
                self.at = line_end;
                return None;
            }
            if !self.is_folded(line_end) {
                self.at = line_end;
                return Some((&self.raw[start..line_end], b""));
            }
            at = line_end;
        }
        self.at = self.raw.len();
        None
    }
}

#[cfg(test)]
mod tests {
    use mail_auth::AuthenticatedMessage;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_fields_are_those_that_the_library_sees(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "a", "From", "DKIM-Signature", ":", ": ", " ", "\t", "\r", "\n", "\r\n", "\r\n", "\r\n ",
            ]), 0..40),
        ) {
            let raw = pieces.concat();
            let mut fields = RawFields::of(raw.as_bytes());
            let found: Vec<_> = fields.by_ref().collect();
            match AuthenticatedMessage::parse(raw.as_bytes()) {
                Some(message) => {
                    prop_assert_eq!(&found, &message.headers);
                    prop_assert_eq!(fields.body_offset(), message.body_offset());
                }
                None => prop_assert!(found.is_empty()),
            }
        }
    }
}
