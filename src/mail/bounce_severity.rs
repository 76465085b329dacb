//! Meaning of a delivery report for the address that a message was sent to.
//!
//! Takes a [`Report`] and an address; returns a [`BounceSeverity`]. RFC 3463 and the registry of enhanced status
//! codes (<https://www.iana.org/assignments/smtp-enhanced-status-codes>) define the codes.

use super::status_code::status_of_diagnostic;
use super::{Report, ReportKind, ReportedRecipient};
use crate::domain::EmailAddress;

/// Severity of the bounce for one address, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BounceSeverity {
    /// Delivered, displayed, relayed, or about another address.
    None,
    /// Temporary: a full mailbox, a policy, a broken connection.
    Temporary,
    /// The address does not exist.
    Permanent,
}

/// The details of subject 1 (address) that say that an address does not exist, whichever message is
/// sent to it:
/// X.1.1 bad destination mailbox address, X.1.2 bad destination system address, X.1.3 bad destination
/// mailbox address syntax, X.1.6 destination mailbox has moved and left no address, X.1.10 recipient
/// address has null MX (RFC 7505).
///
/// Excluded, because they are temporary or not about the address: X.1.0 (other), X.1.4 (ambiguous), X.1.5
/// (valid), X.1.7 and X.1.8 (the sender's), X.1.9 (relayed to a non-compliant mailer); X.2 (mailbox: disabled,
/// full, too long), X.3 (mail system), X.4 (network and routing), X.5 (protocol), X.6 (content), X.7 (security
/// and policy).
const NO_SUCH_ADDRESS: [u16; 5] = [1, 2, 3, 6, 10];

impl Report {
    /// Returns the severity of the bounce for `address`, to which the message was sent. Of several recipients only
    /// this one counts. The failure of a forwarding target is only temporary for us: others may have the message. A
    /// single recipient under another address may be such a target.
    #[must_use]
    pub fn bounce_severity(&self, address: &EmailAddress) -> BounceSeverity {
        if self.kind == ReportKind::Mdn {
            return BounceSeverity::None;
        }
        let key = address.key();
        let of_address = |one: &&ReportedRecipient| one.is(&key);
        match self.recipients.as_slice() {
            // A free-form report: delivery failed, and may succeed the next time.
            [] => BounceSeverity::Temporary,
            recipients if recipients.iter().any(|one| of_address(&one)) => recipients
                .iter()
                .filter(of_address)
                .map(ReportedRecipient::severity)
                .max()
                .unwrap_or(BounceSeverity::None),
            [one] => one.severity().min(BounceSeverity::Temporary),
            _ => BounceSeverity::None,
        }
    }
}

impl ReportedRecipient {
    /// Severity for this recipient, by its action and status (RFC 3464 2.3.3 and 2.3.4).
    fn severity(&self) -> BounceSeverity {
        let status = self.status.as_deref();
        let is_for_good = !self.forwarded && status.is_some_and(is_permanent);
        match self.action.as_deref() {
            Some("failed") | None if is_for_good => BounceSeverity::Permanent,
            None if status.is_some_and(|status| status.starts_with('2')) => BounceSeverity::None,
            Some("failed" | "delayed") | None => BounceSeverity::Temporary,
            Some(_) => BounceSeverity::None,
        }
    }

    /// True if this is the address with this key, as written or in the encoding of RFC 3461 4, which some
    /// mail servers leave in place.
    fn is(&self, key: &str) -> bool {
        let has_key =
            |text: &str| EmailAddress::parse(text).is_ok_and(|address| address.key() == key);
        has_key(&self.address) || has_key(&self.address.replace("+2B", "+").replace("+3D", "="))
    }
}

/// True if the status says for good that the address does not exist: class 5, subject 1 and a detail of
/// [`NO_SUCH_ADDRESS`].
fn is_permanent(status: &str) -> bool {
    let mut numbers = status.split('.').map(|number| number.parse::<u16>().ok());
    let mut next = || numbers.next().flatten();
    next() == Some(5)
        && next() == Some(1)
        && next().is_some_and(|detail| NO_SUCH_ADDRESS.contains(&detail))
}

/// True if the reply of our relay to RCPT, its code and its text, says for good that the address does not exist.
#[must_use]
pub fn is_unknown_recipient(code: u16, text: &str) -> bool {
    // A relay also answers 551 if it does not relay for us. So 551 counts as little as 550 without an enhanced code.
    let code = if code == 551 { 550 } else { code };
    let status = status_of_diagnostic(&format!("smtp; {code} {text}"));
    code >= 500 && status.as_deref().is_some_and(is_permanent)
}

