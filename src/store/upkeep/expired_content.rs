//! Deletes expired content: of dropped messages and of settled requests. Several entries may share one
//! content, which stays as long as one of them needs it.

use std::time::Duration;

use crate::domain::RequestState;
use crate::store::Result;
use crate::store::engine::time_slice::{TimeSlice, WorkStep};
use crate::store::requests::hold_quota::withdraw;
use crate::store::rows::orphaned_content::delete_content;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;

/// An entry that no longer needs its content.
#[derive(Clone, Copy)]
enum Unwanted {
    Dropped(i64),
    Settled(i64),
}

pub(crate) fn delete_expired_content(
    tx: &Tx,
    now: Millis,
    keep_settled: Duration,
    limit: usize,
) -> Result<WorkStep<usize>> {
    let mut slice = TimeSlice::of(limit);
    let mut unwanted: Vec<Unwanted> = tx.all_with(
        "SELECT n FROM ledger WHERE forget_at <= ? ORDER BY forget_at LIMIT ?",
        &[&now, &limit],
        |row| Ok(Unwanted::Dropped(row.get(0)?)),
    )?;
    for state in [
        RequestState::Delivered,
        RequestState::Failed,
        RequestState::Discarded,
        RequestState::Expired,
    ] {
        let settled: Vec<Unwanted> = tx.all_with(
            "SELECT ledger FROM request
                 WHERE state = ? AND kept = 1 AND settled_at <= ?
                     AND (restorable_until IS NULL OR restorable_until <= ?)
                 ORDER BY settled_at LIMIT ?",
            &[
                &state,
                &now.minus(keep_settled),
                &now,
                &(limit - unwanted.len()),
            ],
            |row| Ok(Unwanted::Settled(row.get(0)?)),
        )?;
        unwanted.extend(settled);
    }
    let mut done = 0;
    let more = slice.each(unwanted, |entry| {
        let (n, sql) = match entry {
            Unwanted::Dropped(n) => (n, "UPDATE ledger SET forget_at = NULL WHERE n = ?"),
            Unwanted::Settled(n) => (n, "UPDATE request SET kept = 0 WHERE ledger = ?"),
        };
        tx.run(sql, &[&n])?;
        if let Unwanted::Dropped(n) = entry {
            withdraw(tx, n)?;
        }
        delete_content(tx, n)?;
        done += 1;
        Ok(())
    })?;
    Ok(slice.step(done, more))
}
