//! In: the configuration and its changes. Out: one running worker for each destination and each hook.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hook_queue::HookQueue;
use super::request_queue::RequestQueue;
use crate::config::Config;
use crate::domain::{DestinationName, Timestamp};
use crate::observe::events;
use crate::outbound::breaker::{Breakers, Place};
use crate::outbound::worker::Worker;
use crate::store::{Store, StoreError};

/// Time limit of the attempts in progress at shutdown. Unfinished ones are repeated after the next start.
const DRAIN: Duration = Duration::from_secs(20);

/// Rows that are removed at a time.
const STEP: usize = 500;

/// Delivers released requests, to every destination at its own pace, until `shutdown`.
///
/// A new configuration starts new workers; the old ones finish their attempts and claim no more. An unchanged
/// destination that is down stays down for the new worker.
pub async fn run(
    mut config: watch::Receiver<Arc<Config>>,
    store: Store,
    shutdown: CancellationToken,
) {
    // Attempts that were in progress when an earlier daemon was killed need not wait for the end of their
    // leases.
    if let Err(error) = store.end_leases(Timestamp::now()).await {
        events::fault("delivery", &error);
    }
    let workers = TaskTracker::new();
    let mut breakers = Breakers::default();
    while !shutdown.is_cancelled() {
        let generation = shutdown.child_token();
        // Only this generation gives back its own claims.
        let store = store.clone().for_workers();
        let current = Arc::clone(&config.borrow_and_update());
        subscribe(&current, &store, &workers, &generation).await;
        let before = std::mem::take(&mut breakers);
        for hook in &current.hooks {
            let place = Place::Hook(hook.endpoint.clone());
            let breaker = breakers.keep(&before, &hook.name, place);
            let caller = HookQueue::of(hook, store.clone());
            workers.spawn(Worker::run(caller, breaker, generation.clone()));
        }
        for (name, destination) in &current.destinations {
            let place = Place::RequestQueue(destination.clone());
            let breaker = breakers.keep(&before, name, place);
            if let Some(desk) = RequestQueue::of(name, &current, store.clone()) {
                workers.spawn(Worker::run(desk, breaker, generation.clone()));
            }
        }
        forget_states(&store, &breakers).await;
        tokio::select! {
            () = shutdown.cancelled() => {}
            changed = config.changed() => if changed.is_err() {
                shutdown.cancelled().await;
            },
        }
        generation.cancel();
    }
    workers.close();
    // Dropping the runtime cancels whatever is still running.
    let _ = tokio::time::timeout(DRAIN, workers.wait()).await;
}

/// Removes the record of destinations that are not down any more: the daemon or their settings are new.
async fn forget_states(store: &Store, breakers: &Breakers) {
    let forget = async {
        for down in store.down_destinations().await? {
            if !breakers.is_down(&down.name) {
                store.record_up(down.name).await?;
            }
        }
        Ok::<_, StoreError>(())
    };
    if let Err(error) = forget.await {
        events::fault("delivery", &error);
    }
}

/// Subscribes the hooks of this configuration to future events, and removes the pending calls of other hooks.
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

/// Removes in small steps, so that mail never waits for it; the remainder is removed at the next start.
async fn remove(name: DestinationName, store: Store) {
    loop {
        match store.remove_hook(name.clone(), STEP).await {
            Ok(STEP) => {}
            Ok(_) => return,
            Err(error) => return events::fault("delivery.hooks", &error),
        }
    }
}
