//! Lenient parser for From fields that the strict grammar of [`super::mailbox`] refuses but people's programs
//! write.
//!
//! Takes the unfolded value of the field; returns its single address, or nothing. Accepts an unquoted special
//! character in the display name, such as the comma of `Miller, Ann <ann@corp.example>` or of an encoded-word
//! that contains one; a missing `>` at the end of the field; and dots in any place of the local part. The whole
//! field must contain exactly one `@`, encoded-words included, so that no reader can find another address in
//! it. Quoted strings and comments must be closed, because readers disagree about the text after an unclosed
//! one.

use mail_parser::decoders::charsets::map::charset_decoder;
use memchr::memmem;

use super::encoded_words;
use super::mailbox::{AddrSpec, domain, is_atext, is_encoded_word};
use super::tokens::{HeaderToken, Scanner};
use super::transfer_encoding;

/// Finds the only address of a field.
pub(super) fn only_mailbox(value: &[u8]) -> Option<AddrSpec<'_>> {
    if memchr::memchr(b'@', value).is_none() || may_hold_others(value, 1) {
        return None;
    }
    let mut scanner = Scanner::new(value);
    let mut in_brackets = false;
    let mut words = 0_usize;
    let mut last = HeaderToken::End;
    loop {
        let token = scanner.next().ok()?;
        match token {
            HeaderToken::Word(_) | HeaderToken::Quoted(_) => {
                words += 1;
                last = token;
            }
            HeaderToken::Special(b'<') if !in_brackets => {
                in_brackets = true;
                words = 0;
            }
            // Not the obsolete empty entry of a list.
            HeaderToken::Special(b',' | b';' | b':') if !in_brackets && words > 0 => words = 0,
            HeaderToken::Special(b'@') if words == 1 => break,
            HeaderToken::Special(_) | HeaderToken::End => return None,
        }
    }
    let local = match last {
        HeaderToken::Word(word) if is_local_part(word) => word,
        HeaderToken::Quoted(text) if !is_encoded_word(text) => text,
        _ => return None,
    };
    let address = AddrSpec {
        local: std::str::from_utf8(local).ok()?,
        domain: domain(&mut scanner).ok()?,
    };
    match (in_brackets, scanner.next().ok()?) {
        (_, HeaderToken::End) => Some(address),
        (true, HeaderToken::Special(b'>')) if scanner.next().ok()? == HeaderToken::End => {
            Some(address)
        }
        _ => None,
    }
}

/// True if a reader could find other addresses in a field than this number of them.
pub(super) fn may_hold_others(value: &[u8], addresses: usize) -> bool {
    memchr::memchr_iter(b'@', value).count() > addresses
        || value.contains(&0)
        || value.contains(&b'\r')
        || hides_an_at(value, addresses)
}

/// True for `atext` with dots in any place, as in the addresses of some Japanese mobile networks.
fn is_local_part(word: &[u8]) -> bool {
    word.iter().all(|&byte| byte == b'.' || is_atext(byte))
        && word.iter().any(|&byte| byte != b'.')
        && !is_encoded_word(word)
}

/// True if a reader that decodes encoded-words first, or normalizes characters, sees another `@`.
fn hides_an_at(value: &[u8], addresses: usize) -> bool {
    if holds_an_at(&String::from_utf8_lossy(value), addresses) {
        return true;
    }
    let mut rest = value;
    while let Some(start) = memmem::find(rest, b"=?") {
        rest = &rest[start + 2..];
        let mut parts = rest.splitn(3, |&byte| byte == b'?');
        let (Some(charset), Some([encoding]), Some(text)) =
            (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let end = memmem::find(text, b"?=").unwrap_or(text.len());
        let bytes = match encoding {
            b'q' | b'Q' => encoded_words::q_decode(&text[..end]),
            b'b' | b'B' => decode_b(&text[..end]),
            _ => continue,
        };
        if decode(charset, &bytes).is_none_or(|text| holds_an_at(&text, 0)) {
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

    fn read(value: &str) -> Option<String> {
        only_mailbox(value.as_bytes()).map(|address| address.addr_spec())
    }

    #[test]
    fn the_only_address_is_found() {
        for (value, written) in [
            ("Miller, Ann <ann@corp.example>", "ann@corp.example"),
            ("Miller, Ann, Dr. <ann@corp.example>", "ann@corp.example"),
            ("Miller; Ann <ann@corp.example>", "ann@corp.example"),
            ("IT: Ann <ann@corp.example>", "ann@corp.example"),
            ("Miller, ann@corp.example", "ann@corp.example"),
            ("Ann <ann@corp.example", "ann@corp.example"),
            ("<ann@corp.example", "ann@corp.example"),
            ("Miller, Ann <ann@corp.example", "ann@corp.example"),
            (
                "=?iso-8859-1?Q?B=FCrle, =20Bob?= <smith@corp.example>",
                "smith@corp.example",
            ),
            (
                "=?utf-8?B?TWlsbGVyLCBBbm4=?=, <a@corp.example>",
                "a@corp.example",
            ),
            ("=?utf-8?q?Lee,_Ann?= <a@corp.example>", "a@corp.example"),
            (
                "Lee, =?iso-2022-jp?B?GyRCRURDZhsoQg==?= <a@corp.example>",
                "a@corp.example",
            ),
            ("a..b@docomo.example", "a..b@docomo.example"),
            ("Ann <.a.@docomo.example>", ".a.@docomo.example"),
        ] {
            assert_eq!(read(value).as_deref(), Some(written), "{value}");
        }
    }

    #[test]
    fn ambiguous_fields_are_refused() {
        for value in [
            "Miller, Ann",
            "Miller, a@corp.example <b@corp.example>",
            "a@corp.example, b@corp.example",
            "Miller, \"ceo@corp.example\" <x@evil.example>",
            "Miller, Ann (ceo@corp.example) <x@evil.example>",
            "ceo\u{FF20}corp.example, <x@evil.example>",
            "=?utf-8?q?ceo=40corp.example,?= <x@evil.example>",
            "=?utf-8?q?ceo=40corp.example, <x@evil.example>",
            "=?utf-8?b?Y2VvQGNvcnAuZXhhbXBsZQ==?=, <x@evil.example>",
            "=?utf-8?b?Y2Vv QGNvcnAu,ZXhhbXBsZQ?= <x@evil.example>",
            "=?utf-8?q?ceo=EF=BC=A0corp.example,?= <x@evil.example>",
            "=?utf-7?q?ceo+AEA-corp.example,?= <x@evil.example>",
            "=?utf-16?b?AEAAQA==?=, <x@evil.example>",
            "=?no-such-charset?q?ceo,?= <x@evil.example>",
            "Ann ann@corp.example",
            "Ann \"Lee <ann@corp.example>",
            "Lee, Ann (HR <ann@corp.example>",
            "<ceo> x@evil.example",
            "<<ann@corp.example>>",
            "<ann@corp.example Lee",
            "<ann@corp.example> Lee",
            "ann@corp.example, Lee",
            ", ann@corp.example",
            "ann@corp.example>",
            "<@corp.example:ann",
            "Lee, <ann@corp . example>",
            "Lee, =?utf-8?q?ann?=@corp.example",
            "Lee, Ann\\ <ann@corp.example>",
            "Lee, Ann\r <ann@corp.example>",
            "...@corp.example",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
