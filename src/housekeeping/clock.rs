//! Whether the system's clock can be believed: two clocks in, what the wall clock did out.
//!
//! What is forgotten because its time is over cannot be had back, and a clock that is a year ahead for
//! an hour makes the time of everything be over. So a wall clock that went ahead of the one that only
//! counts is not acted upon for a while. One that was set back has left times in the future behind.

use std::time::{Duration, Instant};

use crate::domain::Timestamp;

/// By so much the two may differ between two looks: a clock that is brought to the right time little
/// by little, a machine that slept for a moment.
const AHEAD: Duration = Duration::from_hours(1);
pub const BACK: Duration = Duration::from_mins(1);

/// At the start the last entry of the ledger is all there is to compare with, and desks have holidays.
const PAUSE: Duration = Duration::from_hours(7 * 24);

/// How long a clock that went ahead must go on steadily before it is believed.
pub const DOUBT: Duration = Duration::from_hours(24);

/// What the wall clock did since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Movement {
    Steady,
    /// It is ahead by so much, and doubted from now on.
    Ahead(Duration),
    /// It went ahead before, and is doubted still.
    Doubted,
    /// It was set back by so much.
    Back(Duration),
}

/// Both clocks at the last look.
#[derive(Debug)]
pub struct Clock {
    wall: Timestamp,
    counting: Instant,
    doubted_until: Option<Instant>,
}

impl Clock {
    /// At the start of a process, with the time of the newest entry.
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

    /// Another look.
    pub fn look(&mut self, wall: Timestamp, counting: Instant) -> Movement {
        let passed = millis(counting.saturating_duration_since(self.counting));
        let moved = between(self.wall, wall).saturating_sub(passed);
        self.wall = wall;
        self.counting = counting;
        self.judge(moved, AHEAD)
    }

    /// By so many milliseconds the wall clock went ahead of what was expected.
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

    /// Looks once a minute; each time the wall clock is moved by so much more.
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
