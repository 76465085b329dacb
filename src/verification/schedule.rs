//! Schedule of retries of verification mail, the same as the default of destinations.

use crate::config::Retry;
use crate::domain::Timestamp;

/// The number of the last attempt: after about five days.
const LAST_ATTEMPT: u32 = 36;

/// Returns the time of the next attempt after attempt number `attempt` (from 1) failed at `now`; `None` after
/// the last.
#[must_use]
pub(super) fn next_attempt(attempt: u32, now: Timestamp) -> Option<Timestamp> {
    if attempt >= LAST_ATTEMPT {
        return None;
    }
    now.checked_add(Retry::default().wait_after(attempt)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_grow_to_four_hours_and_end_after_five_days() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut waits = Vec::new();
        let mut attempt = 1;
        while let Some(next) = next_attempt(attempt, now) {
            waits.push(next.as_second() - now.as_second());
            now = next;
            attempt += 1;
        }
        let minutes: Vec<_> = waits.iter().take(9).map(|wait| wait / 60).collect();
        assert_eq!(minutes, [1, 5, 15, 30, 60, 120, 240, 240, 240]);
        let days = now.as_second() / 86_400;
        assert!((4..=5).contains(&days), "{days}");
    }
}
