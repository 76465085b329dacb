//! Destinations and hooks, their queues, and operators' actions on a queue.

use serde::Serialize;
use utoipa::ToSchema;

use super::requests::{RequestAction, act_on_requests, matching_requests};
use crate::config::Config;
use crate::domain::{
    Actor, DestinationName, EventPattern, PortalName, RequestState, Timestamp, keywords,
};
use crate::store::{
    DownDestination, RequestCount, RequestFilter, Result, Store, StoreError, WaitingWork,
};

/// A destination, or a hook, and its queue.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Destination)]
pub struct QueueStatus {
    pub destination: DestinationName,
    /// `smtp`, `maildir`, `webhook`, `command` or `hook`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub portals: Vec<PortalName>,
    /// Events that a hook receives; empty for a destination.
    #[schema(value_type = Vec<String>)]
    pub events: Vec<EventPattern>,
    /// `up`, `retrying`, `down` or `paused`.
    pub state: QueueState,
    /// Requests or calls that wait, without `stopped`.
    pub waiting: u64,
    /// Released requests that wait because their accounts are blocked.
    pub stopped: u64,
    pub failed: u64,
    /// Time since which the oldest item has been waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_waiting: Option<Timestamp>,
    /// Time of the next attempt, unless it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
    /// Time since which it has been down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down_since: Option<Timestamp>,
    /// Error of the last attempt, while it is down or something waits for the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// State of a destination or hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = DestinationState)]
pub enum QueueState {
    Up,
    /// An attempt failed and will be retried, or the destination asked for a pause.
    Retrying,
    /// Every attempt fails; one is made at intervals.
    Down,
    /// An operator paused it.
    Paused,
}

keywords!(QueueState { Up => "up", Retrying => "retrying", Down => "down", Paused => "paused" });

impl QueueStatus {
    /// Adds the waiting work and the state. The portals of the queue must be known already.
    fn with_state(
        self,
        work: WaitingWork,
        down: Option<&DownDestination>,
        is_paused: bool,
    ) -> Self {
        let state = match (is_paused, down, &work.last_error) {
            (true, ..) => QueueState::Paused,
            (false, Some(down), _) if !down.is_requested => QueueState::Down,
            (false, Some(_), _) | (false, None, Some(_)) => QueueState::Retrying,
            (false, None, None) => QueueState::Up,
        };
        let next = down.map(|down| down.next_try_at).or(work.next_attempt_at);
        Self {
            state,
            oldest_waiting: work.oldest,
            next_try_at: next.filter(|_| !is_paused),
            down_since: down
                .filter(|down| !down.is_requested)
                .map(|down| down.since),
            last_error: down.map(|down| down.last_error.clone()).or(work.last_error),
            ..self
        }
    }
}

/// Type of the queue of a hook.
const HOOK: &str = "hook";

/// All queues, the destinations by name, then the hooks, with the numbers of waiting and failed items.
pub async fn list_queues(store: &Store, config: &Config) -> Result<Vec<QueueStatus>> {
    let mut queues = list_queue_states(store, config).await?;
    let counts = store.request_counts().await?;
    let stopped = store.stopped_requests().await?;
    for queue in queues.iter_mut().filter(|queue| queue.kind != HOOK) {
        let count = |state| -> u64 {
            let here = |count: &&RequestCount| {
                count.state == state && queue.portals.contains(&count.portal)
            };
            counts.iter().filter(here).map(|count| count.requests).sum()
        };
        let here = stopped
            .iter()
            .filter(|(portal, _)| queue.portals.contains(portal));
        let here: u64 = here.map(|(_, requests)| requests).sum();
        queue.waiting = count(RequestState::Released).saturating_sub(here);
        queue.failed = count(RequestState::Failed);
        queue.stopped = here;
    }
    Ok(queues)
}

/// The same without counting waiting, stopped and failed requests, which is slow if there are many: these numbers
/// are 0.
pub async fn list_queue_states(store: &Store, config: &Config) -> Result<Vec<QueueStatus>> {
    let paused = store.paused_destinations().await?;
    let down = store.down_destinations().await?;
    let empty = |name: &DestinationName, kind| QueueStatus {
        destination: name.clone(),
        kind,
        portals: Vec::new(),
        events: Vec::new(),
        state: QueueState::Up,
        waiting: 0,
        stopped: 0,
        failed: 0,
        oldest_waiting: None,
        next_try_at: None,
        down_since: None,
        last_error: None,
    };
    let state = |queue: QueueStatus, work| {
        let down = down.iter().find(|down| down.name == queue.destination);
        let is_paused = paused.contains(&queue.destination);
        queue.with_state(work, down, is_paused)
    };
    let mut queues = Vec::new();
    for (name, destination) in &config.destinations {
        let mut queue = empty(name, destination.kind());
        let portals = config.portals.iter();
        queue.portals = portals
            .filter(|portal| portal.destination == *name)
            .map(|portal| portal.name.clone())
            .collect();
        let work = store.waiting_requests(queue.portals.clone()).await?;
        queues.push(state(queue, work));
    }
    for hook in &config.hooks {
        let count = store.hook_count(hook.name.clone()).await?;
        let queue = QueueStatus {
            events: hook.events.clone(),
            waiting: count.waiting,
            failed: count.failed,
            ..empty(&hook.name, HOOK)
        };
        let work = store.waiting_calls(hook.name.clone()).await?;
        queues.push(state(queue, work));
    }
    Ok(queues)
}

/// Destinations and hooks of the configuration that are down.
pub async fn list_down(store: &Store, config: &Config) -> Result<Vec<DownDestination>> {
    let mut down = store.down_destinations().await?;
    let paused = store.paused_destinations().await?;
    down.retain(|down| {
        !down.is_requested
            && kind_of_queue(config, &down.name).is_ok()
            && !paused.contains(&down.name)
    });
    Ok(down)
}

/// Finds one queue.
///
/// # Errors
/// `NotFound` if the configuration has none of that name.
pub async fn find_queue(
    store: &Store,
    config: &Config,
    name: &DestinationName,
) -> Result<QueueStatus> {
    let queues = list_queues(store, config).await?;
    let found = queues.into_iter().find(|queue| queue.destination == *name);
    found.ok_or_else(|| StoreError::not_found("destination", name))
}

/// The two kinds of queues.
enum QueueKind {
    Destination,
    Hook,
}

fn kind_of_queue(config: &Config, name: &DestinationName) -> Result<QueueKind> {
    if config.destinations.contains_key(name) {
        Ok(QueueKind::Destination)
    } else if config.hooks.iter().any(|hook| hook.name == *name) {
        Ok(QueueKind::Hook)
    } else {
        Err(StoreError::not_found("destination", name))
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
) -> Result<()> {
    kind_of_queue(config, name)?;
    let now = Timestamp::now();
    store.pause_destination(name.clone(), paused, by, now).await
}

/// Immediately retries everything that failed for a destination or hook, and everything that waits for its next
/// attempt, even if the destination is down.
///
/// # Errors
/// `NotFound` if the configuration has none of that name.
pub async fn retry_queue(
    store: &Store,
    config: &Config,
    name: &DestinationName,
    by: Actor,
) -> Result<()> {
    if let QueueKind::Hook = kind_of_queue(config, name)? {
        let now = Timestamp::now();
        store
            .retry_hook_calls(name.clone(), by.clone(), now)
            .await?;
        return store.close_breaker(name.clone(), by, now).await;
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
            ids.extend(matching_requests(store, filter).await?);
        }
    }
    ids.sort_unstable();
    // A request that cannot be retried, such as another copy of one that can, stays as it is.
    act_on_requests(store, config, RequestAction::Retry, ids, &by).await?;
    store
        .close_breaker(name.clone(), by, Timestamp::now())
        .await
}
