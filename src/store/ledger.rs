//! The ledger: one entry per message and portal that was answered 250, and all that happened since.

use super::{Listed, Page, Store, StoreError};
use crate::access::{Circumstances, Standing};
use crate::domain::{
    EmailAddress, Envelope, LedgerId, PortalName, Reason, RequestId, Timestamp, Verdict,
};
use crate::mail::Facts;
use serde::Serialize;

/// One entry, with the input of its decision, so that it can be explained and tried again.
#[derive(Debug, Clone, Serialize)]
pub struct LedgerEntry {
    pub ledger: LedgerId,
    pub portal: Option<PortalName>,
    pub received_at: Timestamp,
    pub verdict: Verdict,
    pub reason: Reason,
    pub rule: u8,
    /// The revision of the access settings that decided.
    pub revision: u64,
    pub sender: Option<EmailAddress>,
    pub account: Option<EmailAddress>,
    pub request: Option<RequestId>,
    pub recipient: String,
    pub envelope: Envelope,
    pub facts: Facts,
    /// None for a report that came to the return address.
    pub circumstances: Option<Circumstances>,
    pub standing: Standing,
    pub content_kept: bool,
}

/// Something that happened to an entry, its request or its account.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    pub at: Timestamp,
    /// The name it has in the log, such as `request.released`.
    pub event: String,
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct LedgerFilter {
    pub verdict: Option<Verdict>,
    pub reason: Option<Reason>,
    pub portal: Option<PortalName>,
    pub sender: Option<EmailAddress>,
    pub message_id: Option<String>,
    pub page: Page,
}

impl Store {
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn ledger_entry(&self, id: LedgerId) -> Result<Option<LedgerEntry>, StoreError> {
        let _ = id;
        unimplemented!()
    }

    /// Newest first.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn ledger(&self, filter: LedgerFilter) -> Result<Listed<LedgerEntry>, StoreError> {
        let _ = filter;
        unimplemented!()
    }

    /// All that happened to an entry since, oldest first.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn events(&self, id: LedgerId) -> Result<Vec<Event>, StoreError> {
        let _ = id;
        unimplemented!()
    }
}
