//! In: the wall clock and a monotonic clock. Out: jumps of the wall clock, and whether it is trusted.
//!
//! Housekeeping checks the clocks; delivery, which gives up requests and calls by their age, asks [`CheckedClock`].
//!
//! Expired data cannot be restored once it is deleted, and a clock that is a year ahead for an hour makes
//! everything expire. So the wall clock is not trusted for a while after it has run ahead of the monotonic
//! clock. A clock that was set back has left times in the future in the database, or it is wrong only now: the battery
//! of the machine is empty, and NTP has not set the clock yet. So a clock that was set back far is not trusted for a
//! while either.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::domain::Timestamp;

/// Tolerated difference of the clocks between two checks: the clock is slewed, or the machine was briefly
/// suspended.
const AHEAD: Duration = Duration::from_hours(1);
/// Tolerance of a clock that is set back: a smaller step is a correction that leaves no time far in the future.
pub const BACK: Duration = Duration::from_mins(1);

/// Tolerance at the start, where only the last times in the database are known: the daemon may have been stopped over
/// a holiday.
const PAUSE: Duration = Duration::from_hours(7 * 24);

/// Time for which a clock that jumped ahead must run steadily before it is trusted again.
pub const DOUBT: Duration = Duration::from_hours(24);

/// Time behind the last trusted one from which a clock that was set back may be wrong only now.
const FAR_BACK: Duration = Duration::from_hours(1);

/// Time for which a clock that was set back far must run steadily before it is trusted again. NTP sets it within
/// minutes.
const DOUBT_BACK: Duration = Duration::from_hours(1);

/// Movement of the wall clock since the last check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Movement {
    Steady,
    /// It jumped ahead by this much and is not trusted from now on.
    Ahead(Duration),
    /// It is steady, but not trusted yet: an earlier check found a jump ahead or a long step back, or the start could
    /// not rule one out.
    Doubted,
    /// It was set back by this much, and is trusted.
    Back(Duration),
    /// It was set back by this much and is not trusted now: it is far behind, or still ahead.
    FarBack(Duration),
}

/// Period in which the wall clock is not trusted.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    until: Instant,
    /// Milliseconds by which the clock is ahead of the one that was trusted last; negative if it is behind.
    ahead: i64,
    /// Milliseconds by which it may be ahead to be trusted again at once: a step back then corrected it.
    most: i64,
}

/// Both clocks at the last check.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Timestamp,
    counting: Instant,
    doubt: Option<Doubt>,
}

impl Clock {
    /// State at the start of a process, derived from the newest time in the database.
    pub fn start(
        newest: Option<Timestamp>,
        wall: Timestamp,
        counting: Instant,
    ) -> (Self, Movement) {
        let mut clock = Self {
            wall,
            counting,
            doubt: None,
        };
        let movement = match newest {
            Some(newest) => clock.judge(between(newest, wall), PAUSE),
            None => Movement::Steady,
        };
        (clock, movement)
    }

    /// As [`start`](Self::start), also after a process that saw the clock jump ahead: it may have written the newest
    /// time by the wrong clock. `earlier` is the newest time that is older than [`DOUBT`].
    pub fn restart(
        newest: Option<Timestamp>,
        earlier: Option<Timestamp>,
        wall: Timestamp,
        counting: Instant,
    ) -> (Self, Movement) {
        let jumped = earlier.filter(|at| between(*at, wall) > millis(PAUSE + DOUBT));
        match Self::start(newest, wall, counting) {
            (_, Movement::Steady) if jumped.is_some() => Self::start(jumped, wall, counting),
            found => found,
        }
    }

    /// State at the start of a process that cannot read the newest time: the clock is not trusted for as
    /// long as after a jump ahead, since it may have jumped.
    pub fn start_unconfirmed(wall: Timestamp, counting: Instant) -> (Self, Movement) {
        let clock = Self {
            wall,
            counting,
            doubt: Some(Doubt {
                until: counting + DOUBT,
                ahead: 0,
                // No step back is known to correct it.
                most: i64::MIN,
            }),
        };
        (clock, Movement::Doubted)
    }

