//! Addresses with their display names, for programs that show or answer a message.
//!
//! Takes a field with addresses; returns them, with decoded names. If the parsers that determine the sender find
//! exactly one address in a field, it is the only one, so that a name with a comma is not another author.
//! mail-parser reads fields with several addresses. An address that an account can have is written as that of the
//! account, so that programs can compare the two.

use mail_parser::Address;
use mail_parser::parsers::MessageStream;

use super::charset::Label;
use super::encoded_words;
use super::header::Field;
use super::lenient_from::only_mailbox;
use super::mailbox::mailboxes;
use super::text::one_line;
use super::tokens::{HeaderToken, Scanner};
use crate::domain::EmailAddress;

/// Maximum number of octets of a field in which names, and the addresses of a list, are read.
const MAX_FIELD: usize = 256 * 1024;

/// An address with its display name. One of them may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedAddress {
    pub name: Option<String>,
    /// As [`EmailAddress`] writes it; the addr-spec of the field if no account can have this address.
    pub address: Option<String>,
}

/// Parses a field. `body` is the charset of the body, for raw octets.
pub(super) fn parse(field: &Field, body: Option<&Label>) -> Vec<NamedAddress> {
    let value = &field.value[..field.value.len().min(MAX_FIELD)];
    let mut line = encoded_words::join(value, body);
    if let Some(only) = only_address(field, &line) {
        return vec![only];
    }
    line.push(b'\n');
    let parsed = MessageStream::new(&line).parse_address();
    let addresses = parsed.as_address().into_iter().flat_map(Address::iter);
    addresses
        .map(|one| NamedAddress {
            name: one.name().map(str::to_owned),
            address: one.address().map(|address| {
                EmailAddress::parse(address)
                    .map_or_else(|_| address.to_owned(), |usable| usable.to_string())
            }),
        })
        .collect()
}

/// The only address of a field; None if there are none or several. `line` is the value in UTF-8, encoded-words
/// included, so that no octet of a character is a backslash or the like.
fn only_address(field: &Field, line: &[u8]) -> Option<NamedAddress> {
    let value = field.unfold();
    let (address, is_valid) = match mailboxes(&value, 1) {
        Ok(found) => (found.first().copied()?, true),
        Err(_) => (only_mailbox(&value)?, false),
    };
    let usable = EmailAddress::from_parts(address.local, address.domain);
    Some(NamedAddress {
        name: display_name(line, is_valid),
        address: Some(usable.map_or_else(|_| address.addr_spec(), |usable| usable.to_string())),
    })
}

/// The text before the address and the comments, decoded. The name of a group, which only a valid field has, is not
/// part of it.
fn display_name(line: &[u8], is_valid: bool) -> Option<String> {
    let mut scanner = Scanner::new(line);
    let (mut words, mut comments) = (Vec::<u8>::new(), Vec::<u8>::new());
    // Length of the words before the last one, which is the local part of an address without brackets.
    let mut before_last = 0;
    let mut is_before_address = true;
    loop {
        let rest = scanner.rest();
        let Ok(token) = scanner.next() else { break };
        let gap = &rest[..rest.len() - scanner.rest().len() - token.length()];
        append_comments(gap, &mut comments);
        match token {
            HeaderToken::End => break,
            _ if !is_before_address => {}
            HeaderToken::Special(b'<') => is_before_address = false,
            HeaderToken::Special(b'@') => {
                words.truncate(before_last);
                // A separator before the address is not part of the name.
                while matches!(words.last(), Some(b' ' | b',' | b';' | b':')) {
                    words.pop();
                }
                is_before_address = false;
            }
            HeaderToken::Special(b':') if is_valid => words.clear(),
            token => {
                before_last = words.len();
                if !gap.is_empty() && !words.is_empty() {
                    words.push(b' ');
                }
                append_word(token, &mut words);
            }
        }
    }
    let decode = |text: &[u8]| one_line(&encoded_words::decode(text, None));
    match (decode(words.trim_ascii()), decode(&comments)) {
        (Some(name), Some(comments)) => Some(format!("{name} ({comments})")),
        (name, comments) => name.or(comments),
    }
}

