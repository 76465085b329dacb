//! What happened, as rows: what `explain` shows of a message's life, and the audit of what operators
//! did. The names are those of the log.

use rusqlite::{Connection, params};

use super::StoreError;
use super::columns::Millis;

/// Who did it, where it was not an operator.
pub(super) struct Actors;

impl Actors {
    pub(super) const DAEMON: &'static str = "daemon";
    pub(super) const PERSON: &'static str = "person";
}

/// An operator, by the name that the caller gave or by one that says already what it is.
pub(super) fn operator(by: &str) -> String {
    if by.starts_with("operator:") {
        by.to_owned()
    } else {
        format!("operator:{by}")
    }
}

/// Something to be recorded. `ledger` and `account` are the `n` of their rows.
pub(super) struct Happening {
    name: &'static str,
    ledger: Option<i64>,
    account: Option<i64>,
    detail: Option<String>,
}

impl Happening {
    pub(super) fn named(name: &'static str) -> Self {
        Self {
            name,
            ledger: None,
            account: None,
            detail: None,
        }
    }

    pub(super) fn entry(mut self, n: i64) -> Self {
        self.ledger = Some(n);
        self
    }

    pub(super) fn account(mut self, n: i64) -> Self {
        self.account = Some(n);
        self
    }

    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(super) fn record(
        self,
        connection: &Connection,
        actor: &str,
        at: Millis,
    ) -> Result<(), StoreError> {
        connection
            .prepare_cached(
                "INSERT INTO event (at, name, ledger, account, actor, detail)
                 VALUES (?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                at,
                self.name,
                self.ledger,
                self.account,
                actor,
                self.detail
            ])?;
        Ok(())
    }
}
