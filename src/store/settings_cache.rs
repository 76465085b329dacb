//! Which access settings are in force: the newest revision, and what it means for each portal.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use super::StoreError;
use super::sql_types::{Json, Millis};
use crate::access::{AccessSettings, Effective};
use crate::domain::{PortalName, Timestamp};

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

impl Revision {
    /// What holds before anything was set.
    pub(super) fn defaults() -> Self {
        Self {
            number: 0,
            at: Timestamp::UNIX_EPOCH,
            by: "configuration".to_owned(),
            origin: "configuration".to_owned(),
            settings: Arc::default(),
        }
    }

    pub(super) fn from_row(row: &Row) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get("number")?,
            at: row.get::<_, Millis>("at")?.timestamp(),
            by: row.get("by")?,
            origin: row.get("origin")?,
            settings: Arc::new(row.get::<_, Json<_>>("settings")?.0),
        })
    }
}

pub(super) fn newest(connection: &Connection) -> Result<Revision, StoreError> {
    let found = connection
        .prepare_cached("SELECT * FROM access_revision ORDER BY number DESC LIMIT 1")?
        .query_row([], Revision::from_row)
        .optional()?;
    Ok(found.unwrap_or_else(Revision::defaults))
}

/// The newest revision and what it means for each portal, for the writer, which asks at every
/// message. Another process may make a new one at any time between two transactions.
#[derive(Default)]
pub(super) struct SettingsCache {
    newest: Option<Revision>,
    effective: HashMap<PortalName, Arc<Effective>>,
    /// Whether `newest` was compared with the database in this transaction.
    certain: bool,
}

impl SettingsCache {
    /// A new transaction begins.
    pub(super) fn look_again(&mut self) {
        self.certain = false;
    }

    /// What was read may never have been committed.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The number of the revision in force, and what it means for `portal`.
    pub(super) fn in_force(
        &mut self,
        connection: &Connection,
        portal: Option<&PortalName>,
    ) -> Result<(u64, Arc<Effective>), StoreError> {
        if !self.certain {
            let number: Option<u64> = connection
                .prepare_cached("SELECT max(number) FROM access_revision")?
                .query_row([], |row| row.get(0))?;
            if self.newest.as_ref().map(|find_account| find_account.number)
                != Some(number.unwrap_or(0))
            {
                self.newest = Some(newest(connection)?);
                self.effective.clear();
            }
            self.certain = true;
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
