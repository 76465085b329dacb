//! Tokens of address fields (RFC 5322 3.2).
//!
//! Takes a field's value; returns one token at a time, without comments and folding white space. An unclosed
//! element is an error, whatever follows.

use super::SenderFault;
use super::text::printable;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderToken<'a> {
    /// The text between specials and white space, dots included.
    Word(&'a [u8]),
    /// With its quotes.
    Quoted(&'a [u8]),
    Special(u8),
    End,
}

impl HeaderToken<'_> {
    /// Number of octets in the field.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Word(text) | Self::Quoted(text) => text.len(),
            Self::Special(_) => 1,
            Self::End => 0,
        }
    }
}

/// Splits a field into tokens; comments and folding white space are dropped.
pub(super) struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    pub(super) fn new(field: &'a [u8]) -> Self {
        Self { rest: field }
    }

    /// The text after the last token.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn is_at_literal(&self) -> bool {
        self.rest.first() == Some(&b'[')
    }

    pub(super) fn next(&mut self) -> Result<HeaderToken<'a>, SenderFault> {
        self.skip_comments()?;
        let token = match self.rest.first() {
            None => HeaderToken::End,
            Some(b'"') => {
                let length = self.quoted_length()?;
                HeaderToken::Quoted(self.take(length))
            }
            Some(&byte) if ends_word(byte) => {
                if byte.is_ascii_control() || byte == b'\\' || byte == b')' {
                    return Err(not_an_address("it contains an unexpected character"));
                }
                self.take(1);
                HeaderToken::Special(byte)
            }
            Some(_) => {
                let length = self.rest.iter().position(|&byte| ends_word(byte));
                HeaderToken::Word(self.take(length.unwrap_or(self.rest.len())))
            }
        };
        Ok(token)
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn skip_comments(&mut self) -> Result<(), SenderFault> {
        let mut depth = 0_usize;
        let rest = self.rest;
        let mut bytes = rest.iter().enumerate();
        while let Some((at, &byte)) = bytes.next() {
            match byte {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b'\\' if depth > 0 => {
                    bytes.next();
                }
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ if depth > 0 => {}
                _ => {
                    self.take(at);
                    return Ok(());
                }
            }
        }
        if depth > 0 {
            return Err(not_an_address("a comment is not closed"));
        }
        self.rest = &[];
        Ok(())
    }

    fn quoted_length(&self) -> Result<usize, SenderFault> {
        let mut bytes = self.rest.iter().enumerate().skip(1);
        while let Some((at, &byte)) = bytes.next() {
            match byte {
                b'"' => return Ok(at + 1),
                b'\\' => {
                    bytes.next();
                }
                _ => {}
            }
        }
        Err(not_an_address("a quoted string is not closed"))
    }

    /// Reads an address literal (RFC 5321 4.1.3): printable characters without brackets and backslashes.
    pub(super) fn literal(&mut self) -> Result<&'a str, SenderFault> {
        let length = self.rest.iter().skip(1).position(|&byte| byte == b']');
        let text = length.map(|length| self.take(length + 2));
        text.filter(|text| {
            text[1..text.len() - 1]
                .iter()
                .all(|&byte| byte.is_ascii_graphic() && !matches!(byte, b'[' | b'\\'))
        })
        .and_then(|text| std::str::from_utf8(text).ok())
        .ok_or_else(|| not_an_address("an address literal is not closed"))
    }
}

/// The specials of RFC 5322 3.2.3 without the dot and the square brackets, and unprintable characters.
fn ends_word(byte: u8) -> bool {
    byte.is_ascii_control() || b" ()<>:;@\\,\"".contains(&byte)
}

pub(super) fn not_an_address(why: &str) -> SenderFault {
    SenderFault::NotAnAddress(printable(why.as_bytes()))
}
