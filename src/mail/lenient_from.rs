//! Lenient parser for From fields that the strict grammar of [`super::mailbox`] refuses but people's programs
//! write.
//!
//! Takes the unfolded value of the field; returns its single address, or nothing. Accepts an unquoted special
//! character in the display name, such as the comma of `Miller, Ann <ann@corp.example>` or of an encoded-word
//! that contains one; a missing `>` at the end of the field; and dots in any place of the local part. The whole
//! field must contain exactly one `@`, encoded-words included, so that no reader can find another address in
//! it. Quoted strings and comments must be closed, because readers disagree about the text after an unclosed
//! one.

use super::mailbox::{AddrSpec, domain, is_atext, is_encoded_word};
use super::other_addresses::may_hold_others;
use super::tokens::{HeaderToken, Scanner};

/// Finds the only address of a field.
pub(super) fn only_mailbox(value: &[u8]) -> Option<AddrSpec<'_>> {
    if may_hold_others(value, 1) {
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

/// True for `atext` with dots in any place, as in the addresses of some Japanese mobile networks.
fn is_local_part(word: &[u8]) -> bool {
    word.iter().all(|&byte| byte == b'.' || is_atext(byte))
        && word.iter().any(|&byte| byte != b'.')
        && !is_encoded_word(word)
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
