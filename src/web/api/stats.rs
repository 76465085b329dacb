//! `/stats` and `/audit`: counts, and the audit log of operators' actions.

use serde::Deserialize;
use utoipa::IntoParams;

use super::api_route::Call;
use super::input::Query;
use super::output::{ApiJson, ListBody};
use super::problem::Problem;
use super::values::{Limit, PointInTime};
use crate::domain::PortalName;
use crate::operations::{self, Stats};
use crate::store::{AuditEntry, AuditFilter};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StatsQuery {
    /// Count messages received since then; 7 days by default.
    #[param(inline)]
    since: Option<PointInTime>,
    #[param(inline)]
    portal: Option<PortalName>,
}

pub(super) async fn show(
    call: Call,
    Query(wanted): Query<StatsQuery>,
) -> Result<ApiJson<Stats>, Problem> {
    let portal = call.app.listed_portal(wanted.portal).await?;
    let since = wanted.since.unwrap_or(PointInTime::days_ago(7)).timestamp();
    let stats = operations::count_messages(&call.app.store, since, portal.as_ref());
    Ok(ApiJson(stats.await?))
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Only actions of this operator, or of this system user at the command line.
    #[param(example = "ann")]
    operator: Option<String>,
    /// Only this event.
    #[param(example = "request.released")]
    event: Option<String>,
    /// Only actions since then.
    #[param(inline)]
    since: Option<PointInTime>,
    /// Only actions before then.
    #[param(inline)]
    until: Option<PointInTime>,
    /// Maximum number of entries.
    #[param(inline)]
    limit: Limit,
    /// `next` of the previous page.
    after: Option<String>,
}

pub(super) async fn audit(
    call: Call,
    Query(wanted): Query<AuditQuery>,
) -> Result<ListBody<AuditEntry>, Problem> {
    let filter = AuditFilter {
        operator: wanted.operator,
        event: wanted.event,
        since: wanted.since.map(PointInTime::timestamp),
        until: wanted.until.map(PointInTime::timestamp),
        page: wanted.limit.page(wanted.after),
    };
    Ok(call.app.store.audit(filter).await?.into())
}
