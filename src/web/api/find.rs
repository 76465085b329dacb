//! `/find`: messages and customers by parts of addresses and names and words of subjects.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::api_route::Call;
use super::input::Query;
use super::output::ApiJson;
use super::problem::Problem;
use super::values::{Limit, PointInTime};
use crate::domain::{Account, PortalName, Reason, Verdict};
use crate::operations::{self, FoundMessage};
use crate::store::FindFilter;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// Parts of the sender's address or name and words of the subject, a domain, an id or a Message-ID. Each
    /// word must match.
    #[param(min_length = 1, max_length = 1000, example = "vpn miller@corp")]
    q: String,
    /// Only messages received since then.
    #[param(inline)]
    since: Option<PointInTime>,
    /// Only messages received before then.
    #[param(inline)]
    until: Option<PointInTime>,
    #[param(inline)]
    verdict: Option<Verdict>,
    #[param(inline)]
    reason: Option<Reason>,
    #[param(inline)]
    portal: Option<PortalName>,
    /// Maximum number of messages. The first page has up to 10 more, if the search text is their Message-ID
    /// and looks like an address.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// `next` of the previous page. A page may be empty and still have one.
    after: Option<String>,
}

/// A page of messages, and the customers that were found.
#[derive(Serialize, ToSchema)]
#[schema(as = FoundMessageList)]
pub(super) struct FoundBody {
    items: Vec<FoundMessage>,
    /// Cursor of the next page: pass it as `after`; null on the last page.
    #[schema(required = true)]
    next: Option<String>,
    /// The first customers whose address contains the search text, at most 5, whatever the other parameters. Only on
    /// the first page.
    customers: Vec<Account>,
}

pub(super) async fn find(
    call: Call,
    Query(search): Query<Search>,
) -> Result<ApiJson<FoundBody>, Problem> {
    if search.q.trim().is_empty() {
        return Err(Problem::bad_input("q: must not be empty"));
    }
    if search.q.chars().count() > 1000 {
        return Err(Problem::bad_input("q: at most 1000 characters"));
    }
    let filter = FindFilter {
        search_text: search.q,
        since: search.since.map(PointInTime::timestamp),
        until: search.until.map(PointInTime::timestamp),
        verdict: search.verdict,
        reason: search.reason,
        portal: call.app.listed_portal(search.portal).await?,
        page: search.limit.page(search.after),
        ..FindFilter::default()
    };
    let found = operations::find(&call.app.store, filter).await?;
    Ok(ApiJson(FoundBody {
        items: found.messages,
        next: found.next,
        customers: found.customers,
    }))
}
