//! Proving an address: looking at a link changes nothing; a proof activates the account and releases
//! its held requests, in one transaction, exactly once.

use super::{Store, StoreError};
use crate::domain::{
    AccountId, EmailAddress, Kind, PortalName, Proof, RequestId, Timestamp, TokenHash,
};
use std::time::Duration;

/// One held request, as its sender sees it before letting it go.
#[derive(Debug, Clone)]
pub struct WaitingRequest {
    pub id: RequestId,
    pub portal: PortalName,
    pub subject: Option<String>,
    pub received_at: Timestamp,
}

/// What stands behind a link.
#[derive(Debug, Clone)]
pub enum Link {
    Unknown,
    /// Too old; the account is still pending, and a new link can be had.
    Expired,
    /// The account is pending.
    Open {
        account: AccountId,
        address: EmailAddress,
        requests: Vec<WaitingRequest>,
    },
    /// The address was proved, by this link or otherwise: all is well.
    Proved {
        account: AccountId,
        address: EmailAddress,
        portal: Option<PortalName>,
    },
    /// The person said "This was not me".
    Refused {
        address: EmailAddress,
    },
}

/// Which of the held requests go with a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    All,
    /// All but these, which the person saw and left out; they are discarded.
    Without(Vec<RequestId>),
}

/// What a proof did.
#[derive(Debug, Clone)]
pub enum Proved {
    /// The account is active from now on.
    Now {
        account: AccountId,
        address: EmailAddress,
        kind: Kind,
        released: Vec<(RequestId, PortalName)>,
        discarded: Vec<RequestId>,
    },
    /// It was already; nothing changed.
    Before {
        account: AccountId,
        address: EmailAddress,
    },
    Expired,
    /// No such token, or the person refused, or the account is blocked.
    Unknown,
}

/// What "This was not me" did.
#[derive(Debug, Clone)]
pub enum Refused {
    Now {
        account: AccountId,
        address: EmailAddress,
        discarded: Vec<RequestId>,
    },
    /// The address was proved, or refused, before; nothing changed.
    Before,
    Expired,
    Unknown,
}

impl Store {
    /// What a link shows. Changes nothing.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn look_at_link(&self, token: TokenHash, now: Timestamp) -> Result<Link, StoreError> {
        let _ = (token, now);
        unimplemented!()
    }

    /// The one operation by which an address is proved. `account` names whose when an operator
    /// vouches; a token names its own.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn prove(
        &self,
        proof: Proof,
        account: Option<AccountId>,
        choice: Choice,
        now: Timestamp,
    ) -> Result<Proved, StoreError> {
        let _ = (proof, account, choice, now);
        unimplemented!()
    }

    /// "This was not me": everything held is discarded, and the address gets no more mail of ours
    /// for a while. The account stays pending.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn refuse(
        &self,
        token: TokenHash,
        quiet_for: Duration,
        now: Timestamp,
    ) -> Result<Refused, StoreError> {
        let _ = (token, quiet_for, now);
        unimplemented!()
    }
}
