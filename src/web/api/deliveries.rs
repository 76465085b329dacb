//! `/deliveries`: destinations and hooks, their queues, and pausing and resuming a destination.

use super::api_route::{Call, Serve};
use super::input::{At, Query};
use super::output::{ApiJson, ListBody};
use super::problem::Problem;
use super::values::PageQuery;
use crate::domain::DestinationName;
use crate::operations::{QueueStatus, find_queue, list_queues, retry_queue, set_paused};
use crate::store::FailedCall;

pub(super) async fn list(call: Call, (): ()) -> Result<ListBody<QueueStatus>, Problem> {
    let queues = list_queues(&call.app.store, &call.app.config()).await?;
    Ok(ListBody::whole(queues))
}

/// Makes a handler that pauses or resumes the destination in the path.
pub(super) fn pause(paused: bool) -> impl Serve<At<DestinationName>, ApiJson<QueueStatus>> {
    move |call: Call, At(name): At<DestinationName>| async move {
        let (config, store) = (call.app.config(), &call.app.store);
        set_paused(store, &config, &name, paused, call.holder.actor()).await?;
        Ok(ApiJson(find_queue(store, &config, &name).await?))
    }
}

/// Tries at once all that waits for the destination in the path, and all that failed.
pub(super) async fn retry(
    call: Call,
    At(name): At<DestinationName>,
) -> Result<ApiJson<QueueStatus>, Problem> {
    let (config, store) = (call.app.config(), &call.app.store);
    retry_queue(store, &config, &name, call.holder.actor()).await?;
    Ok(ApiJson(find_queue(store, &config, &name).await?))
}

/// Calls that failed for good. A destination that is no hook has none: its failed requests are listed with the
/// requests.
pub(super) async fn list_failed_calls(
    call: Call,
    (At(name), Query(part)): (At<DestinationName>, Query<PageQuery>),
) -> Result<ListBody<FailedCall>, Problem> {
    let (config, store) = (call.app.config(), &call.app.store);
    find_queue(store, &config, &name).await?;
    Ok(store.failed_calls(name, part.page()).await?.into())
}
