//! The sender: the single address in From, or the reason why there is none.
//!
//! Takes the header; returns a [`Sender`]. The envelope, Reply-To and display names never count. If two
//! readers of the same bytes could find two senders, there is none.

use super::header::{Field, Header};
use super::lenient_from::only_mailbox;
use super::lookalike::lookalike;
use super::mailbox::{AddrSpec, mailboxes};
use super::other_addresses::{has_other_address, other_address};
use super::rare_forms::is_rare_form;
use super::raw_characters::may_contain_at;
use super::tokens::not_an_address;
use super::{Sender, SenderFault};
use crate::domain::{AddressError, Domain, DomainError, EmailAddress};

/// Parses the From field.
pub(super) fn sender(header: &Header) -> Sender {
    let mut fields = header.all("From");
    let fault = match (fields.next(), fields.next()) {
        (Some(_), Some(_)) => SenderFault::SeveralFields,
        _ if header.hides("From") => {
            SenderFault::Ambiguous("a control character may hide a From field".to_owned())
        }
        _ if header.may_end_above("From") => {
            SenderFault::Ambiguous("a control character may end the header above From".to_owned())
        }
        (None, _) => SenderFault::Missing,
        _ if header.may_be_extended("From") => appended_line(),
        (Some(field), None) => return author(&field),
    };
    Sender::unusable(fault)
}

/// The fault of a field that a line follows which is not a field.
pub(super) fn appended_line() -> SenderFault {
    SenderFault::Ambiguous("some programs append the next line, which is not a field".to_owned())
}

/// Parses a field that has to name one author and that every program sees.
pub(super) fn author(field: &Field) -> Sender {
    match parse(field) {
        Sender::Usable { written, .. } if field.is_obsolete => Sender::Unusable {
            fault: SenderFault::Ambiguous(
                "white space before the colon hides it from some programs".to_owned(),
            ),
            written: Some(written),
        },
        sender => sender,
    }
}

fn parse(field: &Field) -> Sender {
    let fault = if field.certain {
        let value = field.unfold();
        match mailboxes(&value, 1) {
            Ok(found) => match found.first() {
                Some(_) if has_other_address(field, &value, &found) => other_address(),
                Some(address) => return usable(address, is_rare_form(&value, address)),
                None => SenderFault::EmptyGroup,
            },
            Err(fault) => match only_mailbox(&value) {
                Some(address) => return usable(&address, true),
                None => name_cause(fault, &value),
            },
        }
    } else {
        SenderFault::Ambiguous(
            "it follows a line that some programs do not take for a header field".to_owned(),
        )
    };
    Sender::unusable(fault)
}

/// The fault of a field that does not parse, or the cause of it.
fn name_cause(fault: SenderFault, value: &[u8]) -> SenderFault {
    if matches!(fault, SenderFault::NotAnAddress(_)) && may_contain_at(value) {
        return SenderFault::Ambiguous(
            "an @ in it may be part of a raw Japanese or Chinese character".to_owned(),
        );
    }
    fault
}

/// Checks that an account can have this address. An unusable address is still returned as written if no reader
/// can find another one in it.
pub(super) fn usable(spec: &AddrSpec, lenient: bool) -> Sender {
    let written = spec.addr_spec();
    let (fault, shown) = match EmailAddress::from_parts(spec.local, spec.domain) {
        Ok(_) if spec.domain.contains(is_mapped_by_idna_2003) => {
            let why = "some programs read a \u{df} in the domain as ss, and a \u{3c2} as \u{3c3}";
            (SenderFault::Ambiguous(why.to_owned()), false)
        }
        Ok(address) if address.domain().is_dotless() => (
            not_an_address("the domain is not fully qualified (RFC 5321 2.3.5)"),
            true,
        ),
        Ok(address) => {
            return Sender::Usable {
                lookalike: lookalike(address.domain()),
                address,
                written,
                lenient,
            };
        }
        Err(AddressError::Domain(DomainError::Literal(_))) => (SenderFault::DomainLiteral, true),
        Err(cause) => {
            let shown = matches!(cause, AddressError::Domain(DomainError::Invalid(_)))
                && Domain::is_dns_name(spec.domain);
            (not_an_address(&cause.to_string()), shown)
        }
    };
    Sender::Unusable {
        fault,
        written: shown.then_some(written),
    }
}

