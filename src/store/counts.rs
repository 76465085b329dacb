//! How much there is of what: messages by verdict and reason, requests by state.

use rusqlite::{Connection, params};
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

/// What waits, and the room that all of it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depths {
    /// Held, released and failed ones.
    pub requests: Vec<RequestCount>,
    /// Verification mail that was not sent yet.
    pub letters: u64,
    pub octets: u64,
}

/// Messages of one day, UTC, with one verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayCount {
    /// Midnight.
    pub day: Timestamp,
    pub verdict: Verdict,
    pub messages: u64,
}

impl Store {
    /// Counts what came since then by day.
    pub async fn verdicts_by_day(&self, since: Timestamp) -> Result<Vec<DayCount>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT received_at / ?2 * ?2 AS day, verdict, count(*) FROM ledger
                 WHERE received_at >= ?1 GROUP BY day, verdict ORDER BY day, verdict",
            )?;
            let rows = statement.query_map(params![Millis::from(since), Millis::DAY], |row| {
                Ok(DayCount {
                    day: row.get::<_, Millis>(0)?.timestamp(),
                    verdict: row.get(1)?,
                    messages: row.get(2)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// How much waits at this moment; may be asked often, since it reads nothing that is settled.
    pub async fn depths(&self) -> Result<Depths, StoreError> {
        self.read(|connection| {
            Ok(Depths {
                requests: waiting(connection)?,
                letters: connection
                    .prepare_cached("SELECT count(*) FROM letter WHERE due_at IS NOT NULL")?
                    .query_row([], |row| row.get(0))?,
                octets: connection
                    .prepare_cached(
                        "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
                    )?
                    .query_row([], |row| row.get(0))?,
            })
        })
        .await
    }

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
    count(
        connection,
        "SELECT portal, state, count(*) FROM request GROUP BY portal, state ORDER BY portal, state",
    )
}

/// Each state by the index that holds those in it and no others.
fn waiting(connection: &Connection) -> Result<Vec<RequestCount>, StoreError> {
    count(
        connection,
        "SELECT portal, 'held', count(*) FROM request WHERE state = 'held' GROUP BY portal
         UNION ALL
         SELECT portal, 'released', count(*) FROM request WHERE state = 'released' GROUP BY portal
         UNION ALL
         SELECT portal, 'failed', count(*) FROM request
         WHERE state = 'failed' AND settled_at IS NOT NULL AND kept = 1 GROUP BY portal",
    )
}

fn count(connection: &Connection, sql: &str) -> Result<Vec<RequestCount>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| {
        Ok(RequestCount {
            portal: row.get(0)?,
            state: row.get(1)?,
            requests: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
