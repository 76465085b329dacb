//! The explanation of a message's verdict, and all later events.
//!
//! The recorded facts are decided again by the same rules, under the revision of the settings that was
//! current then, so the result is the same. No rule decides about a message to an address of our own.

use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{DecisionInput, RuleResult, explain};
use crate::domain::{
    EmailAddress, LedgerId, PortalName, Reason, Recipient, RecipientRole, RequestId, RequestState,
    Timestamp, Verdict,
};
use crate::mail::Facts;
use crate::store::{Event, LedgerEntry, Result, SentMail, Store};

/// One entry explained.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Explanation {
    pub ledger: LedgerId,
    pub verdict: Verdict,
    pub reason: Reason,
    /// Every evaluated rule; the last one decided. Empty for a message to an address of Vestibule's own, until the
    /// rules decide about it for a portal.
    pub rules: Vec<RuleResult>,
    /// The revision of the access settings that decided.
    pub revision: u64,
    pub portal: Option<PortalName>,
    pub received_at: Timestamp,
    pub sender: Option<EmailAddress>,
    pub account: Option<EmailAddress>,
    /// The recipient address.
    pub recipient: String,
    pub request: Option<RequestId>,
    pub state: Option<RequestState>,
    /// True if the message itself is still kept.
    pub content_kept: bool,
    pub facts: Facts,
    /// Oldest first.
    pub events: Vec<Event>,
    /// The pending verification mail of the account.
    #[serde(rename = "letter")]
    pub verification_mail: Option<SentMail>,
}

/// Finds the entry with this id, or the entry of the request with this id.
pub async fn find_entry(store: &Store, text: &str) -> Result<Option<LedgerEntry>> {
    if let Ok(id) = text.parse::<LedgerId>()
        && let Some(entry) = store.ledger_entry(id).await?
    {
        return Ok(Some(entry));
    }
    let Ok(id) = text.parse::<RequestId>() else {
        return Ok(None);
    };
    match store.request(id).await? {
        Some(request) => store.ledger_entry(request.ledger).await,
        None => Ok(None),
    }
}

/// A Message-ID as in the ledger: without the angle brackets that a query may have.
#[must_use]
pub fn bare_message_id(text: &str) -> &str {
    text.strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(text)
}

/// True if an operator released a dropped message to an address of our own for a portal. Its verdict is older, and
/// none of the rules decided it, even if one would have for the same reason.
fn is_forced_from_own_address(entry: &LedgerEntry) -> bool {
    let is_for_portal = |recipient: &Recipient| match &recipient.role {
        RecipientRole::Portal(portal) => Some(portal) == entry.portal.as_ref(),
        RecipientRole::Confirmation | RecipientRole::Bounces => false,
    };
    entry.verdict == Verdict::Dropped
        && entry.request.is_some()
        && !entry.envelope.recipients.iter().any(is_for_portal)
}

/// Evaluates the rules again, if they decided.
pub async fn explain_entry(store: &Store, entry: LedgerEntry) -> Result<Explanation> {
    let rules = match &entry.circumstances {
        Some(circumstances) => {
            let settings = store
                .revision(entry.revision)
                .await?
                .map(|revision| revision.settings.effective(entry.portal.as_ref()))
                .unwrap_or_default();
            let mut rules = explain(&DecisionInput {
                facts: &entry.facts,
                circumstances,
                standing: &entry.standing,
                settings: &settings,
            });
            if is_forced_from_own_address(&entry)
                || rules.last().map(|rule| rule.reason) != Some(entry.reason)
            {
                rules.clear();
            }
            rules
        }
        None => Vec::new(),
    };
    let events = store.events(entry.ledger).await?;
    let verification_mail = match &entry.account {
        Some(account) => store.mail_to(account, 1).await?.pop(),
        None => None,
    };
    let state = match entry.request {
        Some(id) => store.request(id).await?.map(|request| request.state),
        None => None,
    };
    Ok(Explanation {
        ledger: entry.ledger,
        verdict: entry.verdict,
        reason: entry.reason,
        rules,
        revision: entry.revision,
        portal: entry.portal,
        received_at: entry.received_at,
        sender: entry.sender,
        account: entry.account,
        recipient: entry.recipient,
        request: entry.request,
        state,
        content_kept: entry.content_kept,
        facts: entry.facts,
        events,
        verification_mail: verification_mail
            .filter(|verification_mail| verification_mail.due_at.is_some()),
    })
}
