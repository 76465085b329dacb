//! Lenient parser for From fields that the strict grammar of [`super::mailbox`] refuses but people's programs
//! write.
//!
//! Takes the unfolded value of the field; returns its single address, or nothing. Accepts an unquoted special
//! character in the display name, such as the comma of `Miller, Ann <ann@corp.example>` or of an encoded-word
//! that contains one; a missing `>` at the end of the field; commas and semicolons after the `>`; a display name
//! in raw ISO-2022-JP; and dots in any place of the local part. The whole field must contain exactly one `@`,
//! encoded-words included, so that no reader can find another address in it. Quoted strings and comments must
//! be closed, because readers disagree about the text after an unclosed one.

use memchr::memchr;

use super::iso2022::{self, ESCAPE, selects_ascii};
use super::lenient_structure::MAX_LINE;
use super::mailbox::{AddrSpec, domain, is_atext, is_encoded_word};
use super::other_addresses::may_hold_others;
use super::tokens::{HeaderToken, Scanner};

/// Finds the only address of a field.
pub(super) fn only_mailbox(value: &[u8]) -> Option<AddrSpec<'_>> {
    if value.len() > MAX_LINE || may_hold_others(value, 1) {
        return None;
    }
    let found = single_mailbox(value);
    if found.is_none() && iso2022::is_likely(value) {
        return after_japanese_name(value);
    }
    found
}

/// Finds the address after a display name in raw ISO-2022-JP (RFC 1468).
///
/// To a reader that takes the name for ASCII, it contains specials, and `ESC ( B` at its end opens a comment. Such
/// a reader finds this address or none: the brackets around it are the only `<` and hold the only `@`, and no `"`
/// in the name can begin a quoted local part.
fn after_japanese_name(value: &[u8]) -> Option<AddrSpec<'_>> {
    let (name, address) = value.split_at(memchr(b'<', value)?);
    let is_known_set = |run: &[u8]| run.starts_with(b"$B") || selects_ascii(run);
    let is_escape = |byte: &u8| *byte == ESCAPE;
    let is_iso_2022_jp = name.split(is_escape).skip(1).all(is_known_set)
        && name.rsplit(is_escape).next().is_some_and(selects_ascii);
    if !is_iso_2022_jp || name.contains(&b'"') || address.iter().any(|byte| b"\"(".contains(byte)) {
        return None;
    }
    let decoded = iso2022::decode(name);
    let is_invalid = |c: char| c == char::REPLACEMENT_CHARACTER || (c.is_control() && c != '\t');
    if decoded.contains(is_invalid) || may_hold_others(decoded.as_bytes(), 0) {
        return None;
    }
    let found = single_mailbox(address)?;
    let whole = [decoded.as_bytes(), address].concat();
    (single_mailbox(&whole)? == found).then_some(found)
}

/// Finds the address of a field in which no reader finds another one.
fn single_mailbox(value: &[u8]) -> Option<AddrSpec<'_>> {
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
    let mut token = scanner.next().ok()?;
    if in_brackets && token == HeaderToken::Special(b'>') {
        token = scanner.next().ok()?;
        // Entries of a list without text: no reader finds an address in them.
        while matches!(token, HeaderToken::Special(b',' | b';')) {
            token = scanner.next().ok()?;
        }
    }
    (token == HeaderToken::End).then_some(address)
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
            ("Ann Miller <ann@corp.example>,", "ann@corp.example"),
            ("Ann Miller <ann@corp.example>;", "ann@corp.example"),
            ("Miller, Ann <ann@corp.example> , ;", "ann@corp.example"),
            ("<ann@corp.example>; (IT)", "ann@corp.example"),
            (
                "Lee, =?cp932?B?jlKTYw==?= <ann@corp.example>",
                "ann@corp.example",
            ),
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
            "ann@corp.example,",
            "ann@corp.example;",
            "Ann <ann@corp.example,",
            "Ann <ann@corp.example;>",
            "<ann@corp.example>:",
            "<ann@corp.example>, Lee",
            "\"Ann Miller\" ann@corp.example",
            "Ann <mailto:ann@corp.example>",
            "'ann@corp.example' <ann@corp.example>",
            "<@corp.example:ann",
            "Lee, <ann@corp . example>",
            "Lee, =?utf-8?q?ann?=@corp.example",
            "Lee, Ann\\ <ann@corp.example>",
            "Lee, Ann\r <ann@corp.example>",
            "...@corp.example",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
        // A program that truncates the line may find a shorter domain.
        for (length, expected) in [(900, true), (1000, false)] {
            let value = format!("Lee, {} <ann@corp.example>", "a".repeat(length));
            assert_eq!(read(&value).is_some(), expected, "{length}");
        }
    }

    #[test]
    fn a_name_in_raw_iso_2022_jp_hides_no_other_address() {
        for value in [
            "\x1b$B;3ED\x1b(B <ann@corp.example>",
            "\x1b$B:4F#\x1b(J\t<ann@corp.example>,",
            "\x1b$B>.NS\x1b(B <ann@corp.example",
            "Lee, \x1b$B%)%(!\\\x1b(B Ann <ann@corp.example>",
            "Lee, \"\x1b$B;3ED\x1b(B\" <ann@corp.example>",
            "\x1b$B;3ED\x1b(B (IT) <ann@corp.example>",
        ] {
            let found = read(value);
            assert_eq!(found.as_deref(), Some("ann@corp.example"), "{value:?}");
        }
        for value in [
            // Octets that are @, ", < or > in ASCII, and the fullwidth @.
            "\x1b$B@6?e\x1b(B <x@evil.example>",
            "\x1b$B%\"%s\x1b(B <x@evil.example>",
            "\x1b$B<ceo>!\x1b(B <x@evil.example>",
            "\x1b$B!w\x1b(B <x@evil.example>",
            // Other sets, and a name that does not return to ASCII.
            "\x1b$@;3ED\x1b(B <x@evil.example>",
            "\x1b$(C0!\x1b(B <x@evil.example>",
            "\x1b(I1\x1b(B <x@evil.example>",
            "\x1b$B;3ED <x@evil.example>",
            "\x1b$B;3E\x1b(B <x@evil.example>",
            // The address is not alone in brackets at the end.
            "\x1b$B;3ED\x1b(B, x@evil.example",
            "\x1b$B;3ED\x1b(B <\"x\"@evil.example>",
            "\x1b$B;3ED\x1b(B <x@evil.example (y)>",
            "\x1b$B;3ED\x1b(B <x@evil.example> \x1b$B%)\x1b(B",
            "<\x1b$B;3ED\x1b(B@evil.example>",
            "(\x1b$B;3ED\x1b(B <x@evil.example>",
        ] {
            assert_eq!(read(value), None, "{value:?}");
        }
    }
}
