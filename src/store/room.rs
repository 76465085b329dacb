//! Room that was freed in the file, given back a little at a time.

use rusqlite::Connection;

use super::pace::{Pace, Step};
use super::{Store, StoreError};

/// Free pages that stay: the next messages need them at once.
const SPARE_PAGES: i64 = 10_000;

/// How often a step gives so many pages back.
const PAGES_AT_ONCE: usize = 20;
const PAGES: i64 = 25;

pub(super) fn free_pages(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?)
}

/// Some of the free pages; says how many are left: as many as before in a file that another program
/// wrote anew, until it is compacted.
pub(super) fn give_back(connection: &Connection, pages: i64) -> Result<i64, StoreError> {
    connection.pragma(None, "incremental_vacuum", pages, |_| Ok(()))?;
    free_pages(connection)
}

impl Store {
    /// Shortens the file by some of the pages that were freed, if there are many.
    pub async fn give_pages_back(&self) -> Result<Step<usize>, StoreError> {
        let before = self.read(free_pages).await?;
        if before <= SPARE_PAGES {
            return Ok(Step::default());
        }
        self.write(move |work| {
            let mut pace = Pace::of(PAGES_AT_ONCE);
            let mut left = before;
            while left > SPARE_PAGES && pace.goes_on() {
                left = give_back(work.connection, PAGES)?;
            }
            Ok(pace.step(
                usize::try_from(before - left).unwrap_or(0),
                left > SPARE_PAGES && left < before,
            ))
        })
        .await
    }
}
