//! The access settings as numbered revisions.

use std::sync::Arc;

use crate::access::AccessSettings;
use crate::domain::{Actor, Timestamp};
use crate::store::audit::events::NewEvent;
use crate::store::engine::job::Work;
use crate::store::engine::settings_cache::{Revision, newest};
use crate::store::sql::insert;
use crate::store::sql::sql_types::{Millis, json};
use crate::store::{Result, Store, StoreError, Topic};

fn record(work: &mut Work, revision: &Revision, by: &Actor) -> Result<()> {
    insert!(
        work.tx,
        access_revision {
            number: revision.number,
            at: Millis::from(revision.at),
            by: revision.by,
            origin: revision.origin,
            settings: json(&*revision.settings)?
        }
    )?;
    work.settings.invalidate();
    NewEvent::new("access.changed")
        .detail(format!("revision {}", revision.number))
        .record(work.tx, by, revision.at.into())
}

impl Store {
    /// Creates the first revision if there is none. Returns true if it did.
    pub async fn seed_access(&self, settings: AccessSettings, now: Timestamp) -> Result<bool> {
        let settings = Arc::new(settings);
        self.write(move |work| {
            if newest(work.tx)?.number > 0 {
                return Ok(false);
            }
            let first = Revision {
                number: 1,
                at: now,
                settings: settings.clone(),
                ..Revision::defaults()
            };
            record(work, &first, &Actor::Daemon)?;
            Ok(true)
        })
        .await
    }

    /// The settings in force: the defaults, as revision 0, when nothing was ever set.
    pub async fn access(&self) -> Result<Revision> {
        self.read(newest).await
    }

    pub async fn revision(&self, number: u64) -> Result<Option<Revision>> {
        self.read(move |tx| {
            if number == 0 {
                return Ok(Some(Revision::defaults()));
            }
            tx.maybe("SELECT * FROM access_revision WHERE number = ?", &[&number])
        })
        .await
    }

    /// Revisions, newest first.
    pub async fn access_history(&self, limit: usize) -> Result<Vec<Revision>> {
        self.access_history_before(u64::MAX, limit).await
    }

    /// Revisions before `number`, newest first.
    pub async fn access_history_before(&self, number: u64, limit: usize) -> Result<Vec<Revision>> {
        self.read(move |tx| {
            let sql = "SELECT * FROM access_revision WHERE number < ? ORDER BY number DESC LIMIT ?";
            tx.all(sql, &[&number, &limit])
        })
        .await
    }

    /// Puts new settings in force, provided that nobody changed them since revision `base`.
    ///
    /// # Errors
    /// `Conflict` if somebody did.
    pub async fn change_access(
        &self,
        base: u64,
        settings: AccessSettings,
        by: Actor,
        now: Timestamp,
    ) -> Result<Revision> {
        let settings = Arc::new(settings);
        self.write(move |work| {
            let found = newest(work.tx)?.number;
            if found != base {
                return Err(StoreError::Conflict {
                    expected: base,
                    found,
                });
            }
            let revision = Revision {
                number: base + 1,
                at: Millis::from(now).timestamp(),
                by: by.to_string(),
                origin: by
                    .origin()
                    .map_or_else(String::new, |origin| origin.to_string()),
                settings: settings.clone(),
            };
            record(work, &revision, &by)?;
            work.wakeups.add(Topic::OperatorActions);
            Ok(revision)
        })
        .await
    }
}
