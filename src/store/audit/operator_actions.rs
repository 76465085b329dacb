//! The audit: the list of operators' actions.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Actor, EmailAddress, Interface, LedgerId, Timestamp};
use crate::store::sql::sql_types::{Millis, from_row};
use crate::store::sql::time_place::TimePlace;
use crate::store::sql::{Conditions, FromRow, Tx};
use crate::store::{Listed, Page, Store, StoreError};

/// An action of an operator, for the audit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuditEntry {
    pub at: Timestamp,
    /// Name in the log, such as `request.released`.
    pub event: String,
    /// `operator:NAME`.
    pub actor: String,
    /// `command line`, `page` or `api`; None for actions from before this was recorded.
    pub origin: Option<String>,
    pub ledger: Option<LedgerId>,
    pub account: Option<EmailAddress>,
    pub detail: Option<String>,
}
from_row!(AuditEntry, row: at, event, actor, origin, ledger, account, detail);

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

pub(crate) fn audit(tx: &Tx, filter: &AuditFilter) -> Result<Listed<AuditEntry>, StoreError> {
    let page = &filter.page;
    let after = TimePlace::before(page)?;
    let rows_wanted = page.rows() + 1;
    let mut wanted = Conditions::new();
    if let Some(place) = &after {
        wanted.ask("(e.at, e.n) < (:at, :n)", ":at", Some(&place.at));
        wanted.bind(":n", &place.n);
    }
    let actor = filter
        .operator
        .as_ref()
        .map(|name| Actor::operator(name, Interface::Page).to_string());
    let (since, until) = (
        filter.since.map(Millis::from),
        filter.until.map(Millis::from),
    );
    wanted.ask("e.actor = :actor", ":actor", actor.as_ref());
    // With both, the operator's index serves the list: one operator does less than all.
    let is_event = match actor {
        Some(_) => "coalesce(e.name, '') = :event",
        None => "e.name = :event",
    };
    wanted.ask(is_event, ":event", filter.event.as_ref());
    wanted.ask("e.at >= :since", ":since", since.as_ref());
    wanted.ask("e.at < :until", ":until", until.as_ref());
    wanted.bind(":limit", &rows_wanted);
    let sql = format!(
        "SELECT e.n, e.at, e.name AS event, e.actor, nullif(e.origin, '') AS origin, l.id AS ledger,
             a.address AS account, e.detail
         FROM event AS e LEFT JOIN ledger AS l ON l.n = e.ledger
         LEFT JOIN account AS a ON a.n = e.account
         WHERE e.origin IS NOT NULL AND {}
         ORDER BY e.at DESC, e.n DESC LIMIT :limit",
        wanted.sql()
    );
    let rows = wanted.all_with(tx, &sql, |row| {
        let cursor = TimePlace::of_row(row, "at")?.cursor();
        Ok((AuditEntry::from_row(row)?, cursor))
    })?;
    Ok(Listed::cut(rows, page.rows()))
}

impl Store {
    /// Actions of operators, newest first.
    pub async fn audit(
        &self,
        filter: impl Into<AuditFilter>,
    ) -> Result<Listed<AuditEntry>, StoreError> {
        let filter = filter.into();
        self.read(move |tx| audit(tx, &filter)).await
    }
}
