//! In: the hooks of the configuration. Out: their subscriptions in the store, and the removal of other hooks.
//!
//! If other nodes share the store, the hooks are subscribed again at an interval: a hook that no node has any more is
//! unsubscribed once all nodes have recorded the same hooks.

use std::time::Duration;

use tokio::time::sleep;

use crate::config::Config;
use crate::domain::{DestinationName, EventPattern, Timestamp};
use crate::observe::events;
use crate::store::Store;

/// Calls removed in one step.
const STEP: usize = 500;

/// Interval between two rounds, also after a failure.
const INTERVAL: Duration = Duration::from_mins(1);

/// The hooks of one configuration.
pub(super) struct HookSubscriptions {
    hooks: Vec<(DestinationName, Vec<EventPattern>)>,
    /// Digest by which nodes compare their hooks.
    digest: String,
    store: Store,
}

impl HookSubscriptions {
    pub(super) fn of(config: &Config, store: Store) -> Self {
        let hooks = config.hooks.iter();
        let hooks = hooks.map(|hook| (hook.name.clone(), hook.events.clone()));
        Self {
            hooks: hooks.collect(),
            digest: config.fingerprint().remove("hook").unwrap_or_default(),
            store,
        }
    }

    /// Subscribes the hooks to future events, and returns those that are to be removed. None after a failure.
    pub(super) async fn subscribe(&self) -> Option<Vec<DestinationName>> {
        let (hooks, now) = (self.hooks.clone(), Timestamp::now());
        let subscribed = self.store.subscribe_hooks(hooks, &self.digest, now).await;
        subscribed
            .inspect_err(|error| events::fault("delivery.hooks", error))
            .ok()
    }

    /// Removes hooks, and subscribes again: after a failure, and as long as other nodes may have other hooks.
    pub(super) async fn keep(self, mut removed: Option<Vec<DestinationName>>) {
        loop {
            let is_recorded = removed.is_some();
            for name in removed.into_iter().flatten() {
                self.remove(name).await;
            }
            if is_recorded && self.store.duty_interval().is_none() {
                return;
            }
            sleep(INTERVAL).await;
            removed = self.subscribe().await;
        }
    }

    /// Removes a hook's calls in small steps, so that mail never waits for it; if interrupted, the next round or
    /// start removes the remainder.
    async fn remove(&self, name: DestinationName) {
        loop {
            match self.store.remove_hook(name.clone(), STEP).await {
                Ok(STEP) => {}
                Ok(_) => return,
                Err(error) => return events::fault("delivery.hooks", &error),
            }
        }
    }
}
