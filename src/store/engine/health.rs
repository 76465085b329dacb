//! Health of the writer, kept in memory so that a readiness check costs no transaction.
//!
//! In: the outcome of every commit. While nothing else commits, a heartbeat does so at an interval: it writes one
//! page, so that a full disk is noticed even while no mail arrives.
//! Out: whether the last commit succeeded and is recent, and none hangs; and whether the disk has space for mail.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::store::engine::disk_space::DiskSpace;
use crate::store::{Result, Store, StoreError};

/// Interval between heartbeats while commits succeed. Longer than the idle time after which the writer frees
/// memory, which a heartbeat would interrupt.
const INTERVAL: Duration = Duration::from_secs(45);

/// Interval between heartbeats after a failure and while the disk is short of space, so that recovery is seen soon.
const RETRY: Duration = Duration::from_secs(1);

/// Age at which a success no longer counts, because a heartbeat is overdue.
const STALE: Duration = Duration::from_secs(90);

/// A commit, or a step in extending the log, that takes longer hangs.
const HANGS: Duration = Duration::from_secs(8);

/// The outcome of the last commit, and the error that ended the writer.
#[derive(Debug, Default)]
pub(crate) struct Health {
    commits: Mutex<Commits>,
    /// Notified after each attempt to commit.
    attempts: Notify,
    /// As of the last commit; None before it, and if it is unknown.
    disk: Mutex<Option<DiskSpace>>,
    /// True while the free space is low.
    is_disk_low: watch::Sender<bool>,
    failure: watch::Sender<Option<StoreError>>,
}

/// Free space on the disk with the database, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// Unused pages of the database count unless any message fits without them.
    pub octets: u64,
    /// The part of it that incoming mail must not use.
    pub reserve: u64,
}

#[derive(Debug, Default)]
struct Commits {
    /// Start of the commit, or of the step in extending the log, that is in progress.
    running: Option<Instant>,
    last: Option<Commit>,
}

#[derive(Debug, Clone, Copy)]
struct Commit {
    at: Instant,
    succeeded: bool,
}

impl Health {
    /// Records that a commit begins, or a step in extending the log.
    pub(crate) fn begin(&self) {
        self.commits().running = Some(Instant::now());
    }

    /// Records that a step in extending the log has ended. It is not an attempt to commit.
    pub(crate) fn end_step(&self) {
        self.commits().running = None;
    }

    /// Records the outcome of a commit.
    pub(crate) fn record(&self, succeeded: bool) {
        let at = Instant::now();
        *self.commits() = Commits {
            running: None,
            last: Some(Commit { at, succeeded }),
        };
        self.attempts.notify_one();
    }

    /// Records the space that the last commit left. Space that is unknown is as low as before.
    pub(crate) fn record_disk_space(&self, space: Option<DiskSpace>) {
        *self.disk.lock().unwrap_or_else(PoisonError::into_inner) = space;
        self.is_disk_low.send_if_modified(|is_low| {
            let was_low = *is_low;
            *is_low = space.map_or(was_low, |space| space.is_low(was_low));
            *is_low != was_low
        });
    }

    /// The space that the last commit left; None before it, and if it is unknown.
    fn disk_space(&self) -> Option<DiskSpace> {
        *self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a message, if the last commit left enough space for it.
    ///
    /// # Errors
    /// `Full`.
    pub(crate) fn admit_mail(&self, is_authenticated: bool, octets: usize) -> Result<()> {
        self.disk_space()
            .map_or(Ok(()), |disk| disk.admit_mail(is_authenticated, octets))
    }

    /// Records that the writer ended, or can store nothing until the process starts again.
    pub(crate) fn fail(&self, cause: StoreError) {
        self.record(false);
        self.failure.send_replace(Some(cause));
    }

    /// The error that ended the writer.
    pub(crate) fn failure(&self) -> Option<StoreError> {
        self.failure.borrow().clone()
    }

    /// Resolves after the next attempt to commit, or at once if there was one since the last call.
    pub(crate) async fn wait_for_commit(&self) {
        self.attempts.notified().await;
    }

    /// True if no commit is in progress, and the last attempt ended at least this long ago.
    pub(crate) fn has_been_idle_for(&self, time: Duration) -> bool {
        let commits = self.commits();
        let is_old = |last: Commit| last.at.elapsed() >= time;
        commits.running.is_none() && commits.last.is_none_or(is_old)
    }

    fn is_writable(&self, now: Instant) -> bool {
        let commits = self.commits();
        let hangs = commits
            .running
            .is_some_and(|since| now.duration_since(since) >= HANGS);
        let is_recent = |last: Commit| last.succeeded && now.duration_since(last.at) < STALE;
        !hangs && commits.last.is_some_and(is_recent)
    }

    /// Time until the next heartbeat: none is needed while commits succeed anyway. The space on the disk is measured
    /// with each, so while it is short, they are as frequent as after a failure.
    fn next_heartbeat(&self, now: Instant) -> Duration {
        let is_short = self.admit_mail(false, 0).is_err();
        let interval = if is_short { RETRY } else { INTERVAL };
        match self.commits().last {
            Some(last) if last.succeeded => interval.saturating_sub(now.duration_since(last.at)),
            _ => Duration::ZERO,
        }
    }

    fn commits(&self) -> MutexGuard<'_, Commits> {
        // Each field is replaced as a whole, so the value is valid after any panic.
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// True if mail can be stored: the last commit succeeded and is recent, none hangs, and the disk has space for mail
    /// of authenticated senders. Kept in memory, so it costs no transaction.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.health.is_writable(Instant::now()) && self.health.admit_mail(true, 0).is_ok()
    }

