//! Calls of hooks: claimed under a lease, settled, tried again by an operator, forgotten.
//!
//! The calls about one account to one hook are a queue of which only the head is ever due, as the
//! requests of one account for one portal are.

use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::columns::Millis;
use super::events::{Happening, operator};
use super::{Settlement, Step, Store, StoreError, Topic};
use crate::domain::{AccountId, DestinationName, HookCallId, Timestamp};

/// A call in the hands of a worker.
#[derive(Debug, Clone)]
pub struct HookCall {
    n: i64,
    pub id: HookCallId,
    pub account: AccountId,
    pub event: String,
    /// The body, the same for every attempt.
    pub payload: String,
    /// Since when it waits.
    pub released_at: Timestamp,
    /// Counts from 1.
    pub attempt: u32,
}

/// What waits for one hook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HookCount {
    pub waiting: u64,
    pub failed: u64,
}

fn taken(row: &Row) -> rusqlite::Result<HookCall> {
    Ok(HookCall {
        n: row.get("n")?,
        id: row.get("id")?,
        account: row.get("account_id")?,
        event: row.get("event")?,
        payload: row.get("payload")?,
        released_at: row.get::<_, Millis>("released_at")?.timestamp(),
        attempt: row.get("attempts")?,
    })
}

fn take(
    connection: &Connection,
    hook: &DestinationName,
    limit: usize,
    lease_until: Millis,
    now: Millis,
) -> Result<Vec<HookCall>, StoreError> {
    let due: Vec<i64> = connection
        .prepare_cached(
            "SELECT n FROM hook_call WHERE hook = ? AND due_at <= ? ORDER BY due_at, n LIMIT ?",
        )?
        .query_map(params![hook, now, limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut calls = Vec::with_capacity(due.len());
    for n in due {
        connection
            .prepare_cached(
                "UPDATE hook_call SET due_at = ?2, in_work = 1, attempts = attempts + 1
                 WHERE n = ?1",
            )?
            .execute(params![n, lease_until])?;
        let call = connection
            .prepare_cached(
                "SELECT c.n, c.id, a.id AS account_id, c.event, c.payload, c.released_at, c.attempts
                 FROM hook_call AS c JOIN account AS a ON a.n = c.account WHERE c.n = ?",
            )?
            .query_row([n], taken)?;
        calls.push(call);
    }
    Ok(calls)
}

fn settle(
    connection: &Connection,
    call: &HookCall,
    settlement: &Settlement,
    now: Millis,
) -> Result<bool, StoreError> {
    let (state, error) = match settlement {
        Settlement::Retry { at, cause } => {
            let changed = connection
                .prepare_cached(
                    "UPDATE hook_call SET due_at = ?3, in_work = 0, last_error = ?4
                     WHERE n = ?1 AND in_work = 1 AND attempts = ?2",
                )?
                .execute(params![call.n, call.attempt, Millis::from(*at), cause])?;
            return Ok(changed == 1);
        }
        Settlement::Delivered => ("delivered", None),
        Settlement::Failed { cause } => ("failed", Some(cause)),
    };
    let changed = connection
        .prepare_cached(
            "UPDATE hook_call SET state = ?3, settled_at = ?4, due_at = NULL, in_work = 0,
                 last_error = coalesce(?5, last_error)
             WHERE n = ?1 AND in_work = 1 AND attempts = ?2",
        )?
        .execute(params![call.n, call.attempt, state, now, error])?;
    if changed == 1 {
        connection
            .prepare_cached(
                "UPDATE hook_call SET due_at = ?2
                 WHERE n = (
                     SELECT q.n FROM hook_call AS c JOIN hook_call AS q
                         ON q.account = c.account AND q.hook = c.hook AND q.state = 'waiting'
                     WHERE c.n = ?1 ORDER BY q.n LIMIT 1
                 ) AND due_at IS NULL",
            )?
            .execute(params![call.n, now])?;
    }
    Ok(changed == 1)
}

pub(super) fn end_leases(connection: &Connection, now: Millis) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE hook_call INDEXED BY hook_call_due SET due_at = ?, in_work = 0
         WHERE due_at IS NOT NULL AND hook > '' AND in_work = 1",
        [now],
    )?;
    Ok(())
}

