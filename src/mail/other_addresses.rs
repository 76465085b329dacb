//! Other addresses that some programs find in a field with addresses.
//!
//! Takes the value of the field and the number of addresses that our parsers find in it.

use encoding_rs::Encoding;
use memchr::memmem;

use super::charset::{self, Label};
use super::header::Field;
use super::{SenderFault, encoded_words, transfer_encoding};

/// Begins an escape sequence of ISO-2022-JP and its relatives.
pub(super) const ESCAPE: u8 = 0x1b;

/// The fault of a field for which [`has_other_address`] is true.
pub(super) fn other_address() -> SenderFault {
    SenderFault::Ambiguous("some programs may find another address in it".to_owned())
}

/// True if some programs do not parse this field as the grammar wants, and could find other addresses in it than this
/// number. `value` is the unfolded value.
pub(super) fn has_other_address(field: &Field, value: &[u8], addresses: usize) -> bool {
    (is_read_differently(field.value) || depends_on_charset(value))
        && may_hold_others(value, addresses)
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

/// True if a reader that first decodes raw octets in an East Asian charset may see other quotes and comments: a
/// backslash or the like follows an octet above ASCII that is not UTF-8, and may be the second octet of a character
/// of `Shift_JIS` or Big5; or it stands in text of ISO-2022-JP.
fn depends_on_charset(value: &[u8]) -> bool {
    let is_delimiter = |byte: &u8| b"\"\\()".contains(byte);
    let is_second_octet = |pair: &[u8]| !pair[0].is_ascii() && is_delimiter(&pair[1]);
    let is_in_other_set = |run: &[u8]| {
        let is_ascii_set = run.starts_with(b"(B") || run.starts_with(b"(J");
        !is_ascii_set && run.iter().any(is_delimiter)
    };
    let mut runs = value.split(|&byte| byte == ESCAPE).skip(1);
    runs.any(is_in_other_set)
        || (value.windows(2).any(is_second_octet) && std::str::from_utf8(value).is_err())
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
/// of another one. So each octet is decoded once at most. True also if there are too many to read them all.
fn encoded_words_hide_an_at(value: &[u8]) -> bool {
    const MAX_WORDS: usize = 1000;
    let mut rest = value;
    let mut words = 0_usize;
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
        words += 1;
        if words > MAX_WORDS {
            return true;
        }
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
    // No known name is longer.
    const MAX_CHARSET: usize = 80;
    if charset.len() > MAX_CHARSET {
        return None;
    }
    let label = Label::parse(charset)?;
    let is = |name: &[u8]| Label::parse(name) == Some(label);
    if is(b"utf-8") || is(b"us-ascii") {
        // A character may continue in the next encoded-word.
        return Some(String::from_utf8_lossy(bytes).into_owned());
    }
    // A reader may give a byte order mark precedence over the label.
    if Encoding::for_bom(bytes).is_some() || !is_ascii_compatible(&label) {
        return None;
    }
    charset::decode_strictly(bytes, &label)
}

/// True if printable ASCII is the same in this charset, without shifts as in UTF-7 and HZ.
fn is_ascii_compatible(label: &Label) -> bool {
    let mut octets: Vec<u8> = (b' '..=b'~').collect();
    octets.extend_from_slice(b"+AEA-~{@@~}");
    charset::decode(&octets, Some(label)).as_bytes() == octets
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

    #[test]
    fn encoded_words_are_read_in_every_charset_that_contains_ascii() {
        for (word, expected) in [
            ("=?cp932?B?jlKTYw==?=", false),
            ("=?windows-31j?B?h0COUg==?=", false),
            ("=?ks_c_5601-1987?B?yKux5rW/?=", false),
            ("=?gb18030?B?1cXOsA==?=", false),
            ("=?iso-2022-jp?B?GyRCOzNFRBsoQg==?=", false),
            ("=?koi8-r*ru?B?6dfBzg==?=", false),
            ("=?utf-8?q?M=C3?= =?utf-8?q?=BCller?=", false),
            // An @, a fullwidth @ and invalid octets.
            ("=?cp932?q?ceo=40corp.example?=", true),
            ("=?cp932?B?gZc=?=", true),
            ("=?cp932?B?/w==?=", true),
            // ASCII is not ASCII in these, whatever their name.
            ("=?cp65000?q?ceo+AEA-corp.example?=", true),
            ("=?x-utf-7?q?Ann?=", true),
            ("=?hz-gb-2312?q?Ann?=", true),
            ("=?utf-16?B?AEE=?=", true),
            ("=?ucs-2?B?AEE=?=", true),
            ("=?utf-32?B?AAAAQQ==?=", true),
            ("=?cp932?B?/v8AQQ==?=", true),
            ("=?no-such-charset?q?Ann?=", true),
        ] {
            let value = format!("Lee, {word} <a@corp.example>");
            assert_eq!(may_hold_others(value.as_bytes(), 1), expected, "{word}");
        }
        let long = format!("=?{}?q?Ann?= <a@corp.example>", "x".repeat(100_000));
        assert!(may_hold_others(long.as_bytes(), 1));
        for (words, expected) in [(1000, false), (1001, true)] {
            let value = format!("{}<a@corp.example>", "=?cp932?q?a?= ".repeat(words));
            assert_eq!(may_hold_others(value.as_bytes(), 1), expected, "{words}");
        }
    }

    #[test]
    fn raw_octets_may_hide_the_end_of_a_quoted_string() {
        for (value, expected) in [
            (
                &b"\"\x95\\\" <ceo@corp.example> (\" <x@evil.example>"[..],
                true,
            ),
            (b"\"\x1b$B%\" <a@b.example> (\x1b(B\" <e@x.example>))", true),
            (b"\"\x1b$B@6?e\x1b(B\" <a@b.example>", false),
            (b"\"M\xfcller\" <a@b.example>", false),
            (b"\"Ann \\\"IT\\\"\" <a@b.example>", false),
            ("\"Ren\u{e9}\" <a@b.example>".as_bytes(), false),
        ] {
            assert_eq!(depends_on_charset(value), expected, "{value:?}");
        }
    }
}
