//! The pace of the operations: while they come one by one in quick succession, the writer and its callers poll for each
//! other for a short time before they sleep.
//!
//! A client that sends one message after another waits for two sleeping threads with each message: the writer's, which
//! runs the operation, and the runtime's, which reads the result. Waking a thread costs tens of microseconds on a
//! virtual machine, where an idle processor returns to the host. With several clients at a time, this time passes
//! during the work for others. While they poll, both sides let other threads and tasks run.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

/// Time for which either side polls. A transaction that takes longer, or comes later after the last one, ends the
/// series: then a wake-up is a small part of the time.
const PATIENCE: Duration = Duration::from_millis(1);

/// Number of transactions that make a series.
const SERIES: u32 = 4;

/// How the last transactions came.
#[derive(Debug)]
pub(super) struct Pace {
    patience: Duration,
    /// Number of the last transactions that are a series.
    series: AtomicU32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            patience: PATIENCE,
            series: AtomicU32::new(0),
        }
    }
}

impl Pace {
    /// Records what the writer did between two waits: the time for which it waited before, the time that it took, and
    /// its number of operations. One operation in a short time after a short wait continues a series.
    pub(super) fn record(&self, waited: Duration, took: Duration, operations: usize) {
        let continues = operations == 1 && waited < self.patience && took < self.patience;
        let series = if continues {
            self.series.load(Ordering::Relaxed).saturating_add(1)
        } else {
            0
        };
        self.series.store(series, Ordering::Relaxed);
    }

    fn is_series(&self) -> bool {
        self.series.load(Ordering::Relaxed) >= SERIES
    }

    /// Calls `poll` until it returns a value, in a series and for a short time; other threads run in between.
    pub(super) fn poll<T>(&self, mut poll: impl FnMut() -> Option<T>) -> Option<T> {
        let start = Instant::now();
        while self.is_series() && start.elapsed() < self.patience {
            let polled = poll();
            if polled.is_some() {
                return polled;
            }
            std::thread::yield_now();
        }
        None
    }

    /// Awaits a future. In a series, polls it for a short time before; other tasks run in between.
    pub(super) async fn wait_for<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let start = Instant::now();
        while self.is_series() && start.elapsed() < self.patience {
            let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
            if let Poll::Ready(value) = polled {
                return value;
            }
            tokio::task::yield_now().await;
        }
        future.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    /// A pace in a series that does not end by itself.
    fn endless_series() -> Pace {
        Pace {
            patience: LONG,
            series: AtomicU32::new(SERIES),
        }
    }

    #[test]
    fn a_series_is_of_single_operations_in_quick_succession() {
        let (short, long) = (PATIENCE / 2, PATIENCE * 2);
        let quick = [(short, short, 1); SERIES as usize];
        for (last, is_series) in [
            ((short, short, 1), true),
            ((long, short, 1), false),
            ((short, long, 1), false),
            ((short, short, 2), false),
            // Another operation failed, or was none.
            ((short, short, 0), false),
        ] {
            let pace = Pace::default();
            for (waited, took, operations) in quick {
                assert!(!pace.is_series(), "too early");
                pace.record(waited, took, operations);
            }
            assert!(pace.is_series());
            let (waited, took, operations) = last;
            pace.record(waited, took, operations);
            assert_eq!(pace.is_series(), is_series, "{last:?}");
        }
    }

    #[test]
    fn only_a_series_is_polled() {
        let third = |pace: &Pace| {
            let mut polls = 0;
            pace.poll(|| {
                polls += 1;
                (polls == 3).then_some("value")
            })
        };
        assert_eq!(third(&Pace::default()), None);
        assert_eq!(third(&endless_series()), Some("value"));
        let ended = Pace {
            patience: Duration::ZERO,
            ..endless_series()
        };
        assert_eq!(third(&ended), None);
    }

    #[tokio::test]
    async fn other_tasks_run_while_a_caller_polls() {
        // It is ready only after other tasks, and does not wake its caller.
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            sender.send("value")
        });
        let silent = poll_fn(|_| receiver.try_recv().map_or(Poll::Pending, Poll::Ready));
        assert_eq!(endless_series().wait_for(silent).await, "value");
    }

    #[tokio::test]
    async fn a_caller_sleeps_after_its_time() {
        let ended = Pace {
            patience: Duration::ZERO,
            ..endless_series()
        };
        for pace in [ended, Pace::default()] {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            tokio::spawn(async move { sender.send("value") });
            assert_eq!(pace.wait_for(receiver).await, Ok("value"));
        }
    }
}
