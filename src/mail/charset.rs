//! Decoding of octets in a named charset, or in an unknown one.
//!
//! Takes octets and their label; returns text. A label is trusted unless the octets contradict it: UTF-8 or
//! ISO-2022-JP with a label of ASCII or with none, or hardly any valid UTF-8 with a label of UTF-8. In a body, a byte
//! order mark takes precedence over the label, ISO-2022-JP is found with a label of UTF-8, too, and 8-bit octets with a
//! label of ISO-2022 are in another charset of the language. Invalid octets are replaced, never dropped.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::charset_label::Charset;
pub use super::charset_label::Label;
use super::{codepages, iso2022};

/// Decodes octets, with replacement characters for invalid ones.
#[must_use]
pub fn decode(octets: &[u8], label: Option<&Label>) -> String {
    match label.map_or(Charset::Ascii, |label| label.0) {
        Charset::Ascii => detect(octets),
        Charset::Whatwg(encoding) if encoding == UTF_8 => utf8(octets, WINDOWS_1252),
        Charset::Whatwg(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => {
            // A byte order mark takes precedence over the label.
            encoding.decode(octets).0.into_owned()
        }
        Charset::Whatwg(encoding) => encoding.decode_with_bom_removal(octets).0.into_owned(),
        Charset::Iso2022(_) => iso2022::decode(octets),
        Charset::Hz => iso2022::decode_hz(octets),
        Charset::Utf7 => utf7(octets),
        Charset::Utf32 { is_little } => utf32(octets, is_little),
        Charset::CodePage(page) => codepages::decode(page, octets),
    }
}

/// Decodes the octets of a body. More often than those of a field, they are from a file or another program, and
/// contradict the label.
#[must_use]
pub fn decode_body(octets: &[u8], label: Option<&Label>) -> String {
    let charset = label.map_or(Charset::Ascii, |label| label.0);
    if let Some(encoding) = byte_order_mark(octets, charset) {
        return encoding.decode(octets).0.into_owned();
    }
    match charset {
        Charset::Whatwg(encoding) if encoding == UTF_8 && iso2022::is_likely(octets) => {
            iso2022::decode(octets)
        }
        Charset::Iso2022(eight_bit) if !octets.is_ascii() && !iso2022::has_escape(octets) => {
            detect_among(eight_bit, octets)
        }
        _ => decode(octets, label),
    }
}

/// The charset of a byte order mark, unless its octets may be letters in the labelled charset.
fn byte_order_mark(octets: &[u8], charset: Charset) -> Option<&'static Encoding> {
    let (encoding, length) = Encoding::for_bom(octets)?;
    let text = &octets[length..];
    let is_mark = match charset {
        // The mark of UTF-32 begins with that of UTF-16.
        Charset::Utf32 { .. } => false,
        _ if encoding == UTF_8 => text.is_ascii() || is_mostly_utf8(text),
        Charset::Ascii => true,
        Charset::Whatwg(label) if label == UTF_8 => true,
        _ => text.contains(&0),
    };
    is_mark.then_some(encoding)
}

/// Decodes octets of UTF-8 or of the first of these charsets in which they are valid.
fn detect_among(encodings: &[&'static Encoding], octets: &[u8]) -> String {
    if is_mostly_utf8(octets) {
        return utf8(octets, WINDOWS_1252);
    }
    let decode_valid = |encoding: &&'static Encoding| {
        encoding.decode_without_bom_handling_and_without_replacement(octets)
    };
    let text = encodings.iter().find_map(decode_valid);
    text.map_or_else(|| utf8(octets, WINDOWS_1252), Cow::into_owned)
}

/// Decodes octets with a correct label; None if any of them is invalid.
pub(super) fn decode_strictly(octets: &[u8], label: &Label) -> Option<String> {
    // These charsets have 7 bits.
    if matches!(label.0, Charset::Iso2022(_)) && !octets.is_ascii() {
        return None;
    }
    let text = decode(octets, Some(label));
    let has_c1 = text.chars().any(|c| matches!(c, '\u{80}'..='\u{9f}'));
    (!has_c1 && !text.contains(char::REPLACEMENT_CHARACTER)).then_some(text)
}

