//! `/requests`: held, released, failed and delivered requests; releasing, discarding and retrying them, one
//! or many.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::api_route::{Call, Serve};
use super::input::{At, Body, Query};
use super::output::{ApiJson, ListBody, Raw};
use super::problem::{Problem, ProblemBody};
use super::values::{Age, Limit, PointInTime, address, check_number};
use crate::domain::{PortalName, Reason, RequestId, RequestState};
use crate::operations::{
    MAX_BULK_ITEMS, RequestAction, Tally, WaitingCauses, act_on_request, act_on_requests, earlier,
    order_by_time,
};
use crate::store::{ListOrder, Page, Request, RequestFilter};

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RequestQuery {
    #[param(inline)]
    state: Option<RequestState>,
    #[param(inline)]
    portal: Option<PortalName>,
    /// The account's address.
    #[param(example = "ann@corp.example")]
    account: Option<String>,
    /// Reason of the verdict on the message.
    #[param(inline)]
    reason: Option<Reason>,
    /// Only requests received since then.
    #[param(inline)]
    since: Option<PointInTime>,
    /// Only requests received before then.
    #[param(inline)]
    until: Option<PointInTime>,
    /// The oldest first.
    oldest_first: bool,
    /// Only requests received longer ago than this.
    #[param(inline)]
    older_than: Option<Age>,
    /// Only requests received more recently than this.
    #[param(inline)]
    newer_than: Option<Age>,
    /// Maximum number of requests.
    #[param(inline)]
    limit: Limit,
    /// `next` of the previous page.
    #[param(inline, value_type = Option<RequestId>)]
    after: Option<String>,
}

pub(super) async fn list(
    call: Call,
    Query(filter): Query<RequestQuery>,
) -> Result<ListBody<Request>, Problem> {
    let account = filter.account.as_deref();
    let filter = RequestFilter {
        state: filter.state,
        portal: call.app.listed_portal(filter.portal).await?,
        account: account.map(|text| address("account", text)).transpose()?,
        reason: filter.reason,
        received_before: earlier(
            filter.older_than.map(Age::ago),
            filter.until.map(PointInTime::timestamp),
        ),
        received_after: filter
            .newer_than
            .map(Age::ago)
            .max(filter.since.map(PointInTime::timestamp)),
        order: order_by_time(filter.oldest_first),
        page: filter.limit.page(filter.after),
    };
    let (config, store) = (call.app.config(), &call.app.store);
    let causes = WaitingCauses::read(store, &config).await?;
    Ok(causes.explain_list(store.requests(filter).await?).into())
}

async fn find(call: &Call, id: RequestId) -> Result<Request, Problem> {
    let found = call.app.store.request(id).await?;
    found.ok_or_else(|| Problem::not_found("request", id))
}

pub(super) async fn show(call: Call, At(id): At<RequestId>) -> Result<ApiJson<Request>, Problem> {
    let (config, store) = (call.app.config(), &call.app.store);
    let causes = WaitingCauses::read(store, &config).await?;
    Ok(ApiJson(causes.explain(find(&call, id).await?)))
}

pub(super) async fn raw(call: Call, At(id): At<RequestId>) -> Result<Raw, Problem> {
    let ledger = find(&call, id).await?.ledger;
    let octets = call.app.store.raw(ledger).await?;
    let octets = octets.ok_or_else(|| Problem::not_found("stored content for request", id))?;
    Ok(Raw { ledger, octets })
}

/// Makes a handler that applies the action to the request in the path.
pub(super) fn act(action: RequestAction) -> impl Serve<At<RequestId>, ApiJson<Request>> {
    move |call: Call, At(id): At<RequestId>| async move {
        let (config, by) = (call.app.config(), call.holder.actor());
        let done = act_on_request(&call.app.store, &config, action, id, by);
        Ok(ApiJson(done.await?))
    }
}

/// Requests by their ids.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Several, example = json!({"requests": ["01J9ZQ4D8N0VXB7T3WKE5M2R6C"]}))]
pub(super) struct RequestsToChange {
    #[schema(min_items = 1, max_items = 1000)]
    requests: Vec<RequestId>,
}

