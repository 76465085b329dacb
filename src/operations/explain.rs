//! Why a message was decided as it was, and all that happened to it since.
//!
//! The recorded input is put before the same rules again, under the revision of the settings that was
//! in force then; what they say now is what they said then.

use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Question, RuleResult, explain};
use crate::domain::{
    EmailAddress, LedgerId, PortalName, Reason, RequestId, RequestState, Timestamp, Verdict,
};
use crate::mail::Facts;
use crate::store::{Event, LedgerEntry, SentMail, Store, StoreError};

/// One entry explained.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Explanation {
    pub ledger: LedgerId,
    pub verdict: Verdict,
    pub reason: Reason,
    /// Every rule that was asked; the last one decided.
    pub rules: Vec<RuleResult>,
    /// Of the access settings, as they decided.
    pub revision: u64,
    pub portal: Option<PortalName>,
    pub received_at: Timestamp,
    pub sender: Option<EmailAddress>,
    pub account: Option<EmailAddress>,
    /// The address that it came to.
    pub recipient: String,
    pub request: Option<RequestId>,
    pub state: Option<RequestState>,
    /// The message itself is still there.
    pub content_kept: bool,
    pub facts: Facts,
    /// Oldest first.
    pub events: Vec<Event>,
    /// The letter to the account that is not sent yet.
    #[serde(rename = "letter")]
    pub verification_mail: Option<SentMail>,
}

/// The entry with this id, or behind the request with this id.
pub async fn found(store: &Store, text: &str) -> Result<Option<LedgerEntry>, StoreError> {
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

/// A Message-ID as the ledger has it: without the angle brackets that it may be asked for with.
#[must_use]
pub fn bare_message_id(text: &str) -> &str {
    text.strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(text)
}

/// Asks the rules again.
pub async fn explained(store: &Store, entry: LedgerEntry) -> Result<Explanation, StoreError> {
    let rules = match &entry.circumstances {
        Some(circumstances) => {
            let settings = store
                .revision(entry.revision)
                .await?
                .map(|revision| revision.settings.effective(entry.portal.as_ref()))
                .unwrap_or_default();
            explain(&Question {
                facts: &entry.facts,
                circumstances,
                standing: &entry.standing,
                settings: &settings,
            })
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
