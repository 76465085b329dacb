//! The body in the form that a signature hashes (RFC 6376 3.4.3 and 3.4.4).
//!
//! `mail-auth` has these forms, too, but with `relaxed` it keeps lines of blanks at the end of a body, and it removes
//! each bare CR.

use mail_auth::common::headers::{Writable, Writer};
use mail_auth::dkim::Canonicalization;

/// A body and its form.
#[derive(Debug, Clone, Copy)]
pub(super) struct SignedBody<'a> {
    pub(super) body: &'a [u8],
    pub(super) form: Canonicalization,
}

impl Writable for SignedBody<'_> {
    fn write(self, writer: &mut impl Writer) {
        let is_relaxed = self.form == Canonicalization::Relaxed;
        let mut is_empty = true;
        // Empty lines count only if another line follows.
        let mut empty_lines = 0;
        for line in self.body.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = if is_relaxed { trim_end(line) } else { line };
            if line.is_empty() {
                empty_lines += 1;
                continue;
            }
            for _ in 0..std::mem::take(&mut empty_lines) {
                writer.write(b"\r\n");
            }
            if is_relaxed {
                write_words(line, writer);
            } else {
                writer.write(line);
            }
            writer.write(b"\r\n");
            is_empty = false;
        }
        if is_empty && !is_relaxed {
            writer.write(b"\r\n");
        }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim_end(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !is_blank(*byte));
    &line[..end.map_or(0, |end| end + 1)]
}

/// Writes a line with one space in the place of each sequence of blanks.
fn write_words(line: &[u8], writer: &mut impl Writer) {
    for (index, word) in line.split(|byte| is_blank(*byte)).enumerate() {
        if index > 0 && !word.is_empty() {
            writer.write(b" ");
        }
        writer.write(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Written(Vec<u8>);

    impl Writer for Written {
        fn write(&mut self, octets: &[u8]) {
            self.0.extend_from_slice(octets);
        }
    }

    fn written(body: &str, form: Canonicalization) -> String {
        let mut writer = Written::default();
        let body = body.as_bytes();
        SignedBody { body, form }.write(&mut writer);
        String::from_utf8(writer.0).expect("text")
    }

    #[test]
    fn a_body_has_the_form_of_the_standard() {
        for (body, simple, relaxed) in [
            ("", "\r\n", ""),
            ("\r\n\r\n", "\r\n", ""),
            ("a", "a\r\n", "a\r\n"),
            ("a\r\n\r\n\r\n", "a\r\n", "a\r\n"),
            ("\r\n\r\na\r\n", "\r\n\r\na\r\n", "\r\n\r\na\r\n"),
            // RFC 6376 3.4.5.
            (
                " C \r\nD \t E\r\n\r\n\r\n",
                " C \r\nD \t E\r\n",
                " C\r\nD E\r\n",
            ),
            (" \r\n", " \r\n", ""),
            ("a\r\n \r\n\t\r\n", "a\r\n \r\n\t\r\n", "a\r\n"),
            ("a\r\n \t\r\nb\r\n", "a\r\n \t\r\nb\r\n", "a\r\n\r\nb\r\n"),
            ("a\rb\r\r\n", "a\rb\r\r\n", "a\rb\r\r\n"),
            ("a\nb\n", "a\r\nb\r\n", "a\r\nb\r\n"),
        ] {
            assert_eq!(written(body, Canonicalization::Simple), simple, "{body:?}");
            assert_eq!(
                written(body, Canonicalization::Relaxed),
                relaxed,
                "{body:?}"
            );
        }
    }
}
