//! Decoding of Content-Transfer-Encoding (RFC 2045 6), without losing an octet.
//!
//! Takes an encoded body; returns its octets. Decodes broken encodings as far as possible: base64 without
//! padding, with noise in it or in several padded pieces; quoted-printable with invalid escapes. An unknown
//! encoding leaves the body unchanged.

use super::header::Section;
use super::parameters::comment_end;

/// The transfer encoding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferEncoding {
    /// 7bit, 8bit, binary, none, and unknown encodings.
    Identity,
    Base64,
    QuotedPrintable,
    /// From before MIME, and never registered.
    Uuencode,
}

impl TransferEncoding {
    pub(super) fn of(header: &Section) -> Self {
        let Some(field) = header.first("Content-Transfer-Encoding") else {
            return Self::Identity;
        };
        let text = field.text();
        // A comment may precede it (RFC 2045 3).
        let mut value = &*text;
        while value.starts_with('(') {
            value = value[comment_end(value.as_bytes(), 0)..].trim_start();
        }
        let word = value
            .trim_start_matches(['"', '\'', ' '])
            .split(|c: char| c.is_whitespace() || matches!(c, ';' | '(' | '"' | '\'' | ','))
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        match word.as_str() {
            "base64" => Self::Base64,
            "quoted-printable" => Self::QuotedPrintable,
            "x-uuencode" | "x-uue" | "uuencode" | "uue" => Self::Uuencode,
            _ => Self::Identity,
        }
    }

    #[must_use]
    pub fn is_identity(self) -> bool {
        self == Self::Identity
    }
}

/// Decodes a body.
pub(super) fn decode(body: &[u8], encoding: TransferEncoding) -> Vec<u8> {
    match encoding {
        TransferEncoding::Identity => body.to_vec(),
        TransferEncoding::Base64 => base64(body),
        TransferEncoding::QuotedPrintable => quoted_printable(body),
        TransferEncoding::Uuencode => decode_uuencoded(body),
    }
}

/// Decodes base64 (RFC 2045 6.8). Characters outside of the alphabet are skipped. Padding ends a piece; another
/// one may follow, unless the following text is not base64, such as the footer of a mailing list.
pub(super) fn base64(body: &[u8]) -> Vec<u8> {
    let last_noise = body
        .iter()
        .rposition(|&byte| sextet(byte).is_none() && byte != b'=' && !byte.is_ascii_whitespace());
    decode_base64(body, last_noise)
}

/// Decodes base64 in one or several pieces, even with other text between them.
pub(super) fn base64_pieces(text: &[u8]) -> Vec<u8> {
    decode_base64(text, None)
}

/// Decodes base64, but only up to the first padding if that is before `last_noise`.
fn decode_base64(body: &[u8], last_noise: Option<usize>) -> Vec<u8> {
    let mut octets = Vec::with_capacity(body.len() / 4 * 3 + 3);
    let mut quantum = Quantum::default();
    for (place, &byte) in body.iter().enumerate() {
        if let Some(value) = sextet(byte) {
            quantum.push(value, &mut octets);
        } else if byte == b'=' && quantum.count > 1 {
            quantum.flush(&mut octets);
            if last_noise.is_some_and(|noise| noise > place) {
                break;
            }
        }
    }
    quantum.flush(&mut octets);
    octets
}

/// Up to four characters of base64 that are not decoded yet.
#[derive(Default)]
struct Quantum {
    bits: u32,
    count: u8,
}

impl Quantum {
    fn push(&mut self, value: u8, octets: &mut Vec<u8>) {
        self.bits = self.bits << 6 | u32::from(value);
        self.count += 1;
        if self.count == 4 {
            octets.extend_from_slice(&self.bits.to_be_bytes()[1..]);
            *self = Self::default();
        }
    }

    /// Decodes an incomplete quantum; a single character has only six bits and gives no octet.
    fn flush(&mut self, octets: &mut Vec<u8>) {
        match self.count {
            2 => octets.push(self.bits.to_be_bytes()[3] >> 4 | self.bits.to_be_bytes()[2] << 4),
            3 => octets.extend_from_slice(&(self.bits >> 2).to_be_bytes()[2..]),
            _ => {}
        }
        *self = Self::default();
    }
}

pub(super) const BASE64: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Value of each character of base64; 64 for others.
const VALUES: [u8; 256] = {
    let mut values = [64; 256];
    let mut value = 0_u8;
    while value < 64 {
        values[BASE64[value as usize] as usize] = value;
        value += 1;
    }
    values
};

pub(super) fn sextet(byte: u8) -> Option<u8> {
    Some(VALUES[usize::from(byte)]).filter(|value| *value < 64)
}

/// The octets of a group of base64 without padding; None if a character is not of its alphabet.
pub(super) fn base64_group(characters: [u8; 4]) -> Option<[u8; 3]> {
    let values = characters.map(|character| VALUES[usize::from(character)]);
    let bits = values
        .iter()
        .fold(0, |bits, value| bits << 6 | u32::from(*value));
    let [_, octets @ ..] = bits.to_be_bytes();
    values.iter().all(|value| *value < 64).then_some(octets)
}

/// Value of a character of uuencode, also of one outside of its alphabet.
pub(super) fn uuencoded_value(byte: u8) -> u8 {
    byte.wrapping_sub(b' ') & 0x3f
}

