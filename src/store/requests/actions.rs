//! Actions of operators on a request: release, discard, retry.

use crate::domain::{AccountStatus, Actor, RequestId, RequestState, Timestamp, Transition};
use crate::store::audit::events::record_of_entry;
use crate::store::engine::job::Work;
use crate::store::requests::other_copy::find_other_copy;
use crate::store::requests::refused_messages::check_operator_may_release;
use crate::store::requests::request::{self, Request};
use crate::store::requests::transitions;
use crate::store::rows::dropped_content::uncount;
use crate::store::sql::sql_types::{Millis, from_row};
use crate::store::{Result, Store, StoreError, Topic};

/// A request on which an operator acts, with the state in which they saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenRequest {
    pub id: RequestId,
    /// None if unknown: then every state that permits the action will do.
    pub state: Option<SeenState>,
}

/// State in which an operator saw a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenState {
    /// Without a request, such as a dropped message.
    NoRequest,
    Request(RequestState),
}

impl SeenState {
    /// Its name in forms.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoRequest => "no_request",
            Self::Request(state) => state.as_str(),
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == Self::NoRequest.as_str() {
            return Some(Self::NoRequest);
        }
        RequestState::from_name(name).map(Self::Request)
    }
}

impl From<RequestId> for SeenRequest {
    fn from(id: RequestId) -> Self {
        Self { id, state: None }
    }
}

/// Outcome of a retry.
#[derive(Debug, Clone)]
pub enum Retried {
    /// It had failed.
    Released(Request),
    /// It was released before, and is due at once, unless it is in progress or behind another in its queue.
    AlreadyReleased(Request),
}

/// The request of an action.
struct Target {
    n: i64,
    id: RequestId,
    state: RequestState,
    /// It is released, but its account is blocked.
    stopped: bool,
    account_status: AccountStatus,
    /// A worker has a lease on it that has not ended.
    in_work: bool,
    has_content: bool,
}
from_row!(Target, row: n, id, state, stopped, account_status, in_work, has_content);

impl Target {
    /// True if it failed, and its account is blocked: an operator can release it alone, but not retry it.
    fn is_failed_and_blocked(&self) -> bool {
        self.state == RequestState::Failed && self.account_status == AccountStatus::Blocked
    }

    /// Checks that the request still has the state in which the operator saw it, so that they do not override a
    /// decision that they do not know.
    fn check_seen(&self, seen: SeenRequest) -> Result<()> {
        let was = match seen.state {
            None => return Ok(()),
            Some(SeenState::Request(state)) if state == self.state => return Ok(()),
            Some(SeenState::Request(state)) => format!("was {state}"),
            Some(SeenState::NoRequest) => "did not exist".to_owned(),
        };
        Err(StoreError::NotAllowed(format!(
            "request {} is {} now, and {was} on the page from which you acted",
            self.id, self.state
        )))
    }
}

