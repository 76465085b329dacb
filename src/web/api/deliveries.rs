//! `/deliveries`: destinations and hooks, their queues, and pausing and resuming a destination.

use super::input::At;
use super::output::{Json, Part};
use super::problem::Problem;
use super::route::{Call, Serve};
use crate::domain::{DestinationName, Timestamp};
use crate::operations::{Queue, queue, queues};

pub(super) async fn list(call: Call, (): ()) -> Result<Part<Queue>, Problem> {
    let queues = queues(&call.app.store, &call.app.config()).await?;
    Ok(Part::whole(queues))
}

/// Makes a handler that pauses or resumes the destination in the path.
pub(super) fn pause(paused: bool) -> impl Serve<At<DestinationName>, Json<Queue>> {
    move |call: Call, At(name): At<DestinationName>| async move {
        let config = call.app.config();
        let unknown = || Problem::not_found("destination", &name);
        let is_hook = config.hooks.iter().any(|hook| hook.name == name);
        if !is_hook && !config.destinations.contains_key(&name) {
            return Err(unknown());
        }
        let (by, now) = (call.holder.actor(), Timestamp::now());
        let store = &call.app.store;
        store
            .pause_destination(name.clone(), paused, by, now)
            .await?;
        let found = queue(store, &config, &name).await?;
        found.map(Json).ok_or_else(unknown)
    }
}
