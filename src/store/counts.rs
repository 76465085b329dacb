//! How much there is of what: messages by verdict and reason, requests by state.

use rusqlite::Connection;
use serde::Serialize;

use super::{Store, StoreError};
use crate::domain::{LedgerId, PortalName, Reason, RequestState, Timestamp, Verdict};

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

/// Ids begin with their time, so that the index on them finds where to begin.
fn entries(connection: &Connection, since: Timestamp) -> Result<Vec<EntryCount>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT l.portal, l.verdict, rule.reason, count(*)
         FROM ledger AS l JOIN rule ON rule.number = l.rule
         WHERE l.id >= ? GROUP BY l.portal, l.verdict, l.rule ORDER BY l.portal, l.verdict, l.rule",
    )?;
    let rows = statement.query_map([first_id(since)], |row| {
        Ok(EntryCount {
            portal: row.get(0)?,
            verdict: row.get(1)?,
            reason: row.get(2)?,
            messages: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn requests(connection: &Connection) -> Result<Vec<RequestCount>, StoreError> {
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

/// The least id of that millisecond: 48 bits of time, then zeros.
fn first_id(at: Timestamp) -> LedgerId {
    let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    LedgerId::from_bytes(bytes)
}