#[cfg(test)]
mod tests {
    use super::super::Evidence;
    use super::*;

    fn severity(kind: ReportKind, recipients: &[(&str, &str, &str)]) -> BounceSeverity {
        let word = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let report = Report {
            kind,
            evidence: Evidence {
                field: String::new(),
                value: String::new(),
            },
            recipients: recipients
                .iter()
                .map(|(address, action, status)| ReportedRecipient {
                    address: (*address).to_owned(),
                    action: word(action),
                    status: word(status),
                    forwarded: false,
                })
                .collect(),
            original_message_id: None,
        };
        report.bounce_severity(&EmailAddress::parse("ann+x@corp.example").expect("an address"))
    }

    #[test]
    fn only_an_address_that_does_not_exist_fails_for_good() {
        let ann = "Ann+x@Corp.example";
        for status in ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"] {
            assert_eq!(
                severity(ReportKind::Dsn, &[(ann, "failed", status)]),
                BounceSeverity::Permanent
            );
            assert_eq!(
                severity(ReportKind::Dsn, &[(ann, "", status)]),
                BounceSeverity::Permanent
            );
            assert_eq!(
                severity(ReportKind::Dsn, &[(ann, "delayed", status)]),
                BounceSeverity::Temporary
            );
            assert_eq!(
                severity(ReportKind::Dsn, &[(ann, "delivered", status)]),
                BounceSeverity::None
            );
        }
        for status in [
            "", "4.1.1", "4.4.7", "5.0.0", "5.1.0", "5.1.4", "5.1.7", "5.1.8", "5.1.9", "5.1.11",
            "5.1.100", "5.2.1", "5.2.2", "5.3.0", "5.3.4", "5.4.1", "5.4.4", "5.4.14", "5.5.0",
            "5.6.0", "5.7.0", "5.7.1", "5.7.23", "5.7.509", "5.11.1",
        ] {
            let found = severity(ReportKind::Dsn, &[(ann, "failed", status)]);
            assert_eq!(found, BounceSeverity::Temporary, "{status}");
        }
        assert_eq!(
            severity(ReportKind::Dsn, &[(ann, "", "2.1.5")]),
            BounceSeverity::None
        );
        assert_eq!(
            severity(ReportKind::Mdn, &[(ann, "failed", "5.1.1")]),
            BounceSeverity::None
        );
        assert_eq!(severity(ReportKind::Text, &[]), BounceSeverity::Temporary);
    }

    #[test]
    fn the_target_of_a_forwarding_does_not_fail_for_good() {
        let of = |forwarded| {
            let one = ReportedRecipient {
                address: "ann@corp.example".to_owned(),
                action: Some("failed".to_owned()),
                status: Some("5.1.1".to_owned()),
                forwarded,
            };
            one.severity()
        };
        assert_eq!(of(false), BounceSeverity::Permanent);
        assert_eq!(of(true), BounceSeverity::Temporary);
    }

    #[test]
    fn a_refusal_to_relay_is_not_about_the_recipient() {
        for (code, text, is_unknown) in [
            (550, "5.1.1 <ann@corp.example>: no such user", true),
            (550, "No such user here", true),
            (551, "5.1.6 moved", true),
            (551, "<ann@corp.example> User unknown", true),
            (556, "domain takes no mail", true),
            (551, "This is not a relay host", false),
            (551, "relaying denied, authenticate first", false),
            (551, "User not local", false),
            (551, "5.7.1 relaying denied", false),
            (550, "5.7.1 relaying denied", false),
            (550, "relaying denied", false),
            (450, "4.1.1 unknown user", false),
        ] {
            assert_eq!(
                is_unknown_recipient(code, text),
                is_unknown,
                "{code} {text}"
            );
        }
    }

    #[test]
    fn only_the_recipient_that_was_written_to_counts() {
        let ann = ("ann+2Bx@corp.example", "failed", "5.2.2");
        let bob = ("bob@corp.example", "failed", "5.1.1");
        let eve = ("eve@corp.example", "failed", "5.1.1");
        assert_eq!(
            severity(ReportKind::Dsn, &[bob, ann]),
            BounceSeverity::Temporary
        );
        assert_eq!(severity(ReportKind::Dsn, &[bob, eve]), BounceSeverity::None);
        assert_eq!(severity(ReportKind::Dsn, &[bob]), BounceSeverity::Temporary);
    }
}
