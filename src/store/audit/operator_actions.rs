//! The audit: the list of operators' actions.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Actor, EmailAddress, Interface, LedgerId, Timestamp};
use crate::store::sql::sql_types::from_row;
use crate::store::sql::time_cursor::TimeCursor;
use crate::store::sql::{Conditions, FromRow, Tx};
use crate::store::{Listed, Page, Result, Store};

/// An action of an operator, for the audit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuditEntry {
    pub at: Timestamp,
    /// Name in the log, such as `request.released`.
    pub event: String,
    /// `operator:NAME`.
    pub actor: String,
    /// `command line`, `page` or `api`; null for actions from before this was recorded.
    pub origin: Option<String>,
    pub ledger: Option<LedgerId>,
    pub account: Option<EmailAddress>,
    /// False if there is none any more: it expired, or its person was forgotten.
    #[serde(skip)]
    pub has_account: bool,
    pub detail: Option<String>,
}
from_row!(
    AuditEntry, row: at, event, actor, origin, ledger, account, has_account, detail
);

/// The actions to list.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Name of the operator, or of the system user at the command line.
    pub operator: Option<String>,
    /// Name of the event, such as `request.released`.
    pub event: Option<String>,
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    pub page: Page,
}

impl From<Page> for AuditFilter {
    fn from(page: Page) -> Self {
        Self {
            page,
            ..Self::default()
        }
    }
}

pub(crate) fn audit(tx: &Tx, filter: &AuditFilter) -> Result<Listed<AuditEntry>> {
    let after = TimeCursor::before(&filter.page)?;
    let mut wanted = Conditions::default();
    wanted.ask_place("(e.at, e.n) <", after.as_ref());
    let actor = filter
        .operator
        .as_ref()
        .map(|name| Actor::operator(name, Interface::Page).to_string());
    wanted.ask("e.actor = ?", actor.as_ref());
    // With both filters, the index by operator serves the list: one operator has fewer actions than all together.
    let is_event = match actor {
        Some(_) => "coalesce(e.name, '') = ?",
        None => "e.name = ?",
    };
    wanted.ask(is_event, filter.event.as_ref());
    wanted.ask("e.at >= ?", filter.since.as_ref());
    wanted.ask("e.at < ?", filter.until.as_ref());
    let sql = format!(
        "SELECT e.n, e.at, e.name AS event, e.actor, nullif(e.origin, '') AS origin, l.id AS ledger,
             a.address AS account, a.n IS NOT NULL AND a.forgotten_at IS NULL AS has_account, e.detail
         FROM event AS e LEFT JOIN ledger AS l ON l.n = e.ledger
         LEFT JOIN account AS a ON a.n = e.account
         WHERE e.origin IS NOT NULL AND {}
         ORDER BY e.at DESC, e.n DESC",
        wanted.sql()
    );
    wanted.page(tx, &sql, &filter.page, |row| {
        let cursor = TimeCursor::of_row(row, "at")?.cursor();
        Ok((AuditEntry::from_row(row)?, cursor))
    })
}

impl Store {
    /// Actions of operators, newest first.
    pub async fn audit(&self, filter: impl Into<AuditFilter>) -> Result<Listed<AuditEntry>> {
        let filter = filter.into();
        self.read(move |tx| audit(tx, &filter)).await
    }
}
