//! `/mail`: verification mail that waits to be sent.

use super::api_route::Call;
use super::input::Query;
use super::output::ListBody;
use super::problem::Problem;
use super::values::PageQuery;
use crate::store::QueuedMail;

pub(super) async fn list(
    call: Call,
    Query(part): Query<PageQuery>,
) -> Result<ListBody<QueuedMail>, Problem> {
    Ok(call.app.store.queued_mail(part.page()).await?.into())
}
