//! Housekeeping: content, old entries and old mail are forgotten.
//!
//! Each operation is one step: it takes at most `limit` rows and ends early when its time slice is used up, so that
//! mail never waits long for one. If no index leads to the rows, a reader looks them up first. A step reports
//! whether there is more work, and the caller calls again.

use std::ops::ControlFlow;
use std::sync::LazyLock;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::store::engine::time_slice::{TimeSlice, WorkStep};
use crate::store::rows::expired_accounts::{delete_unneeded, ended_accounts_of};
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::upkeep::expired_content::delete_expired_content;
use crate::store::{Result, Store};

impl Store {
    /// Deletes the expired content of dropped messages, and of requests that were settled longer than
    /// `keep_settled` ago. Content stays as long as one entry needs it.
    pub async fn delete_expired_content(
        &self,
        now: Timestamp,
        keep_settled: Duration,
        limit: usize,
    ) -> Result<WorkStep<usize>> {
        self.write(move |work| delete_expired_content(work.tx, now.into(), keep_settled, limit))
            .await
    }

    /// Deletes entries older than `keep`, oldest first, with everything that belongs to them; those with a
    /// waiting request stay. The last entry of a forgotten person or an expired account takes its account along.
    pub async fn delete_expired_entries(
        &self,
        now: Timestamp,
        keep: Duration,
        limit: usize,
    ) -> Result<WorkStep<usize>> {
        let before = Millis::from(now).minus(keep);
        let old = self.read(move |tx| old_entries(tx, before, limit)).await?;
        self.delete(old, limit, delete_entry).await
    }

    /// Deletes records of verification mails and links older than `keep`, and mail counts older than a day.
    pub async fn delete_expired_mail(
        &self,
        now: Timestamp,
        keep: Duration,
        limit: usize,
    ) -> Result<WorkStep<usize>> {
        let now = Millis::from(now);
        let before = now.minus(keep);
        let verification_mails = self.read(move |tx| old_mail(tx, before, limit)).await?;
        let verification_mails = self.delete(verification_mails, limit, delete_mail).await?;
        let others = self
            .write(move |work| delete_expired_traces(work.tx, now, before, limit))
            .await?;
        Ok(WorkStep {
            done: verification_mails.done + others.done,
            more: verification_mails.more || others.more,
            took: verification_mails.took.max(others.took),
        })
    }

    /// Passes the numbers of rows to `delete_row`, which returns the number of deleted ones.
    async fn delete(
        &self,
        rows: Vec<i64>,
        limit: usize,
        delete_row: fn(&Tx, i64) -> Result<usize>,
    ) -> Result<WorkStep<usize>> {
        if rows.is_empty() {
            return Ok(WorkStep::default());
        }
        self.write(move |work| {
            let mut done = 0;
            let mut slice = TimeSlice::of(limit);
            let more = slice.each(rows.clone(), |n| {
                done += delete_row(work.tx, n)?;
                Ok(())
            })?;
            Ok(slice.step(done, more))
        })
        .await
    }
}

/// True if a waiting request needs the entry `l`: its own, or one whose message it has.
const NEEDED: &str = "(
         EXISTS (SELECT 1 FROM request AS r WHERE r.ledger = l.n AND r.settled_at IS NULL)
         OR EXISTS (
             SELECT 1 FROM ledger AS other JOIN request AS r ON r.ledger = other.n
             WHERE other.message = l.n AND r.settled_at IS NULL
         )
     )";

/// Checks again that the entry is not needed: a request may have been released meanwhile.
static FORGET_ENTRY: LazyLock<String> =
    LazyLock::new(|| format!("DELETE FROM ledger AS l WHERE n = ? AND NOT {NEEDED}"));

fn delete_mail(tx: &Tx, n: i64) -> Result<usize> {
    tx.run("DELETE FROM letter WHERE n = ?", &[&n])
}

/// Deletes an entry, and the accounts that only it needed.
pub(crate) fn delete_entry(tx: &Tx, n: i64) -> Result<usize> {
    let accounts = ended_accounts_of(tx, n)?;
    let deleted = tx.run(&FORGET_ENTRY, &[&n])?;
    for account in accounts {
        delete_unneeded(tx, account)?;
    }
    Ok(deleted)
}

fn old_entries(tx: &Tx, before: Millis, limit: usize) -> Result<Vec<i64>> {
    let sql = format!("SELECT l.n, l.received_at, {NEEDED} FROM ledger AS l ORDER BY l.n");
    old(tx, &sql, before, limit)
}

fn old_mail(tx: &Tx, before: Millis, limit: usize) -> Result<Vec<i64>> {
    let sql = "SELECT n, created_at, due_at IS NOT NULL FROM letter ORDER BY n";
    old(tx, sql, before, limit)
}

/// Rows older than `before`, without those that still wait. The query yields numbers in the order of time, so the
/// first row that is recent enough ends the search.
fn old(tx: &Tx, sql: &str, before: Millis, limit: usize) -> Result<Vec<i64>> {
    let mut old = Vec::new();
    tx.query(sql, &[], &mut |row| {
        if old.len() >= limit || row.get::<_, Millis>(1)? >= before {
            return Ok(ControlFlow::Break(()));
        }
        let waits: bool = row.get(2)?;
        if !waits {
            old.push(row.get(0)?);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(old)
}

/// Deletes links so old that nobody follows them any more (they are then unknown rather than expired), counts
/// of the mail limits, and stored API answers. `done` is the largest of the numbers of each kind.
pub(crate) fn delete_expired_traces(
    tx: &Tx,
    now: Millis,
    before: Millis,
    limit: usize,
) -> Result<WorkStep<usize>> {
    let slice = TimeSlice::of(limit);
    let tokens = tx.run(
        "DELETE FROM token WHERE hash IN (
                 SELECT hash FROM token WHERE expires_at < ? ORDER BY expires_at LIMIT ?
             )",
        &[&before, &limit],
    )?;
    let claims = tx.run(
        "DELETE FROM letter_claim WHERE (mailbox, at, letter) IN (
                 SELECT mailbox, at, letter FROM letter_claim WHERE at < ? ORDER BY at LIMIT ?
             )",
        &[&now.0.saturating_sub(Millis::DAY), &limit],
    )?;
    let minutes = tx.run(
        "DELETE FROM letter_minute WHERE (domain, minute) IN (
                 SELECT domain, minute FROM letter_minute WHERE minute < ? ORDER BY minute LIMIT ?
             )",
        &[
            &now.0.saturating_sub(Millis::DAY).div_euclid(Millis::MINUTE),
            &limit,
        ],
    )?;
    let answers = tx.run(
        "DELETE FROM answer WHERE n IN (
                 SELECT n FROM answer WHERE expires_at < ? ORDER BY expires_at LIMIT ?
             )",
        &[&now, &limit],
    )?;
    let most = tokens.max(claims).max(minutes).max(answers);
    Ok(slice.step(most, most >= limit))
}
