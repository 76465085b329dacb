//! Recipients of a message: the mailbox of ours that each address belongs to.

use crate::config::Config;
use crate::domain::{EmailAddress, Envelope, RecipientRole};
use crate::smtp::UnknownRecipient;
use crate::store::StoreError;

/// Finds the mailbox of an address from RCPT.
pub(super) fn find_role(config: &Config, address: &str) -> Result<RecipientRole, UnknownRecipient> {
    if is_postmaster(config, address) {
        let portal = config.postmaster().ok_or(UnknownRecipient)?;
        return Ok(RecipientRole::Portal(portal.name.clone()));
    }
    EmailAddress::parse(address)
        .ok()
        .and_then(|address| config.recipient_role(&address))
        .ok_or(UnknownRecipient)
}

/// Finds the mailboxes of a complete message again, because a reload since RCPT may have changed them: a message for a
/// removed portal would never be delivered. Replaces the postmaster's address by that of its portal, since the help
/// desk knows no other.
///
/// # Errors
/// An address belongs to no mailbox any more. The MTA keeps the message, and RCPT refuses that address at its next
/// attempt.
pub(super) fn resolve(config: &Config, mut envelope: Envelope) -> Result<Envelope, StoreError> {
    for recipient in &mut envelope.recipients {
        recipient.role = find_role(config, &recipient.address).map_err(|_| {
            let cause = "a recipient was removed from the configuration after RCPT";
            StoreError::Other(cause.to_owned())
        })?;
        if is_postmaster(config, &recipient.address)
            && let Some(portal) = config.postmaster()
            && let Some(address) = portal.addresses.first()
        {
            recipient.address = address.to_string();
        }
    }
    Ok(envelope)
}

/// True if a recipient is this machine's postmaster: `postmaster`, in any letter case, or the same at our
/// hostname (RFC 5321 4.5.1). A portal that has the address itself keeps it.
fn is_postmaster(config: &Config, recipient: &str) -> bool {
    let (local, domain) = recipient.rsplit_once('@').unwrap_or((recipient, ""));
    local.eq_ignore_ascii_case("postmaster")
        && (domain.is_empty() && !recipient.contains('@')
            || domain.eq_ignore_ascii_case(config.hostname.as_str())
                && EmailAddress::parse(recipient)
                    .is_ok_and(|address| config.recipient_role(&address).is_none()))
}
