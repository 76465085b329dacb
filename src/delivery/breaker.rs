//! The outcomes of attempts in; out, whether a destination is up, and how many parcels it may get.
//!
//! A destination that failed several times in a row is down. Then one parcel at a time goes there,
//! at growing intervals, until one gets an answer that is about itself; the others wait without
//! using up their attempts. A reload that leaves a destination as it is leaves its breaker, too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Attempt, Scope};
use crate::config::{Destination, Endpoint};
use crate::domain::{DestinationName, Timestamp};

/// So many failures in a row make a destination count as down.
const FAILURES: u32 = 5;

const FIRST_WAIT: Duration = Duration::from_secs(15);
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// The longest that a destination can keep us away by asking for it.
const LONGEST_REQUESTED: Duration = Duration::from_hours(1);

/// Whether a destination is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaker {
    Up {
        /// In a row.
        failures: u32,
    },
    Down {
        /// When the next parcel may try.
        probe_at: Timestamp,
        wait: Duration,
    },
}

/// What may be sent at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capacity {
    For(usize),
    NotBefore(Timestamp),
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Up { failures: 0 }
    }
}

impl Breaker {
    fn capacity(self, concurrency: usize, under_way: usize, now: Timestamp) -> Capacity {
        match self {
            Self::Up { .. } => Capacity::For(concurrency.saturating_sub(under_way)),
            Self::Down { probe_at, .. } if now < probe_at => Capacity::NotBefore(probe_at),
            Self::Down { .. } => Capacity::For(1_usize.saturating_sub(under_way)),
        }
    }

    /// What follows from one more outcome.
    #[must_use]
    fn after(self, attempt: &Attempt, now: Timestamp) -> Self {
        let cause = match attempt {
            Attempt::Retry(cause) if cause.scope == Scope::Destination => cause,
            // It answered.
            _ => return Self::default(),
        };
        let down = |wait: Duration| Self::Down {
            probe_at: later(now, wait),
            wait,
        };
        if let Some(asked) = cause.not_before {
            return Self::Down {
                probe_at: asked.min(later(now, LONGEST_REQUESTED)),
                wait: FIRST_WAIT,
            };
        }
        match self {
            Self::Up { failures } if failures + 1 < FAILURES => Self::Up {
                failures: failures + 1,
            },
            Self::Up { .. } => down(FIRST_WAIT),
            // Was under way when the destination went down, and is no news.
            Self::Down { probe_at, .. } if now < probe_at => self,
            Self::Down { wait, .. } => down((wait * 2).min(LONGEST_WAIT)),
        }
    }
}

/// One breaker for all who hand over to one place: the worker of now, and one of before a reload that
/// finishes what it has.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedBreaker(Arc<Mutex<Breaker>>);

impl SharedBreaker {
    pub(super) fn capacity(
        &self,
        concurrency: usize,
        under_way: usize,
        now: Timestamp,
    ) -> Capacity {
        self.lock().capacity(concurrency, under_way, now)
    }

    pub(super) fn note(&self, attempt: &Attempt, now: Timestamp) {
        let mut breaker = self.lock();
        *breaker = breaker.after(attempt, now);
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What parcels go to, with all that an attempt there depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    RequestQueue(Destination),
    Hook(Endpoint),
}

/// The breakers of a configuration, by name.
#[derive(Debug, Default)]
pub(super) struct Breakers(BTreeMap<DestinationName, (Place, SharedBreaker)>);

impl Breakers {
    /// The breaker of the configuration before, where the place is the same; a new one otherwise,
    /// because what failed may be what was changed.
    pub(super) fn keep(
        &mut self,
        before: &Self,
        name: &DestinationName,
        place: Place,
    ) -> SharedBreaker {
        let breaker = match before.0.get(name) {
            Some((same, breaker)) if *same == place => breaker.clone(),
            _ => SharedBreaker::default(),
        };
        self.0.insert(name.clone(), (place, breaker.clone()));
        breaker
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Cause;
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    fn unreachable() -> Attempt {
        Attempt::Retry(Cause::of_destination("refused"))
    }

    fn after(attempts: &[(i64, Attempt)]) -> Breaker {
        attempts
            .iter()
            .fold(Breaker::default(), |breaker, (seconds, attempt)| {
                breaker.after(attempt, at(*seconds))
            })
    }

    #[test]
    fn a_destination_that_fails_in_a_row_gets_one_parcel_at_a_time() {
        let mut failures = vec![(0, unreachable()); 4];
        assert_eq!(after(&failures).capacity(8, 3, at(0)), Capacity::For(5));
        failures.push((0, unreachable()));
        // Three more were under way.
        failures.extend(vec![(1, unreachable()); 3]);
        let down = after(&failures);
        assert_eq!(down.capacity(8, 0, at(14)), Capacity::NotBefore(at(15)));
        assert_eq!(down.capacity(8, 0, at(15)), Capacity::For(1));
        assert_eq!(down.capacity(8, 1, at(15)), Capacity::For(0));
        for (probed, next) in [
            (15, 45),
            (45, 105),
            (105, 225),
            (225, 465),
            (465, 765),
            (765, 1065),
        ] {
            failures.push((probed, unreachable()));
            assert_eq!(
                after(&failures).capacity(8, 0, at(probed)),
                Capacity::NotBefore(at(next))
            );
        }
    }

    #[test]
    fn any_answer_about_a_request_brings_it_up_again() {
        for answer in [
            Attempt::Delivered,
            Attempt::Refused(Cause::of_request("no such user")),
            Attempt::Retry(Cause::of_request("greylisted")),
        ] {
            let mut attempts = vec![(0, unreachable()); 9];
            attempts.push((20, answer));
            assert_eq!(after(&attempts), Breaker::Up { failures: 0 });
        }
    }

    #[test]
    fn a_destination_can_ask_for_a_pause_but_not_for_ever() {
        for (asked, granted) in [(90, 90), (1_000_000, 3600)] {
            let mut cause = Cause::of_destination("429 slow down");
            cause.not_before = Some(at(asked));
            let paused = after(&[(0, Attempt::Retry(cause))]);
            assert_eq!(
                paused.capacity(8, 0, at(0)),
                Capacity::NotBefore(at(granted))
            );
        }
    }
}
