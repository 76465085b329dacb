//! Decides about mail to our own addresses: bounces, and answers to verification mail; and which of it is kept.

use crate::access::{Consequence, Decision, Standing, number_of};
use crate::domain::{Reason, Verdict};
use crate::mail::Facts;

/// Decides about mail to one of our own addresses, which is never delivered to a destination. Automatic mail
/// gets its own reason; all other mail gets `otherwise`.
pub(crate) fn decide_own_address(
    facts: &Facts,
    standing: &Standing,
    otherwise: Reason,
) -> Decision {
    let reason = if standing.original.is_some() {
        Reason::Duplicate
    } else if facts.report.is_some() {
        Reason::Bounce
    } else if facts.sender.address().is_none() {
        Reason::SenderUnusable
    } else if facts.is_automatic() {
        Reason::Automatic
    } else if facts.bulk.is_some() {
        Reason::Bulk
    } else {
        otherwise
    };
    Decision {
        verdict: Verdict::Dropped,
        reason,
        rule: number_of(reason),
        consequence: Consequence::Nothing,
        evidence: None,
    }
}

/// True for a message to one of our own addresses that a person may have written: it may contain a request, so its
/// content is kept. A delivery report returns our own mail, and automatic and bulk mail requests nothing. A presumed
/// sign of automatic mail is not enough, because it also occurs in people's mail.
pub(crate) fn may_be_by_a_person(facts: &Facts) -> bool {
    facts.report.is_none() && facts.automatic.is_none() && facts.bulk.is_none()
}
