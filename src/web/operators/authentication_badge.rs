//! The badge that says whether the sender's domain vouches for a message. Mail that claims to come from a colleague
//! and fails the check is what a forger sends, so its badge is the most alarming.

use minijinja::{Value, context};

use crate::access::{Effective, Enforcement};
use crate::domain::EmailAddress;
use crate::mail::AuthenticationOutcome;
use crate::store::LedgerEntry;

/// True for an address of an approved domain.
fn is_colleague(address: &EmailAddress, settings: &Effective) -> bool {
    let internal = &settings.internal;
    internal.enabled && internal.approved_domains.find_match(address).is_some()
}

/// The badge of an entry; None where nothing was checked or there is no sender.
pub(super) fn badge(entry: &LedgerEntry, settings: &Effective) -> Option<Value> {
    let sender = entry.sender.as_ref()?;
    let enforcement = entry.circumstances.as_ref().map(|known| known.enforcement);
    if enforcement == Some(Enforcement::Off) {
        return None;
    }
    let domain = sender.domain();
    let authentication = &entry.facts.authentication;
    let is_enforced = enforcement == Some(Enforcement::Enforce);
    let (class, text) = match authentication.outcome(is_enforced) {
        AuthenticationOutcome::Fail if is_colleague(sender, settings) => (
            "fail",
            format!(
                "Probably forged: it claims to be from a colleague, and {domain} does not vouch for it"
            ),
        ),
        AuthenticationOutcome::Fail => (
            "fail",
            format!("Not authenticated: {domain} does not vouch for it"),
        ),
        AuthenticationOutcome::Pass => ("pass", format!("Authenticated: {domain} vouches for it")),
        _ if authentication.passes() => ("pass", format!("Authenticated: {domain} vouches for it")),
        AuthenticationOutcome::TempError => (
            "unknown",
            "Not checked: the DNS lookup for the sender's domain failed".to_owned(),
        ),
        AuthenticationOutcome::None => (
            "unknown",
            format!("Not verifiable: DMARC has no result for {domain}"),
        ),
    };
    Some(context! { class => class, text => text })
}