    /// Free space on the disk with the database, as of the last commit. None if it is unknown, and if the database is
    /// on a server.
    #[must_use]
    pub fn free_space(&self) -> Option<FreeSpace> {
        let disk = self.health.disk_space()?;
        Some(FreeSpace {
            octets: disk.available,
            reserve: disk.reserve(),
        })
    }

    /// Receives true once the free space is less than twice the reserve, and false once it is at least three times
    /// the reserve again.
    #[must_use]
    pub fn watch_low_disk(&self) -> watch::Receiver<bool> {
        self.health.is_disk_low.subscribe()
    }

    /// Commits at an interval while nothing else does, until `stop`.
    pub async fn keep_heartbeat(self, stop: CancellationToken) {
        stop.run_until_cancelled_owned(async {
            loop {
                let wait = self.health.next_heartbeat(Instant::now());
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                    continue;
                }
                // The writer records the outcome; a hanging commit records nothing.
                let failed = self.writable().await.is_err();
                if failed {
                    tokio::time::sleep(RETRY).await;
                }
            }
        })
        .await;
    }

    /// Resolves with the cause when the writer has ended. The writer does not restart: the process has to exit, so
    /// that its supervisor starts it again.
    pub async fn wait_for_failure(&self) -> StoreError {
        let mut failure = self.health.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(cause) => cause.clone().unwrap_or(StoreError::Closed),
            Err(_) => StoreError::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_recent_success_counts() {
        let health = Health::default();
        let now = Instant::now();
        assert!(!health.is_writable(now), "nothing was committed yet");
        health.record(true);
        assert!(health.is_writable(Instant::now()));
        assert!(!health.is_writable(Instant::now() + STALE), "no heartbeat");
        health.begin();
        assert!(health.is_writable(Instant::now()));
        assert!(
            !health.is_writable(Instant::now() + HANGS),
            "a commit that hangs"
        );
        health.end_step();
        assert!(
            health.is_writable(Instant::now() + HANGS),
            "a step that has ended"
        );
        health.record(false);
        assert!(!health.is_writable(Instant::now()));
        assert_eq!(health.next_heartbeat(Instant::now()), Duration::ZERO);
    }

    #[test]
    fn a_disk_that_is_short_of_space_takes_no_mail() {
        let health = Health::default();
        assert!(health.admit_mail(false, 0).is_ok(), "not known yet");
        health.record_disk_space(Some(DiskSpace {
            total: 1 << 40,
            available: 0,
        }));
        assert!(matches!(
            health.admit_mail(true, 0),
            Err(StoreError::Full(_))
        ));
        health.record(true);
        let wait = health.next_heartbeat(Instant::now());
        assert!(wait <= RETRY, "it is measured again soon: {wait:?}");
        health.record_disk_space(None);
        assert!(health.admit_mail(false, 0).is_ok());
    }

    #[test]
    fn the_start_and_the_end_of_low_space_are_reported_once_each() {
        const MIB: u64 = 1 << 20;
        let health = Health::default();
        let mut watching = health.is_disk_low.subscribe();
        for (available, expected) in [
            (Some(2000 * MIB), None),
            (Some(1000 * MIB), Some(true)),
            (Some(900 * MIB), None),
            (None, None),
            (Some(1100 * MIB), None),
            (Some(1600 * MIB), Some(false)),
            (Some(1100 * MIB), None),
        ] {
            let total = 1 << 40;
            health.record_disk_space(available.map(|available| DiskSpace { total, available }));
            let is_changed = watching.has_changed().expect("open");
            let found = is_changed.then(|| *watching.borrow_and_update());
            assert_eq!(found, expected, "{available:?}");
        }
    }
}
