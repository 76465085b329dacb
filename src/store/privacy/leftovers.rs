//! Erases what may remain once no row names the person: stored API answers, unused words of the search, notices, and
//! the bytes of deleted rows.
//!
//! It needs only the address, so it can be repeated after the erasure itself has finished.

use crate::domain::EmailAddress;
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

impl Store {
    /// Completes an earlier erasure of an address about which nothing is known any more. Does nothing if nobody was
    /// ever erased. Returns true if no trace of an erasure remains in free pages or in the log.
    pub async fn complete_erasure(&self, address: &EmailAddress) -> Result<bool> {
        let notices = self.erase_notices(address).await?;
        if notices == 0 && !self.read(has_erasure).await? {
            return Ok(true);
        }
        self.erase_leftovers(address).await
    }

    /// Deletes the stored API answers of everybody, unused words of the search and the notices to the address, and
    /// overwrites what was freed. Returns true if no trace remains in free pages or in the log.
    pub(super) async fn erase_leftovers(&self, address: &EmailAddress) -> Result<bool> {
        self.erase_answers().await?;
        self.remove_unused_words().await?;
        self.erase_notices(address).await?;
        self.overwrite_what_was_freed().await
    }

    /// Deletes the notices to the address. Returns their number.
    async fn erase_notices(&self, address: &EmailAddress) -> Result<usize> {
        let key = address.key();
        let sql = "DELETE FROM notice WHERE sender = ?";
        self.write_overwriting(move |work| work.tx.run(sql, &[&key]))
            .await
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
    async fn overwrite_what_was_freed(&self) -> Result<bool> {
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
