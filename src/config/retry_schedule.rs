//! The schedule of retries.

use std::time::Duration;

use super::units;

/// Schedule of retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule {
    /// The delay after the first attempt, the second, and so on; the last one repeats. Never empty.
    pub waits: Vec<Duration>,
    /// Time after a request's release during which delivery is retried.
    pub give_up_after: Duration,
}

impl RetrySchedule {
    /// The delay after attempt number `attempt`, which counts from 1.
    #[must_use]
    pub fn wait_after(&self, attempt: u32) -> Duration {
        let place = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = self.waits.get(place).or(self.waits.last());
        wait.copied().unwrap_or(units::MINUTE)
    }
}

impl Default for RetrySchedule {
    fn default() -> Self {
        use units::{DAY, HOUR, MINUTE};
        Self {
            waits: vec![
                MINUTE,
                5 * MINUTE,
                15 * MINUTE,
                30 * MINUTE,
                HOUR,
                2 * HOUR,
                4 * HOUR,
            ],
            give_up_after: 5 * DAY,
        }
    }
}