/// Detects the charset from the octets.
fn detect(octets: &[u8]) -> String {
    // Text after the mark of UTF-8 may be in another charset nevertheless.
    if let Some((encoding, _)) = Encoding::for_bom(octets)
        && encoding != UTF_8
    {
        return encoding.decode(octets).0.into_owned();
    }
    if iso2022::is_likely(octets) {
        return iso2022::decode(octets);
    }
    utf8(octets, WINDOWS_1252)
}

/// Decodes UTF-8, or `otherwise` if hardly any of the octets above ASCII are valid UTF-8.
pub(super) fn utf8(octets: &[u8], otherwise: &'static Encoding) -> String {
    let octets = octets.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(octets);
    if let Ok(text) = std::str::from_utf8(octets) {
        return text.to_owned();
    }
    if is_mostly_utf8(octets) {
        return String::from_utf8_lossy(octets).into_owned();
    }
    otherwise.decode_without_bom_handling(octets).0.into_owned()
}

/// True if there are more multi-octet characters than errors; a character cut off at the end is not an error.
pub(super) fn is_mostly_utf8(octets: &[u8]) -> bool {
    let (mut characters, mut faults) = (0_usize, 0_usize);
    for chunk in octets.utf8_chunks() {
        characters += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        // Only at the end can a character be incomplete rather than wrong.
        let is_wrong = std::str::from_utf8(chunk.invalid()).is_err_and(|e| e.error_len().is_some());
        faults += usize::from(is_wrong);
    }
    characters > faults
}

/// Decodes UTF-7 (RFC 2152): base64 of UTF-16 between `+` and the first character outside of the base64
/// alphabet, which is dropped if it is `-`.
fn utf7(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let mut rest = octets;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'+' {
            text.push(if first.is_ascii() {
                char::from(first)
            } else {
                char::REPLACEMENT_CHARACTER
            });
            continue;
        }
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        let length = rest.iter().take_while(|byte| is_base64(byte)).count();
        if length == 0 {
            text.push('+');
        } else {
            let units = super::transfer_encoding::base64(&rest[..length]);
            let whole = &units[..units.len() / 2 * 2];
            text.push_str(&UTF_16BE.decode_without_bom_handling(whole).0);
        }
        rest = &rest[length..];
        rest = rest.strip_prefix(b"-").unwrap_or(rest);
    }
    text
}

