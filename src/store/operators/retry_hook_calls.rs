//! An operator's retry of the calls of a hook: failed calls are put back into their queues, and the heads of the
//! queues become due now.

use crate::domain::{Actor, DestinationName, Timestamp};
use crate::store::audit::events::NewEvent;
use crate::store::engine::time_slice::TimeSlice;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::{Result, Store, Topic};

/// Number of calls in one step of a retry.
const RETRIED_AT_ONCE: usize = 200;

/// Failed calls of the hook `?1` that were not retried since `?2`: a retried call may fail again meanwhile.
const FAILED: &str = "SELECT n FROM hook_call
     WHERE hook = ?1 AND state = 'failed' AND released_at < ?2 ORDER BY n LIMIT ?3";

/// Queue heads of the hook `?1` that are due after `?2`.
const PUT_OFF: &str = "SELECT n FROM hook_call INDEXED BY hook_call_due
     WHERE hook = ?1 AND due_at > ?2 AND in_work = 0 ORDER BY due_at LIMIT ?3";

/// Puts a failed call back into its queue. The oldest call of the queue becomes due now, unless a worker has
/// claimed a call of the queue.
fn retry_failed(tx: &Tx, n: i64, now: Millis) -> Result<usize> {
    let changed = tx.run(
        "UPDATE hook_call SET state = 'waiting', settled_at = NULL, released_at = ?2,
                 attempts = 0, due_at = NULL
             WHERE n = ?1 AND state = 'failed'",
        &[&n, &now],
    )?;
    tx.run(
        "UPDATE hook_call SET due_at = NULL
             WHERE (account, hook) = (SELECT account, hook FROM hook_call WHERE n = ?)
                 AND state = 'waiting' AND in_work = 0 AND due_at IS NOT NULL",
        &[&n],
    )?;
    tx.run(
        "UPDATE hook_call AS c SET due_at = ?2
             WHERE n = (
                 SELECT min(q.n) FROM hook_call AS q JOIN hook_call AS r ON r.n = ?1
                 WHERE q.account = r.account AND q.hook = r.hook AND q.state = 'waiting'
             ) AND NOT EXISTS (
                 SELECT 1 FROM hook_call AS q
                 WHERE q.account = c.account AND q.hook = c.hook AND q.state = 'waiting'
                     AND q.in_work = 1
             )",
        &[&n, &now],
    )?;
    tx.run(
        "UPDATE hook_call SET due_at = ?2
             WHERE n = ?1 AND account IS NULL AND state = 'waiting' AND in_work = 0",
        &[&n, &now],
    )?;
    Ok(changed)
}

/// Makes the head of a queue due now.
fn bring_forward(tx: &Tx, n: i64, now: Millis) -> Result<usize> {
    tx.run(
        "UPDATE hook_call SET due_at = ?2
             WHERE n = ?1 AND state = 'waiting' AND in_work = 0 AND due_at > ?2",
        &[&n, &now],
    )
}

impl Store {
    /// Makes the failed and waiting calls of a hook due now. Works in short steps, so that mail does not
    /// wait. Returns the number of failed calls.
    ///
    /// # Errors
    /// The database cannot be written; completed steps are kept.
    pub async fn retry_hook_calls(
        &self,
        hook: DestinationName,
        by: Actor,
        now: Timestamp,
    ) -> Result<usize> {
        let now = Millis::from(now);
        let mut failed = 0;
        loop {
            let found = self.calls(&hook, FAILED, now).await?;
            let more = found.len() == RETRIED_AT_ONCE;
            failed += self
                .step(found, move |c, n| retry_failed(c, n, now))
                .await?;
            if !more {
                break;
            }
        }
        loop {
            let found = self.calls(&hook, PUT_OFF, now).await?;
            let more = found.len() == RETRIED_AT_ONCE;
            self.step(found, move |c, n| bring_forward(c, n, now))
                .await?;
            if !more {
                break;
            }
        }
        self.write(move |work| {
            work.wakeups.add(Topic::Calls);
            NewEvent::new("hook.retried")
                .detail(hook.as_str())
                .record(work.tx, &by, now)
        })
        .await?;
        Ok(failed)
    }

    /// Numbers of the first calls of a hook that `sql` selects.
    async fn calls(
        &self,
        hook: &DestinationName,
        sql: &'static str,
        now: Millis,
    ) -> Result<Vec<i64>> {
        let hook = hook.clone();
        self.read(move |tx| tx.all(sql, &[&hook, &now, &RETRIED_AT_ONCE]))
            .await
    }

    /// Changes all of these rows, in as many transactions as needed. Returns the number of changed rows.
    async fn step(
        &self,
        rows: Vec<i64>,
        change: impl Fn(&Tx, i64) -> Result<usize> + Send + Copy + 'static,
    ) -> Result<usize> {
        let (mut rest, mut changed) = (rows, 0);
        while !rest.is_empty() {
            let rows = rest.clone();
            let (taken, done) = self
                .write(move |work| {
                    let mut slice = TimeSlice::of(RETRIED_AT_ONCE);
                    let (mut taken, mut done) = (0, 0);
                    slice.each(rows.clone(), |n| {
                        taken += 1;
                        done += change(work.tx, n)?;
                        Ok(())
                    })?;
                    Ok((taken, done))
                })
                .await?;
            changed += done;
            rest.drain(..taken);
        }
        Ok(changed)
    }
}
