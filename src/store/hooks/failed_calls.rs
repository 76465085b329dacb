//! Lists of hook calls that failed for good.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{AccountId, DestinationName, EmailAddress, Timestamp};
use crate::store::sql::sql_types::from_row;
use crate::store::sql::time_cursor::TimeCursor;
use crate::store::sql::{Conditions, FromRow, Tx};
use crate::store::{Listed, Page, Result, Store};

/// A call of a hook that failed for good.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FailedCall {
    pub event: String,
    /// The account that the call is about; null for a call about no account.
    pub account: Option<AccountId>,
    pub address: Option<EmailAddress>,
    pub created_at: Timestamp,
    pub attempts: u32,
    pub last_error: Option<String>,
}
from_row!(FailedCall, row: event, account, address, created_at, attempts, last_error);

/// Failed calls to list.
#[derive(Debug, Clone)]
pub struct FailedCallFilter {
    pub hook: DestinationName,
    pub account: Option<EmailAddress>,
    /// Name of the event, such as `request.released`.
    pub event: Option<String>,
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    pub page: Page,
}

/// Lists failed calls. Each of the three indexes has the calls of a hook in the order of time. One account has few
/// calls, so its index serves a list by account and event.
pub(crate) fn failed_calls(tx: &Tx, filter: &FailedCallFilter) -> Result<Listed<FailedCall>> {
    let key = filter.account.as_ref().map(EmailAddress::key);
    let after = TimeCursor::before(&filter.page)?;
    let index = match (&key, &filter.event) {
        (Some(_), _) => "hook_call_failed_account",
        (None, Some(_)) => "hook_call_failed_event",
        (None, None) => "hook_call_failed",
    };
    let mut wanted = Conditions::default();
    wanted.ask("c.hook = ?", Some(&filter.hook));
    wanted.ask(
        "c.account = (SELECT n FROM account WHERE key = ?)",
        key.as_ref(),
    );
    wanted.ask("c.event = ?", filter.event.as_ref());
    wanted.ask("c.created_at >= ?", filter.since.as_ref());
    wanted.ask("c.created_at < ?", filter.until.as_ref());
    wanted.ask_place("(c.created_at, c.n) <", after.as_ref());
    let sql = format!(
        "SELECT c.n, c.event, a.id AS account, a.address, c.created_at, c.attempts, c.last_error
         FROM hook_call AS c INDEXED BY {index} LEFT JOIN account AS a ON a.n = c.account
         WHERE c.state = 'failed' AND {} ORDER BY c.created_at DESC, c.n DESC",
        wanted.sql()
    );
    wanted.page(tx, &sql, &filter.page, |row| {
        let cursor = TimeCursor::of_row(row, "created_at")?.cursor();
        Ok((FailedCall::from_row(row)?, cursor))
    })
}

impl Store {
    /// Calls of a hook that failed for good, newest first.
    pub async fn failed_calls(&self, filter: FailedCallFilter) -> Result<Listed<FailedCall>> {
        self.read(move |tx| failed_calls(tx, &filter)).await
    }
}
