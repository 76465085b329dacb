//! State changes of requests along the edges of [`RequestState::after`], each in one function; only the
//! restoration after "This was not me" is in [`refused_messages`](super::refused_messages). The schema refuses all
//! others.
//!
//! Requests that wait for delivery form a queue for each account and portal, in the order of release
//! ([`REQUESTS`]): at most one run of a queue is in progress. A head that failed [`MAX_BLOCKING_ATTEMPTS`] times
//! leaves the queue: it is retried on its own, and the next request becomes the head.

use std::sync::LazyLock;

use crate::domain::{PortalName, RequestState, Transition};
use crate::store::claims::leases::REQUESTS;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::{MAX_CLOCK_OFFSET, Result, StoreError};

/// Failed attempts after which a request no longer blocks the later ones of its queue.
pub(crate) const MAX_BLOCKING_ATTEMPTS: u32 = 5;

/// Expression for the time of release of a request at the end of its queue. If another node, whose clock is ahead,
/// released a request before it, its time follows that one's, so that the order does not depend on clocks. The time
/// of a wrong clock is not taken over. The arguments are the numbers of parameters; without a time, it is NULL.
pub(crate) fn release_time(account: usize, portal: usize, now: usize) -> String {
    let before = REQUESTS.rows_before("max(released_at) + 1", account, portal);
    let now = format!("CAST(?{now} AS bigint)");
    // One clock may be behind by the maximum, and the other ahead.
    let difference = 2 * MAX_CLOCK_OFFSET.as_millis();
    format!(
        "coalesce(({before} AND released_at > {now}
             AND released_at < {now} + {difference}), {now})"
    )
}

static ENQUEUE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE request
             SET state = 'released', released_at = {},
                 released_by = coalesce(?3, released_by), settled_at = NULL,
                 in_work = 0, claim = NULL, holder = NULL, stopped = 0, passed = 0, attempts = 0,
                 last_error = NULL, due_at = ?4
             WHERE ledger = ?1",
        release_time(5, 6, 2)
    )
});

/// Puts a request at the end of its queue, even one that is stopped. `by` is `rule`, `proof` or `operator:NAME`.
pub(crate) fn release(tx: &Tx, request: i64, by: &str, now: Millis) -> Result<()> {
    enqueue(tx, request, Some(by), now)
}

/// Puts a failed request at the end of its queue again. `released_by` stays unchanged.
pub(crate) fn retry(tx: &Tx, request: i64, now: Millis) -> Result<()> {
    enqueue(tx, request, None, now)
}

fn enqueue(tx: &Tx, request: i64, by: Option<&str>, now: Millis) -> Result<()> {
    let sql = "SELECT account, portal FROM request WHERE ledger = ?";
    let (account, portal): (i64, PortalName) = tx.one(sql, &[&request])?;
    let due = REQUESTS.due_at_the_end(tx, account, &portal, now)?;
    let changed = tx.run(&ENQUEUE, &[&request, &now, &by, &due, &account, &portal])?;
    if changed != 1 {
        return Err(missing(request));
    }
    Ok(())
}

/// Settles a request, and makes the next of its queue due.
///
/// # Errors
/// The transition is not possible in the state of the request.
pub(crate) fn settle(
    tx: &Tx,
    request: i64,
    transition: Transition,
    error: Option<&str>,
    now: Millis,
) -> Result<()> {
    let sql = "SELECT state, account, portal FROM request WHERE ledger = ?";
    let (state, account, portal): (RequestState, i64, PortalName) = tx
        .maybe(sql, &[&request])?
        .ok_or_else(|| missing(request))?;
    if state.after(transition).is_none() {
        return Err(StoreError::NotAllowed(format!(
            "request {request} is {state} and cannot become {}",
            transition.target()
        )));
    }
    leave(tx, request, transition, error, now)?;
    tx.discard_prefetched();
    if state == RequestState::Released {
        REQUESTS.promote(tx, Some(account), &portal, now)?;
    }
    Ok(())
}

/// Settles a request, but neither checks its state, nor makes the next of its queue due, nor
/// [discards](crate::store::sql::EngineSession::discard_prefetched) prefetched results.
pub(crate) fn leave(
    tx: &Tx,
    request: i64,
    transition: Transition,
    error: Option<&str>,
    now: Millis,
) -> Result<()> {
    tx.run_deferred(
        "UPDATE request
             SET state = ?2, settled_at = ?3, due_at = NULL, in_work = 0, claim = NULL,
                 holder = NULL, stopped = 0, passed = 0, last_error = coalesce(?4, last_error)
             WHERE ledger = ?1",
        &[&request, &transition.target(), &now, &error],
    )
}