fn utf32(octets: &[u8], is_little: bool) -> String {
    let is_little = is_little || octets.starts_with(&[0xFF, 0xFE, 0, 0]);
    let read = |unit: &[u8]| {
        let unit: [u8; 4] = unit.try_into().ok()?;
        let number = if is_little {
            u32::from_le_bytes(unit)
        } else {
            u32::from_be_bytes(unit)
        };
        char::from_u32(number)
    };
    octets
        .chunks(4)
        .map(|unit| read(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
        .filter(|c| *c != '\u{feff}')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_that_contradict_a_label_are_trusted() {
        for (name, octets, expected) in [
            (None, &b"plain"[..], "plain"),
            (None, "grüße".as_bytes(), "grüße"),
            (None, b"gr\xfc\xdfe", "grüße"),
            (None, b"\xef\xbb\xbfa", "a"),
            (None, b"\xef\xbb\xbfM\xfcller", "Müller"),
            (None, b"\xff\xfea\0", "a"),
            (None, b"\x1b$B$*Ld$$9g$o$;\x1b(B", "お問い合わせ"),
            (Some("us-ascii"), "ü".as_bytes(), "ü"),
            (Some("us-ascii"), b"\x1b$B$\"\x1b(B", "あ"),
            (Some("us-ascii"), b"\x93a\x94", "“a”"),
            (Some("utf-8"), b"D\xfcben", "Düben"),
            (Some("utf-8"), b"\xc3\xbc\xc3\xb6 \xfc", "üö \u{fffd}"),
            (Some("utf-8"), b"\xc3\xbca\xe2\x82", "üa\u{fffd}"),
            (Some("iso-8859-1"), b"\xc3\xbc", "Ã¼"),
        ] {
            let label = name.and_then(|name: &str| Label::parse(name.as_bytes()));
            assert_eq!(
                decode(octets, label.as_ref()),
                expected,
                "{name:?} {octets:?}"
            );
        }
    }

    #[test]
    fn the_octets_of_a_body_are_trusted_more_than_its_label() {
        for (name, octets, expected) in [
            ("iso-8859-1", &b"\xef\xbb\xbfM\xc3\xbcller"[..], "Müller"),
            ("windows-1251", b"\xef\xbb\xbfa", "a"),
            ("iso-8859-1", b"\xef\xbb\xbf \xfc", "ï»¿ ü"),
            ("utf-8", b"\xff\xfeM\0\xfc\0", "Mü"),
            ("us-ascii", b"\xfe\xff\0M\0\xfc", "Mü"),
            ("iso-8859-1", b"\xff\xfea\0", "a"),
            ("windows-1251", b"\xff\xfe\xe1", "яюб"),
            ("utf-16le", b"\xfe\xff\0a", "a"),
            ("utf-32le", b"\xff\xfe\0\0a\0\0\0", "a"),
            ("utf-8", b"\x1b$B%W%j%s%?\x1b(B", "プリンタ"),
            ("utf-8", b"\x1b[1mplain", "\u{1b}[1mplain"),
            ("utf-8", "プリンタ".as_bytes(), "プリンタ"),
            ("utf-8", b"\xef\xbb\xbfD\xfcben", "Düben"),
            ("iso-2022-jp", "プリンタ".as_bytes(), "プリンタ"),
            ("iso-2022-jp", b"\x83v\x83\x8a\x83\x93\x83^", "プリンタ"),
            (
                "iso-2022-jp",
                b"\xa5\xd7\xa5\xea\xa5\xf3\xa5\xbf",
                "プリンタ",
            ),
            ("iso-2022-jp", b"D\xfcben", "Düben"),
            ("iso-2022-jp", b"\x1b$B$\"\x1b(B \xfc", "あ ü"),
            ("iso-2022-kr", b"\xb0\xa1", "가"),
            ("iso-2022-cn", b"\xc4\xe3", "你"),
            ("iso-2022-jp", b"\x1b$B$\"\x1b(B", "あ"),
            ("iso-8859-1", b"\xc3\xbc", "Ã¼"),
        ] {
            let label = Label::parse(name.as_bytes());
            assert!(label.is_some(), "{name}");
            let text = decode_body(octets, label.as_ref());
            assert_eq!(text, expected, "{name} {octets:?}");
        }
        assert_eq!(decode_body(b"\xff\xfea\0", None), "a");
        assert_eq!(decode_body(b"D\xfcben", None), "Düben");
        assert_eq!(decode_body(b"\xef\xbb\xbfD\xfcben", None), "Düben");
    }

    /// An encoded-word is decoded as labelled, so that no octet is another character to another reader.
    #[test]
    fn octets_of_a_field_are_decoded_as_labelled() {
        for (name, octets, expected) in [
            ("windows-1251", &b"\xff\xfe \xff\0"[..], "яю я\0"),
            ("utf-8", b"\x1b$B!w\x1b(B", "\u{1b}$B!w\u{1b}(B"),
        ] {
            let label = Label::parse(name.as_bytes());
            assert_eq!(decode(octets, label.as_ref()), expected, "{name}");
        }
        let strictly = |name: &str, octets: &[u8]| {
            let label = Label::parse(name.as_bytes()).expect(name);
            decode_strictly(octets, &label)
        };
        assert_eq!(strictly("iso-2022-jp", "ceo＠x".as_bytes()), None);
        let katakana = strictly("iso-2022-jp", b"\x1b(I1\x1b(B");
        assert_eq!(katakana.as_deref(), Some("ｱ"));
    }
}
