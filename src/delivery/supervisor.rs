//! In: the configuration and its changes. Out: one running worker for each destination and each hook.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::hook_queue::HookQueue;
use super::hook_subscriptions::HookSubscriptions;
use super::request_queue::RequestQueue;
use crate::clock::CheckedClock;
use crate::config::Config;
use crate::domain::{DestinationName, Timestamp};
use crate::observe::events;
use crate::outbound::Generations;
use crate::outbound::breaker::Target;
use crate::store::{Store, StoreError};

/// Delay before a retry after a database error.
const SETBACK: Duration = Duration::from_secs(1);

/// Interval at which nodes that share the store look for records of destinations that none of them has.
const INTERVAL: Duration = Duration::from_mins(1);

/// Sections of the configuration with the destinations and hooks.
const QUEUES: [&str; 2] = ["destination", "hook"];

/// Delivers released requests to each destination independently, until `shutdown`.
pub async fn run(
    config: watch::Receiver<Arc<Config>>,
    store: Store,
    clock: CheckedClock,
    shutdown: CancellationToken,
) {
    // Attempts in progress when an earlier daemon was killed need not wait for their leases to expire.
    if let Err(error) = store.end_leases(Timestamp::now()).await {
        events::fault("delivery", &error);
    }
    let mut generations = Generations::of(config, store, shutdown);
    'generations: while generations.next().await {
        let config = Arc::clone(generations.config());
        let hooks = HookSubscriptions::of(&config, generations.store());
        let removed = hooks.subscribe().await;
        generations.spawn(hooks.keep(removed));
        let mut hook_breakers = Vec::with_capacity(config.hooks.len());
        for hook in &config.hooks {
            let target = Target::Hook(hook.endpoint.clone());
            hook_breakers.push(generations.breaker(hook.name.as_str(), target));
        }
        let mut destination_breakers = Vec::with_capacity(config.destinations.len());
        for (name, destination) in &config.destinations {
            let target = Target::RequestQueue(destination.clone());
            destination_breakers.push(generations.breaker(name.as_str(), target));
        }
        // Before any worker starts: it must neither send during a pause nor record an outage that is deleted here.
        while let Err(error) = adopt_states(&generations).await {
            events::fault("delivery", &error);
            if !generations.lasts_for(SETBACK).await {
                continue 'generations;
            }
        }
        for (hook, breaker) in config.hooks.iter().zip(hook_breakers) {
            let queue = HookQueue::of(hook, generations.store(), clock.clone());
            generations.start(breaker, queue);
        }
        for ((name, destination), breaker) in config.destinations.iter().zip(destination_breakers) {
            let store = generations.store();
            let queue = RequestQueue::of(name, destination, &config, store, clock.clone());
            generations.start(breaker, queue);
        }
        generations.spawn(end_removed_outages(config, generations.store()));
    }
}

/// Removes the records of destinations that no longer count as down, because the daemon restarted or their settings
/// changed. If other nodes share the store, their destinations may still be down: the worker of this node takes over
/// the state instead, and its first message tells whether that is still true. The record of a destination that only
/// another node has is left to that node.
async fn adopt_states(generations: &Generations) -> Result<(), StoreError> {
    let store = generations.store();
    let down = store.down_destinations().await?;
    if down.is_empty() {
        return Ok(());
    }
    let is_shared = store.duty_interval().is_some();
    let others_differ = store
        .another_node_differs(generations.config(), &QUEUES)
        .await?;
    for recorded in down {
        let is_current = generations.is_down(&recorded.name)
            || (is_shared && generations.adopt(&recorded))
            || others_differ;
        if !is_current {
            end_outage(&store, &recorded.name).await?;
        }
    }
    Ok(())
}

/// Removes the record of a destination, and logs the end of its outage unless another node did so.
async fn end_outage(store: &Store, name: &DestinationName) -> Result<(), StoreError> {
    if store.record_up(name.clone(), Timestamp::now()).await? {
        events::destination_up(name);
    }
    Ok(())
}

/// Removes the records of destinations and hooks that no listed node has any more. No reload did so if two nodes were
/// reloaded at the same time, or if a node was listed that was gone for good: the digest would name them every day.
async fn end_removed_outages(config: Arc<Config>, store: Store) {
    while store.duty_interval().is_some() {
        sleep(INTERVAL).await;
        if let Err(error) = end_outages_without_node(&config, &store).await {
            events::fault("delivery", &error);
        }
    }
}

async fn end_outages_without_node(config: &Config, store: &Store) -> Result<(), StoreError> {
    let mut removed = store.down_destinations().await?;
    removed.retain(|recorded| {
        let is_hook = config.hooks.iter().any(|hook| hook.name == recorded.name);
        !is_hook && !config.destinations.contains_key(&recorded.name)
    });
    if removed.is_empty() || store.another_node_differs(config, &QUEUES).await? {
        return Ok(());
    }
    for recorded in removed {
        end_outage(store, &recorded.name).await?;
    }
    Ok(())
}
