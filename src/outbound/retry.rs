//! In: the outcome, number and age of an attempt. Out: the settlement to record, with the time of the next
//! attempt if there is one.

use std::time::Duration;

use super::AttemptOutcome;
use crate::config::RetrySchedule;
use crate::domain::Timestamp;
use crate::store::Settlement;

/// Longest delay that the other side can request.
pub(super) const MAX_REQUESTED: Duration = Duration::from_hours(1);

/// Maximum fraction by which a delay is lengthened, so that attempts that failed together are not retried together.
const JITTER: f64 = 0.1;

/// Returns the time of the next attempt after attempt number `attempt` (counted from 1) failed; `None` if it
/// was the last.
///
/// `begun` is the time from which the schedule counts; `None` if the age of the request is unknown, because the clock
/// is not trusted: then no attempt is the last. `chance` is a number from 0 to 1. `not_before` is the time that the
/// other side requested; it is honoured up to an hour, but never past the last attempt. Each delay is granted once,
/// however old the request is: the request may have waited for another one of its account, or for a destination that
/// was down, without an attempt.
#[must_use]
pub fn next(
    retry: &RetrySchedule,
    attempt: u32,
    begun: Option<Timestamp>,
    now: Timestamp,
    not_before: Option<Timestamp>,
    chance: f64,
) -> Option<Timestamp> {
    let wait = retry
        .wait_after(attempt)
        .mul_f64(1.0 + JITTER * chance.clamp(0.0, 1.0));
    let at = now.checked_add(wait).ok()?;
    let last = match begun {
        Some(begun) => begun.checked_add(retry.give_up_after).ok()?,
        None => Timestamp::MAX,
    };
    let latest = now.checked_add(MAX_REQUESTED).ok()?.min(last);
    let at = not_before.map_or(at, |earliest| at.max(earliest.min(latest)));
    let is_young = usize::try_from(attempt).is_ok_and(|attempt| attempt <= retry.waits.len());
    (is_young || at <= last).then_some(at)
}

/// A random number from 0 to 1 that spreads retries.
fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

/// The settlement of an attempt. `attempt` counts from 1; the schedule counts from `begun` when it decides whether to
/// give up, and never gives up without it.
pub fn settlement(
    outcome: &AttemptOutcome,
    attempt: u32,
    begun: Option<Timestamp>,
    retry: &RetrySchedule,
    now: Timestamp,
) -> Settlement {
    let cause = match outcome {
        AttemptOutcome::Delivered => return Settlement::Delivered,
        AttemptOutcome::Refused(cause) => {
            return Settlement::Failed {
                cause: cause.text.clone(),
            };
        }
        AttemptOutcome::Retry(cause) | AttemptOutcome::Unknown(cause) => cause,
    };
    let chance = chance();
    match next(retry, attempt, begun, now, cause.not_before, chance) {
        Some(at) => Settlement::Retry {
            at,
            cause: cause.text.clone(),
        },
        None => Settlement::Failed {
            cause: format!("given up: {}", cause.text),
        },
    }
}

/// Estimates the time of the first attempt, assuming that each later one was made when it was due.
pub fn first_attempt(retry: &RetrySchedule, attempt: u32, now: Timestamp) -> Timestamp {
    /// Bound of the loop: no schedule lasts for this many attempts.
    const MAX_ATTEMPTS: u32 = 10_000;
    let waited: Duration = (1..attempt.min(MAX_ATTEMPTS))
        .map(|n| retry.wait_after(n))
        .sum();
    now.checked_sub(waited).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(hours: f64) -> Timestamp {
        Timestamp::UNIX_EPOCH
            .checked_add(Duration::from_secs_f64(hours * 3600.0))
            .expect("in range")
    }

    #[test]
    fn the_delays_are_those_of_the_documentation() {
        let minutes: Vec<u64> = (1..=9)
            .map(|n| RetrySchedule::default().wait_after(n).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [1, 5, 15, 30, 60, 120, 240, 240, 240]);
    }

    #[test]
    fn a_request_is_tried_for_five_days() {
        let (mut now, mut attempt) = (after(0.0), 1);
        while let Some(at) = next(
            &RetrySchedule::default(),
            attempt,
            Some(after(0.0)),
            now,
            None,
            0.0,
        ) {
            assert!(at > now);
            (now, attempt) = (at, attempt + 1);
        }
        assert_eq!(attempt, 36);
        assert!(
            now > after(5.0 * 24.0 - 4.0) && now <= after(5.0 * 24.0),
            "{now}"
        );
    }

    #[test]
    fn a_wait_before_the_first_attempt_does_not_shorten_the_retries() {
        let retry = RetrySchedule::default();
        let (mut now, mut attempt) = (after(1000.0), 1);
        while let Some(at) = next(
            &retry,
            attempt,
            Some(first_attempt(&retry, attempt, now)),
            now,
            None,
            0.0,
        ) {
            (now, attempt) = (at, attempt + 1);
        }
        assert_eq!(attempt, 36);
    }

    #[test]
    fn a_request_of_unknown_age_is_never_given_up() {
        let (retry, now) = (RetrySchedule::default(), after(8760.0));
        let next = |begun| next(&retry, 8, begun, now, None, 0.0);
        assert_eq!(next(Some(after(0.0))), None);
        assert_eq!(next(None), Some(after(8764.0)));
    }

    #[test]
    fn the_time_of_the_next_attempt() {
        for (attempt, age, not_before, chance, expected) in [
            (1, 0.0, None, 0.0, Some(1.0 / 60.0)),
            (1, 0.0, None, 1.0, Some(1.1 / 60.0)),
            (1, 0.0, None, 9.0, Some(1.1 / 60.0)),
            (1, 0.0, Some(0.5), 0.0, Some(0.5)),
            (5, 1.0, Some(0.5), 0.0, Some(2.0)),
            (8, 100.0, None, 0.0, Some(104.0)),
            (8, 116.0, None, 0.0, Some(120.0)),
            (8, 116.1, None, 0.0, None),
            (1, 0.0, Some(8760.0), 0.0, Some(1.0)),
            (8, 1.0, Some(121.0), 0.0, Some(5.0)),
            (1, 119.5, Some(200.0), 0.0, Some(120.0)),
            // It waited long for another request of its account.
            (1, 500.0, None, 0.0, Some(500.0 + 1.0 / 60.0)),
            (u32::MAX, 0.0, None, 0.0, Some(4.0)),
        ] {
            let found = next(
                &RetrySchedule::default(),
                attempt,
                Some(after(0.0)),
                after(age),
                not_before.map(after),
                chance,
            );
            assert_eq!(found, expected.map(after), "attempt {attempt} at {age} h");
        }
    }
}
