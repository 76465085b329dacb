//! Requests, for those who ask about them and for an operator's hand.

use super::{Listed, Page, Store, StoreError};
use crate::domain::{
    AccountId, EmailAddress, LedgerId, PortalName, Release, RequestId, RequestState, Timestamp,
};
use serde::Serialize;

/// A request as lists show it; without its content.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    pub id: RequestId,
    pub ledger: LedgerId,
    /// The account's address.
    pub account: EmailAddress,
    pub account_id: AccountId,
    pub portal: PortalName,
    pub state: RequestState,
    pub subject: Option<String>,
    pub message_id: Option<String>,
    pub size: u64,
    pub received_at: Timestamp,
    pub released_at: Option<Timestamp>,
    pub settled_at: Option<Timestamp>,
    pub attempts: u32,
    pub next_attempt_at: Option<Timestamp>,
    pub last_error: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    pub state: Option<RequestState>,
    pub portal: Option<PortalName>,
    pub account: Option<EmailAddress>,
    pub received_before: Option<Timestamp>,
    pub received_after: Option<Timestamp>,
    pub page: Page,
}

impl Store {
    /// Newest first.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn requests(&self, filter: RequestFilter) -> Result<Listed<Request>, StoreError> {
        let _ = filter;
        unimplemented!()
    }

    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        let _ = id;
        unimplemented!()
    }

    /// An operator lets one request go (held, discarded, expired) without a proof of the account.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` in a state that cannot be released, or when the content is gone.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn release_request(
        &self,
        id: RequestId,
        release: Release,
        now: Timestamp,
    ) -> Result<Request, StoreError> {
        let _ = (id, release, now);
        unimplemented!()
    }

    /// An operator throws away a held or failed request.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn discard_request(
        &self,
        id: RequestId,
        by: String,
        now: Timestamp,
    ) -> Result<Request, StoreError> {
        let _ = (id, by, now);
        unimplemented!()
    }

    /// An operator has a failed request tried again; a released one is tried at once.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn retry_request(
        &self,
        id: RequestId,
        by: String,
        now: Timestamp,
    ) -> Result<Request, StoreError> {
        let _ = (id, by, now);
        unimplemented!()
    }
}
