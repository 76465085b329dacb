//! Operators' actions on requests, one or many.

use super::bulk_actions::{Outcomes, bulk};
use super::lists::read_all;
use crate::domain::{Actor, RequestId, RequestState, Timestamp, Transition, keywords};
use crate::store::{Listed, Request, RequestFilter, Result, Store};

/// Actions on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestAction {
    Release,
    Discard,
    Retry,
}

keywords!(RequestAction { Release => "release", Discard => "discard", Retry => "retry" });

impl RequestAction {
    /// True if the action is possible in this state, as far as the state tells.
    #[must_use]
    pub fn applies_to(self, state: RequestState) -> bool {
        let can = |transition| state.after(transition).is_some();
        match self {
            Self::Release => can(Transition::Release),
            Self::Discard => can(Transition::Discard),
            // A released request becomes due at once.
            Self::Retry => can(Transition::Retry) || state == RequestState::Released,
        }
    }

    /// The word for the result: `released`, `discarded` or `retried`.
    #[must_use]
    pub fn outcome(self) -> &'static str {
        match self {
            Self::Release => "released",
            Self::Discard => "discarded",
            Self::Retry => "retried",
        }
    }
}

/// Applies the action and records `by` in the audit log. Returns the request in its new state.
///
/// # Errors
/// `NotFound`; `NotAllowed` in a state that does not permit the action.
pub async fn act_on_request(
    store: &Store,
    action: RequestAction,
    id: RequestId,
    by: Actor,
) -> Result<Request> {
    let now = Timestamp::now();
    match action {
        RequestAction::Release => store.release_request(id, by, now).await,
        RequestAction::Discard => store.discard_request(id, by, now).await,
        RequestAction::Retry => store.retry_request(id, by, now).await,
    }
}

/// Applies the action to each request, in this order.
///
/// # Errors
/// Those of [`bulk`].
pub async fn act_on_requests(
    store: &Store,
    action: RequestAction,
    ids: Vec<RequestId>,
    by: &Actor,
) -> Result<Outcomes<RequestId, Request>> {
    bulk(ids, |id| act_on_request(store, action, id, by.clone())).await
}

/// Ids of all requests that match, newest first.
pub async fn matching_requests(store: &Store, filter: RequestFilter) -> Result<Vec<RequestId>> {
    let filter = &filter;
    let read = |page| async move {
        let look = RequestFilter {
            page,
            ..filter.clone()
        };
        let listed = store.requests(look).await?;
        Ok(Listed {
            rows: listed.rows.iter().map(|request| request.id).collect(),
            next: listed.next,
        })
    };
    read_all(usize::MAX, read).await
}
