//! `/mail`: verification mail that waits to be sent.

use serde::Deserialize;
use utoipa::IntoParams;

use super::api_route::Call;
use super::input::Query;
use super::output::ListBody;
use super::problem::Problem;
use super::values::{Limit, address};
use crate::domain::{QueuedMailState, Timestamp};
use crate::store::{QueuedMail, QueuedMailFilter};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitingMailQuery {
    /// Only mail to this address.
    #[param(nullable = false, example = "ann@corp.example")]
    account: Option<String>,
    /// Only mail that waits, or only mail that is being sent.
    #[param(inline, nullable = false)]
    state: Option<QueuedMailState>,
    /// Only mail requested since then. A list limited to a period is in the order in which its mail was requested.
    #[param(value_type = Option<String>, format = DateTime, nullable = false)]
    since: Option<Timestamp>,
    /// Only mail requested before then.
    #[param(value_type = Option<String>, format = DateTime, nullable = false)]
    until: Option<Timestamp>,
    /// Maximum number of mails.
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// `next` of the previous page.
    #[param(nullable = false)]
    after: Option<String>,
}

pub(super) async fn list(
    call: Call,
    Query(filter): Query<WaitingMailQuery>,
) -> Result<ListBody<QueuedMail>, Problem> {
    let account = filter.account.as_deref();
    let filter = QueuedMailFilter {
        account: account.map(|text| address("account", text)).transpose()?,
        state: filter.state,
        since: filter.since,
        until: filter.until,
        page: filter.limit.page(filter.after),
    };
    Ok(call.app.store.queued_mail(filter).await?.into())
}
