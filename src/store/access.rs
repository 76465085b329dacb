//! The access settings as numbered revisions.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use super::columns::{Json, Millis, json};
use super::events::Happening;
use super::writer::Work;
use super::{Store, StoreError, Topic};
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
    fn defaults() -> Self {
        Self {
            number: 0,
            at: Timestamp::UNIX_EPOCH,
            by: "configuration".to_owned(),
            origin: "configuration".to_owned(),
            settings: Arc::default(),
        }
    }

    fn from_row(row: &Row) -> rusqlite::Result<Self> {
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
            if self.newest.as_ref().map(|known| known.number) != Some(number.unwrap_or(0)) {
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

fn insert(work: &mut Work, revision: &Revision) -> Result<(), StoreError> {
    work.connection.execute(
        "INSERT INTO access_revision (number, at, by, origin, settings) VALUES (?, ?, ?, ?, ?)",
        params![
            revision.number,
            Millis::from(revision.at),
            revision.by,
            revision.origin,
            json(&*revision.settings)?
        ],
    )?;
    work.settings.forget();
    Happening::named("access.changed")
        .detail(format!("revision {}", revision.number))
        .record(work.connection, &revision.by, revision.at.into())
}

impl Store {
    /// Makes the first revision if there is none; says whether it did.
    pub async fn seed_access(
        &self,
        settings: AccessSettings,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let settings = Arc::new(settings);
        self.write(move |work| {
            if newest(work.connection)?.number > 0 {
                return Ok(false);
            }
            let first = Revision {
                number: 1,
                at: now,
                settings: settings.clone(),
                ..Revision::defaults()
            };
            insert(work, &first)?;
            Ok(true)
        })
        .await
    }

    /// What is in force. The defaults as revision 0 when nothing was ever set.
    pub async fn access(&self) -> Result<Revision, StoreError> {
        self.read(newest).await
    }

    pub async fn revision(&self, number: u64) -> Result<Option<Revision>, StoreError> {
        self.read(move |connection| {
            if number == 0 {
                return Ok(Some(Revision::defaults()));
            }
            Ok(connection
                .prepare_cached("SELECT * FROM access_revision WHERE number = ?")?
                .query_row([number], Revision::from_row)
                .optional()?)
        })
        .await
    }

    /// Newest first.
    pub async fn access_history(&self, limit: usize) -> Result<Vec<Revision>, StoreError> {
        self.access_history_before(u64::MAX, limit).await
    }

    /// Those before revision `number`, newest first.
    pub async fn access_history_before(
        &self,
        number: u64,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM access_revision WHERE number < ? ORDER BY number DESC LIMIT ?",
            )?;
            let rows = statement.query_map(params![number, limit], Revision::from_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Puts new settings in force, provided that nobody changed them since revision `base`.
    ///
    /// # Errors
    /// `Conflict`.
    pub async fn change_access(
        &self,
        base: u64,
        settings: AccessSettings,
        by: String,
        origin: String,
        now: Timestamp,
    ) -> Result<Revision, StoreError> {
        let settings = Arc::new(settings);
        self.write(move |work| {
            let found = newest(work.connection)?.number;
            if found != base {
                return Err(StoreError::Conflict {
                    expected: base,
                    found,
                });
            }
            let revision = Revision {
                number: base + 1,
                at: Millis::from(now).timestamp(),
                by: by.clone(),
                origin: origin.clone(),
                settings: settings.clone(),
            };
            insert(work, &revision)?;
            work.rings.add(Topic::Deeds);
            Ok(revision)
        })
        .await
    }
}
