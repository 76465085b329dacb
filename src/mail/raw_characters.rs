//! Raw characters of East Asian charsets in a field with addresses, some of which contain octets of ASCII.
//!
//! Takes the unfolded value. The second octet of a character of `Shift_JIS`, Big5 or GBK can be a backslash or an `@`,
//! that of Johab an angle bracket, and in ISO-2022-JP each octet can be any of ASCII. Whether it is one depends on
//! whether a reader decodes the value before it looks for the structure.

use super::iso2022::{ESCAPE, selects_ascii};
use super::mailbox::AddrSpec;

/// True if a reader that first decodes raw octets in such a charset, even octets that are UTF-8, may see other quotes
/// and comments than the parser that found these addresses, or no `@` in one of them.
pub(super) fn depends_on_charset(value: &[u8], found: &[AddrSpec]) -> bool {
    let is_delimiter = |byte: u8| b"\"\\()".contains(&byte);
    let may_be_second = |byte: u8| is_delimiter(byte) || b"<>,:;".contains(&byte);
    let loses_at = |address: &AddrSpec| address.local.ends_with(|c: char| !c.is_ascii());
    is_in_other_set(value, is_delimiter)
        || is_second_octet(value, |byte| byte == b'\\')
        || (is_second_octet(value, may_be_second) && std::str::from_utf8(value).is_err())
        || found.iter().any(loses_at)
}

/// True if an `@` may be part of a raw character.
pub(super) fn may_contain_at(value: &[u8]) -> bool {
    let is_at = |byte: u8| byte == b'@';
    is_in_other_set(value, is_at)
        || (is_second_octet(value, is_at) && std::str::from_utf8(value).is_err())
}

/// True if such an octet stands in text of ISO-2022-JP or the like that is not ASCII.
fn is_in_other_set(value: &[u8], is_such: impl Fn(u8) -> bool) -> bool {
    let mut runs = value.split(|&byte| byte == ESCAPE).skip(1);
    runs.any(|run| !selects_ascii(run) && run.iter().any(|&byte| is_such(byte)))
}

/// True if such an octet follows one above ASCII.
fn is_second_octet(value: &[u8], is_such: impl Fn(u8) -> bool) -> bool {
    let mut pairs = value.windows(2);
    pairs.any(|pair| !pair[0].is_ascii() && is_such(pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_octets_may_hide_the_structure() {
        for (value, expected) in [
            (
                &b"\"\x95\\\" <ceo@corp.example> (\" <x@evil.example>"[..],
                true,
            ),
            (b"\"\x1b$B%\" <a@b.example> (\x1b(B\" <e@x.example>))", true),
            ("\"\u{df}\\\" <a@b.example>".as_bytes(), true),
            (b"\"ceo@corp.example\" \xd8<x@evil.example>", true),
            (b"\"\x1b$B@6?e\x1b(B\" <a@b.example>", false),
            (b"\"\x83@\x83C\" <a@b.example>", false),
            (b"\"M\xfcller\" <a@b.example>", false),
            (b"\"Ann \\\"IT\\\"\" <a@b.example>", false),
            ("\"Ren\u{e9}\" <a@b.example>".as_bytes(), false),
        ] {
            assert_eq!(depends_on_charset(value, &[]), expected, "{value:?}");
        }
        for (local, expected) in [("x\u{df}", true), ("\u{df}x", false), ("x", false)] {
            let domain = "evil.example";
            let address = AddrSpec { local, domain };
            assert_eq!(depends_on_charset(b"", &[address]), expected, "{local}");
        }
    }

    #[test]
    fn an_at_may_be_part_of_a_raw_character() {
        for (value, expected) in [
            (&b"\x83@\x83C <a@b.example>"[..], true),
            (b"\x1b$B@6?e\x1b(B <a@b.example>", true),
            (b"\x1b$B;3ED\x1b(B a@b.example", false),
            (b"\x83C <a@b.example>", false),
            ("Ren\u{e9}@b.example <a@b.example>".as_bytes(), false),
            (b"Ann@ <a@b.example>", false),
        ] {
            assert_eq!(may_contain_at(value), expected, "{value:?}");
        }
    }
}
