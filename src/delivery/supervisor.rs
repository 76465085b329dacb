//! The configuration as it changes in; out, one running worker for each destination.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::worker::Worker;
use crate::config::Config;
use crate::domain::Timestamp;
use crate::observe::events;
use crate::store::Store;

/// How long what is under way may take once the daemon is told to stop. What is not done by then is
/// handed over again after the next start.
const DRAIN: Duration = Duration::from_secs(20);

/// Hands over what is released, to every destination at its own pace, until `shutdown`.
///
/// A new configuration starts new workers; the old ones finish what they have and claim no more.
pub async fn run(
    mut config: watch::Receiver<Arc<Config>>,
    store: Store,
    shutdown: CancellationToken,
) {
    // What was under way when an earlier daemon was killed need not wait for its lease.
    if let Err(error) = store.end_leases(Timestamp::now()).await {
        events::fault("delivery", &error);
    }
    let workers = TaskTracker::new();
    while !shutdown.is_cancelled() {
        let generation = shutdown.child_token();
        let current = Arc::clone(&config.borrow_and_update());
        for name in current.destinations.keys() {
            let worker = Worker::of(name, &current, store.clone(), generation.clone());
            if let Some(worker) = worker {
                workers.spawn(worker.run());
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            changed = config.changed() => if changed.is_err() {
                shutdown.cancelled().await;
            },
        }
        generation.cancel();
    }
    workers.close();
    // Dropping the runtime ends what is still under way.
    let _ = tokio::time::timeout(DRAIN, workers.wait()).await;
}