/// Decodes quoted-printable (RFC 2045 6.7). An invalid escape stays as it is.
pub(super) fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(place) = memchr::memchr(b'=', rest) {
        octets.extend_from_slice(&rest[..place]);
        let after = &rest[place + 1..];
        if let Some(octet) = hex_octet(after) {
            octets.push(octet);
            rest = &after[2..];
        } else if let Some(length) = soft_break(after) {
            rest = &after[length..];
        } else {
            octets.push(b'=');
            rest = after;
        }
    }
    octets.extend_from_slice(rest);
    octets
}

/// Value of two hexadecimal digits of either case.
pub(super) fn hex_octet(text: &[u8]) -> Option<u8> {
    let digit = |place: usize| char::from(*text.get(place)?).to_digit(16);
    u8::try_from(digit(0)? << 4 | digit(1)?).ok()
}

/// Length of the blanks and the line end of a soft line break; the end of the body counts as one, too.
pub(super) fn soft_break(text: &[u8]) -> Option<usize> {
    let blanks = text
        .iter()
        .take_while(|&&byte| matches!(byte, b' ' | b'\t'))
        .count();
    match text[blanks..] {
        [b'\r', b'\n', ..] => Some(blanks + 2),
        [b'\n', ..] => Some(blanks + 1),
        [] | [b'\r'] => Some(text.len()),
        _ => None,
    }
}

/// Decodes the lines between `begin` and `end`; a body without them stays unchanged.
fn decode_uuencoded(body: &[u8]) -> Vec<u8> {
    let mut lines = body.split(|&byte| byte == b'\n');
    if !lines.any(|line| line.starts_with(b"begin ")) {
        return body.to_vec();
    }
    let mut octets = Vec::with_capacity(body.len() / 4 * 3);
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line == b"end" {
            break;
        }
        let Some((&length, characters)) = line.split_first() else {
            continue;
        };
        let bits = |place: usize| characters.get(place).copied().map_or(0, uuencoded_value);
        let length = usize::from(uuencoded_value(length));
        for octet in 0..length.min(characters.len()) {
            let (group, place) = (octet / 3 * 4, octet % 3);
            octets.push(match place {
                0 => bits(group) << 2 | bits(group + 1) >> 4,
                1 => bits(group + 1) << 4 | bits(group + 2) >> 2,
                _ => bits(group + 2) << 6 | bits(group + 3),
            });
        }
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_octet_of_broken_base64_is_lost() {
        for (body, octets) in [
            ("aGVsbG8=", "hello"),
            ("aGVs\r\nbG8=\r\n", "hello"),
            ("aGVsbG8", "hello"),
            ("aGVsbA==", "hell"),
            ("aGVsbA", "hell"),
            ("aGVsbA=", "hell"),
            ("JVBERi0xLjQ", "%PDF-1.4"),
            ("aG!Vs\0 bG\u{e9}8=", "hello"),
            ("aGVsbA==bw==", "hello"),
            ("aGVsbA==\r\nbw==\r\n", "hello"),
            ("aGVsbG8=\r\n-- \r\nA list\r\n", "hello"),
            ("aGVsbG8=\r\n_______\r\n", "hello"),
            ("=aGVsbG8=", "hello"),
            ("aGVsbG8a", "hello\u{1a}"),
            ("aGVsb", "hel"),
            ("", ""),
        ] {
            let found = base64(body.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), octets, "{body:?}");
        }
    }

    #[test]
    fn no_octet_of_broken_quoted_printable_is_lost() {
        for (body, octets) in [
            ("h=65llo", "hello"),
            ("=c3=A9", "\u{e9}"),
            ("hel=\r\nlo", "hello"),
            ("hel= \t\r\nlo", "hello"),
            ("hel=\nlo", "hello"),
            ("hello=", "hello"),
            ("a=b=3Dc=", "a=b=c"),
            ("1+1=2 =zz =4", "1+1=2 =zz =4"),
            ("caf\u{e9}", "caf\u{e9}"),
            ("a  \r\nb", "a  \r\nb"),
        ] {
            let found = quoted_printable(body.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), octets, "{body:?}");
        }
    }

    #[test]
    fn uuencoded_lines_are_octets() {
        let body = b"begin 644 a.txt\r\n%:&5L;&\\\r\n`\r\nend\r\nafter\r\n";
        assert_eq!(decode_uuencoded(body), b"hello");
        assert_eq!(decode_uuencoded(b"no such lines"), b"no such lines");
    }

    #[test]
    fn encodings_are_known_by_their_first_word() {
        for (value, encoding) in [
            ("base64", TransferEncoding::Base64),
            (" BASE64 ; x", TransferEncoding::Base64),
            ("\"base64\"", TransferEncoding::Base64),
            ("Quoted-Printable (c)", TransferEncoding::QuotedPrintable),
            ("(a (b)) (c) base64", TransferEncoding::Base64),
            ("(base64", TransferEncoding::Identity),
            ("8bit", TransferEncoding::Identity),
            ("base85", TransferEncoding::Identity),
            ("", TransferEncoding::Identity),
        ] {
            let header = format!("Content-Transfer-Encoding: {value}\r\n\r\n");
            let section = Section::of(header.as_bytes());
            assert_eq!(TransferEncoding::of(&section), encoding, "{value}");
        }
    }
}
