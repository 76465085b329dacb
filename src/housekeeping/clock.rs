//! In: the wall clock and a monotonic clock. Out: jumps of the wall clock, and whether it is trusted.
//!
//! Expired data cannot be restored once it is deleted, and a clock that is a year ahead for an hour makes
//! everything expire. So the wall clock is not trusted for a while after it has run ahead of the monotonic
//! clock. A clock that was set back has left times in the future in the database.

use std::time::{Duration, Instant};

use crate::domain::Timestamp;

/// Tolerated difference of the clocks between two checks: the clock is slewed, or the machine was briefly
/// suspended.
const AHEAD: Duration = Duration::from_hours(1);
pub const BACK: Duration = Duration::from_mins(1);

/// Tolerance at the start, where only the last entry of the ledger is known: mail may pause over a holiday.
const PAUSE: Duration = Duration::from_hours(7 * 24);

/// Time for which a clock that jumped ahead must run steadily before it is trusted again.
const DOUBT: Duration = Duration::from_hours(24);

/// Movement of the wall clock since the last check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Movement {
    Steady,
    /// It jumped ahead by this much and is not trusted from now on.
    Ahead(Duration),
    /// It jumped ahead earlier and is still not trusted.
    Doubted,
    /// It was set back by this much.
    Back(Duration),
}

/// Both clocks at the last check.
#[derive(Debug)]
pub struct Clock {
    wall: Timestamp,
    counting: Instant,
    doubted_until: Option<Instant>,
}

impl Clock {
    /// State at the start of a process, derived from the time of the newest entry.
    pub fn start(
        newest: Option<Timestamp>,
        wall: Timestamp,
        counting: Instant,
    ) -> (Self, Movement) {
        let mut clock = Self {
            wall,
            counting,
            doubted_until: None,
        };
        let movement = match newest {
            Some(newest) => clock.judge(between(newest, wall), PAUSE),
            None => Movement::Steady,
        };
        (clock, movement)
    }

    /// Checks the clocks again.
    pub fn look(&mut self, wall: Timestamp, counting: Instant) -> Movement {
        let passed = millis(counting.saturating_duration_since(self.counting));
        let moved = between(self.wall, wall).saturating_sub(passed);
        self.wall = wall;
        self.counting = counting;
        self.judge(moved, AHEAD)
    }

    /// Classifies a movement. `ahead` is the number of milliseconds by which the wall clock is ahead of the
    /// expected time.
    fn judge(&mut self, ahead: i64, most: Duration) -> Movement {
        if ahead > millis(most) {
            self.doubted_until = Some(self.counting + DOUBT);
            return Movement::Ahead(Duration::from_millis(ahead.unsigned_abs()));
        }
        if ahead < -millis(BACK) {
            self.doubted_until = None;
            return Movement::Back(Duration::from_millis(ahead.unsigned_abs()));
        }
        match self.doubted_until {
            Some(until) if self.counting < until => Movement::Doubted,
            _ => {
                self.doubted_until = None;
                Movement::Steady
            }
        }
    }
}

fn between(earlier: Timestamp, later: Timestamp) -> i64 {
    later
        .as_millisecond()
        .saturating_sub(earlier.as_millisecond())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const DAY: Duration = Duration::from_hours(24);
    const YEAR: Duration = Duration::from_hours(365 * 24);

    /// Checks once a minute; before each check the wall clock is moved by a further amount.
    struct Watch {
        clock: Clock,
        wall: Timestamp,
        counting: Instant,
    }

    impl Watch {
        fn start() -> Self {
            let (wall, counting) = (Timestamp::now(), Instant::now());
            let (clock, movement) = Clock::start(Some(wall), wall, counting);
            assert_eq!(movement, Movement::Steady);
            Self {
                clock,
                wall,
                counting,
            }
        }

        fn after(&mut self, passed: Duration) -> Movement {
            self.counting += passed;
            self.wall += passed;
            self.clock.look(self.wall, self.counting)
        }
    }

    #[test]
    fn time_that_goes_on_is_believed() {
        let mut watch = Watch::start();
        for passed in [MINUTE, DAY, YEAR, MINUTE] {
            assert_eq!(watch.after(passed), Movement::Steady);
        }
    }

    #[test]
    fn a_year_ahead_is_doubted_for_a_day_and_then_believed() {
        let mut watch = Watch::start();
        watch.wall += YEAR;
        assert_eq!(watch.after(MINUTE), Movement::Ahead(YEAR));
        assert_eq!(watch.after(MINUTE), Movement::Doubted);
        assert_eq!(watch.after(23 * 60 * MINUTE), Movement::Doubted);
        assert_eq!(watch.after(60 * MINUTE), Movement::Steady);
    }

    #[test]
    fn a_year_ahead_and_back_again_leaves_no_doubt() {
        let mut watch = Watch::start();
        watch.wall += YEAR;
        assert_eq!(watch.after(MINUTE), Movement::Ahead(YEAR));
        watch.wall -= YEAR;
        assert_eq!(watch.after(MINUTE), Movement::Back(YEAR));
        assert_eq!(watch.after(MINUTE), Movement::Steady);
    }

    #[test]
    fn a_day_back_is_seen_once() {
        let mut watch = Watch::start();
        watch.wall -= DAY;
        assert_eq!(watch.after(MINUTE), Movement::Back(DAY));
        assert_eq!(watch.after(MINUTE), Movement::Steady);
    }

    #[test]
    fn at_the_start_the_ledger_is_what_there_is_to_compare_with() {
        let (now, counting) = (Timestamp::now(), Instant::now());
        let start = |newest| Clock::start(newest, now, counting).1;
        assert_eq!(start(None), Movement::Steady);
        assert_eq!(start(Some(now - 3 * DAY)), Movement::Steady);
        assert_eq!(start(Some(now - YEAR)), Movement::Ahead(YEAR));
        assert_eq!(start(Some(now + DAY)), Movement::Back(DAY));
    }
}