/// True for the letters of U-labels that name another domain in IDNA 2003 (UTS 46 7), besides invisible characters,
/// which no address has. An A-label is the same domain in all programs.
fn is_mapped_by_idna_2003(c: char) -> bool {
    matches!(c, '\u{df}' | '\u{1e9e}' | '\u{3c2}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Sender {
        sender(&Header::of(raw.as_bytes()))
    }

    #[test]
    fn one_field_with_one_author_is_the_sender() {
        for (raw, address) in [
            ("From: Ann <Ann@Corp.Example>\r\n", "Ann@corp.example"),
            ("FROM:ann@corp.example\r\n", "ann@corp.example"),
            (
                "From: dörte@bücher.example\r\n",
                "dörte@xn--bcher-kva.example",
            ),
            ("From: \"ann\"@corp.example\r\n", "ann@corp.example"),
            ("From: a..b@docomo.example\r\n", "\"a..b\"@docomo.example"),
            (
                "From: a@corp.example\r\nSender: b@evil.example\r\n",
                "a@corp.example",
            ),
            (
                "From: a@corp.example\r\nTo: b@corp.example\r\ngarbage\r\n",
                "a@corp.example",
            ),
            ("From: a@corp.example\r\nX : y\r\n", "a@corp.example"),
            ("From: [IT] Ann <a@corp.example>\r\n", "a@corp.example"),
            ("From: Desk [IT]: a@corp.example;\r\n", "a@corp.example"),
            (
                "From: \"<a@corp.example>\" <a@corp.example>\r\n",
                "a@corp.example",
            ),
            (
                "From: \"e@x.example [IT]\" <a@corp.example>\r\n",
                "a@corp.example",
            ),
            (
                "From: \"Ann\r\n Lee\" <a@corp.example>\r\n",
                "a@corp.example",
            ),
            (
                "From: \"e@x.example\"\r\n <a@corp.example> (Ann)\r\n",
                "a@corp.example",
            ),
            (
                "From: \"\x1b$B@6?e\x1b(B\" <a@corp.example>\r\n",
                "a@corp.example",
            ),
            (
                "From: \x1b$B;3ED\x1b(B\r\n <a@corp.example>\r\n",
                "a@corp.example",
            ),
            (
                "From: \"J\u{f6}rg\" <j\u{f6}@corp.example>\r\n",
                "j\u{f6}@corp.example",
            ),
            (
                "From: a\u{df}b@xn--strae-oqa.example\r\n",
                "a\u{df}b@xn--strae-oqa.example",
            ),
        ] {
            let sender = read(raw);
            let found = sender.address().map(ToString::to_string);
            assert_eq!(found.as_deref(), Some(address), "{raw}");
        }
    }

    #[test]
    fn addresses_that_not_every_program_finds_are_marked() {
        for (raw, marked) in [
            ("From: Miller, Ann <ann@corp.example>\r\n", true),
            ("From: Ann <ann@corp.example\r\n", true),
            ("From: [IT <ann@corp.example>\r\n", true),
            ("From: ann@corp.example (\"IT\")\r\n", true),
            ("From: [IT] Ann <ann@corp.example>\r\n", false),
            ("From: \"Miller, Ann\" <ann@corp.example>\r\n", false),
            ("From: ann@corp.example\r\n", false),
        ] {
            assert!(
                matches!(read(raw), Sender::Usable { lenient, .. } if lenient == marked),
                "{raw}"
            );
        }
    }

    #[test]
    fn other_values_are_refused_with_a_reason() {
        type Check = fn(&SenderFault) -> bool;
        let ambiguous: Check = |fault| matches!(fault, SenderFault::Ambiguous(_));
        let not_an_address: Check = |fault| matches!(fault, SenderFault::NotAnAddress(_));
        let cases: [(&str, Check, Option<&str>); 44] = [
            (
                "Sender: a@b.example\r\n",
                |f| *f == SenderFault::Missing,
                None,
            ),
            (
                "\r\nFrom: a@b.example\r\n",
                |f| *f == SenderFault::Missing,
                None,
            ),
            (
                "From: a@b.example\r\nfrom: a@b.example\r\n",
                |f| *f == SenderFault::SeveralFields,
                None,
            ),
            (
                "From: a@b.example, c@b.example\r\n",
                |f| *f == SenderFault::SeveralAuthors,
                None,
            ),
            ("From: Desk:;\r\n", |f| *f == SenderFault::EmptyGroup, None),
            ("From: <ann>\r\n", |f| *f == SenderFault::NoDomain, None),
            (
                "From: a@[192.0.2.1]\r\n",
                |f| *f == SenderFault::DomainLiteral,
                Some("a@[192.0.2.1]"),
            ),
            ("From: a@localhost\r\n", not_an_address, Some("a@localhost")),
            (
                "From: a@under_score.example\r\n",
                not_an_address,
                Some("a@under_score.example"),
            ),
            ("From: a@-b.example\r\n", not_an_address, None),
            ("From: a@cor\u{AD}p.example\r\n", not_an_address, None),
            ("From: a@stra\u{df}e.example\r\n", ambiguous, None),
            ("From: a@\u{3c3}\u{3c2}.example\r\n", ambiguous, None),
            ("From: e%x.example@b.example\r\n", not_an_address, None),
            ("From: \"e@x.example\"@b.example\r\n", not_an_address, None),
            ("garbage\r\nFrom: a@b.example\r\n", ambiguous, None),
            ("From: a@b.example\r\ngarbage\r\n", ambiguous, None),
            (
                "From: a@b.example\r\n\"Ann\" <c@b.example>\r\nTo: d@b.example\r\n",
                ambiguous,
                None,
            ),
            ("From: a@b.example\r\n.c.example\r\n\r\n", ambiguous, None),
            (
                "From: a@b.example\r\n\u{C} , c@b.example\r\nTo: d@b.example\r\n",
                ambiguous,
                None,
            ),
            (
                "Subject: x\u{C}From: c@b.example\r\nFrom: a@b.example\r\n",
                ambiguous,
                None,
            ),
            (
                "Subject: x\u{B}\u{B}\r\nFrom: a@b.example\r\n",
                ambiguous,
                None,
            ),
            (
                "From: \"a <c@b.example>\u{85}\" <a@b.example>\r\n",
                ambiguous,
                None,
            ),
            (
                "From: \"c@b.example\" Desk: a@b.example;\r\n",
                ambiguous,
                None,
            ),
            ("From: a@b.example (<c@b.example>)\r\n", ambiguous, None),
            (
                "From: \"e@x.example\" [y] <a@b.example>\r\n",
                ambiguous,
                None,
            ),
            (
                "From: =?utf-8?q?e=40x.example?= [y] <a@b.example>\r\n",
                ambiguous,
                None,
            ),
            (
                "From: [x] \"a <e@x.example>\" <a@b.example>\r\n",
                ambiguous,
                None,
            ),
            (
                "From: [x] (<e@x.example>) <a@b.example>\r\n",
                ambiguous,
                None,
            ),
            (
                "From: \"a\r\n <e@x.example>\" <a@b.example>\r\n",
                ambiguous,
                None,
            ),
            (
                "From: (a\r\n\t<e@x.example>) <a@b.example>\r\n",
                ambiguous,
                None,
            ),
            (
                "From: \"a\\\n <e@x.example>\" <a@b.example>\n",
                ambiguous,
                None,
            ),
            (
                "From: \"\x1b$B%\" <a@b.example> (\x1b(B\" <e@x.example>))\r\n",
                ambiguous,
                None,
            ),
            ("From: \x1b$B@6?e\x1b(B <a@b.example>\r\n", ambiguous, None),
            (
                "From: \"e@x.example\" <x\u{df}@b.example>\r\n",
                ambiguous,
                None,
            ),
            (
                "From: a@b.example\r\nFrom\u{B}: e@x.example\r\n",
                ambiguous,
                None,
            ),
            (
                "Reply-To: e@x.example\r\nX: a\r\r\nFrom: a@b.example\r\n",
                ambiguous,
                None,
            ),
            (
                "From: a@b.example\r\nX: y\rFrom: c@b.example\r\n",
                ambiguous,
                None,
            ),
            ("X : y\r\nFrom: a@b.example\r\n", ambiguous, None),
            ("From : a@b.example\r\n", ambiguous, Some("a@b.example")),
            (
                "To: x@b.example\r\nfrom\t: A, B <a@b.example>\r\n",
                ambiguous,
                Some("a@b.example"),
            ),
            ("From\r\n : a@b.example\r\n", ambiguous, Some("a@b.example")),
            (
                "From : a@b.example\r\nFrom: a@b.example\r\n",
                |f| *f == SenderFault::SeveralFields,
                None,
            ),
            (
                "From : a@b.example, c@b.example\r\n",
                |f| *f == SenderFault::SeveralAuthors,
                None,
            ),
        ];
        for (raw, is_expected, shown) in cases {
            let Sender::Unusable { fault, written } = read(raw) else {
                panic!("{raw} has no usable sender");
            };
            assert!(is_expected(&fault), "{raw} {fault}");
            assert_eq!(written.as_deref(), shown, "{raw}");
        }
    }
}
