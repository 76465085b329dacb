//! How much there is of what: messages by verdict and reason, requests by state.

use rusqlite::Connection;
use serde::Serialize;

use super::columns::Millis;
use super::{Store, StoreError};
use crate::domain::{PortalName, Reason, RequestState, Timestamp, Verdict};

/// Entries of the ledger that have these three in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntryCount {
    /// None for reports that came to the return address.
    pub portal: Option<PortalName>,
    pub verdict: Verdict,
    pub reason: Reason,
    pub messages: u64,
}

/// Requests for one portal in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestCount {
    pub portal: PortalName,
    pub state: RequestState,
    pub requests: u64,
}

/// Both, each in the order of portal, then of the documentation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub entries: Vec<EntryCount>,
    /// As they are now.
    pub requests: Vec<RequestCount>,
}

impl Store {
    /// Counts what came since then, and what there is now.
    pub async fn counts(&self, since: Timestamp) -> Result<Counts, StoreError> {
        self.read(move |connection| {
            Ok(Counts {
                entries: entries(connection, since)?,
                requests: requests(connection)?,
            })
        })
        .await
    }
}

/// Counted by the index on time alone; the words come afterwards.
fn entries(connection: &Connection, since: Timestamp) -> Result<Vec<EntryCount>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT c.portal, c.verdict, rule.reason, c.messages FROM (
             SELECT portal, verdict, rule, count(*) AS messages FROM ledger
             WHERE received_at >= ? GROUP BY portal, verdict, rule
         ) AS c JOIN rule ON rule.number = c.rule
         ORDER BY c.portal, c.verdict, c.rule",
    )?;
    let rows = statement.query_map([Millis::from(since)], |row| {
        Ok(EntryCount {
            portal: row.get(0)?,
            verdict: row.get(1)?,
            reason: row.get(2)?,
            messages: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn requests(connection: &Connection) -> Result<Vec<RequestCount>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT portal, state, count(*) FROM request GROUP BY portal, state ORDER BY portal, state",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(RequestCount {
            portal: row.get(0)?,
            state: row.get(1)?,
            requests: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
