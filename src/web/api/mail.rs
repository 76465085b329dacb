//! `/mail`: verification mail that waits to be sent, or was given up.

use serde::Deserialize;
use utoipa::IntoParams;

use super::api_route::Call;
use super::input::Query;
use super::output::ListBody;
use super::problem::Problem;
use super::values::{Limit, PointInTime, address};
use crate::domain::QueuedMailState;
use crate::store::{QueuedMail, QueuedMailFilter};

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitingMailQuery {
    /// Only mail to this address.
    #[param(example = "ann@corp.example")]
    account: Option<String>,
    /// Only mail that waits, only mail that is being sent, or the mail that was given up (`refused`) for accounts
    /// that still wait for it.
    #[param(inline)]
    state: Option<QueuedMailState>,
    /// Only mail requested since then. A list limited to a period is in the order in which its mail was requested.
    #[param(inline)]
    since: Option<PointInTime>,
    /// Only mail requested before then.
    #[param(inline)]
    until: Option<PointInTime>,
    /// Maximum number of mails.
    #[param(inline)]
    limit: Limit,
    /// `next` of the previous page.
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
        since: filter.since.map(PointInTime::timestamp),
        until: filter.until.map(PointInTime::timestamp),
        page: filter.limit.page(filter.after),
    };
    Ok(call.app.store.queued_mail(filter).await?.into())
}
