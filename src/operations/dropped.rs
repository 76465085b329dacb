//! What was dropped, and taking it up again.

use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Config;
use crate::domain::{
    Domain, DomainPattern, EmailAddress, LedgerId, PortalName, Reason, RequestId, Timestamp,
    Verdict,
};
use crate::store::{LedgerEntry, Page, Recovered, Store, StoreError, Terms};

/// One dropped message.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Dropped {
    pub ledger: LedgerId,
    pub sender: Option<EmailAddress>,
    pub domain: Option<Domain>,
    pub portal: Option<PortalName>,
    pub reason: Reason,
    pub subject: Option<String>,
    pub received_at: Timestamp,
    /// The content is still kept.
    pub recoverable: bool,
}

impl From<LedgerEntry> for Dropped {
    fn from(entry: LedgerEntry) -> Self {
        Self {
            ledger: entry.ledger,
            domain: entry.sender.as_ref().map(|sender| sender.domain().clone()),
            sender: entry.sender,
            portal: entry.portal,
            reason: entry.reason,
            subject: entry.facts.subject,
            received_at: entry.received_at,
            recoverable: entry.content_kept,
        }
    }
}

/// What became of an entry that was taken up again.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Recovered)]
pub struct Taken {
    pub ledger: LedgerId,
    /// Under the settings of now.
    pub verdict: Verdict,
    pub reason: Reason,
    /// None when it is still dropped.
    pub request: Option<RequestId>,
}

/// How many entries are asked for at a time.
const PART: usize = 500;

/// Decides about one entry again by the settings of now; `operator` is a name.
///
/// # Errors
/// `NotFound`; `NotAllowed` for what was not dropped, is not kept any more, or came for a portal that
/// there is no more: nobody would ever hand it over.
pub async fn recover(
    store: &Store,
    config: &Config,
    ledger: LedgerId,
    operator: String,
) -> Result<Taken, StoreError> {
    let entry = store.ledger_entry(ledger).await?;
    if let Some(portal) = entry.and_then(|entry| entry.portal)
        && config.portal(&portal).is_none()
    {
        return Err(StoreError::NotAllowed(format!(
            "{ledger} came for the portal {portal}, which the configuration does not have any more"
        )));
    }
    let terms = Terms {
        quota: config.quota,
        hold_for: config.verification.hold_for,
    };
    let recovered = store.recover(ledger, terms, operator, Timestamp::now());
    Ok(match recovered.await? {
        Recovered::Now {
            verdict,
            reason,
            request,
            ..
        } => Taken {
            ledger,
            verdict,
            reason,
            request: Some(request),
        },
        Recovered::StillDropped(decision) => Taken {
            ledger,
            verdict: decision.verdict,
            reason: decision.reason,
            request: None,
        },
    })
}

/// All that can be taken up again, of all domains or of those that a pattern matches; oldest first,
/// and at most so many.
pub async fn recoverable(
    store: &Store,
    pattern: Option<DomainPattern>,
    most: usize,
) -> Result<Vec<LedgerId>, StoreError> {
    let mut entries = Vec::new();
    let mut after = None;
    loop {
        let page = Page { limit: PART, after };
        let part = store.recoverable(pattern.clone(), page).await?;
        entries.extend(part.rows);
        after = part.next;
        if after.is_none() || entries.len() >= most {
            entries.truncate(most);
            return Ok(entries);
        }
    }
}
