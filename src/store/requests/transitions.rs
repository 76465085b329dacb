//! State changes of requests, each in one function; the schema refuses all others.
//!
//! Requests that wait for delivery are a queue for each account and portal, in the order of release
//! ([`REQUESTS`]): at most one is in progress. A head that failed [`MAX_BLOCKING_ATTEMPTS`] times leaves the
//! queue: it is retried on its own, and the next request becomes the head.

use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::{PortalName, RequestState};
use crate::store::StoreError;
use crate::store::claims::leases::REQUESTS;
use crate::store::sql::sql_types::Millis;

/// Failed attempts after which a request no longer blocks the later ones of its queue.
pub(crate) const MAX_BLOCKING_ATTEMPTS: u32 = 5;

/// Puts a request at the end of its queue. `by` is `rule`, `proof` or `operator:NAME`.
pub(crate) fn release(
    connection: &Connection,
    request: i64,
    by: &str,
    now: Millis,
) -> Result<(), StoreError> {
    enqueue(connection, request, Some(by), now)
}

/// Puts a failed request at the end of its queue again. `released_by` stays unchanged.
pub(crate) fn retry(connection: &Connection, request: i64, now: Millis) -> Result<(), StoreError> {
    enqueue(connection, request, None, now)
}

fn enqueue(
    connection: &Connection,
    request: i64,
    by: Option<&str>,
    now: Millis,
) -> Result<(), StoreError> {
    let (account, portal): (i64, PortalName) = connection
        .prepare_cached("SELECT account, portal FROM request WHERE ledger = ?")?
        .query_row([request], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let due = REQUESTS.due_at_the_end(connection, account, &portal, now)?;
    let changed = connection
        .prepare_cached(
            "UPDATE request
             SET state = 'released', released_at = ?2,
                 released_by = coalesce(?3, released_by), settled_at = NULL,
                 in_work = 0, claim = NULL, holder = NULL, passed = 0, attempts = 0,
                 last_error = NULL, due_at = ?4
             WHERE ledger = ?1",
        )?
        .execute(params![request, now, by, due])?;
    one(changed, request)
}

/// Settles a request that is held, released or failed, and makes the next of its queue due.
pub(crate) fn settle(
    connection: &Connection,
    request: i64,
    state: RequestState,
    error: Option<&str>,
    now: Millis,
) -> Result<(), StoreError> {
    let was: Option<String> = connection
        .prepare_cached("SELECT state FROM request WHERE ledger = ?")?
        .query_row([request], |row| row.get(0))
        .optional()?;
    let (account, portal) = leave(connection, request, state, error, now)?;
    if was.as_deref() == Some(RequestState::Released.as_str()) {
        REQUESTS.promote(connection, account, &portal, now)?;
    }
    Ok(())
}

/// Settles a request without a look at the next of its queue. Returns its account and portal.
pub(crate) fn leave(
    connection: &Connection,
    request: i64,
    state: RequestState,
    error: Option<&str>,
    now: Millis,
) -> Result<(i64, PortalName), StoreError> {
    connection
        .prepare_cached(
            "UPDATE request
             SET state = ?2, settled_at = ?3, due_at = NULL, in_work = 0, claim = NULL,
                 holder = NULL, stopped = 0, passed = 0, last_error = coalesce(?4, last_error)
             WHERE ledger = ?1 RETURNING account, portal",
        )?
        .query_row(params![request, state, now, error], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?
        .ok_or_else(|| gone(request))
}

/// Lets the next request of the queue pass one that failed once more.
pub(crate) fn let_pass(
    connection: &Connection,
    request: i64,
    now: Millis,
) -> Result<(), StoreError> {
    let (account, portal): (i64, PortalName) = connection
        .prepare_cached("UPDATE request SET passed = 1 WHERE ledger = ? RETURNING account, portal")?
        .query_row([request], |row| Ok((row.get(0)?, row.get(1)?)))?;
    REQUESTS.promote(connection, account, &portal, now)
}

/// Stops the released requests of a newly blocked account. An attempt in progress keeps its lease; if it does
/// not succeed, the request waits like the others.
pub(crate) fn stop(connection: &Connection, account: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE request SET stopped = 1, due_at = CASE in_work WHEN 1 THEN due_at END
             WHERE account = ? AND state = 'released'",
        )?
        .execute([account])?;
    Ok(())
}

/// Resumes stopped requests: the head of each queue is due.
pub(crate) fn resume(connection: &Connection, account: i64, now: Millis) -> Result<(), StoreError> {
    let portals: Vec<PortalName> = connection
        .prepare_cached(
            "SELECT DISTINCT portal FROM request
             WHERE account = ? AND state = 'released' AND stopped = 1",
        )?
        .query_map([account], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    connection
        .prepare_cached(
            "UPDATE request
             SET stopped = 0, due_at = CASE passed WHEN 1 THEN coalesce(due_at, ?2) ELSE due_at END
             WHERE account = ?1 AND state = 'released' AND stopped = 1",
        )?
        .execute(params![account, now])?;
    for portal in &portals {
        REQUESTS.promote(connection, account, portal, now)?;
    }
    Ok(())
}

fn one(changed: usize, request: i64) -> Result<(), StoreError> {
    if changed == 1 {
        Ok(())
    } else {
        Err(gone(request))
    }
}

fn gone(request: i64) -> StoreError {
    StoreError::Other(format!("request {request} is gone"))
}
