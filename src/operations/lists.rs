//! Parts of the filters of lists, for pages, API and command line.

use crate::domain::Timestamp;
use crate::store::ListOrder;

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
