//! Idle time of sessions, after which they free memory. No timer wakes for it: the next user after an idle period
//! looks, and housekeeping comes every minute.

use std::time::{Duration, Instant};

/// Idle time after which memory is freed. Shorter than the interval between two rounds of housekeeping, longer
/// than a person looks at a page.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// An idle period in progress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IdleTime {
    since: Instant,
    long: Duration,
}

impl IdleTime {
    pub(crate) fn begin(long: Duration) -> Self {
        Self {
            since: Instant::now(),
            long,
        }
    }

    pub(crate) fn is_long(self) -> bool {
        self.since.elapsed() >= self.long
    }
}
