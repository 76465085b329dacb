//! Requests: listing, and the actions of operators.
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{
    AccountId, Actor, EmailAddress, LedgerId, PortalName, Reason, RequestId, RequestState,
    Timestamp, Transition,
};
use crate::store::audit::events::record_of_entry;
use crate::store::engine::job::Work;
use crate::store::requests::transitions;
use crate::store::rows::dropped_content::uncount;
use crate::store::rows::entry_ids::n_of;
use crate::store::rows::shown_facts::ShownFacts;
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{Conditions, Row, Tx};
use crate::store::{ListOrder, Listed, Page, Result, Store, StoreError, Topic};

/// A request as shown in lists, without its content.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Request {
    pub id: RequestId,
    pub ledger: LedgerId,
    /// The account's address.
    pub account: EmailAddress,
    pub account_id: AccountId,
    pub portal: PortalName,
    pub state: RequestState,
    pub subject: Option<String>,
    pub message_id: Option<String>,
    pub size: u64,
    pub received_at: Timestamp,
    pub released_at: Option<Timestamp>,
    pub settled_at: Option<Timestamp>,
    pub attempts: u32,
    pub next_attempt_at: Option<Timestamp>,
    pub last_error: Option<String>,
    /// It failed five times or more, and no longer blocks later requests of its account.
    pub failing: bool,
}

#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    pub state: Option<RequestState>,
    pub portal: Option<PortalName>,
    pub account: Option<EmailAddress>,
    /// Reason of the verdict on the message.
    pub reason: Option<Reason>,
    pub received_before: Option<Timestamp>,
    pub received_after: Option<Timestamp>,
    pub order: ListOrder,
    pub page: Page,
}

const SHOWN: &str = "SELECT l.id, a.address, a.id AS account_id, r.portal, r.state,
     l.facts, r.size, r.received_at, r.released_at, r.settled_at, r.attempts, r.due_at, r.passed,
     CASE r.stopped WHEN 0 THEN r.last_error ELSE 'stopped: the account is blocked' END AS last_error
     FROM request AS r JOIN ledger AS l ON l.n = r.ledger JOIN account AS a ON a.n = r.account";

fn read_request(row: &Row) -> Result<Request> {
    let state: RequestState = row.get("state")?;
    let facts: ShownFacts = row.get("facts")?;
    let due_at: Option<Timestamp> = row.get("due_at")?;
    Ok(Request {
        id: row.get("id")?,
        ledger: row.get("id")?,
        account: row.get("address")?,
        account_id: row.get("account_id")?,
        portal: row.get("portal")?,
        state,
        subject: facts.subject,
        message_id: facts.message_id,
        size: row.get("size")?,
        received_at: row.get("received_at")?,
        released_at: row.get("released_at")?,
        settled_at: row.get("settled_at")?,
        attempts: row.get("attempts")?,
        next_attempt_at: due_at.filter(|_| state == RequestState::Released),
        last_error: row.get("last_error")?,
        failing: row.get("passed")?,
    })
}

/// Reads a request that is known to exist.
pub(crate) fn by_n(tx: &Tx, n: i64) -> Result<Request> {
    tx.one_with(&format!("{SHOWN} WHERE r.ledger = ?"), &[&n], read_request)
}

/// Lists the requests of one account, which have an index; for other filters see `request_lists`.
pub(crate) fn list(tx: &Tx, filter: &RequestFilter) -> Result<Listed<Request>> {
    let after = filter.page.after.as_deref();
    let after = after.map(|cursor| n_of(tx, cursor)).transpose()?;
    let account: Option<i64> = match &filter.account {
        Some(address) => {
            let found = tx.maybe("SELECT n FROM account WHERE key = ?", &[&address.key()])?;
            Some(found.unwrap_or(-1))
        }
        None => None,
    };
    let mut wanted = Conditions::default();
    let goes_on = match filter.order {
        ListOrder::NewestFirst => "r.ledger < ?",
        ListOrder::OldestFirst => "r.ledger > ?",
    };
    wanted.ask(goes_on, after.as_ref());
    wanted.ask("l.rule = ?", filter.reason.as_ref());
    wanted.ask("r.account = ?", account.as_ref());
    wanted.ask("r.state = ?", filter.state.as_ref());
    wanted.ask("r.portal = ?", filter.portal.as_ref());
    wanted.ask("r.received_at < ?", filter.received_before.as_ref());
    wanted.ask("r.received_at >= ?", filter.received_after.as_ref());
    let sql = format!(
        "{SHOWN} WHERE {} ORDER BY r.ledger {}",
        wanted.sql(),
        filter.order.direction()
    );
    wanted.page(tx, &sql, &filter.page, |row| {
        let request = read_request(row)?;
        let cursor = request.ledger.to_string();
        Ok((request, cursor))
    })
}

fn one(tx: &Tx, id: RequestId) -> Result<Option<Request>> {
    tx.maybe_with(&format!("{SHOWN} WHERE l.id = ?"), &[&id], read_request)
}

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
        one(self.tx, id)?.ok_or_else(|| StoreError::not_found("request", id))
    }

    fn release(&mut self, id: RequestId, by: &Actor, now: Millis) -> Result<Request> {
        let (n, state, content) = self.request(id)?;
        if let Some(until) = self.is_the_persons_until(n, now)? {
            let until = until.timestamp();
            let what = format!("request {id} was discarded by the person (\"This was not me\")");
            return Err(StoreError::NotAllowed(if self.is_verified(n)? {
                format!("{what}; as the address is verified, it can be released from {until} on")
            } else {
                format!(
                    "{what}; until {until} only they can take that back, by their link (customers \
                     resend sends a new one)"
                )
            }));
        }
        if state.after(Transition::Release).is_none() {
            return Err(not_possible(id, state, "released"));
        }
        self.let_go(n, id, state, content, by, now)
    }

    /// True if the address of its account is verified: then no link takes anything back.
    fn is_verified(&self, n: i64) -> Result<bool> {
        self.tx.exists(
            "SELECT 1 FROM request AS r JOIN account AS a ON a.n = r.account
             WHERE r.ledger = ? AND a.status = 'active' AND a.verified_at IS NOT NULL",
            &[&n],
        )
    }

    /// End of the time in which only the person can restore it.
    fn is_the_persons_until(&self, n: i64, now: Millis) -> Result<Option<Millis>> {
        let until: Option<Millis> = self
            .tx
            .maybe(
                "SELECT restorable_until FROM request WHERE ledger = ? AND state = 'discarded'",
                &[&n],
            )?
            .flatten();
        Ok(until.filter(|until| *until > now))
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
                "the content of request {id} was forgotten when its time was over"
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
                "request {id} is being delivered at this moment; try again when the attempt has ended"
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
                // A request in progress, or after another in its queue, cannot be any earlier.
                self.tx.run(
                    "UPDATE request SET due_at = ?2
                         WHERE ledger = ?1 AND in_work = 0 AND due_at > ?2",
                    &[&n, &now],
                )?;
                self.wakeups.add(Topic::Requests);
                self.find(id)
            }
            other => Err(not_possible(id, other, "tried again")),
        }
    }
}

fn not_possible(id: RequestId, state: RequestState, what: &str) -> StoreError {
    StoreError::NotAllowed(format!("request {id} is {state} and cannot be {what}"))
}

impl Store {
    pub async fn request(&self, id: RequestId) -> Result<Option<Request>> {
        self.read(move |tx| one(tx, id)).await
    }

    /// Releases one request (held, discarded, expired, failed) without verification of the account, for an
    /// operator.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` in a state that cannot be released, or if the content is gone.
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
