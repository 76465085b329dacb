//! The configuration as it changes in; out, one running worker for each destination and each hook.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::breaker::{Breakers, Place};
use super::hook_queue::HookQueue;
use super::request_queue::RequestQueue;
use super::worker::Worker;
use crate::config::Config;
use crate::domain::{DestinationName, Timestamp};
use crate::observe::events;
use crate::store::Store;

/// How long what is under way may take once the daemon is told to stop. What is not done by then is
/// handed over again after the next start.
const DRAIN: Duration = Duration::from_secs(20);

/// Rows that are removed at a time.
const STEP: usize = 500;

/// Hands over what is released, to every destination at its own pace, until `shutdown`.
///
/// A new configuration starts new workers; the old ones finish what they have and claim no more. A
/// destination that is down and was not changed is down for the new worker, too.
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
    let mut breakers = Breakers::default();
    while !shutdown.is_cancelled() {
        let generation = shutdown.child_token();
        // What this generation claims is given back by this one only.
        let store = store.clone().for_workers();
        let current = Arc::clone(&config.borrow_and_update());
        subscribe(&current, &store, &workers, &generation).await;
        let before = std::mem::take(&mut breakers);
        for hook in &current.hooks {
            let place = Place::Hook(hook.endpoint.clone());
            let breaker = breakers.keep(&before, &hook.name, place);
            let caller = HookQueue::of(hook, store.clone());
            workers.spawn(Worker::of(caller, breaker, generation.clone()).run());
        }
        for (name, destination) in &current.destinations {
            let place = Place::RequestQueue(destination.clone());
            let breaker = breakers.keep(&before, name, place);
            if let Some(desk) = RequestQueue::of(name, &current, store.clone()) {
                workers.spawn(Worker::of(desk, breaker, generation.clone()).run());
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

/// Has the hooks of this configuration owed calls from now on, and removes what others were owed.
async fn subscribe(
    config: &Config,
    store: &Store,
    workers: &TaskTracker,
    generation: &CancellationToken,
) {
    let hooks = config.hooks.iter();
    let hooks = hooks.map(|hook| (hook.name.clone(), hook.events.clone()));
    match store
        .subscribe_hooks(hooks.collect(), Timestamp::now())
        .await
    {
        Ok(removed) => {
            for name in removed {
                let removing = remove(name, store.clone());
                workers.spawn(generation.clone().run_until_cancelled_owned(removing));
            }
        }
        Err(error) => events::fault("delivery.hooks", &error),
    }
}

/// Step by step, so that mail never waits for it; what is left is removed at the next start.
async fn remove(name: DestinationName, store: Store) {
    loop {
        match store.remove_hook(name.clone(), STEP).await {
            Ok(STEP) => {}
            Ok(_) => return,
            Err(error) => return events::fault("delivery.hooks", &error),
        }
    }
}