/// Appends a token, without the quotes and backslashes of a quoted string.
fn append_word(token: HeaderToken, words: &mut Vec<u8>) {
    match token {
        HeaderToken::Word(word) => words.extend_from_slice(word),
        HeaderToken::Quoted(text) => {
            let mut bytes = text[1..text.len() - 1].iter();
            while let Some(byte) = bytes.next() {
                words.extend(if *byte == b'\\' {
                    bytes.next()
                } else {
                    Some(byte)
                });
            }
        }
        HeaderToken::Special(byte) => words.push(byte),
        HeaderToken::End => {}
    }
}

/// Appends the text of the comments between two tokens, without their outer parentheses and backslashes.
fn append_comments(gap: &[u8], comments: &mut Vec<u8>) {
    let mut depth = 0_usize;
    let mut bytes = gap.iter();
    while let Some(&byte) = bytes.next() {
        match (byte, depth) {
            (b'\\', _) => comments.extend(bytes.next()),
            (b'(', 0) => {
                depth = 1;
                if !comments.is_empty() {
                    comments.push(b' ');
                }
            }
            (b')', 1) => depth = 0,
            // White space between comments.
            (_, 0) => {}
            _ => {
                match byte {
                    b'(' => depth += 1,
                    b')' => depth -= 1,
                    _ => {}
                }
                comments.push(byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::Section;
    use super::*;

    fn read(value: &[u8], body: Option<&str>) -> Vec<NamedAddress> {
        let raw = [&b"From: "[..], value, b"\r\n\r\n"].concat();
        let field = Section::of(&raw).first("From").expect("a field");
        let label = body.and_then(|name| Label::parse(name.as_bytes()));
        parse(&field, label.as_ref())
    }

    fn named(name: Option<&str>, address: &str) -> NamedAddress {
        NamedAddress {
            name: name.map(str::to_owned),
            address: Some(address.to_owned()),
        }
    }

    #[test]
    fn a_field_with_one_address_names_one_person() {
        for (value, name) in [
            ("ann@corp.example", None),
            ("<ann@corp.example>", None),
            ("Ann <ann@corp.example>", Some("Ann")),
            ("ann@corp.example <ann@corp.example>", None),
            ("Miller, Ann <ann@corp.example>", Some("Miller, Ann")),
            ("Miller,Ann <ann@corp.example>", Some("Miller,Ann")),
            ("Miller, ann@corp.example", Some("Miller")),
            ("Miller; Ann <ann@corp.example>;", Some("Miller; Ann")),
            ("IT: Ann <ann@corp.example>", Some("IT: Ann")),
            ("IT: Ann <ann@corp.example>;", Some("Ann")),
            ("IT:ann@corp.example;", None),
            ("Ann <ann@corp.example", Some("Ann")),
            ("Ann <ann@corp.example>,", Some("Ann")),
            (
                "Ann \"IT\" Miller <ann@corp.example>",
                Some("Ann IT Miller"),
            ),
            ("Ann\"IT\"Miller <ann@corp.example>", Some("AnnITMiller")),
            (
                "\"Miller, Ann \\\"IT\\\"\" <ann@corp.example>",
                Some("Miller, Ann \"IT\""),
            ),
            ("\"\" <ann@corp.example>", None),
            ("\" Ann  Lee \"\t<ann@corp.example>", Some("Ann Lee")),
            ("J. R. Miller <ann@corp.example>", Some("J. R. Miller")),
            ("[IT] Ann <ann@corp.example>", Some("[IT] Ann")),
            (
                "Ann (IT) Miller <ann@corp.example>",
                Some("Ann Miller (IT)"),
            ),
            (
                "Ann <ann@corp.example> (IT (2nd\\)) floor) (x)",
                Some("Ann (IT (2nd)) floor x)"),
            ),
            (
                "ann@corp.example (=?utf-8?q?Ann_M=C3=BCller?=)",
                Some("Ann M\u{fc}ller"),
            ),
            (
                "=?utf-8?q?M=C3=BCller?=, Ann <ann@corp.example>",
                Some("M\u{fc}ller, Ann"),
            ),
            (
                "=?utf-8?q?M=C3?=\r\n =?utf-8?q?=BCller,?= Ann <ann@corp.example>",
                Some("M\u{fc}ller, Ann"),
            ),
            (
                "\"=?utf-8?q?M=C3=BCller=2C?= Ann\" <ann@corp.example>",
                Some("M\u{fc}ller, Ann"),
            ),
            (
                "=?iso-8859-1?q?B=FCrle, =20Bob?= <ann@corp.example>",
                Some("B\u{fc}rle, Bob"),
            ),
            (
                "=?utf-8?q?Ann_=3Cceo=40corp.example=3E?= <ann@corp.example>",
                Some("Ann <ceo@corp.example>"),
            ),
            (
                "\x1b$B;3ED\x1b(B <ann@corp.example>",
                Some("\u{5c71}\u{7530}"),
            ),
            (
                "\"\x1b$B;3ED\x1b(B\" <ann@corp.example>",
                Some("\u{5c71}\u{7530}"),
            ),
        ] {
            assert_eq!(
                read(value.as_bytes(), None),
                [named(name, "ann@corp.example")],
                "{value:?}"
            );
        }
    }

    #[test]
    fn the_address_is_the_sender_in_every_charset() {
        for (value, body, name, address) in [
            (
                &b"\"D\xfcben\" <a@x.example>"[..],
                None,
                "D\u{fc}ben",
                "a@x.example",
            ),
            (
                b"\"\xc8\xe2\" <a@x.example>",
                Some("windows-1251"),
                "\u{418}\u{432}",
                "a@x.example",
            ),
            (
                b"\"\x95\\\" <ceo@corp.example> (\" <a@x.example>",
                Some("shift_jis"),
                "\u{8868}",
                "a@x.example",
            ),
            (
                b"\"\x95\\A\" <a@x.example>",
                Some("shift_jis"),
                "\u{8868}A",
                "a@x.example",
            ),
            (
                "ann@b\u{fc}cher.example".as_bytes(),
                None,
                "",
                "ann@xn--bcher-kva.example",
            ),
        ] {
            let name = Some(name).filter(|name| !name.is_empty());
            assert_eq!(read(value, body), [named(name, address)], "{value:?}");
        }
    }

    #[test]
    fn the_address_is_written_as_that_of_the_account() {
        for (value, name, address) in [
            ("\"eve\"@evil.example", None, "eve@evil.example"),
            (
                "ann(x)@(y)corp.example(z)",
                Some("x y z"),
                "ann@corp.example",
            ),
            ("eve@(;)evil.example", Some(";"), "eve@evil.example"),
            ("eve @evil.example", None, "eve@evil.example"),
            ("Eve <eve@Evil.Example>", Some("Eve"), "eve@evil.example"),
            ("a..b@docomo.example", None, "\"a..b\"@docomo.example"),
            // No account can have these.
            ("\"a b\"@evil.example", None, "\"a b\"@evil.example"),
            ("eve@[192.0.2.1]", None, "eve@[192.0.2.1]"),
        ] {
            assert_eq!(
                read(value.as_bytes(), None),
                [named(name, address)],
                "{value}"
            );
        }
        let pair = [named(None, "a@corp.example"), named(None, "b@corp.example")];
        assert_eq!(read(b"a@Corp.example, b@corp.example", None), pair);
    }

    #[test]
    fn several_addresses_are_all_listed() {
        let pair = [
            named(Some("a, b"), "a@corp.example"),
            named(Some("\u{fc}"), "b@corp.example"),
        ];
        let value = b"\"a, b\" <a@corp.example>, =?utf-8?b?w7w?= <b@corp.example>";
        assert_eq!(read(value, None), pair);
        assert!(read(b"undisclosed-recipients:;", None).is_empty());
        assert!(read(b"", None).is_empty());
    }

    #[test]
    fn the_name_in_a_long_field_is_not_read() {
        let long = format!("\"{}\" <a@corp.example>", "x".repeat(MAX_FIELD));
        assert_eq!(read(long.as_bytes(), None), [named(None, "a@corp.example")]);
    }
}
