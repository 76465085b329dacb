//! Actions of operators on a request: release, discard, retry.

use crate::domain::{Actor, RequestId, RequestState, Timestamp, Transition};
use crate::store::audit::events::record_of_entry;
use crate::store::engine::job::Work;
use crate::store::requests::refused_messages::check_operator_may_release;
use crate::store::requests::request::{self, Request};
use crate::store::requests::transitions;
use crate::store::rows::dropped_content::uncount;
use crate::store::sql::sql_types::Millis;
use crate::store::{Result, Store, StoreError, Topic};

impl Work<'_> {
    /// The state of a request, its `n`, and true if its content exists.
    fn request(&self, id: RequestId) -> Result<(i64, RequestState, bool)> {
        self.tx
            .maybe(
                "SELECT l.n, r.state, EXISTS (
                     SELECT 1 FROM content WHERE content.ledger = coalesce(l.message, l.n)
                 )
                 FROM ledger AS l JOIN request AS r ON r.ledger = l.n WHERE l.id = ?",
                &[&id],
            )?
            .ok_or_else(|| StoreError::not_found("request", id))
    }

    fn find(&self, id: RequestId) -> Result<Request> {
        request::by_id(self.tx, id)?.ok_or_else(|| StoreError::not_found("request", id))
    }

    fn release(&mut self, id: RequestId, by: &Actor, now: Millis) -> Result<Request> {
        let (n, state, content) = self.request(id)?;
        check_operator_may_release(self.tx, n, &format!("request {id}"), now)?;
        if state.after(Transition::Release).is_none() {
            return Err(not_possible(id, state, "released"));
        }
        self.let_go(n, id, state, content, by, now)
    }

    /// True if the request's account expired or its person was forgotten.
    fn account_has_ended(&self, n: i64) -> Result<bool> {
        self.tx.exists(
            "SELECT 1 FROM request AS r JOIN account AS a ON a.n = r.account
             WHERE r.ledger = ? AND a.forgotten_at IS NOT NULL",
            &[&n],
        )
    }

    fn let_go(
        &mut self,
        n: i64,
        id: RequestId,
        state: RequestState,
        content: bool,
        by: &Actor,
        now: Millis,
    ) -> Result<Request> {
        if !content {
            return Err(StoreError::NotAllowed(format!(
                "the content of request {id} has expired"
            )));
        }
        if self.account_has_ended(n)? {
            return Err(StoreError::NotAllowed(format!(
                "the account of request {id} no longer exists"
            )));
        }
        let sql = "UPDATE request SET kept = 1, restorable_until = NULL WHERE ledger = ?";
        self.tx.run(sql, &[&n])?;
        uncount(self.tx, n)?;
        match state {
            RequestState::Failed => transitions::retry(self.tx, n, now)?,
            _ => transitions::release(self.tx, n, &by.to_string(), now)?,
        }
        record_of_entry(self.tx, "request.released", n, by, now)?;
        self.wakeups.add(Topic::Requests);
        self.wakeups.add(Topic::OperatorActions);
        self.find(id)
    }

    fn discard(&mut self, id: RequestId, by: &Actor, now: Millis) -> Result<Request> {
        let (n, state, _) = self.request(id)?;
        if state.after(Transition::Discard).is_none() {
            return Err(not_possible(id, state, "discarded"));
        }
        if self.is_in_work(n)? {
            return Err(StoreError::NotAllowed(format!(
                "request {id} is being delivered; try again after this attempt"
            )));
        }
        transitions::settle(self.tx, n, Transition::Discard, None, now)?;
        self.wakeups.add(Topic::Requests);
        self.wakeups.add(Topic::OperatorActions);
        record_of_entry(self.tx, "request.discarded", n, by, now)?;
        self.find(id)
    }

    fn is_in_work(&self, n: i64) -> Result<bool> {
        self.tx
            .one("SELECT in_work FROM request WHERE ledger = ?", &[&n])
    }

    fn retry(&mut self, id: RequestId, by: &Actor, now: Millis) -> Result<Request> {
        let (n, state, content) = self.request(id)?;
        match state {
            RequestState::Failed => self.let_go(n, id, state, content, by, now),
            RequestState::Released => {
                // A request that is in progress, or behind another in its queue, cannot become due earlier.
                self.tx.run(
                    "UPDATE request SET due_at = ?2
                         WHERE ledger = ?1 AND in_work = 0 AND due_at > ?2",
                    &[&n, &now],
                )?;
                self.wakeups.add(Topic::Requests);
                self.find(id)
            }
            other => Err(not_possible(id, other, "retried")),
        }
    }
}

fn not_possible(id: RequestId, state: RequestState, what: &str) -> StoreError {
    StoreError::NotAllowed(format!("request {id} is {state} and cannot be {what}"))
}

impl Store {
    /// Releases one request (held, discarded, expired, failed) without verification of the account, for an
    /// operator.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` in a state that cannot be released, or if the content or the account is gone.
    pub async fn release_request(
        &self,
        id: RequestId,
        by: Actor,
        now: Timestamp,
    ) -> Result<Request> {
        self.write(move |work| work.release(id, &by, now.into()))
            .await
    }

    /// Discards a request that is held, failed, or released and not being delivered, for an operator.
    pub async fn discard_request(
        &self,
        id: RequestId,
        by: Actor,
        now: Timestamp,
    ) -> Result<Request> {
        self.write(move |work| work.discard(id, &by, now.into()))
            .await
    }

    /// Retries a failed request for an operator; a released one becomes due at once.
    pub async fn retry_request(&self, id: RequestId, by: Actor, now: Timestamp) -> Result<Request> {
        self.write(move |work| work.retry(id, &by, now.into()))
            .await
    }
}
