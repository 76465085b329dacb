//! Deliveries: the worker claims a released request under a lease, hands it over and settles it.
//!
//! A claim whose lease has run out (a crash) can be claimed again: at least once, same request id.
//! Requests of one account for one portal are claimed one at a time, oldest first.

use super::{Store, StoreError};
use crate::domain::{
    AccountId, DestinationName, EmailAddress, Envelope, Kind, LedgerId, PortalName, RequestId,
    Timestamp,
};

/// A released request in the hands of a worker. Only the store makes one, and only of a request that
/// was released: there is no other way to a destination.
#[derive(Debug, Clone)]
pub struct Claim {
    pub(super) request: RequestId,
    #[expect(dead_code, reason = "signature first")]
    pub(super) lease: Timestamp,
    pub ledger: LedgerId,
    pub portal: PortalName,
    pub account: AccountId,
    pub address: EmailAddress,
    pub kind: Kind,
    pub groups: Vec<String>,
    /// How the address was proved, and when; None for an external account that needed no proof.
    pub verified: Option<(String, Timestamp)>,
    /// The operator who let this request go without a proof.
    pub released_by: Option<String>,
    pub envelope: Envelope,
    /// The portal's address that it came for.
    pub recipient: String,
    pub message_id: Option<String>,
    pub subject: Option<String>,
    pub received_at: Timestamp,
    pub released_at: Timestamp,
    pub size: u64,
    /// Counts from 1.
    pub attempt: u32,
}

impl Claim {
    /// The stable id by which a help desk recognises a repeat.
    #[must_use]
    pub fn request(&self) -> RequestId {
        self.request
    }
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub enum Settlement {
    Delivered,
    /// Try again then.
    Retry {
        at: Timestamp,
        cause: String,
    },
    /// Given up.
    Failed {
        cause: String,
    },
}

impl Store {
    /// Takes up to `limit` released requests of these portals that are due.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn claim_deliveries(
        &self,
        portals: Vec<PortalName>,
        limit: usize,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Claim>, StoreError> {
        let _ = (portals, limit, lease_until, now);
        unimplemented!()
    }

    /// When the next released request of these portals is due; None when none waits.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn next_delivery(
        &self,
        portals: Vec<PortalName>,
    ) -> Result<Option<Timestamp>, StoreError> {
        let _ = portals;
        unimplemented!()
    }

    /// The message as it came, octet by octet; None when its time was over.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn raw(&self, ledger: LedgerId) -> Result<Option<Vec<u8>>, StoreError> {
        let _ = ledger;
        unimplemented!()
    }

    /// Records what came of an attempt. A claim whose lease was taken over changes nothing.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn settle_delivery(
        &self,
        claim: &Claim,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _ = (claim, settlement, now);
        unimplemented!()
    }

    /// Destinations that an operator paused.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn paused_destinations(&self) -> Result<Vec<DestinationName>, StoreError> {
        unimplemented!()
    }

    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn pause_destination(
        &self,
        destination: DestinationName,
        paused: bool,
        by: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _ = (destination, paused, by, now);
        unimplemented!()
    }
}
