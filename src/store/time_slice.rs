//! One step of long work in the writer: rows in, done one after the other for as long as mail can wait;
//! what was done out, and whether there is more.

use std::time::{Duration, Instant};

use super::StoreError;

/// How long a step goes on, apart from the commit. At least one row is done.
const LONGEST: Duration = Duration::from_millis(8);

/// What one step did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step<T> {
    pub done: T,
    /// The step ended before the work did.
    pub more: bool,
    /// For how long it held up the writer, apart from the commit.
    pub took: Duration,
}

/// A step while it goes on.
pub(super) struct TimeSlice {
    limit: usize,
    taken: usize,
    begin: Instant,
}

impl TimeSlice {
    pub(super) fn of(limit: usize) -> Self {
        Self {
            limit,
            taken: 0,
            begin: Instant::now(),
        }
    }

    /// Whether one more row may be done.
    pub(super) fn goes_on(&mut self) -> bool {
        let goes_on =
            self.taken == 0 || (self.taken < self.limit && self.begin.elapsed() < LONGEST);
        self.taken += usize::from(goes_on);
        goes_on
    }

    /// What was done.
    pub(super) fn step<T>(&self, done: T, more: bool) -> Step<T> {
        Step {
            done,
            more,
            took: self.begin.elapsed(),
        }
    }

    /// Does them one after the other. Whether there is more: not all were done, or as many as were
    /// asked for.
    pub(super) fn each<T>(
        &mut self,
        rows: Vec<T>,
        mut one: impl FnMut(T) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
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