/// Failed requests: by their ids, or all.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Failed, example = json!({"all_failed": true, "portal": "it"}))]
pub(super) struct RequestsToRetry {
    #[schema(min_items = 1, max_items = 1000)]
    requests: Option<Vec<RequestId>>,
    /// The oldest failed requests, up to 1000; repeat with `next` as `after` until it is null. Those whose retry is
    /// refused, such as another copy of a delivered message, stay failed.
    #[serde(default)]
    all_failed: bool,
    /// Only those for this portal.
    portal: Option<PortalName>,
    /// `next` of the previous answer.
    after: Option<String>,
}

/// The outcome for each, in the order of the ids.
#[derive(Serialize, ToSchema)]
pub(super) struct RequestsDone {
    done: usize,
    failed: usize,
    items: Vec<RequestDone>,
    /// With `all_failed`: the cursor of the next failed requests, if there are more.
    next: Option<String>,
}

/// One request of a bulk action: its new state, or the reason why it is unchanged.
#[derive(Serialize, ToSchema)]
pub(super) struct RequestDone {
    id: RequestId,
    request: Option<Request>,
    problem: Option<ProblemBody>,
}

/// Makes a handler that applies the action to many requests.
pub(super) fn act_on_many(
    action: RequestAction,
) -> impl Serve<Body<RequestsToChange>, ApiJson<RequestsDone>> {
    move |call: Call, Body(wanted): Body<RequestsToChange>| async move {
        check_number("requests", wanted.requests.len())?;
        many(&call, action, wanted.requests).await
    }
}

pub(super) async fn retry_many(
    call: Call,
    Body(wanted): Body<RequestsToRetry>,
) -> Result<ApiJson<RequestsDone>, Problem> {
    let portal = call.app.listed_portal(wanted.portal).await?;
    match (wanted.requests, wanted.all_failed) {
        (Some(requests), false) if portal.is_none() && wanted.after.is_none() => {
            check_number("requests", requests.len())?;
            many(&call, RequestAction::Retry, requests).await
        }
        (None, true) => {
            let page = Page {
                limit: MAX_BULK_ITEMS,
                after: wanted.after,
            };
            retry_failed(&call, portal, page).await
        }
        _ => Err(Problem::of_field(
            "requests",
            "give requests, or set all_failed, optionally with a portal and after",
        )),
    }
}

/// Retries a page of the failed requests, oldest first. With the cursor of the answer, those whose retry is refused do
/// not hide the others.
pub(super) async fn retry_failed(
    call: &Call,
    portal: Option<PortalName>,
    page: Page,
) -> Result<ApiJson<RequestsDone>, Problem> {
    let filter = RequestFilter {
        state: Some(RequestState::Failed),
        portal,
        order: ListOrder::OldestFirst,
        page,
        ..RequestFilter::default()
    };
    let listed = call.app.store.requests(filter).await?;
    let ids = listed.rows.iter().map(|request| request.id).collect();
    let mut answer = many(call, RequestAction::Retry, ids).await?;
    answer.0.next = listed.next;
    Ok(answer)
}

async fn many(
    call: &Call,
    action: RequestAction,
    ids: Vec<RequestId>,
) -> Result<ApiJson<RequestsDone>, Problem> {
    let (config, by) = (call.app.config(), call.holder.actor());
    let outcomes = act_on_requests(&call.app.store, &config, action, ids, &by).await?;
    let tally = Tally::of(&outcomes, |_| true);
    let items = outcomes
        .into_iter()
        .map(|(id, outcome)| {
            let (request, problem) = match outcome {
                Ok(request) => (Some(request), None),
                Err(error) => (None, Some(Problem::from(error).body())),
            };
            RequestDone {
                id,
                request,
                problem,
            }
        })
        .collect();
    Ok(ApiJson(RequestsDone {
        done: tally.done,
        failed: tally.failed,
        items,
        next: None,
    }))
}
