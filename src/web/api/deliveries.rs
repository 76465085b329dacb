//! `/deliveries`: destinations and hooks, their queues, and pausing and resuming a destination.

use serde::Deserialize;
use utoipa::IntoParams;

use super::api_route::{Call, Serve};
use super::input::{At, Query};
use super::output::{ApiJson, ListBody};
use super::problem::Problem;
use super::values::{Limit, PointInTime, address};
use crate::domain::{DestinationName, HOOK_EVENTS};
use crate::operations::{QueueStatus, find_queue, list_queues, retry_queue, set_paused};
use crate::store::{FailedCall, FailedCallFilter};

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

/// Immediately retries everything that waits or has failed for the destination in the path.
pub(super) async fn retry(
    call: Call,
    At(name): At<DestinationName>,
) -> Result<ApiJson<QueueStatus>, Problem> {
    let (config, store) = (call.app.config(), &call.app.store);
    retry_queue(store, &config, &name, call.holder.actor()).await?;
    Ok(ApiJson(find_queue(store, &config, &name).await?))
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FailedCallQuery {
    /// Only calls about the account with this address.
    #[param(example = "ann@corp.example")]
    account: Option<String>,
    /// Only calls about this event.
    #[param(example = "request.released")]
    event: Option<String>,
    /// Only calls made since then.
    #[param(inline)]
    since: Option<PointInTime>,
    /// Only calls made before then.
    #[param(inline)]
    until: Option<PointInTime>,
    /// Maximum number of calls.
    #[param(inline)]
    limit: Limit,
    /// `next` of the previous page.
    after: Option<String>,
}

/// Calls that failed for good. A destination that is not a hook has none: its failed requests are listed with the
/// requests.
pub(super) async fn list_failed_calls(
    call: Call,
    (At(hook), Query(filter)): (At<DestinationName>, Query<FailedCallQuery>),
) -> Result<ListBody<FailedCall>, Problem> {
    let (config, store) = (call.app.config(), &call.app.store);
    find_queue(store, &config, &hook).await?;
    let (account, event) = (filter.account.as_deref(), filter.event.as_deref());
    if let Some(event) = event.filter(|event| !HOOK_EVENTS.contains(event)) {
        return Err(Problem::of_field(
            "event",
            format_args!("{event:?} is not an event of a hook"),
        ));
    }
    let filter = FailedCallFilter {
        hook,
        account: account.map(|text| address("account", text)).transpose()?,
        event: filter.event,
        since: filter.since.map(PointInTime::timestamp),
        until: filter.until.map(PointInTime::timestamp),
        page: filter.limit.page(filter.after),
    };
    Ok(store.failed_calls(filter).await?.into())
}
