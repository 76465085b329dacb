//! In: the outcomes of attempts. Out: the state of a destination, and how many messages may be sent to it.
//!
//! A destination is down after several consecutive failures. While it is down it is sent one trial message at a
//! time, at growing intervals, until a reply shows that the destination works again. The other messages wait
//! without using up their attempts. They also wait while a destination has asked for a pause, which is no outage
//! until it has done so several times in a row. A reload that leaves a destination unchanged keeps its breaker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::AttemptOutcome;
use super::retry::MAX_REQUESTED;
use crate::config::{Destination, Endpoint, Outgoing};
use crate::domain::{Timestamp, later};
use crate::store::DownDestination;

/// Consecutive failures after which a destination is down.
const FAILURES: u32 = 5;

const FIRST_WAIT: Duration = Duration::from_secs(15);
const MAX_WAIT: Duration = Duration::from_mins(5);

/// State of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaker {
    Up {
        /// Consecutive failures.
        failures: u32,
    },
    /// The destination asked for a pause, after which it gets a trial message.
    Waiting {
        /// Consecutive failures, fewer than [`FAILURES`].
        failures: u32,
        until: Timestamp,
    },
    Down {
        /// Time of the next trial message.
        trial_at: Timestamp,
        wait: Duration,
        /// True if the destination requested the wait.
        is_requested: bool,
    },
}

/// Number of messages that may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
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
            Self::Waiting { until, .. } if self.waits(now) => Capacity::NotBefore(until),
            Self::Down { trial_at, .. } if self.waits(now) => Capacity::NotBefore(trial_at),
            Self::Waiting { .. } | Self::Down { .. } => {
                Capacity::For(1_usize.saturating_sub(under_way))
            }
        }
    }

    /// True before the time of the trial. A trial further in the future than the longest wait was scheduled before
    /// the clock was set back, and is due now.
    fn waits(self, now: Timestamp) -> bool {
        match self {
            Self::Up { .. } => false,
            Self::Waiting { until, .. } => now < until && until <= later(now, MAX_REQUESTED),
            Self::Down {
                trial_at,
                wait,
                is_requested,
            } => {
                let longest = if is_requested { MAX_REQUESTED } else { wait };
                now < trial_at && trial_at <= later(now, longest)
            }
        }
    }

    /// Returns the state after one more outcome.
    #[must_use]
    fn after(self, attempt: &AttemptOutcome, now: Timestamp) -> Self {
        if attempt.is_internal() {
            return self;
        }
        let Some(cause) = attempt.destination_failure() else {
            return match self {
                // This attempt started before the destination requested the wait.
                Self::Waiting { .. }
                | Self::Down {
                    is_requested: true, ..
                } if self.waits(now) => self,
                // The destination answered.
                _ => Self::default(),
            };
        };
        match cause.not_before {
            Some(asked) => self.after_request(asked.min(later(now, MAX_REQUESTED)), now),
            None => self.after_failure(now),
        }
    }

    /// Returns the state after a failure of the destination.
    fn after_failure(self, now: Timestamp) -> Self {
        let down = |wait: Duration| Self::Down {
            trial_at: later(now, wait),
            wait,
            is_requested: false,
        };
        match self {
            // This attempt started before the breaker opened or the wait began, so it says nothing new.
            Self::Waiting { .. } | Self::Down { .. } if self.waits(now) => self,
            Self::Up { failures } | Self::Waiting { failures, .. } if failures + 1 < FAILURES => {
                Self::Up {
                    failures: failures + 1,
                }
            }
            Self::Up { .. } | Self::Waiting { .. } => down(FIRST_WAIT),
            Self::Down { wait, .. } => down((wait * 2).min(MAX_WAIT)),
        }
    }

    /// Returns the state after the destination refused an attempt and asked for none before `until`. Such a request
    /// cannot shorten the wait of a destination that is down: many servers send the same few seconds with every 503.
    fn after_request(self, until: Timestamp, now: Timestamp) -> Self {
        match self {
            // This attempt started before the wait began: it is no further failure.
            Self::Waiting {
                failures,
                until: earlier,
            } if self.waits(now) => Self::Waiting {
                failures,
                until: until.max(earlier),
            },
            Self::Up { failures } | Self::Waiting { failures, .. } if failures + 1 < FAILURES => {
                Self::Waiting {
                    failures: failures + 1,
                    until,
                }
            }
            Self::Up { .. } | Self::Waiting { .. } | Self::Down { .. } => {
                self.after_failure(now).postpone(until)
            }
        }
    }

    /// Postpones the trial of a destination that is down, if it requested a longer wait.
    fn postpone(self, until: Timestamp) -> Self {
        match self {
            Self::Down { trial_at, wait, .. } if trial_at < until => Self::Down {
                trial_at: until,
                wait,
                is_requested: true,
            },
            _ => self,
        }
    }
}

/// Report to operators of a destination that is down, or that asked for a pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownState {
    /// True if it asked for a pause and is not down.
    pub is_requested: bool,
    /// Time of the next trial.
    pub next_try_at: Timestamp,
    /// Cause of the last failure.
    pub last_error: String,
}

