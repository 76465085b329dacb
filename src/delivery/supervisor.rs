//! In: the configuration and its changes. Out: one running worker for each destination and each hook.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::hook_queue::HookQueue;
use super::request_queue::RequestQueue;
use crate::config::Config;
use crate::domain::{DestinationName, Timestamp};
use crate::observe::events;
use crate::outbound::Generations;
use crate::outbound::breaker::Target;
use crate::store::{Store, StoreError};

/// Rows removed in one step.
const STEP: usize = 500;

/// Delivers released requests to each destination independently, until `shutdown`.
pub async fn run(config: watch::Receiver<Arc<Config>>, store: Store, shutdown: CancellationToken) {
    // Attempts in progress when an earlier daemon was killed need not wait for their leases to expire.
    if let Err(error) = store.end_leases(Timestamp::now()).await {
        events::fault("delivery", &error);
    }
    let mut generations = Generations::of(config, store, shutdown);
    while generations.next().await {
        let config = Arc::clone(generations.config());
        subscribe(&config, &mut generations).await;
        for hook in &config.hooks {
            let target = Target::Hook(hook.endpoint.clone());
            let queue = HookQueue::of(hook, generations.store());
            generations.start(hook.name.as_str(), target, queue);
        }
        for (name, destination) in &config.destinations {
            let target = Target::RequestQueue(destination.clone());
            let queue = RequestQueue::of(name, destination, &config, generations.store());
            generations.start(name.as_str(), target, queue);
        }
        delete_states(&generations).await;
    }
}

/// Removes the records of destinations that no longer count as down, because the daemon restarted or their settings
/// changed. If other nodes share the store, their destinations may still be down: the worker of this node takes over
/// the state instead, and its first message tells whether that is still true.
async fn delete_states(generations: &Generations) {
    let store = generations.store();
    let is_shared = store.duty_interval().is_some();
    let delete = async {
        for down in store.down_destinations().await? {
            let is_current =
                generations.is_down(&down.name) || (is_shared && generations.adopt(&down));
            if !is_current {
                store.record_up(down.name, Timestamp::now()).await?;
            }
        }
        Ok::<_, StoreError>(())
    };
    if let Err(error) = delete.await {
        events::fault("delivery", &error);
    }
}

/// Subscribes the hooks of this configuration to future events, and removes the pending calls of other hooks.
async fn subscribe(config: &Config, generations: &mut Generations) {
    let store = generations.store();
    let hooks = config.hooks.iter();
    let hooks = hooks.map(|hook| (hook.name.clone(), hook.events.clone()));
    match store
        .subscribe_hooks(hooks.collect(), Timestamp::now())
        .await
    {
        Ok(removed) => {
            for name in removed {
                generations.spawn(remove(name, store.clone()));
            }
        }
        Err(error) => events::fault("delivery.hooks", &error),
    }
}

/// Removes a hook's calls in small steps, so that mail never waits for it; if interrupted, the next start removes
/// the remainder.
async fn remove(name: DestinationName, store: Store) {
    loop {
        match store.remove_hook(name.clone(), STEP).await {
            Ok(STEP) => {}
            Ok(_) => return,
            Err(error) => return events::fault("delivery.hooks", &error),
        }
    }
}
