//! Cursors of lists in the order of time.

use super::Row;
use super::page_builder::unknown_cursor;
use super::sql_types::Millis;
use crate::store::{Page, Result};

/// A position in a list ordered by time, with the row number as the tie-break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct TimeCursor {
    pub(in crate::store) at: Millis,
    pub(in crate::store) n: i64,
}

impl TimeCursor {
    /// Place of a row by its column `n` and that of its time.
    pub(in crate::store) fn of_row(row: &Row, time: &str) -> Result<Self> {
        let (at, n) = (row.get(time)?, row.get("n")?);
        Ok(Self { at, n })
    }

    /// Place of the last row of the page before.
    pub(in crate::store) fn before(page: &Page) -> Result<Option<Self>> {
        page.after.as_deref().map(Self::read).transpose()
    }

    fn read(cursor: &str) -> Result<Self> {
        let place = cursor.rsplit_once('-').and_then(|(at, n)| {
            Some(Self {
                at: Millis(at.parse().ok()?),
                n: n.parse().ok()?,
            })
        });
        place.ok_or_else(|| unknown_cursor(cursor))
    }

    pub(in crate::store) fn cursor(self) -> String {
        format!("{}-{}", self.at.0, self.n)
    }
}
