//! Times after a delay of any length.

use std::time::Duration;

use jiff::Timestamp;

/// The time after a delay, at most the last one that a timestamp can hold.
#[must_use]
pub fn later(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_ends_at_the_last_timestamp_at_the_latest() {
        let second = Duration::from_secs(1);
        assert_eq!(later(Timestamp::UNIX_EPOCH, second).as_millisecond(), 1000);
        assert_eq!(later(Timestamp::MAX, second), Timestamp::MAX);
        assert_eq!(later(Timestamp::UNIX_EPOCH, Duration::MAX), Timestamp::MAX);
    }
}
