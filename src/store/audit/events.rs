//! Event rows: the history of a message for `explain`, and the audit of the actions of operators. Event names
//! are those of the log.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{
    AccountId, AccountKind, Actor, EmailAddress, Interface, LedgerId, PortalName, RequestId,
    Timestamp,
};
use crate::store::hooks::{calls_about_accounts, calls_without_account};
use crate::store::sql::sql_types::{Millis, from_row};
use crate::store::sql::{Tx, insert_deferred};
use crate::store::{Result, Store};

/// An action of an operator, with the details that the log reports.
#[derive(Debug, Clone)]
pub struct OperatorAction {
    /// Number of the event. Events are in this order.
    pub n: i64,
    /// Name in the log, such as `account.blocked`.
    pub event: String,
    /// `operator:NAME`.
    pub by: String,
    /// `command line`, `page` or `api`.
    pub origin: Option<String>,
    /// Account acted on, or account of the request.
    pub account: Option<(AccountId, EmailAddress, AccountKind)>,
    pub request: Option<(RequestId, LedgerId, PortalName)>,
    pub detail: Option<String>,
}
from_row!(
    OperatorAction, row: n, event, by, origin, detail,
    account = match row.get("account")? {
        Some(id) => Some((id, row.get("address")?, row.get("kind")?)),
        None => None,
    },
    request = match row.get("portal")? {
        Some(portal) => Some((row.get("ledger")?, row.get("ledger")?, portal)),
        None => None,
    },
);

/// An event to be recorded. `ledger` and `account` are the `n` of their rows.
pub(crate) struct NewEvent {
    name: &'static str,
    ledger: Option<i64>,
    account: Option<i64>,
    detail: Option<String>,
}

impl NewEvent {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            ledger: None,
            account: None,
            detail: None,
        }
    }

    pub(crate) fn entry(mut self, n: impl Into<Option<i64>>) -> Self {
        self.ledger = n.into();
        self
    }

    pub(crate) fn account(mut self, n: impl Into<Option<i64>>) -> Self {
        self.account = n.into();
        self
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(crate) fn record(self, tx: &Tx, actor: &Actor, at: Millis) -> Result<()> {
        let detail = match (self.detail, actor.note()) {
            (Some(detail), Some(note)) => Some(format!("{detail}; note: {note}")),
            (None, Some(note)) => Some(format!("note: {note}")),
            (detail, None) => detail,
        };
        insert_deferred!(
            tx,
            event {
                n: tx.next_number()?,
                at,
                name: self.name,
                ledger: self.ledger,
                account: self.account,
                actor,
                origin: actor.origin().map(Interface::as_str),
                detail
            }
        )?;
        if self.name == "operator.login_failed" {
            return calls_without_account::tell_failed_login(tx, actor, detail.as_deref(), at);
        }
        calls_about_accounts::tell(tx, self.name, self.account, self.ledger, actor, at)
    }
}

/// Records an event of an entry that needs no detail.
pub(crate) fn record_of_entry(
    tx: &Tx,
    name: &'static str,
    n: i64,
    by: &Actor,
    at: Millis,
) -> Result<()> {
    NewEvent::new(name).entry(n).record(tx, by, at)
}

/// Records an event of an account that needs no detail.
pub(crate) fn record_of_account(
    tx: &Tx,
    name: &'static str,
    n: i64,
    by: &Actor,
    at: Millis,
) -> Result<()> {
    NewEvent::new(name).account(n).record(tx, by, at)
}

/// Number of the newest event.
pub(crate) fn newest(tx: &Tx) -> Result<i64> {
    tx.one("SELECT coalesce(max(n), 0) FROM event", &[])
}

/// An event of an entry, its request or its account.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Event {
    pub at: Timestamp,
    /// Name in the log, such as `request.released`.
    pub event: String,
    /// `daemon`, `person` or `operator:NAME`.
    pub actor: String,
    pub detail: Option<String>,
}
from_row!(Event, row: at, event, actor, detail);

impl Store {
    /// Number of the newest event.
    pub async fn newest_event(&self) -> Result<i64> {
        self.read(newest).await
    }

    /// Events of an account, newest first: of the account, its mail and its links, not of its requests.
    pub async fn history_of(&self, account: AccountId, limit: usize) -> Result<Vec<Event>> {
        self.read(move |tx| {
            tx.all(
                "SELECT at, name AS event, actor, detail FROM event
                 WHERE account = (SELECT n FROM account WHERE id = ?)
                 ORDER BY n DESC LIMIT ?",
                &[&account, &limit],
            )
        })
        .await
    }

    /// Actions of operators after the event `n`, oldest first.
    pub async fn operator_events_since(&self, n: i64, limit: usize) -> Result<Vec<OperatorAction>> {
        self.read(move |tx| {
            tx.all(
                "SELECT e.n, e.name AS event, e.actor AS by, nullif(e.origin, '') AS origin,
                     a.id AS account, a.address, a.kind, l.id AS ledger, r.portal, e.detail
                 FROM event AS e LEFT JOIN ledger AS l ON l.n = e.ledger
                     LEFT JOIN request AS r ON r.ledger = e.ledger
                     LEFT JOIN account AS a ON a.n = coalesce(e.account, r.account)
                 WHERE e.n > ? AND e.origin IS NOT NULL
                 ORDER BY e.n LIMIT ?",
                &[&n, &limit],
            )
        })
        .await
    }
}
