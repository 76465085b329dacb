//! `/ledger` and `/explain`: every accepted message, the reason of its verdict, and all later events.

use serde::Deserialize;
use utoipa::IntoParams;

use super::api_route::Call;
use super::input::{At, Query};
use super::output::{ApiJson, ListBody, Raw};
use super::problem::Problem;
use super::values::{Limit, PointInTime};
use crate::domain::{EmailAddress, LedgerId, PortalName, Reason, Verdict};
use crate::operations::{self, Explanation, bare_message_id, explain_entry, order_by_time};
use crate::store::{LedgerFilter, Page};

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LedgerQuery {
    #[param(inline)]
    verdict: Option<Verdict>,
    #[param(inline)]
    reason: Option<Reason>,
    #[param(inline)]
    portal: Option<PortalName>,
    /// An address, or a part of one: `@corp.example`.
    #[param(example = "ann@corp.example")]
    sender: Option<String>,
    /// With or without its angle brackets.
    message_id: Option<String>,
    /// Only messages received since then.
    #[param(inline)]
    since: Option<PointInTime>,
    /// Only messages received before then.
    #[param(inline)]
    until: Option<PointInTime>,
    /// The oldest first.
    oldest_first: bool,
    /// Maximum number of entries.
    #[param(inline)]
    limit: Limit,
    /// `next` of the previous page.
    #[param(inline, value_type = Option<LedgerId>)]
    after: Option<String>,
}

pub(super) async fn list(
    call: Call,
    Query(filter): Query<LedgerQuery>,
) -> Result<ListBody<Explanation>, Problem> {
    let filter = LedgerFilter {
        verdict: filter.verdict,
        reason: filter.reason,
        portal: call.app.listed_portal(filter.portal).await?,
        message_id: filter
            .message_id
            .as_deref()
            .map(bare_message_id)
            .map(str::to_owned),
        received_after: filter.since.map(PointInTime::timestamp),
        received_before: filter.until.map(PointInTime::timestamp),
        order: order_by_time(filter.oldest_first),
        page: filter.limit.page(filter.after),
        ..LedgerFilter::default()
    }
    .of_sender(filter.sender.as_deref());
    explanations(&call, filter).await
}

async fn explanations(call: &Call, filter: LedgerFilter) -> Result<ListBody<Explanation>, Problem> {
    let listed = call.app.store.ledger(filter).await?;
    let mut items = Vec::with_capacity(listed.rows.len());
    for entry in listed.rows {
        items.push(explain_entry(&call.app.store, entry).await?);
    }
    Ok(ListBody {
        items,
        next: listed.next,
    })
}

pub(super) async fn show(
    call: Call,
    At(id): At<LedgerId>,
) -> Result<ApiJson<Explanation>, Problem> {
    let store = &call.app.store;
    let entry = store.ledger_entry(id).await?;
    let entry = entry.ok_or_else(|| Problem::not_found("ledger entry", id))?;
    Ok(ApiJson(explain_entry(store, entry).await?))
}

pub(super) async fn raw(call: Call, At(id): At<LedgerId>) -> Result<Raw, Problem> {
    let octets = call.app.store.raw(id).await?;
    let octets = octets.ok_or_else(|| Problem::not_found("stored content for ledger entry", id))?;
    Ok(Raw { ledger: id, octets })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExplainQuery {
    /// A ledger id, a request's id, a Message-ID or an address.
    #[param(min_length = 1, example = "ann@corp.example")]
    of: String,
    /// Maximum number of entries.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// `next` of the previous page.
    #[param(inline, value_type = Option<LedgerId>)]
    after: Option<String>,
}

pub(super) async fn explain(
    call: Call,
    Query(query): Query<ExplainQuery>,
) -> Result<ListBody<Explanation>, Problem> {
    let text = query.of.trim();
    if query.of.is_empty() {
        return Err(Problem::bad_input("of: must not be empty"));
    }
    let store = &call.app.store;
    if let Some(entry) = operations::find_entry(store, text).await? {
        return Ok(ListBody::whole(vec![explain_entry(store, entry).await?]));
    }
    let page: Page = query.limit.page(query.after);
    let by_message_id = LedgerFilter {
        message_id: Some(bare_message_id(text).to_owned()),
        page: page.clone(),
        ..LedgerFilter::default()
    };
    let part = explanations(&call, by_message_id).await?;
    // A Message-ID often looks like an address.
    match EmailAddress::parse(text) {
        Ok(sender) if part.items.is_empty() => {
            let by_sender = LedgerFilter {
                sender: Some(sender),
                page,
                ..LedgerFilter::default()
            };
            explanations(&call, by_sender).await
        }
        _ => Ok(part),
    }
}
