//! Parts of the filters of lists, for pages, API and command line; and whole lists.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::store::{ListOrder, Listed, Page, Result};

/// Rows that are read from the database at a time.
const PART: usize = 500;

/// The order of a list by time, newest first unless asked otherwise.
#[must_use]
pub fn order_by_time(oldest_first: bool) -> ListOrder {
    if oldest_first {
        ListOrder::OldestFirst
    } else {
        ListOrder::NewestFirst
    }
}

/// The earlier of two optional ends of a period. For two starts, `max` gives the later: None is less than any time.
#[must_use]
pub fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

/// The time `age` before now, in milliseconds, as the database stores times.
#[must_use]
pub fn ago(age: Duration) -> Timestamp {
    let then = Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN);
    Timestamp::from_millisecond(then.as_millisecond()).unwrap_or(then)
}

/// Reads a list page by page to its end, or to a limit.
pub(super) async fn read_all<T, F>(most: usize, read: impl Fn(Page) -> F) -> Result<Vec<T>>
where
    F: Future<Output = Result<Listed<T>>>,
{
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let listed = read(Page { limit: PART, after }).await?;
        rows.extend(listed.rows);
        after = listed.next;
        if after.is_none() || rows.len() >= most {
            rows.truncate(most);
            return Ok(rows);
        }
    }
}
