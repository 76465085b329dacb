//! The machine-readable part of a delivery report: one group of fields for each recipient.
//!
//! Takes the part; adds its recipients, and the identifier of the reported message, to the [`Report`].

use super::MAX_STATUS;
use crate::domain::EmailAddress;
use crate::mail::header::{Field, Section};
use crate::mail::status_code::{parse_status_code, status_of_diagnostic};
use crate::mail::text::{message_id, printable};
use crate::mail::{Report, ReportedRecipient};

/// Maximum number of recipients that are read.
const MAX_RECIPIENTS: usize = 64;

/// Reads the groups of fields of RFC 3464 2.1; RFC 8098 3.1 has one group with a recipient in it.
pub(super) fn read_status(section: &Section, report: &mut Report) {
    let text = section.decode(MAX_STATUS);
    let mut rest: &[u8] = &text;
    while !rest.is_empty() {
        let group = Section::of(rest);
        let mut recipient = ReportedRecipient {
            address: String::new(),
            action: None,
            status: None,
            forwarded: false,
        };
        let mut reply = None;
        let mut final_recipient = None;
        for field in group.fields() {
            read_status_field(&field, &mut recipient, report);
            if field.is("Final-Recipient") {
                final_recipient = final_recipient.or_else(|| recipient_address(&field));
            }
            if field.is("Diagnostic-Code") {
                reply = status_of_diagnostic(&field.text());
            }
        }
        // Exim, for example, writes 5.0.0, and only the quoted reply tells more.
        let says_little = |status: &str| status.ends_with(".0.0");
        if recipient.status.as_deref().is_none_or(says_little) && reply.is_some() {
            recipient.status = reply;
        }
        if let Some(address) = final_recipient {
            // We sent to the original recipient, if the reporting mail server knows it.
            if recipient.address.is_empty() {
                recipient.address = address;
            } else {
                recipient.forwarded = !is_one_mailbox(&recipient.address, &address);
            }
        }
        if !recipient.address.is_empty() && report.recipients.len() < MAX_RECIPIENTS {
            report.recipients.push(recipient);
        }
        rest = group.body;
    }
}

fn read_status_field(field: &Field, recipient: &mut ReportedRecipient, report: &mut Report) {
    let text = field.text();
    let word = || text.split([' ', '\t', '(', ';']).next().unwrap_or_default();
    if field.is("Original-Recipient") {
        if let Some(address) = recipient_address(field) {
            recipient.address = address;
        }
    } else if field.is("Action") && !word().is_empty() {
        recipient.action = Some(printable(word().as_bytes()).to_ascii_lowercase());
    } else if field.is("Status") {
        recipient.status = parse_status_code(word());
    } else if field.is("Original-Message-ID") {
        report.original_message_id = message_id(*field);
    }
}

/// The address in `Original-Recipient` or `Final-Recipient`, without its type (RFC 3464 2.3.1).
fn recipient_address(field: &Field) -> Option<String> {
    let text = field.text();
    let address = text.split_once(';').map_or(&*text, |(_, address)| address);
    let address = address.trim().trim_start_matches('<').trim_end_matches('>');
    (!address.is_empty()).then(|| printable(address.as_bytes()))
}

/// True if both addresses are of one mailbox, with any detail.
fn is_one_mailbox(one: &str, other: &str) -> bool {
    let key = |text: &str| {
        let address = EmailAddress::parse(text).ok()?;
        Some(address.without_detail().key())
    };
    one.eq_ignore_ascii_case(other) || key(one).is_some_and(|one| key(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Evidence, ReportKind};

    #[test]
    fn the_target_of_a_forwarding_is_told_from_the_recipient() {
        for (fields, address, forwarded) in [
            (
                "Final-Recipient: rfc822; ann@x.example",
                "ann@x.example",
                false,
            ),
            (
                "Final-Recipient: rfc822; <ANN@X.example>\r\nOriginal-Recipient: rfc822;ann@x.example",
                "ann@x.example",
                false,
            ),
            (
                "Original-Recipient: rfc822;ann+it@x.example\r\nFinal-Recipient: rfc822;ann@x.example",
                "ann+it@x.example",
                false,
            ),
            (
                "Original-Recipient: rfc822;team@x.example\r\nFinal-Recipient: rfc822;eve@x.example",
                "team@x.example",
                true,
            ),
            (
                "Original-Recipient: rfc822;\r\nFinal-Recipient: rfc822;eve@x.example",
                "eve@x.example",
                false,
            ),
        ] {
            let part = format!("Reporting-MTA: dns; mx\r\n\r\n{fields}\r\nStatus: 5.1.1\r\n");
            let mut report = Report {
                kind: ReportKind::Dsn,
                evidence: Evidence::new("", b""),
                recipients: Vec::new(),
                original_message_id: None,
            };
            read_status(&Section::split(b"", part.as_bytes()), &mut report);
            let [one] = &report.recipients[..] else {
                panic!("{fields} has one recipient");
            };
            assert_eq!((one.address.as_str(), one.forwarded), (address, forwarded));
        }
    }
}