/// State of a destination, with its last failure.
#[derive(Debug, Default)]
struct State {
    breaker: Breaker,
    last_error: String,
    /// True if the log says that it is down.
    is_logged_down: bool,
    /// The state that was last recorded for operators.
    record: Option<DownState>,
}

/// A change that is to be logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BreakerChange {
    /// With the cause of the last failure.
    Down(String),
    Up,
}

/// One breaker, shared by all workers of one target: the current one, and old ones that finish their attempts after
/// a reload.
#[derive(Debug, Clone, Default)]
pub struct SharedBreaker(Arc<Mutex<State>>);

impl SharedBreaker {
    pub fn capacity(&self, concurrency: usize, under_way: usize, now: Timestamp) -> Capacity {
        self.lock().breaker.capacity(concurrency, under_way, now)
    }

    /// True while the destination gets nothing.
    pub fn is_open(&self, now: Timestamp) -> bool {
        matches!(self.capacity(1, 0, now), Capacity::NotBefore(_))
    }

    pub fn note(&self, attempt: &AttemptOutcome, now: Timestamp) {
        let mut state = self.lock();
        state.breaker = state.breaker.after(attempt, now);
        if let Some(cause) = attempt.destination_failure() {
            state.last_error.clone_from(&cause.text);
        }
    }

    /// `None` while the destination is up.
    pub fn down_state(&self) -> Option<DownState> {
        let state = self.lock();
        let (is_requested, next_try_at) = match state.breaker {
            Breaker::Up { .. } => return None,
            Breaker::Waiting { until, .. } => (true, until),
            Breaker::Down { trial_at, .. } => (false, trial_at),
        };
        Some(DownState {
            is_requested,
            next_try_at,
            last_error: state.last_error.clone(),
        })
    }

    /// The state that was last recorded for operators. The worker after a reload needs it, too: the outage may end
    /// between the two.
    pub fn last_record(&self) -> Option<DownState> {
        self.lock().record.clone()
    }

    pub fn set_record(&self, state: Option<DownState>) {
        self.lock().record = state;
    }

    /// Returns each change between down and up once, however many workers share this breaker. A pause that the
    /// destination asked for is no change.
    pub fn take_change(&self) -> Option<BreakerChange> {
        let mut state = self.lock();
        let is_down = matches!(state.breaker, Breaker::Down { .. });
        if is_down == state.is_logged_down {
            return None;
        }
        state.is_logged_down = is_down;
        Some(if is_down {
            BreakerChange::Down(state.last_error.clone())
        } else {
            BreakerChange::Up
        })
    }

    /// Takes over what another node recorded. A destination that is down gets a trial message at once, unless it
    /// asked for a pause: only then is the next trial further in the future than the longest other wait.
    fn adopt(&self, recorded: &DownDestination, now: Timestamp) {
        let mut state = self.lock();
        let until = recorded.next_try_at;
        state.breaker = if recorded.is_requested {
            Breaker::Waiting { failures: 1, until }
        } else if until > later(now, MAX_WAIT) {
            Breaker::Down {
                trial_at: until,
                wait: FIRST_WAIT,
                is_requested: true,
            }
        } else {
            Breaker::Down {
                trial_at: now,
                wait: FIRST_WAIT,
                is_requested: false,
            }
        };
        state.last_error.clone_from(&recorded.last_error);
    }

    /// Closes the breaker: an operator wants to try at once.
    pub fn close(&self) {
        self.lock().breaker = Breaker::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A target of messages, with all settings that an attempt depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    RequestQueue(Destination),
    Hook(Endpoint),
    Mail(Outgoing),
}

/// The breakers of a configuration, by name.
#[derive(Debug, Default)]
pub struct Breakers(BTreeMap<String, (Target, SharedBreaker)>);

impl Breakers {
    /// The breaker of the previous configuration if the target is unchanged, otherwise a new one: the change may
    /// have fixed the failure.
    pub fn keep(&mut self, before: &Self, name: &str, place: Target) -> SharedBreaker {
        let breaker = match before.0.get(name) {
            Some((same, breaker)) if *same == place => breaker.clone(),
            _ => SharedBreaker::default(),
        };
        self.0.insert(name.to_owned(), (place, breaker.clone()));
        breaker
    }

    /// Takes over the state of a destination that another node recorded. Returns false if there is none of that name.
    pub fn adopt(&self, recorded: &DownDestination, now: Timestamp) -> bool {
        let Some((_, breaker)) = self.0.get(recorded.name.as_str()) else {
            return false;
        };
        breaker.adopt(recorded, now);
        true
    }

    /// True if the destination of that name is down, or asked for a pause.
    pub fn is_down(&self, name: &str) -> bool {
        let found = self.0.get(name);
        found.is_some_and(|(_, breaker)| breaker.down_state().is_some())
    }
}

#[cfg(test)]
mod tests;
