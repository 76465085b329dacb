//! One plain sentence that says why a message was accepted, held or dropped, and what became of it.

use crate::domain::{Reason, RequestState, Verdict};
use crate::store::LedgerEntry;

/// The sentence for an entry with the state of its request.
pub(super) fn sentence(entry: &LedgerEntry, state: Option<RequestState>) -> String {
    let sender = entry.sender.as_ref();
    let address = sender.map_or("the sender".to_owned(), ToString::to_string);
    let domain = sender.map_or("the sender's domain".to_owned(), |sender| {
        sender.domain().to_string()
    });
    let reason = match entry.reason {
        Reason::Duplicate => "the same message was received before".to_owned(),
        Reason::Bounce => "it is a delivery report, not a request".to_owned(),
        Reason::Loop => "it is in a mail loop, or came from this installation itself".to_owned(),
        Reason::SenderUnusable => "From does not name one sender with a usable address".to_owned(),
        Reason::SenderDenied => format!("{address} is on the deny list"),
        Reason::AccountBlocked => format!("the account {address} is blocked"),
        Reason::Spam => "the upstream mail server marked it as spam".to_owned(),
        Reason::Automatic => "it is automatic mail".to_owned(),
        Reason::Bulk => "it came through a mailing list or a mass mailing".to_owned(),
        Reason::AuthenticationFailed => {
            format!("{domain} does not vouch for it: it may be forged")
        }
        Reason::AccountActive => format!("{address} is a customer"),
        Reason::AccountPending => format!("{address} has not been verified yet"),
        Reason::InternalAccountCreated => {
            format!("{domain} is an approved domain, and {address} was new and must be verified")
        }
        Reason::ExternalAccountsDisabled => {
            format!("{address} is not a customer, and no new external customers are allowed")
        }
        Reason::DomainNotAllowed => {
            format!("{domain} is not on the allow list, and {address} is not a customer")
        }
        Reason::ExternalAccountCreated if entry.verdict == Verdict::Held => {
            format!("{address} is a new external customer and must be verified")
        }
        Reason::ExternalAccountCreated => format!("{address} became a new external customer"),
        Reason::HoldQuota => {
            format!("{address} has as many messages waiting for verification as the quota allows")
        }
        Reason::Confirmation => "it answers a verification mail".to_owned(),
    };
    let verdict = match entry.verdict {
        Verdict::Accepted => "Accepted",
        Verdict::Held => "Held",
        Verdict::Dropped => "Dropped",
    };
    let now = match (entry.verdict, state) {
        (_, None) | (Verdict::Held, Some(RequestState::Held)) => "",
        (_, Some(RequestState::Held)) => " It is held now.",
        (_, Some(RequestState::Released)) => " It is waiting for delivery to the help desk.",
        (_, Some(RequestState::Delivered)) => " It was delivered to the help desk.",
        (_, Some(RequestState::Failed)) => " Its delivery to the help desk failed.",
        (_, Some(RequestState::Discarded)) => " It was discarded.",
        (_, Some(RequestState::Expired)) => " It expired before it was released.",
    };
    format!("{verdict}, because {reason}.{now}")
}
