//! Erases what may remain once no row names the person: stored API answers, unused words of the search, notices, and
//! the bytes of deleted rows.
//!
//! It needs only the address, so it can be repeated after the erasure itself has finished.

use crate::domain::EmailAddress;
use crate::store::engine::vacuum::shorten;
use crate::store::{Result, Store, StoreError};

/// Number of answers deleted in one transaction.
const STEP: usize = 20;

impl Store {
    /// Deletes the stored API answers of everybody, unused words of the search and the notices to the address, and
    /// overwrites what was freed. Returns true if no trace remains in free pages or in the log.
    pub async fn erase_leftovers(&self, address: &EmailAddress) -> Result<bool> {
        self.write(|work| work.tx.overwrite_what_is_freed(true))
            .await?;
        self.erase_answers().await?;
        self.remove_unused_words().await?;
        let key = address.key();
        let sql = "DELETE FROM notice WHERE sender = ?";
        self.write(move |work| work.tx.run(sql, &[&key])).await?;
        let overwritten = self.overwrite_what_was_freed().await?;
        self.write(|work| work.tx.overwrite_what_is_freed(false))
            .await?;
        Ok(overwritten)
    }

    /// Deletes the stored API answers, which may be about anybody; a repeated request is executed again.
    async fn erase_answers(&self) -> Result<()> {
        let newest: i64 = self
            .read(|tx| tx.one("SELECT coalesce(max(n), 0) FROM answer", &[]))
            .await?;
        loop {
            let deleted = self
                .write(move |work| {
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
