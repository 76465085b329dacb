//! Accounts, for those who ask about them and for an operator's hand.

use super::{Listed, Page, Store, StoreError};
use crate::access::Decision;
use crate::domain::{
    Account, AccountId, EmailAddress, Kind, Origin, PortalName, Status, Timestamp,
};

#[derive(Debug, Clone, Default)]
pub struct CustomerFilter {
    pub kind: Option<Kind>,
    pub status: Option<Status>,
    pub domain: Option<String>,
    /// A part of the address.
    pub search: Option<String>,
    pub page: Page,
}

/// What came of asking for a new account.
#[derive(Debug, Clone)]
pub enum Added {
    /// Made, or there already; a letter is owed either way.
    Now(Account),
    Before(Account),
    /// The access settings do not allow it.
    NotAllowed(Decision),
}

impl Store {
    /// By address.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn customers(&self, filter: CustomerFilter) -> Result<Listed<Account>, StoreError> {
        let _ = filter;
        unimplemented!()
    }

    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn customer(&self, address: &EmailAddress) -> Result<Option<Account>, StoreError> {
        let _ = address;
        unimplemented!()
    }

    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn customer_by_id(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let _ = id;
        unimplemented!()
    }

    /// The two ways in besides mail: sign-up, and an operator. The access settings in force decide
    /// as they do for mail, and the address must be proved whatever they say. A new account, and on
    /// sign-up an old one, is owed a letter.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn add_customer(
        &self,
        address: EmailAddress,
        portal: Option<PortalName>,
        origin: Origin,
        by: String,
        now: Timestamp,
    ) -> Result<Added, StoreError> {
        let _ = (address, portal, origin, by, now);
        unimplemented!()
    }

    /// Shuts an account out. Its held requests stay held, its links stop working.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn block_customer(
        &self,
        id: AccountId,
        by: String,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        let _ = (id, by, now);
        unimplemented!()
    }

    /// Lets it in again: active if its address was proved or needed no proof, pending otherwise.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn unblock_customer(
        &self,
        id: AccountId,
        by: String,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        let _ = (id, by, now);
        unimplemented!()
    }
}
