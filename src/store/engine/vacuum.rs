//! Incremental vacuum: returns free pages of the file, a few at a time.

use crate::store::engine::time_slice::{TimeSlice, WorkStep};
use crate::store::sql::{Maintenance, Tx};
use crate::store::{Result, Store};

/// Number of free pages to keep, because the next messages need some at once.
const SPARE_PAGES: i64 = 10_000;

/// Maximum number of clock checks in a step, and number of pages returned between two of them. Few pages, because
/// returning one may read several distant ones.
const LOOKS: usize = 125;
const PAGES: i64 = 4;

/// Returns free pages in one step, until only `spare` are left. The step reports no more work once that is reached,
/// or if it freed nothing: a file that another program created has no incremental vacuum, and keeps its free pages
/// until it is compacted.
pub(crate) fn shorten(tx: &Tx, spare: i64) -> Result<Shortened> {
    let before = tx.free_pages()?;
    let mut left = before;
    let mut slice = TimeSlice::of(LOOKS);
    while left > spare && slice.goes_on() {
        let most = PAGES.min(left - spare);
        tx.give_pages_back(most)?;
        left = tx.free_pages()?;
    }
    let given = usize::try_from(before - left).unwrap_or(0);
    Ok(Shortened {
        left,
        step: slice.step(given, left > spare && left < before),
    })
}

/// Result of a vacuum step.
pub(crate) struct Shortened {
    /// Remaining free pages.
    pub(crate) left: i64,
    pub(crate) step: WorkStep<usize>,
}

impl Store {
    /// Returns some free pages to the file system, if there are many.
    pub async fn give_pages_back(&self) -> Result<WorkStep<usize>> {
        if self.read(Maintenance::free_pages).await? <= SPARE_PAGES {
            return Ok(WorkStep::default());
        }
        self.write(|work| Ok(shorten(work.tx, SPARE_PAGES)?.step))
            .await
    }
}
