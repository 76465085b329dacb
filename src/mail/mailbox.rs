//! Strict parser of address fields (RFC 5322 3.4, RFC 6854, RFC 6532).
//!
//! Takes the unfolded value of From, Reply-To or the like; returns its mailboxes, or the reason why it cannot
//! be parsed. It refuses the obsolete syntax of RFC 5322 (routes, empty entries, white space between the
//! labels of a domain), and everything that programs are known to read differently: if two programs see two
//! senders, an attacker gets past checks. It accepts two common violations: an address repeated as its own unquoted
//! display name, and square brackets in a display name, if the field has no other address (see [`super::sender`]).
//!
//! Nothing is decoded: an encoded-word is a word of the display name, never part of an address.

use super::SenderFault;
use super::lenient_words::words_up_to_close;
use super::tokens::{HeaderToken, Scanner, not_an_address};

/// One `local@domain`, without comments and display name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AddrSpec<'a> {
    /// A dot-atom, or a quoted string with its quotes.
    pub(super) local: &'a str,
    /// A dot-atom, or an address literal with its brackets.
    pub(super) domain: &'a str,
}

impl AddrSpec<'_> {
    pub(super) fn addr_spec(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// True if comments or white space stand between the local part, the `@` and the domain in the field. The same
    /// address may be written without them elsewhere in it.
    pub(super) fn is_split(&self) -> bool {
        let end = self.local.as_bytes().as_ptr_range().end;
        !std::ptr::eq(end.wrapping_add(1), self.domain.as_ptr())
    }
}

/// Parses all mailboxes of a field; more than `most` are [`SenderFault::SeveralAuthors`].
pub(super) fn mailboxes(value: &[u8], most: usize) -> Result<Vec<AddrSpec<'_>>, SenderFault> {
    refuse_two_endings(value)?;
    let mut scanner = Scanner::new(value);
    let mut found = Vec::new();
    let mut group = Group::None;
    loop {
        let (entry, end) = entry(&mut scanner)?;
        match entry {
            Entry::Mailbox(address) if group != Group::Closed => {
                if found.len() == most {
                    return Err(SenderFault::SeveralAuthors);
                }
                found.push(address);
            }
            Entry::Name if end == End::Colon && group == Group::None && found.is_empty() => {
                group = Group::Open;
                continue;
            }
            Entry::Nothing if group == Group::Open && end == End::Semicolon && found.is_empty() => {
                group = Group::Closed;
                continue;
            }
            Entry::Nothing if group == Group::Closed && end == End::Field => {
                return if found.is_empty() {
                    Err(SenderFault::EmptyGroup)
                } else {
                    Ok(found)
                };
            }
            Entry::Nothing if end == End::Field && found.is_empty() => {
                return Err(not_an_address("the field is empty"));
            }
            Entry::Nothing => return Err(not_an_address("an entry of the list is empty")),
            Entry::Name if end == End::Field && group == Group::None => {
                return Err(not_an_address("there is a name but no address"));
            }
            Entry::Mailbox(_) | Entry::Name => {
                return Err(not_an_address("a name appears in place of an address"));
            }
        }
        match (end, group) {
            (End::Field, Group::None) => return Ok(found),
            (End::Comma, Group::None | Group::Open) => {}
            (End::Semicolon, Group::Open) => group = Group::Closed,
            _ => return Err(not_an_address("a group is not closed or was never opened")),
        }
    }
}

/// Refuses a NUL, which some programs take for the end of the text, and a bare CR, which some take for the end
/// of a line.
fn refuse_two_endings(value: &[u8]) -> Result<(), SenderFault> {
    let ambiguous = |what: &str| Err(SenderFault::Ambiguous(what.to_owned()));
    if value.contains(&0) {
        return ambiguous("it contains a NUL");
    }
    if value.contains(&b'\r') {
        return ambiguous("it contains a bare CR");
    }
    Ok(())
}

/// State of the group in a field. RFC 6854 permits groups in From; only one is accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    None,
    Open,
    Closed,
}

enum Entry<'a> {
    Nothing,
    /// Words without an address.
    Name,
    Mailbox(AddrSpec<'a>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Field,
    Comma,
    Semicolon,
    Colon,
}

fn end_at(token: HeaderToken) -> Option<End> {
    match token {
        HeaderToken::End => Some(End::Field),
        HeaderToken::Special(b',') => Some(End::Comma),
        HeaderToken::Special(b';') => Some(End::Semicolon),
        HeaderToken::Special(b':') => Some(End::Colon),
        _ => None,
    }
}