    /// Checks the clocks again.
    pub fn look(&mut self, wall: Timestamp, counting: Instant) -> Movement {
        let passed = millis(counting.saturating_duration_since(self.counting));
        let moved = between(self.wall, wall).saturating_sub(passed);
        self.wall = wall;
        self.counting = counting;
        self.judge(moved, AHEAD)
    }

    /// True if a check at this moment would find that the wall clock is trusted.
    fn is_trusted(mut self, wall: Timestamp, counting: Instant) -> bool {
        let movement = self.look(wall, counting);
        matches!(movement, Movement::Steady | Movement::Back(_))
    }

    /// Classifies a movement. `moved` is the number of milliseconds by which the wall clock is ahead of the
    /// expected time.
    fn judge(&mut self, moved: i64, most: Duration) -> Movement {
        let by = Duration::from_millis(moved.unsigned_abs());
        let doubt = self.doubt.filter(|doubt| self.counting < doubt.until);
        let ahead = doubt.map_or(0, |doubt| doubt.ahead).saturating_add(moved);
        if moved > millis(most) {
            self.doubt = Some(Doubt {
                until: self.counting + DOUBT,
                ahead,
                most: millis(most),
            });
            return Movement::Ahead(by);
        }
        if moved < -millis(BACK) {
            let most = doubt.map_or(0, |doubt| doubt.most);
            if (-millis(FAR_BACK)..=most).contains(&ahead) {
                self.doubt = None;
                return Movement::Back(by);
            }
            let until = self.counting + DOUBT_BACK;
            self.doubt = Some(Doubt {
                until: doubt.map_or(until, |doubt| doubt.until.max(until)),
                ahead,
                most,
            });
            return Movement::FarBack(by);
        }
        self.doubt = doubt;
        if doubt.is_some() {
            Movement::Doubted
        } else {
            Movement::Steady
        }
    }
}

/// The clock that housekeeping checks, for other parts of the process.
#[derive(Debug, Clone)]
pub struct CheckedClock(watch::Receiver<Clock>);

impl CheckedClock {
    /// True if the wall clock is trusted now: it may have jumped since the last check.
    pub fn is_trusted(&self) -> bool {
        let clock = *self.0.borrow();
        clock.is_trusted(Timestamp::now(), Instant::now())
    }
}

