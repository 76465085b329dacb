//! `/nodes`: the daemons that share the store.

use super::api_route::Call;
use super::output::ListBody;
use super::problem::Problem;
use crate::operations::{NodeStatus, list_nodes};

pub(super) async fn list(call: Call, (): ()) -> Result<ListBody<NodeStatus>, Problem> {
    Ok(ListBody::whole(list_nodes(&call.app.store).await?))
}
