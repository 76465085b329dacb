//! The access settings in force: the newest revision, and its effective settings for each portal.

use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

use crate::access::{AccessSettings, Effective};
use crate::domain::{PortalName, Timestamp};
use crate::store::Result;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::from_row;

/// A revision of the access settings.
#[derive(Debug, Clone, Serialize)]
pub struct Revision {
    /// Number of the revision, from 1.
    pub number: u64,
    pub at: Timestamp,
    /// Author: `operator:NAME` or `configuration`.
    pub by: String,
    /// Origin: `command line`, `page`, `api`, `configuration`.
    pub origin: String,
    pub settings: Arc<AccessSettings>,
}

impl Revision {
    /// The settings before any revision.
    pub(in crate::store) fn defaults() -> Self {
        Self {
            number: 0,
            at: Timestamp::UNIX_EPOCH,
            by: "configuration".to_owned(),
            origin: "configuration".to_owned(),
            settings: Arc::default(),
        }
    }
}
from_row!(Revision, row: number, at, by, origin, settings);

pub(crate) fn newest(tx: &Tx) -> Result<Revision> {
    let sql = "SELECT * FROM access_revision ORDER BY number DESC LIMIT 1";
    let found: Option<Revision> = tx.maybe(sql, &[])?;
    Ok(found.unwrap_or_else(Revision::defaults))
}

const NEWEST: &str = "SELECT max(number) FROM access_revision";

/// Cache of the newest revision and its effective settings for each portal, for the writer, which needs them
/// for every message. Another process may create a revision between any two transactions.
#[derive(Default)]
pub(crate) struct SettingsCache {
    newest: Option<Revision>,
    effective: HashMap<PortalName, Arc<Effective>>,
    /// True if `newest` was compared with the database in this transaction.
    is_current: bool,
}

impl SettingsCache {
    /// Marks the cached revision as uncertain, at the start of a transaction.
    pub(crate) fn begin_transaction(&mut self) {
        self.is_current = false;
    }

    /// Clears the cache: the cached revision may never have been committed.
    pub(crate) fn invalidate(&mut self) {
        *self = Self::default();
    }

    /// Prefetches the query of [`effective`](Self::effective).
    pub(crate) fn prefetch(&self, tx: &Tx) {
        if !self.is_current {
            let _: Result<Option<u64>, _> = tx.one(NEWEST, &[]);
        }
    }

    /// Number of the revision in force, and its effective settings for `portal`.
    pub(crate) fn effective(
        &mut self,
        tx: &Tx,
        portal: Option<&PortalName>,
    ) -> Result<(u64, Arc<Effective>)> {
        if !self.is_current {
            let number: Option<u64> = tx.one(NEWEST, &[])?;
            if self.newest.as_ref().map(|revision| revision.number) != Some(number.unwrap_or(0)) {
                self.newest = Some(newest(tx)?);
                self.effective.clear();
            }
            self.is_current = true;
        }
        let newest = self.newest.get_or_insert_with(Revision::defaults);
        let Some(portal) = portal else {
            return Ok((newest.number, Arc::new(newest.settings.effective(None))));
        };
        if let Some(effective) = self.effective.get(portal) {
            return Ok((newest.number, effective.clone()));
        }
        let effective = Arc::new(newest.settings.effective(Some(portal)));
        self.effective.insert(portal.clone(), effective.clone());
        Ok((newest.number, effective))
    }
}
