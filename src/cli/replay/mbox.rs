//! Splits an mbox file into its messages, one at a time: a file of any size takes the memory of its
//! largest message.
//!
//! A message begins at a line `From …` with a time of day in it (RFC 4155 appendix A), at the start of the
//! file or after an empty line; other lines that begin with `From ` belong to the text. One `>` is removed
//! from `>From `, `>>From ` and so on, as mboxrd added it.

use std::io::{self, BufRead, Read};

/// Maximum size of a message.
pub const MAX_OCTETS: u64 = 256 << 20;

/// Iterator over the messages of an mbox file.
pub struct Messages<R> {
    reader: R,
    line: Vec<u8>,
    /// The separator of the next message has been read.
    at_message: bool,
    ended: bool,
}

impl<R: BufRead> Messages<R> {
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            line: Vec::new(),
            at_message: false,
            ended: false,
        }
    }

    /// Reads the next line with its end; false at the end of the file.
    fn next_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let mut bounded = self.reader.by_ref().take(MAX_OCTETS + 1);
        let read = bounded.read_until(b'\n', &mut self.line)?;
        Ok(read > 0)
    }

    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.ended {
            return Ok(None);
        }
        while !self.at_message {
            if !self.next_line()? {
                self.ended = true;
                return Ok(None);
            }
            self.at_message = is_separator(&self.line);
        }
        let mut message = Vec::new();
        // An empty line belongs to the separator after it, if there is one.
        let mut empty_line: Option<Vec<u8>> = None;
        loop {
            if !self.next_line()? {
                self.ended = true;
                return Ok(Some(message));
            }
            let begins = message.is_empty() && empty_line.is_none();
            if (begins || empty_line.is_some()) && is_separator(&self.line) {
                return Ok(Some(message));
            }
            if let Some(empty) = empty_line.take() {
                message.extend_from_slice(&empty);
            }
            if is_empty(&self.line) {
                empty_line = Some(self.line.clone());
                continue;
            }
            message.extend_from_slice(unquote(&self.line));
            if message.len() as u64 > MAX_OCTETS {
                return Err(too_large());
            }
        }
    }
}

pub fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!(
            "longer than {} MiB, so it is not a message",
            MAX_OCTETS >> 20
        ),
    )
}

impl<R: BufRead> Iterator for Messages<R> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.read().transpose();
        // After an error the position is unknown.
        self.ended |= matches!(message, Some(Err(_)));
        message
    }
}

/// True if a file that begins like this is an mbox.
pub fn is_mbox(start: &[u8]) -> bool {
    let line = start.split(|&byte| byte == b'\n').next().unwrap_or(start);
    is_separator(line)
}

/// Matches `From `, an address, and a time of day anywhere after it.
fn is_separator(line: &[u8]) -> bool {
    line.starts_with(b"From ")
        && line.windows(5).any(|text| {
            text[2] == b':'
                && [text[0], text[1], text[3], text[4]]
                    .iter()
                    .all(u8::is_ascii_digit)
        })
}

fn is_empty(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

fn unquote(line: &[u8]) -> &[u8] {
    let marks = line.iter().take_while(|&&byte| byte == b'>').count();
    if marks > 0 && line[marks..].starts_with(b"From ") {
        &line[1..]
    } else {
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        Messages::new(text.as_bytes())
            .map(|message| String::from_utf8(message.expect("memory")).expect("ASCII"))
            .collect()
    }

    #[test]
    fn messages_come_out_as_they_went_in() {
        let text = "From ann@corp.example Mon Nov 23 09:00:00 2026\n\
            Subject: one\n\nFrom here on it is text.\n\nFrom all of us, at 9 o'clock\n>From him\n>>From her\n\n\
            From MAILER-DAEMON Mon Nov 23 09:00:01 2026\nSubject: two\n\n\n\n\
            From x Mon Nov 23 09:00:01 2026\n";
        assert_eq!(
            split(text),
            [
                "Subject: one\n\nFrom here on it is text.\n\nFrom all of us, at 9 o'clock\nFrom him\n>From her\n",
                "Subject: two\n\n\n",
                ""
            ]
        );
    }

    #[test]
    fn a_file_that_is_not_an_mbox_has_no_messages() {
        assert!(split("").is_empty());
        assert!(split("Subject: one\n\ntext\n").is_empty());
        assert!(!is_mbox(b"From here on\n"));
        assert!(is_mbox(
            b"From a@b.example  Mon Nov 23 09:00:00 2026\r\nSubject: x"
        ));
    }

    #[test]
    fn crlf_is_kept() {
        let text = "From a Mon Nov 23 09:00:00 2026\r\nA: b\r\n\r\nc\r\n\r\nFrom a Mon Nov 23 09:00:00 2026\r\nd: e\r\n";
        assert_eq!(split(text), ["A: b\r\n\r\nc\r\n", "d: e\r\n"]);
    }
}
