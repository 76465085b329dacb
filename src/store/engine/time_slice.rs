//! One step of long work in the writer: processes rows one by one for as long as mail can wait, and reports
//! the number done and whether there are more.

use std::time::{Duration, Instant};

use crate::store::Result;

/// Maximum duration of a step, without its commit. At least one row is processed.
const MAX_DURATION: Duration = Duration::from_millis(8);

/// Result of one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkStep<T> {
    pub done: T,
    /// The step ended before the work did.
    pub more: bool,
    /// Time for which it occupied the writer, without the commit.
    pub took: Duration,
}

/// A step in progress.
pub(crate) struct TimeSlice {
    limit: usize,
    taken: usize,
    begin: Instant,
}

impl TimeSlice {
    pub(crate) fn of(limit: usize) -> Self {
        Self {
            limit,
            taken: 0,
            begin: Instant::now(),
        }
    }

    /// True if another row may be processed.
    pub(crate) fn goes_on(&mut self) -> bool {
        let goes_on =
            self.taken == 0 || (self.taken < self.limit && self.begin.elapsed() < MAX_DURATION);
        self.taken += usize::from(goes_on);
        goes_on
    }

    /// The result of the step.
    pub(crate) fn step<T>(&self, done: T, more: bool) -> WorkStep<T> {
        WorkStep {
            done,
            more,
            took: self.begin.elapsed(),
        }
    }

    /// Processes the rows one by one. Returns true if there are more: the time ran out, or the number of rows
    /// reached the limit.
    pub(crate) fn each<T>(
        &mut self,
        rows: Vec<T>,
        mut one: impl FnMut(T) -> Result<()>,
    ) -> Result<bool> {
        let full = rows.len() >= self.limit;
        for row in rows {
            if !self.goes_on() {
                return Ok(true);
            }
            one(row)?;
        }
        Ok(full)
    }
}
