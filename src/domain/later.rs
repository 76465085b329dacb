//! Times after a delay of any length.

use std::time::Duration;

use jiff::Timestamp;

/// The time after a delay, at most the last one that a timestamp can hold.
#[must_use]
pub fn later(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}