/// Lets later requests of the queue pass one that has failed too often.
pub(crate) fn let_pass(tx: &Tx, request: i64, now: Millis) -> Result<()> {
    let sql = "UPDATE request SET passed = 1 WHERE ledger = ? RETURNING account, portal";
    let (account, portal): (i64, PortalName) = tx.one(sql, &[&request])?;
    REQUESTS.promote(tx, Some(account), &portal, now)
}

/// Makes a request that is to be retried wait for an earlier one of its queue that is due or in progress: several
/// requests of a run can fail together, and the later ones must not overtake.
pub(crate) fn wait_behind_earlier(tx: &Tx, request: i64) -> Result<()> {
    tx.run(
        "UPDATE request AS r SET due_at = NULL
         WHERE ledger = ?1 AND passed = 0 AND EXISTS (
             SELECT 1 FROM request AS q
             WHERE q.account = r.account AND q.portal = r.portal AND q.state = 'released'
                 AND q.stopped = 0 AND q.passed = 0 AND q.due_at IS NOT NULL
                 AND (q.released_at, q.ledger) < (r.released_at, r.ledger)
         )",
        &[&request],
    )?;
    Ok(())
}

/// Returns the later requests of a run to the queue when one before them is to be retried. They were not attempted,
/// and must not be delivered before it.
pub(crate) fn return_later(tx: &Tx, request: i64) -> Result<()> {
    let head: Option<(i64, PortalName, Millis)> = tx.maybe(
        "SELECT account, portal, released_at FROM request
         WHERE ledger = ? AND state = 'released' AND stopped = 0 AND passed = 0",
        &[&request],
    )?;
    let Some((account, portal, released_at)) = head else {
        return Ok(());
    };
    tx.run(
        "UPDATE request SET in_work = 0, claim = NULL, holder = NULL, due_at = NULL,
                 attempts = attempts - 1
         WHERE account = ?1 AND portal = ?2 AND state = 'released' AND stopped = 0
             AND passed = 0 AND in_work = 1 AND (released_at, ledger) > (?3, ?4)",
        &[&account, &portal, &released_at, &request],
    )?;
    Ok(())
}

/// Stops the released requests of a newly blocked account. An attempt in progress keeps its lease; if it does
/// not succeed, the request waits like the others.
pub(crate) fn stop(tx: &Tx, account: i64) -> Result<()> {
    tx.run(
        "UPDATE request SET stopped = 1, due_at = CASE in_work WHEN 1 THEN due_at END
             WHERE account = ? AND state = 'released'",
        &[&account],
    )?;
    Ok(())
}

/// Resumes stopped requests: the head of each queue is due.
pub(crate) fn resume(tx: &Tx, account: i64, now: Millis) -> Result<()> {
    let portals: Vec<PortalName> = tx.all(
        "SELECT DISTINCT portal FROM request
             WHERE account = ? AND state = 'released' AND stopped = 1",
        &[&account],
    )?;
    tx.run(
        "UPDATE request
             SET stopped = 0, due_at = CASE passed WHEN 1 THEN coalesce(due_at, ?2) ELSE due_at END
             WHERE account = ?1 AND state = 'released' AND stopped = 1",
        &[&account, &now],
    )?;
    for portal in &portals {
        REQUESTS.promote(tx, Some(account), portal, now)?;
    }
    Ok(())
}

fn missing(request: i64) -> StoreError {
    StoreError::Other(format!("request {request} does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::EngineSession;
    use crate::store::sqlite::connection;
    use crate::store::sqlite::session::SqliteSession;

    #[test]
    fn the_schema_has_the_edges_of_the_table_and_no_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vestibule.db");
        connection::create(&path).expect("a file");
        connection::migrate(&path).expect("a schema");
        let session = SqliteSession::writing(&path).expect("a database");
        let run =
            |sql: &str, parameters: &[&dyn crate::store::sql::ToSql]| session.run(sql, parameters);
        // Only the triggers decide.
        run("PRAGMA foreign_keys = OFF", &[]).expect("set");
        run("PRAGMA ignore_check_constraints = ON", &[]).expect("set");
        for before in RequestState::ALL {
            for after in RequestState::ALL.iter().filter(|after| *after != before) {
                run("DELETE FROM request", &[]).expect("deleted");
                run(
                    "INSERT INTO request (ledger, account, portal, size, received_at, state,
                         released_by, restorable_until)
                     VALUES (1, 1, 'it', 1, 1, ?, 'operator:root', 1)",
                    &[before],
                )
                .expect("a request");
                let is_taken = run("UPDATE request SET state = ?", &[after]).is_ok();
                let mut transitions = Transition::ALL.iter();
                let is_edge =
                    transitions.any(|transition| before.after(*transition) == Some(*after));
                assert_eq!(is_taken, is_edge, "from {before} to {after}");
            }
        }
    }
}
