//! Room that was freed in the file, given back a little at a time.

use rusqlite::Connection;

use super::time_slice::{Step, TimeSlice};
use super::{Store, StoreError};

/// Free pages that stay: the next messages need them at once.
const SPARE_PAGES: i64 = 10_000;

/// How often a step looks at the clock at most, and how many pages it gives back between two looks. For
/// one of them several may have to be read from far apart, so they are few.
const LOOKS: usize = 125;
const PAGES: i64 = 4;

fn free_pages(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?)
}

/// One step of giving pages back until only `spare` are left. There is more unless that is reached, or
/// another program wrote the file anew, which keeps all until it is compacted.
pub(super) fn shorten(connection: &Connection, spare: i64) -> Result<Shortened, StoreError> {
    let before = free_pages(connection)?;
    let mut left = before;
    let mut pace = TimeSlice::of(LOOKS);
    while left > spare && pace.goes_on() {
        let most = PAGES.min(left - spare);
        connection.pragma(None, "incremental_vacuum", most, |_| Ok(()))?;
        left = free_pages(connection)?;
    }
    let given = usize::try_from(before - left).unwrap_or(0);
    Ok(Shortened {
        left,
        step: pace.step(given, left > spare && left < before),
    })
}

/// A file that has given pages back.
pub(super) struct Shortened {
    /// Free pages that it still has.
    pub(super) left: i64,
    pub(super) step: Step<usize>,
}

impl Store {
    /// Shortens the file by some of the pages that were freed, if there are many.
    pub async fn give_pages_back(&self) -> Result<Step<usize>, StoreError> {
        if self.read(free_pages).await? <= SPARE_PAGES {
            return Ok(Step::default());
        }
        self.write(|work| Ok(shorten(work.connection, SPARE_PAGES)?.step))
            .await
    }
}
