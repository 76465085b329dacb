//! `/operators`: the operators of the pages and the API, and the end of their access. Nothing here creates
//! credentials, so that a leaked token cannot be turned into others.

use super::api_route::Call;
use super::input::At;
use super::output::{ApiJson, ListBody};
use super::problem::Problem;
use crate::domain::{OperatorName, Timestamp};
use crate::operations::{AccessEnded, end_all_keys, end_token, find_operator, remove_operator};
use crate::store::{IssuedToken, Operator};

pub(super) async fn list(call: Call, (): ()) -> Result<ListBody<Operator>, Problem> {
    let operators = call.app.store.operators(Timestamp::now()).await?;
    Ok(ListBody::whole(operators))
}

pub(super) async fn tokens(
    call: Call,
    At(name): At<OperatorName>,
) -> Result<ListBody<IssuedToken>, Problem> {
    let store = &call.app.store;
    let operator = find_operator(store, &name).await?;
    let tokens = store.tokens(Some(operator.name), Timestamp::now()).await?;
    Ok(ListBody::whole(tokens))
}

pub(super) async fn revoke(
    call: Call,
    At(name): At<OperatorName>,
) -> Result<ApiJson<AccessEnded>, Problem> {
    let ended = end_all_keys(&call.app.store, name, call.holder.actor()).await?;
    Ok(ApiJson(ended))
}

/// The id of a token, as the list of tokens has it.
pub(super) struct TokenId(pub String);

pub(super) async fn end(
    call: Call,
    (At(name), At(TokenId(id))): (At<OperatorName>, At<TokenId>),
) -> Result<ApiJson<AccessEnded>, Problem> {
    let ended = end_token(&call.app.store, name, id, call.holder.actor()).await?;
    Ok(ApiJson(ended))
}

pub(super) async fn remove(
    call: Call,
    At(name): At<OperatorName>,
) -> Result<ApiJson<AccessEnded>, Problem> {
    if name == call.holder.name {
        return Err(Problem::of_field(
            "operator",
            "a token cannot remove its own operator; another admin can",
        ));
    }
    let removed = remove_operator(&call.app.store, name, call.holder.actor()).await?;
    Ok(ApiJson(removed))
}
