//! A request as the API, the pages and the commands show it, and lists of requests.

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{
    AccountId, AccountStatus, EmailAddress, LedgerId, PortalName, Reason, RequestId, RequestState,
    Timestamp,
};
use crate::store::rows::entry_ids::n_of;
use crate::store::rows::shown_facts::ShownFacts;
use crate::store::sql::{Conditions, Row, Tx, list_of};
use crate::store::{ListOrder, Listed, Page, Result, Store};

/// A request as shown in lists, without its content.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent columns of the row"
)]
pub struct Request {
    pub id: RequestId,
    pub ledger: LedgerId,
    /// The account's address.
    pub account: EmailAddress,
    pub account_id: AccountId,
    /// False if the account expired or its person was forgotten: then no account has this id.
    #[serde(skip)]
    pub has_account: bool,
    /// True while its message is stored.
    #[serde(skip)]
    pub has_content: bool,
    pub portal: PortalName,
    pub state: RequestState,
    /// True if it is released, but waits because its account is blocked.
    #[serde(skip)]
    pub stopped: bool,
    #[serde(skip)]
    pub account_status: AccountStatus,
    /// End of the time in which only the person can release it: they refused it.
    #[serde(skip)]
    pub refused_until: Option<Timestamp>,
    pub subject: Option<String>,
    pub message_id: Option<String>,
    pub size: u64,
    pub received_at: Timestamp,
    pub released_at: Option<Timestamp>,
    pub settled_at: Option<Timestamp>,
    pub attempts: u32,
    pub next_attempt_at: Option<Timestamp>,
    /// Error of the last attempt. Begins with `stopped:` if the account of a released request is blocked, and with
    /// `waiting:` if its destination is paused, is down or asked for a pause, or its portal is not in the
    /// configuration.
    pub last_error: Option<String>,
    /// True if it has failed at least five times and no longer blocks later requests of its account.
    pub failing: bool,
}

impl Request {
    /// True if the block of its account keeps it from another attempt: it is stopped, or failed and cannot be
    /// retried. An operator can release it alone.
    #[must_use]
    pub fn needs_unblocking(&self) -> bool {
        let is_blocked = self.account_status == AccountStatus::Blocked;
        self.stopped || (is_blocked && self.state == RequestState::Failed)
    }

    /// True while there is something to deliver, and an account to deliver it for.
    #[must_use]
    pub fn is_deliverable(&self) -> bool {
        self.has_content && self.has_account
    }

    /// End of the time in which only the person can release it; None once it has passed.
    #[must_use]
    pub fn protected_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.refused_until.filter(|until| *until > now)
    }
}

#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    pub state: Option<RequestState>,
    pub portal: Option<PortalName>,
    /// Address of the account, or of accounts that expired.
    pub account: Option<EmailAddress>,
    /// Reason of the verdict on the message.
    pub reason: Option<Reason>,
    pub received_before: Option<Timestamp>,
    pub received_after: Option<Timestamp>,
    pub order: ListOrder,
    pub page: Page,
}

const SHOWN: &str = "SELECT r.ledger AS n, l.id, a.address, a.id AS account_id,
     a.forgotten_at IS NULL AS has_account,
     EXISTS (SELECT 1 FROM content WHERE content.ledger = coalesce(l.message, l.n)) AS has_content,
     r.portal, r.state, l.facts, r.size, r.received_at,
     r.released_at, r.settled_at, r.attempts, r.due_at, r.passed, r.stopped,
     a.status AS account_status,
     CASE r.state WHEN 'discarded' THEN r.restorable_until END AS refused_until,
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
        has_account: row.get("has_account")?,
        has_content: row.get("has_content")?,
        portal: row.get("portal")?,
        state,
        stopped: row.get("stopped")?,
        account_status: row.get("account_status")?,
        refused_until: row.get("refused_until")?,
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

/// Requests that one statement reads.
const READ_AT_ONCE: usize = 64;

/// Reads requests by the numbers of their entries, in this order.
pub(crate) fn by_numbers(tx: &Tx, numbers: &[i64]) -> Result<Vec<Request>> {
    let sql = format!("{SHOWN} WHERE {}", tx.is_among("r.ledger", "?"));
    let mut found = HashMap::with_capacity(numbers.len());
    for some in numbers.chunks(READ_AT_ONCE) {
        tx.each(&sql, &[&list_of(some)], |row| {
            found.insert(row.get::<_, i64>("n")?, read_request(row)?);
            Ok(())
        })?;
    }
    Ok(numbers.iter().filter_map(|n| found.remove(n)).collect())
}

/// Lists the requests of one address, which an index finds; for other filters see `request_lists`.
pub(crate) fn list(tx: &Tx, filter: &RequestFilter) -> Result<Listed<Request>> {
    let after = filter.page.after.as_deref();
    let after = after.map(|cursor| n_of(tx, cursor)).transpose()?;
    let key = filter.account.as_ref().map(EmailAddress::key);
    let mut wanted = Conditions::default();
    let goes_on = match filter.order {
        ListOrder::NewestFirst => "r.ledger < ?",
        ListOrder::OldestFirst => "r.ledger > ?",
    };
    wanted.ask(goes_on, after.as_ref());
    wanted.ask("l.rule = ?", filter.reason.as_ref());
    // Looked up first: with a condition on the account alone, PostgreSQL reads all requests in their order.
    wanted.ask(
        "r.ledger IN (
             SELECT q.ledger FROM account AS b JOIN request AS q ON q.account = b.n WHERE b.key = ?
             UNION ALL
             SELECT q.ledger FROM account AS b JOIN request AS q ON q.account = b.n
             WHERE b.former_key = ?
         )",
        key.as_ref(),
    );
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

pub(crate) fn by_id(tx: &Tx, id: RequestId) -> Result<Option<Request>> {
    tx.maybe_with(&format!("{SHOWN} WHERE l.id = ?"), &[&id], read_request)
}

impl Store {
    pub async fn request(&self, id: RequestId) -> Result<Option<Request>> {
        self.read(move |tx| by_id(tx, id)).await
    }
}