/// Parses up to the next comma, semicolon, colon or the end.
fn entry<'a>(scanner: &mut Scanner<'a>) -> Result<(Entry<'a>, End), SenderFault> {
    let mut words = 0_usize;
    let mut last = None;
    loop {
        let token = scanner.next()?;
        if let Some(end) = end_at(token) {
            let entry = if words == 0 {
                Entry::Nothing
            } else {
                Entry::Name
            };
            return Ok((entry, end));
        }
        match token {
            HeaderToken::Word(_) | HeaderToken::Quoted(_) => {
                words += 1;
                last = Some(token);
            }
            HeaderToken::Special(b'@') if words == 1 => {
                return bare_address(scanner, last.unwrap_or(HeaderToken::End));
            }
            HeaderToken::Special(b'<') => {
                let address = angle_address(scanner)?;
                return Ok((Entry::Mailbox(address), end_of_entry(scanner)?));
            }
            HeaderToken::Special(b'@') if words == 0 => {
                return Err(not_an_address("there is no text before the @"));
            }
            _ => {
                return Err(not_an_address(
                    "a display name has an unquoted special character",
                ));
            }
        }
    }
}

/// An address without angle brackets, or one that serves as its own display name.
fn bare_address<'a>(
    scanner: &mut Scanner<'a>,
    local: HeaderToken<'a>,
) -> Result<(Entry<'a>, End), SenderFault> {
    let address = AddrSpec {
        local: local_part(local)?,
        domain: domain(scanner)?,
    };
    let token = scanner.next()?;
    if let Some(end) = end_at(token) {
        return Ok((Entry::Mailbox(address), end));
    }
    if token != HeaderToken::Special(b'<') {
        return Err(not_an_address("there is text after the address"));
    }
    let other = angle_address(scanner)?;
    if address.addr_spec().eq_ignore_ascii_case(&other.addr_spec()) {
        return Ok((Entry::Mailbox(other), end_of_entry(scanner)?));
    }
    Err(SenderFault::Ambiguous(
        "an unquoted address precedes another one".to_owned(),
    ))
}

/// Parses the text after `<`.
fn angle_address<'a>(scanner: &mut Scanner<'a>) -> Result<AddrSpec<'a>, SenderFault> {
    let local = match scanner.next()? {
        HeaderToken::Special(b'@') => {
            return Err(SenderFault::Ambiguous(
                "it begins with an @, as obsolete routes do".to_owned(),
            ));
        }
        HeaderToken::Special(b'>') => return Err(not_an_address("the angle brackets are empty")),
        token => token,
    };
    match scanner.next()? {
        HeaderToken::Special(b'@') => {}
        HeaderToken::Special(b'>') => return Err(SenderFault::NoDomain),
        _ => return Err(not_an_address("there is no address in the angle brackets")),
    }
    let address = AddrSpec {
        local: local_part(local)?,
        domain: domain(scanner)?,
    };
    match scanner.next()? {
        HeaderToken::Special(b'>') => Ok(address),
        _ => Err(not_an_address("the angle bracket is not closed")),
    }
}

fn end_of_entry(scanner: &mut Scanner) -> Result<End, SenderFault> {
    match end_at(scanner.next()?) {
        Some(End::Colon) | None => Err(not_an_address("there is text after the address")),
        Some(end) => Ok(end),
    }
}

fn local_part(token: HeaderToken<'_>) -> Result<&str, SenderFault> {
    let fault = || not_an_address("the text before the @ is not a local part");
    let text = match token {
        HeaderToken::Word(word) if is_dot_atom(word) => word,
        HeaderToken::Quoted(text) => text,
        _ => return Err(fault()),
    };
    if is_encoded_word(text) {
        return Err(not_an_address(
            "an encoded-word precedes the @, where it has no meaning",
        ));
    }
    std::str::from_utf8(text).map_err(|_| fault())
}

pub(super) fn domain<'a>(scanner: &mut Scanner<'a>) -> Result<&'a str, SenderFault> {
    if scanner.is_at_literal() {
        return scanner.literal();
    }
    match scanner.next()? {
        HeaderToken::Word(word) if is_dot_atom(word) && !is_encoded_word(word) => {
            std::str::from_utf8(word)
                .map_err(|_| not_an_address("the domain is neither ASCII nor UTF-8"))
        }
        HeaderToken::End | HeaderToken::Special(b'>') => Err(SenderFault::NoDomain),
        _ => Err(not_an_address("the text after the @ is not a domain")),
    }
}

fn is_dot_atom(word: &[u8]) -> bool {
    word.split(|&byte| byte == b'.')
        .all(|atom| !atom.is_empty() && atom.iter().all(|&byte| is_atext(byte)))
}

/// RFC 5322 3.2.3 `atext`, and every octet of UTF-8 (RFC 6532 3.2).
pub(super) fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte) || !byte.is_ascii()
}

