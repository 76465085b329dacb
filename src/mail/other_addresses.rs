//! Other addresses that some programs find in a field with addresses.
//!
//! Takes the value of the field and the number of addresses that our parsers find in it.

use mail_parser::decoders::charsets::map::charset_decoder;
use memchr::memmem;

use super::header::Field;
use super::{SenderFault, encoded_words, transfer_encoding};

/// The fault of a field for which [`has_other_address`] is true.
pub(super) fn other_address() -> SenderFault {
    SenderFault::Ambiguous("some programs may find another address in it".to_owned())
}

/// True if some programs do not parse this field as the grammar wants, and could find other addresses in it than this
/// number. `value` is the unfolded value.
pub(super) fn has_other_address(field: &Field, value: &[u8], addresses: usize) -> bool {
    is_read_differently(field.value) && may_hold_others(value, addresses)
}

/// True if the value has a square bracket outside of quotes, or a fold in a quoted string or comment: some programs
/// then search it for an address.
fn is_read_differently(value: &[u8]) -> bool {
    let (mut is_quoted, mut depth, mut after_backslash) = (false, 0_usize, false);
    for &byte in value {
        let is_nested = is_quoted || depth > 0;
        let is_escaped = std::mem::take(&mut after_backslash);
        match byte {
            b'\n' if is_nested => return true,
            _ if is_escaped => {}
            b'\\' if is_nested => after_backslash = true,
            b'"' if depth == 0 => is_quoted = !is_quoted,
            b'(' if !is_quoted => depth += 1,
            b')' if !is_quoted => depth = depth.saturating_sub(1),
            b'[' | b']' if !is_nested => return true,
            _ => {}
        }
    }
    false
}

/// True if a reader could find more addresses than this number in an unfolded value: it decodes encoded-words first,
/// normalizes characters, or takes a NUL or a bare CR for an end.
pub(super) fn may_hold_others(value: &[u8], addresses: usize) -> bool {
    value.contains(&0)
        || value.contains(&b'\r')
        || holds_an_at(&String::from_utf8_lossy(value), addresses)
        || encoded_words_hide_an_at(value)
}

/// True if an encoded-word has an `@`, or readers disagree about its end: it is not closed, or contains the beginning
/// of another one. So each octet is decoded once at most.
fn encoded_words_hide_an_at(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some(start) = memmem::find(rest, b"=?") {
        rest = &rest[start + 2..];
        let mut parts = rest.splitn(3, |&byte| byte == b'?');
        let (Some(charset), Some([encoding]), Some(text)) =
            (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let decode_text: fn(&[u8]) -> Vec<u8> = match encoding {
            b'q' | b'Q' => encoded_words::q_decode,
            b'b' | b'B' => decode_b,
            _ => continue,
        };
        let Some(end) = memmem::find(text, b"?=") else {
            return true;
        };
        let text = &text[..end];
        let is_nested = memmem::find(text, b"=?").is_some();
        let decoded = || decode(charset, &decode_text(text));
        if is_nested || decoded().is_none_or(|text| holds_an_at(&text, 0)) {
            return true;
        }
    }
    false
}

/// True if there are more than `most` `@` signs, including small and fullwidth ones.
fn holds_an_at(text: &str, most: usize) -> bool {
    let is_at = |c: &char| matches!(c, '@' | '\u{FE6B}' | '\u{FF20}');
    text.chars().filter(is_at).count() > most
}

/// Returns None for an unknown charset, or one in which ASCII is not ASCII: its meaning to a reader is
/// unknown.
fn decode(charset: &[u8], bytes: &[u8]) -> Option<String> {
    // RFC 2231 5 adds a language.
    let name = charset.split(|&byte| byte == b'*').next()?;
    let name = name.to_ascii_lowercase();
    match &name[..] {
        b"utf-8" | b"utf8" | b"us-ascii" => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ if name.starts_with(b"utf") || name.starts_with(b"unicode") => None,
        _ => charset_decoder(&name)
            .map(|decoder| decoder(bytes))
            .filter(|text| !text.contains(char::REPLACEMENT_CHARACTER)),
    }
}

/// Decodes the B encoding (RFC 2047 4.1). Skips characters outside of base64.
fn decode_b(text: &[u8]) -> Vec<u8> {
    text.split(|&byte| byte == b'=')
        .flat_map(transfer_encoding::base64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_without_an_end_take_linear_time() {
        let begin = std::time::Instant::now();
        for (pattern, end) in [
            ("=?utf-8?q?a ", ""),
            ("=?utf-8?q?a ", "?="),
            ("=?utf-8?b?YQ ", "?="),
            ("=?utf-8?x?a ", "?="),
            ("=?", "?q?a?="),
        ] {
            let value = format!("<ann@corp.example> ({}{end})", pattern.repeat(200_000));
            let _ = may_hold_others(value.as_bytes(), 1);
        }
        // Quadratic work would take hours.
        let limit = std::time::Duration::from_mins(5);
        assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
    }

    #[test]
    fn an_encoded_word_whose_end_is_uncertain_may_hide_an_address() {
        for (value, expected) in [
            ("=?utf-8?q?Ann?= <a@corp.example>", false),
            ("=?utf-8?q?Ann?=\t=?utf-8?q?Lee?= <a@corp.example>", false),
            ("<a@corp.example> (=?utf-8?q?Ann)", true),
            ("=?utf-8?q?e=40x=?utf-8?q?Ann?= <a@corp.example>", true),
            ("=?utf-8?q?e=40x.example?= <a@corp.example>", true),
        ] {
            assert_eq!(may_hold_others(value.as_bytes(), 1), expected, "{value}");
        }
    }
}
