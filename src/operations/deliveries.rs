//! Destinations and hooks, their queues, and operators' actions on a queue.

use serde::Serialize;
use utoipa::ToSchema;

use super::requests::{RequestAction, act_on_requests, matching_requests};
use crate::config::Config;
use crate::domain::{Actor, DestinationName, EventPattern, PortalName, RequestState, Timestamp};
use crate::store::{RequestCount, RequestFilter, Store, StoreError};

/// A destination, or a hook, and its queue.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Destination)]
pub struct QueueStatus {
    pub destination: DestinationName,
    /// `smtp`, `maildir`, `webhook`, `command` or `hook`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub portals: Vec<PortalName>,
    /// Events that a hook is told; empty for a destination.
    #[schema(value_type = Vec<String>)]
    pub events: Vec<EventPattern>,
    /// `running` or `paused`.
    pub state: &'static str,
    pub waiting: u64,
    pub failed: u64,
}

/// All queues: the destinations by name, then the hooks.
pub async fn list_queues(store: &Store, config: &Config) -> Result<Vec<QueueStatus>, StoreError> {
    let paused = store.paused_destinations().await?;
    let counts = store.request_counts().await?;
    let empty = |name: &DestinationName, kind| QueueStatus {
        destination: name.clone(),
        kind,
        portals: Vec::new(),
        events: Vec::new(),
        state: if paused.contains(name) {
            "paused"
        } else {
            "running"
        },
        waiting: 0,
        failed: 0,
    };
    let mut queues = Vec::new();
    for (name, destination) in &config.destinations {
        let mut queue = empty(name, destination.kind());
        let portals = config.portals.iter();
        queue.portals = portals
            .filter(|portal| portal.destination == *name)
            .map(|portal| portal.name.clone())
            .collect();
        let count = |state| -> u64 {
            let here = |count: &&RequestCount| {
                count.state == state && queue.portals.contains(&count.portal)
            };
            counts.iter().filter(here).map(|count| count.requests).sum()
        };
        (queue.waiting, queue.failed) =
            (count(RequestState::Released), count(RequestState::Failed));
        queues.push(queue);
    }
    for hook in &config.hooks {
        let count = store.hook_count(hook.name.clone()).await?;
        queues.push(QueueStatus {
            events: hook.events.clone(),
            waiting: count.waiting,
            failed: count.failed,
            ..empty(&hook.name, "hook")
        });
    }
    Ok(queues)
}

/// One queue.
///
/// # Errors
/// `NotFound` if the configuration has none of that name.
pub async fn find_queue(
    store: &Store,
    config: &Config,
    name: &DestinationName,
) -> Result<QueueStatus, StoreError> {
    kind_of_queue(config, name)?;
    let queues = list_queues(store, config).await?;
    let found = queues.into_iter().find(|queue| queue.destination == *name);
    found.ok_or_else(|| not_found(name))
}

/// The two kinds of queues.
enum QueueKind {
    Destination,
    Hook,
}

fn kind_of_queue(config: &Config, name: &DestinationName) -> Result<QueueKind, StoreError> {
    if config.destinations.contains_key(name) {
        Ok(QueueKind::Destination)
    } else if config.hooks.iter().any(|hook| hook.name == *name) {
        Ok(QueueKind::Hook)
    } else {
        Err(not_found(name))
    }
}

fn not_found(name: &DestinationName) -> StoreError {
    StoreError::NotFound {
        what: "destination",
        name: name.to_string(),
    }
}

/// Pauses or resumes a destination or hook.
///
/// # Errors
/// `NotFound` if the configuration has none of that name.
pub async fn set_paused(
    store: &Store,
    config: &Config,
    name: &DestinationName,
    paused: bool,
    by: Actor,
) -> Result<(), StoreError> {
    kind_of_queue(config, name)?;
    let now = Timestamp::now();
    store.pause_destination(name.clone(), paused, by, now).await
}

/// Retries at once all that failed for a destination or hook, and all that waits for its next attempt.
///
/// # Errors
/// `NotFound` if the configuration has none of that name.
pub async fn retry_queue(
    store: &Store,
    config: &Config,
    name: &DestinationName,
    by: Actor,
) -> Result<(), StoreError> {
    if let QueueKind::Hook = kind_of_queue(config, name)? {
        let now = Timestamp::now();
        store.retry_hook_calls(name.clone(), by, now).await?;
        return Ok(());
    }
    let mut ids = Vec::new();
    for portal in config
        .portals
        .iter()
        .filter(|portal| portal.destination == *name)
    {
        for state in [RequestState::Failed, RequestState::Released] {
            let filter = RequestFilter {
                state: Some(state),
                portal: Some(portal.name.clone()),
                ..RequestFilter::default()
            };
            ids.extend(matching_requests(store, filter, usize::MAX).await?);
        }
    }
    ids.sort_unstable();
    act_on_requests(store, RequestAction::Retry, ids, &by).await?;
    Ok(())
}