impl Work<'_> {
    fn target(&self, id: RequestId, now: Millis) -> Result<Target> {
        self.tx
            .maybe(
                "SELECT l.n, l.id, r.state, r.stopped, a.status AS account_status,
                     r.in_work = 1 AND r.due_at > ?2 AS in_work,
                     EXISTS (
                         SELECT 1 FROM content WHERE content.ledger = coalesce(l.message, l.n)
                     ) AS has_content
                 FROM ledger AS l JOIN request AS r ON r.ledger = l.n
                     JOIN account AS a ON a.n = r.account
                 WHERE l.id = ?1",
                &[&id, &self.database_time(now)],
            )?
            .ok_or_else(|| StoreError::not_found("request", id))
    }

    fn find(&self, id: RequestId) -> Result<Request> {
        request::by_id(self.tx, id)?.ok_or_else(|| StoreError::not_found("request", id))
    }

    fn release(&mut self, seen: SeenRequest, by: &Actor, now: Millis) -> Result<Request> {
        let id = seen.id;
        let target = self.target(id, now)?;
        target.check_seen(seen)?;
        check_operator_may_release(self.tx, target.n, &format!("request {id}"), now)?;
        if target.stopped && target.in_work {
            return Err(in_progress(id));
        }
        let may_release = target.stopped
            || target.is_failed_and_blocked()
            || target.state.after(Transition::Release).is_some();
        if !may_release {
            return Err(not_possible(id, target.state, "released"));
        }
        self.let_go(&target, by, now)
    }

    /// True if the request's account expired or its person was forgotten.
    fn account_has_ended(&self, n: i64) -> Result<bool> {
        self.tx.exists(
            "SELECT 1 FROM request AS r JOIN account AS a ON a.n = r.account
             WHERE r.ledger = ? AND a.forgotten_at IS NOT NULL",
            &[&n],
        )
    }

    fn let_go(&mut self, target: &Target, by: &Actor, now: Millis) -> Result<Request> {
        let Target { n, id, .. } = *target;
        if !target.has_content {
            return Err(StoreError::NotAllowed(format!(
                "the content of request {id} has expired"
            )));
        }
        if self.account_has_ended(n)? {
            return Err(StoreError::NotAllowed(format!(
                "the account of request {id} no longer exists"
            )));
        }
        // A stopped request is released already, so no copy of it was accepted since then.
        if !target.stopped
            && let Some((copy, state)) = find_other_copy(self.tx, n)?
        {
            return Err(StoreError::NotAllowed(format!(
                "a copy of the message of request {id} is already request {copy}, {state}"
            )));
        }
        let sql = "UPDATE request SET kept = 1, restorable_until = NULL WHERE ledger = ?";
        self.tx.run(sql, &[&n])?;
        uncount(self.tx, n)?;
        match target.state {
            RequestState::Failed if !target.is_failed_and_blocked() => {
                transitions::retry(self.tx, n, now)?;
            }
            _ => transitions::release(self.tx, n, &by.to_string(), now)?,
        }
        record_of_entry(self.tx, "request.released", n, by, now)?;
        self.wakeups.add(Topic::Requests);
        self.wakeups.add(Topic::OperatorActions);
        self.find(id)
    }

    fn discard(&mut self, seen: SeenRequest, by: &Actor, now: Millis) -> Result<Request> {
        let id = seen.id;
        let target = self.target(id, now)?;
        target.check_seen(seen)?;
        let Target {
            n, state, in_work, ..
        } = target;
        if state.after(Transition::Discard).is_none() {
            return Err(not_possible(id, state, "discarded"));
        }
        if in_work {
            return Err(in_progress(id));
        }
        transitions::settle(self.tx, n, Transition::Discard, None, now)?;
        self.wakeups.add(Topic::Requests);
        self.wakeups.add(Topic::OperatorActions);
        record_of_entry(self.tx, "request.discarded", n, by, now)?;
        self.find(id)
    }

    fn retry(&mut self, id: RequestId, by: &Actor, now: Millis) -> Result<Retried> {
        let target = self.target(id, now)?;
        match target.state {
            RequestState::Failed if target.is_failed_and_blocked() => Err(refuse_while_blocked(id)),
            RequestState::Failed => self.let_go(&target, by, now).map(Retried::Released),
            RequestState::Released if target.stopped => Err(StoreError::NotAllowed(format!(
                "request {id} is stopped: the account is blocked; it goes on when the account is \
                 unblocked, or if you release this request"
            ))),
            RequestState::Released => {
                // A request that is in progress, or behind another in its queue, cannot become due earlier.
                self.tx.run(
                    "UPDATE request SET due_at = ?2
                         WHERE ledger = ?1 AND in_work = 0 AND due_at > ?2",
                    &[&target.n, &now],
                )?;
                self.wakeups.add(Topic::Requests);
                self.find(id).map(Retried::AlreadyReleased)
            }
            other => Err(not_possible(id, other, "retried")),
        }
    }
}

fn in_progress(id: RequestId) -> StoreError {
    StoreError::NotAllowed(format!(
        "request {id} is being delivered; try again after this attempt"
    ))
}

fn refuse_while_blocked(id: RequestId) -> StoreError {
    StoreError::NotAllowed(format!(
        "request {id} cannot be retried: the account is blocked; unblock it, or release this request"
    ))
}

fn not_possible(id: RequestId, state: RequestState, what: &str) -> StoreError {
    StoreError::NotAllowed(format!("request {id} is {state} and cannot be {what}"))
}

impl Store {
    /// Releases one request without verification of the account, for an operator: one that is held, discarded or
    /// expired, or that is stopped or failed while its account is blocked.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` in a state that cannot be released or that the operator did not see, if the content or
    /// the account is gone, or if a copy of the message is held, released or delivered.
    pub async fn release_request(
        &self,
        request: impl Into<SeenRequest>,
        by: Actor,
        now: Timestamp,
    ) -> Result<Request> {
        let seen = request.into();
        self.write(move |work| work.release(seen, &by, now.into()))
            .await
    }

    /// Discards a request that is held, failed, or released and not being delivered, for an operator.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` in a state that cannot be discarded or that the operator did not see.
    pub async fn discard_request(
        &self,
        request: impl Into<SeenRequest>,
        by: Actor,
        now: Timestamp,
    ) -> Result<Request> {
        let seen = request.into();
        self.write(move |work| work.discard(seen, &by, now.into()))
            .await
    }

    /// Retries a failed request for an operator; a released one becomes due at once.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` in a state that cannot be retried, for a request of a blocked account, if the
    /// content or the account is gone, or if a copy of the message is held, released or delivered.
    pub async fn retry_request(&self, id: RequestId, by: Actor, now: Timestamp) -> Result<Retried> {
        self.write(move |work| work.retry(id, &by, now.into()))
            .await
    }
}