/// The channel to which the checks after `first` are sent, and the clock for other parts of the process.
pub fn channel(first: Clock) -> (watch::Sender<Clock>, CheckedClock) {
    let (checks, clock) = watch::channel(first);
    (checks, CheckedClock(clock))
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
    fn a_clock_is_trusted_until_it_jumps() {
        let (now, counting) = (Timestamp::now(), Instant::now());
        let (checks, clock) = channel(Clock::start(None, now, counting).0);
        assert!(clock.is_trusted());
        // Since this check, the clock jumped ahead.
        let (mut jumped, _) = Clock::start(None, now - YEAR, counting);
        checks.send_replace(jumped);
        assert!(!clock.is_trusted());
        assert_eq!(jumped.look(now, counting), Movement::Ahead(YEAR));
        checks.send_replace(jumped);
        assert!(!clock.is_trusted());
    }

    #[test]
    fn a_clock_that_is_compared_with_nothing_is_doubted_for_a_day() {
        for (step, movement) in [
            (Duration::ZERO, Movement::Doubted),
            (10 * MINUTE, Movement::FarBack(10 * MINUTE)),
            (YEAR, Movement::FarBack(YEAR)),
        ] {
            let (wall, counting) = (Timestamp::now(), Instant::now());
            let (clock, at_start) = Clock::start_unconfirmed(wall, counting);
            assert_eq!(at_start, Movement::Doubted);
            let mut watch = Watch {
                clock,
                wall: wall - step,
                counting,
            };
            assert_eq!(watch.after(MINUTE), movement);
            assert_eq!(
                watch.after(DAY.saturating_sub(2 * MINUTE)),
                Movement::Doubted
            );
            assert_eq!(watch.after(MINUTE), Movement::Steady);
        }
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
    fn a_step_back_that_leaves_the_clock_ahead_or_behind_does_not_end_the_doubt() {
        for (step, next) in [(2 * MINUTE, YEAR), (DAY, YEAR.saturating_sub(DAY))] {
            let mut watch = Watch::start();
            watch.wall += YEAR;
            assert_eq!(watch.after(MINUTE), Movement::Ahead(YEAR));
            watch.wall -= step;
            assert_eq!(watch.after(MINUTE), Movement::FarBack(step));
            assert_eq!(watch.after(23 * 60 * MINUTE), Movement::Doubted);
            watch.wall -= next;
            assert_eq!(watch.after(MINUTE), Movement::Back(next));
            assert_eq!(watch.after(MINUTE), Movement::Steady);
        }
        let mut watch = Watch::start();
        watch.wall += YEAR;
        assert_eq!(watch.after(MINUTE), Movement::Ahead(YEAR));
        watch.wall -= 2 * YEAR;
        assert_eq!(watch.after(MINUTE), Movement::FarBack(2 * YEAR));
    }

    #[test]
    fn a_step_back_corrects_a_clock_that_was_ahead_at_the_start() {
        let (now, counting) = (Timestamp::now(), Instant::now());
        let (mut clock, movement) = Clock::start(Some(now - 3 * DAY), now + YEAR, counting);
        assert_eq!(movement, Movement::Ahead(YEAR + 3 * DAY));
        assert_eq!(clock.look(now, counting), Movement::Back(YEAR));
    }

    #[test]
    fn a_small_step_back_is_seen_once_and_believed() {
        let mut watch = Watch::start();
        watch.wall -= 10 * MINUTE;
        assert_eq!(watch.after(MINUTE), Movement::Back(10 * MINUTE));
        assert_eq!(watch.after(MINUTE), Movement::Steady);
    }

    #[test]
    fn a_day_back_is_doubted_for_an_hour_and_then_believed() {
        let mut watch = Watch::start();
        watch.wall -= DAY;
        assert_eq!(watch.after(MINUTE), Movement::FarBack(DAY));
        assert_eq!(watch.after(MINUTE), Movement::Doubted);
        // A small step does not end the doubt.
        watch.wall -= 2 * MINUTE;
        assert_eq!(watch.after(MINUTE), Movement::FarBack(2 * MINUTE));
        assert_eq!(watch.after(59 * MINUTE), Movement::Doubted);
        assert_eq!(watch.after(MINUTE), Movement::Steady);
    }

    #[test]
    fn a_clock_that_was_behind_until_ntp_set_it_is_never_believed_meanwhile() {
        let mut watch = Watch::start();
        watch.wall -= YEAR;
        assert_eq!(watch.after(MINUTE), Movement::FarBack(YEAR));
        watch.wall += YEAR;
        assert_eq!(watch.after(MINUTE), Movement::Ahead(YEAR));
        assert_eq!(watch.after(MINUTE), Movement::Doubted);
    }

    #[test]
    fn a_restart_does_not_end_the_doubt_of_a_jump() {
        let (now, counting) = (Timestamp::now(), Instant::now());
        let restart = |newest, earlier| Clock::restart(newest, earlier, now, counting).1;
        let newest = Some(now - MINUTE);
        assert_eq!(restart(newest, None), Movement::Steady);
        assert_eq!(restart(newest, Some(now - 2 * DAY)), Movement::Steady);
        assert_eq!(restart(newest, Some(now - 8 * DAY)), Movement::Steady);
        assert_eq!(restart(newest, Some(now - YEAR)), Movement::Ahead(YEAR));
        let behind = Some(now + DAY);
        assert_eq!(restart(behind, Some(now - YEAR)), Movement::FarBack(DAY));
    }

    #[test]
    fn at_the_start_the_database_is_what_there_is_to_compare_with() {
        let (now, counting) = (Timestamp::now(), Instant::now());
        let start = |newest| Clock::start(newest, now, counting).1;
        assert_eq!(start(None), Movement::Steady);
        assert_eq!(start(Some(now - 3 * DAY)), Movement::Steady);
        assert_eq!(start(Some(now - YEAR)), Movement::Ahead(YEAR));
        assert_eq!(start(Some(now + 2 * MINUTE)), Movement::Back(2 * MINUTE));
        assert_eq!(start(Some(now + DAY)), Movement::FarBack(DAY));
    }
}
