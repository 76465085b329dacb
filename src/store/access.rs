//! The access settings as numbered revisions.

use super::{Store, StoreError};
use crate::access::AccessSettings;
use crate::domain::Timestamp;
use serde::Serialize;
use std::sync::Arc;

/// One state of the access settings, and who made it so.
#[derive(Debug, Clone, Serialize)]
pub struct Revision {
    /// Counts from 1.
    pub number: u64,
    pub at: Timestamp,
    /// Whom: `operator:NAME` or `configuration`.
    pub by: String,
    /// From where: `command line`, `page`, `api`, `configuration`.
    pub origin: String,
    pub settings: Arc<AccessSettings>,
}

impl Store {
    /// Makes the first revision if there is none; says whether it did.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn seed_access(
        &self,
        settings: AccessSettings,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let _ = (settings, now);
        unimplemented!()
    }

    /// What is in force. The defaults as revision 0 when nothing was ever set.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn access(&self) -> Result<Revision, StoreError> {
        unimplemented!()
    }

    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn revision(&self, number: u64) -> Result<Option<Revision>, StoreError> {
        let _ = number;
        unimplemented!()
    }

    /// Newest first.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn access_history(&self, limit: usize) -> Result<Vec<Revision>, StoreError> {
        let _ = limit;
        unimplemented!()
    }

    /// Puts new settings in force, provided that nobody changed them since revision `base`.
    ///
    /// # Errors
    /// `Conflict`.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn change_access(
        &self,
        base: u64,
        settings: AccessSettings,
        by: String,
        origin: String,
        now: Timestamp,
    ) -> Result<Revision, StoreError> {
        let _ = (base, settings, by, origin, now);
        unimplemented!()
    }
}
