//! In: the configuration and its changes. Out: a new generation of workers for each configuration.
//!
//! The workers of the previous generation finish their attempts and claim no more. A destination that is down and
//! whose settings are unchanged stays down for its new worker.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::breaker::{Breakers, SharedBreaker, Target};
use super::queue::WorkQueue;
use super::worker::Worker;
use crate::config::Config;
use crate::domain::{DestinationName, Timestamp};
use crate::store::{DownDestination, Store};

/// Time limit of the attempts in progress at shutdown. Unfinished attempts are retried after the next start.
const DRAIN: Duration = Duration::from_secs(25);

/// The workers of the current configuration, and earlier workers that finish their attempts.
pub struct Generations {
    changes: watch::Receiver<Arc<Config>>,
    shutdown: CancellationToken,
    opened: Store,
    workers: TaskTracker,
    is_begun: bool,
    config: Arc<Config>,
    stop: CancellationToken,
    breakers: Breakers,
    breakers_before: Breakers,
}

impl Generations {
    pub fn of(
        changes: watch::Receiver<Arc<Config>>,
        store: Store,
        shutdown: CancellationToken,
    ) -> Self {
        let config = Arc::clone(&changes.borrow());
        Self {
            changes,
            stop: shutdown.child_token(),
            shutdown,
            opened: store,
            workers: TaskTracker::new(),
            is_begun: false,
            config,
            breakers: Breakers::default(),
            breakers_before: Breakers::default(),
        }
    }

    /// Begins the first generation, or the next one when the configuration changes. False after the shutdown,
    /// when the workers have ended.
    pub async fn next(&mut self) -> bool {
        if self.is_begun {
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                changed = self.changes.changed() => if changed.is_err() {
                    self.shutdown.cancelled().await;
                },
            }
            self.stop.cancel();
        }
        if self.shutdown.is_cancelled() {
            self.workers.close();
            // Dropping the runtime cancels whatever is still running.
            let _ = tokio::time::timeout(DRAIN, self.workers.wait()).await;
            return false;
        }
        self.is_begun = true;
        self.config = Arc::clone(&self.changes.borrow_and_update());
        self.stop = self.shutdown.child_token();
        self.breakers_before = std::mem::take(&mut self.breakers);
        true
    }

    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// A handle on the store for one worker, which gives back only its own claims.
    pub fn store(&self) -> Store {
        self.opened.clone().for_workers()
    }

    /// The breaker of a queue, whose name no other queue of this configuration has.
    pub fn breaker(&mut self, name: &str, place: Target) -> SharedBreaker {
        self.breakers.keep(&self.breakers_before, name, place)
    }

    /// Starts the worker of a queue.
    pub fn start(&self, breaker: SharedBreaker, queue: impl WorkQueue) {
        let worker = Worker::run(queue, breaker, self.stop.clone());
        self.workers.spawn(worker);
    }

    /// Waits. False if this generation ends: the configuration changed, or the shutdown began.
    pub async fn lasts_for(&self, wait: Duration) -> bool {
        let shutdown = self.shutdown.cancelled();
        let is_shutting_down = tokio::time::timeout(wait, shutdown).await.is_ok();
        !is_shutting_down && !self.changes.has_changed().unwrap_or(false)
    }

    /// True if the destination or hook of that name is down.
    pub fn is_down(&self, name: &DestinationName) -> bool {
        self.breakers.is_down(name.as_str())
    }

    /// Takes over the state of a destination or hook that another node recorded. Returns false if there is none of that
    /// name.
    pub fn adopt(&self, recorded: &DownDestination) -> bool {
        self.breakers.adopt(recorded, Timestamp::now())
    }

    /// Starts something else that ends with this generation.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let work = self.stop.clone().run_until_cancelled_owned(work);
        self.workers.spawn(work);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::verification::tests::sample;

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_attempts_but_no_longer_than_25_s() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("vestibule.db")).expect("a database");
        for (attempt, expected) in [(24, 24), (3600, 25)] {
            let (_reloads, changes) = watch::channel(Arc::new(sample::config("")));
            let shutdown = CancellationToken::new();
            let mut generations = Generations::of(changes, store.clone(), shutdown.clone());
            assert!(generations.next().await);
            generations
                .workers
                .spawn(sleep(Duration::from_secs(attempt)));
            let begin = Instant::now();
            shutdown.cancel();
            assert!(!generations.next().await);
            assert_eq!(begin.elapsed().as_secs(), expected);
        }
    }
}
