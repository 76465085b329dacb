//! Destinations and hooks, and their queues.

use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Config;
use crate::domain::{DestinationName, EventPattern, PortalName, RequestState};
use crate::store::{RequestCount, Store, StoreError};

/// A destination, or a hook, and its queue.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Destination)]
pub struct Queue {
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
pub async fn queues(store: &Store, config: &Config) -> Result<Vec<Queue>, StoreError> {
    let paused = store.paused_destinations().await?;
    let counts = store.request_counts().await?;
    let empty = |name: &DestinationName, kind| Queue {
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
        queues.push(Queue {
            events: hook.events.clone(),
            waiting: count.waiting,
            failed: count.failed,
            ..empty(&hook.name, "hook")
        });
    }
    Ok(queues)
}

/// One queue; `None` if the configuration has none of that name.
pub async fn queue(
    store: &Store,
    config: &Config,
    name: &DestinationName,
) -> Result<Option<Queue>, StoreError> {
    let queues = queues(store, config).await?;
    Ok(queues.into_iter().find(|queue| queue.destination == *name))
}