impl Store {
    /// Takes up to `limit` calls of this hook that are due.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn claim_hook_calls(
        &self,
        hook: DestinationName,
        limit: usize,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<HookCall>, StoreError> {
        self.write(move |work| {
            let lease_until = lease_until.into();
            take(work.connection, &hook, limit, lease_until, now.into())
        })
        .await
    }

    /// When the next call of this hook is due; None when none waits.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn next_hook_call(
        &self,
        hook: DestinationName,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.read(move |connection| {
            let next: Option<Millis> = connection
                .prepare_cached(
                    "SELECT min(due_at) FROM hook_call WHERE hook = ? AND due_at IS NOT NULL",
                )?
                .query_row([hook], |row| row.get(0))?;
            Ok(next.map(Millis::timestamp))
        })
        .await
    }

    /// Records what came of an attempt. A call whose lease was taken over changes nothing.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn settle_hook_call(
        &self,
        call: &HookCall,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let call = call.clone();
        self.write(move |work| {
            let is_settled = settle(work.connection, &call, &settlement, now.into())?;
            work.rings.add_if(Topic::Calls, is_settled);
            Ok(())
        })
        .await
    }

    /// What waits for a hook and what it was not told.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn hook_count(&self, hook: DestinationName) -> Result<HookCount, StoreError> {
        self.read(move |connection| {
            let count = |state: &str| -> Result<u64, StoreError> {
                Ok(connection
                    .prepare_cached("SELECT count(*) FROM hook_call WHERE hook = ? AND state = ?")?
                    .query_row(params![hook, state], |row| row.get(0))?)
            };
            Ok(HookCount {
                waiting: count("waiting")?,
                failed: count("failed")?,
            })
        })
        .await
    }

    /// An operator has the calls of a hook that failed, and those that wait, made at once. Says how
    /// many had failed.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn retry_hook_calls(
        &self,
        hook: DestinationName,
        by: String,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.write(move |work| {
            let now = Millis::from(now);
            let connection = work.connection;
            let failed = connection.execute(
                "UPDATE hook_call SET state = 'waiting', settled_at = NULL, released_at = ?2,
                     attempts = 0
                 WHERE hook = ?1 AND state = 'failed'",
                params![hook, now],
            )?;
            // Whatever is the oldest of its queue now is due, unless another one is in work.
            connection.execute(
                "UPDATE hook_call SET due_at = NULL
                 WHERE hook = ? AND state = 'waiting' AND in_work = 0",
                [&hook],
            )?;
            connection.execute(
                "UPDATE hook_call AS c SET due_at = ?2
                 WHERE hook = ?1 AND state = 'waiting' AND in_work = 0 AND NOT EXISTS (
                     SELECT 1 FROM hook_call AS q
                     WHERE q.account = c.account AND q.hook = c.hook AND q.state = 'waiting'
                         AND (q.n < c.n OR q.in_work = 1)
                 )",
                params![hook, now],
            )?;
            work.rings.add(Topic::Calls);
            Happening::named("hook.retried")
                .detail(hook.as_str())
                .record(connection, &operator(&by), now)?;
            Ok(failed)
        })
        .await
    }

    /// Forgets up to `limit` calls that were settled longer ago than `keep`.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn forget_hook_calls(
        &self,
        now: Timestamp,
        keep: std::time::Duration,
        limit: usize,
    ) -> Result<Step<usize>, StoreError> {
        self.write(move |work| {
            let begin = std::time::Instant::now();
            let done = work
                .connection
                .prepare_cached(
                    "DELETE FROM hook_call WHERE n IN (
                         SELECT n FROM hook_call WHERE settled_at <= ? ORDER BY settled_at LIMIT ?
                     )",
                )?
                .execute(params![Millis::from(now).minus(keep), limit])?;
            Ok(Step {
                done,
                more: done >= limit,
                took: begin.elapsed(),
            })
        })
        .await
    }
}
