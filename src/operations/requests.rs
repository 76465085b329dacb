//! Operators' actions on requests, one or many.

use super::bulk_actions::{Outcomes, bulk};
use super::lists::read_all;
use super::waiting_causes::WaitingCauses;
use crate::config::Config;
use crate::domain::{Actor, RequestId, RequestState, Timestamp, Transition, keywords};
use crate::store::{Listed, Request, RequestFilter, Result, Retried, SeenRequest, Store};

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

    /// True if the action is possible for this request now. One that is stopped or failed while its account is blocked
    /// can be released, but not retried. One that the person refused can be released only by them for a time. Without
    /// its content or its account, one can only be discarded.
    #[must_use]
    pub fn applies_to_request(self, request: &Request) -> bool {
        match self {
            Self::Release | Self::Retry if !request.is_deliverable() => false,
            Self::Release if request.needs_unblocking() => true,
            Self::Retry if request.needs_unblocking() => false,
            Self::Release if request.protected_until(Timestamp::now()).is_some() => false,
            _ => self.applies_to(request.state),
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

/// Applies the action and records `by` in the audit log. Returns the request in its new state, with the cause for
/// which it waits.
///
/// # Errors
/// `NotFound`; `NotAllowed` in a state that does not permit the action, for a release or a discard in another state
/// than the operator saw, beside another copy of the message, and for a retry of a released request that is not
/// attempted: its account is blocked, its destination is paused, is down or asked for a pause, or its portal is not in
/// the configuration.
pub async fn act_on_request(
    store: &Store,
    config: &Config,
    action: RequestAction,
    request: impl Into<SeenRequest>,
    by: Actor,
) -> Result<Request> {
    let request = request.into();
    let causes = WaitingCauses::read(store, config).await?;
    act(store, &causes, action, request, by).await
}

async fn act(
    store: &Store,
    causes: &WaitingCauses<'_>,
    action: RequestAction,
    seen: SeenRequest,
    by: Actor,
) -> Result<Request> {
    let now = Timestamp::now();
    let request = match action {
        RequestAction::Release => store.release_request(seen, by, now).await?,
        RequestAction::Discard => store.discard_request(seen, by, now).await?,
        // Overrides no decision, whatever state the operator saw.
        RequestAction::Retry => match store.retry_request(seen.id, by, now).await? {
            Retried::Released(request) => request,
            Retried::AlreadyReleased(request) => match causes.of(&request) {
                // It is only due as soon as the cause ends.
                Some(cause) => return Err(cause.refuse_retry(&request)),
                None => request,
            },
        },
    };
    Ok(causes.explain(request))
}

/// Applies the action to each request, in this order.
///
/// # Errors
/// Those of [`bulk`].
pub async fn act_on_requests(
    store: &Store,
    config: &Config,
    action: RequestAction,
    requests: Vec<impl Into<SeenRequest>>,
    by: &Actor,
) -> Result<Outcomes<RequestId, Request>> {
    let requests: Vec<SeenRequest> = requests.into_iter().map(Into::into).collect();
    let causes = &WaitingCauses::read(store, config).await?;
    let outcomes = bulk(requests, |seen| {
        act(store, causes, action, seen, by.clone())
    });
    let outcomes = outcomes.await?.into_iter();
    Ok(outcomes.map(|(seen, outcome)| (seen.id, outcome)).collect())
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
