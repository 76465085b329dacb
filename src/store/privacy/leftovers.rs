//! Erases what may remain once no row names the person: stored API answers, unused words of the search, notices, and
//! the bytes of deleted rows.
//!
//! It needs only the address, so it can be repeated after the erasure itself has finished.

use crate::domain::{Actor, EmailAddress, Timestamp};
use crate::store::engine::vacuum::shorten;
use crate::store::sql::Tx;
use crate::store::{Result, Store, StoreError};

/// Number of answers deleted in one transaction.
const STEP: usize = 20;

/// True if the erasure of a person is recorded. An erasure that leaves nothing known about its address is recorded
/// before, or in the same transaction.
fn has_erasure(tx: &Tx) -> Result<bool> {
    // Operators' events have an index by name.
    let sql = "SELECT 1 FROM event WHERE name = 'account.forgotten' AND origin IS NOT NULL LIMIT 1";
    tx.exists(sql, &[])
}

/// Deletes the notices to an address, by its key. Returns their number.
fn delete_notices(tx: &Tx, key: &str) -> Result<usize> {
    tx.run("DELETE FROM notice WHERE sender = ?", &[&key])
}

impl Store {
    /// Completes an earlier erasure of an address about which nothing is known any more. Does nothing if nobody was
    /// ever erased and there is no notice to the address; a notice outlives an entry that is kept for less time.
    /// Returns true if no trace of an erasure remains in free pages or in the log.
    pub async fn complete_erasure(
        &self,
        address: &EmailAddress,
        by: Actor,
        now: Timestamp,
    ) -> Result<bool> {
        let key = address.key();
        let is_recorded = self.write_overwriting(move |work| {
            let is_recorded = has_erasure(work.tx)?;
            let notices = delete_notices(work.tx, &key)?;
            if notices > 0 && !is_recorded {
                // If traces remain, the next run finds no notice.
                work.record_forgotten(None, &by, now.into())?;
            }
            Ok(notices > 0 || is_recorded)
        });
        if is_recorded.await? {
            self.erase_leftovers(address).await
        } else {
            Ok(true)
        }
    }

    /// Deletes the stored API answers of everybody, unused words of the search and the notices to the address, and
    /// removes the traces of all that was deleted. Returns true if none remains in free pages or in the log.
    pub(super) async fn erase_leftovers(&self, address: &EmailAddress) -> Result<bool> {
        self.erase_answers().await?;
        self.remove_unused_words().await?;
        let key = address.key();
        self.write_overwriting(move |work| delete_notices(work.tx, &key))
            .await?;
        self.remove_traces().await
    }

    /// Deletes the stored API answers, which may be about anybody; a repeated request is executed again.
    async fn erase_answers(&self) -> Result<()> {
        let newest: i64 = self
            .read(|tx| tx.one("SELECT coalesce(max(n), 0) FROM answer", &[]))
            .await?;
        loop {
            let deleted = self
                .write_overwriting(move |work| {
                    work.tx.run(
                        "DELETE FROM answer WHERE n IN (
                                 SELECT n FROM answer WHERE n <= ? AND status IS NOT NULL
                                 ORDER BY n LIMIT ?
                             )",
                        &[&newest, &STEP],
                    )
                })
                .await?;
            if deleted < STEP {
                return Ok(());
            }
        }
    }

    /// Returns the free pages to the file system and empties the log. Returns true if both succeeded.
    async fn remove_traces(&self) -> Result<bool> {
        loop {
            let shortened = self.write(|work| shorten(work.tx, 0)).await?;
            if shortened.left == 0 {
                break;
            }
            if !shortened.step.more {
                return Ok(false);
            }
        }
        let driver = self.driver.clone();
        tokio::task::spawn_blocking(move || driver.erase_log())
            .await
            .map_err(StoreError::fault)?
    }
}