/// True if it contains an RFC 2047 encoded-word for some reader: `=?charset?b?…?=`, or the same with `q`.
pub(super) fn is_encoded_word(text: &[u8]) -> bool {
    words_up_to_close(text).any(|word| word.is_closed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Vec<String>, SenderFault> {
        mailboxes(value.as_bytes(), 3).map(|found| found.iter().map(AddrSpec::addr_spec).collect())
    }

    #[test]
    fn one_mailbox_is_found_in_any_form() {
        for (value, written) in [
            ("ann@corp.example", "ann@corp.example"),
            ("<ann@corp.example>", "ann@corp.example"),
            ("Ann Lee <ann@corp.example>", "ann@corp.example"),
            ("Ann Q. Lee<ann@corp.example>", "ann@corp.example"),
            ("\"Lee, Ann\" <ann@corp.example>", "ann@corp.example"),
            ("\"ceo@corp.example\" <x@evil.example>", "x@evil.example"),
            ("\"<ceo@corp.example>\" <x@evil.example>", "x@evil.example"),
            ("x@evil.example (ceo@corp.example)", "x@evil.example"),
            ("(a (nested \\) one)) ann@corp.example", "ann@corp.example"),
            (
                "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
                "pete@silly.test",
            ),
            ("=?utf-8?q?A=2C_B?= <ann@corp.example>", "ann@corp.example"),
            (" Ann\t<ann@corp.example> ", "ann@corp.example"),
            ("[Desk] Ann <ann@corp.example>", "ann@corp.example"),
            ("ann@corp.example <Ann@Corp.example>", "Ann@Corp.example"),
            ("\"a@b c\"@corp.example", "\"a@b c\"@corp.example"),
            ("Authors: Ann <ann@corp.example>;", "ann@corp.example"),
            ("用户@例子.广告", "用户@例子.广告"),
            ("ann@[192.0.2.1]", "ann@[192.0.2.1]"),
            ("ann@localhost", "ann@localhost"),
        ] {
            assert_eq!(read(value), Ok(vec![written.to_owned()]), "{value}");
        }
    }

    #[test]
    fn several_mailboxes_are_all_found() {
        for value in [
            "a@corp.example, Bob <b@corp.example>",
            "Desk: a@corp.example, b@corp.example;",
        ] {
            let both = ["a@corp.example".to_owned(), "b@corp.example".to_owned()];
            assert_eq!(read(value), Ok(both.to_vec()), "{value}");
        }
        assert_eq!(
            read("a@x.example,b@x.example,c@x.example,d@x.example"),
            Err(SenderFault::SeveralAuthors)
        );
    }

    #[test]
    fn ambiguous_values_are_refused() {
        for value in [
            "ceo@corp.example <x@evil.example>",
            "<@corp.example:x@evil.example>",
            "ceo@corp.example\0@evil.example",
            "ann@corp.example\rX: y",
            "ann@corp.example\r",
        ] {
            let read = read(value);
            assert!(
                matches!(read, Err(SenderFault::Ambiguous(_))),
                "{value:?} {read:?}"
            );
        }
    }

    #[test]
    fn violations_of_the_grammar_are_refused() {
        for value in [
            "",
            "Ann",
            "Ann Lee",
            "Ann <>",
            "<ann>",
            "<ann@>",
            "ann@",
            "@corp.example",
            "ann@@corp.example",
            "ann@corp@corp.example",
            "<ann@corp.example",
            "ann@corp.example>",
            "<<ann@corp.example>>",
            "Ann <ann@corp.example> Lee",
            "Ann ann@corp.example",
            "Lee, Ann <ann@corp.example>",
            ", ann@corp.example",
            "ann@corp.example,",
            "ann@corp.example;",
            "ann@corp.example.",
            "ann@corp..example",
            "ann@corp .example",
            "ann. lee@corp.example",
            ".ann@corp.example",
            "\"ann\".lee@corp.example",
            "\"ann@corp.example",
            "(ann@corp.example",
            "ann)@corp.example",
            "ann\\@corp.example",
            "ann@[192.0.2.1",
            "ann@[192.0.2.1]x",
            "ann@ [192.0.2.1]",
            "ann@\"corp.example\"",
            "=?utf-8?q?ann?=@corp.example",
            "\"=?utf-8?q?ann?=\"@corp.example",
            // Some programs allow a question mark in the text of an encoded-word, or skip it.
            "<=?utf-8?b?YW?5u?=@corp.example>",
            "x=?utf-8?q?a?_=3C?=@corp.example",
            "=?utf-8?q?a=?nn?=@corp.example",
            "=?utf-8?q?ann=40corp.example?=",
            "Desk:;",
            "Desk:ann@corp.example",
            "Desk:,;",
            "A:a@corp.example; B:b@corp.example;",
            "Desk: More: a@corp.example;;",
            "Re: ann <ann@corp.example>",
            "\u{7}@corp.example",
        ] {
            assert!(read(value).is_err(), "{value:?} {:?}", read(value));
        }
        assert!(mailboxes(b"ann@corp.ex\xffmple", 1).is_err());
        assert!(mailboxes(b"M\xfcller <ann@corp.example>", 1).is_ok());
    }
}
