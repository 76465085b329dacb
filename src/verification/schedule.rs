//! When a letter that could not be sent is tried again.

use std::time::Duration;

use jiff::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The waits after the first attempts, in seconds; every later one is as long as the last.
const WAITS: [u64; 8] = [
    MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    4 * HOUR,
    4 * HOUR,
];

/// The attempt after which a letter is given up: about five days.
const LAST_ATTEMPT: u32 = 36;

/// When to try again after attempt number `attempt` (from 1) failed at `now`; never after the last.
#[must_use]
pub(super) fn next_attempt(attempt: u32, now: Timestamp) -> Option<Timestamp> {
    if attempt >= LAST_ATTEMPT {
        return None;
    }
    let place = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    let wait = WAITS[place.min(WAITS.len() - 1)];
    now.checked_add(Duration::from_secs(wait)).ok()
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
