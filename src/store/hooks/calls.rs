//! Hook calls: claimed under a lease, settled, counted, deleted.
//!
//! The calls about one account to one hook are a queue, like the requests of one account for one portal. A call
//! about no account is in no queue. [`crate::store::operators::retry_hook_calls`] puts failed calls back into their
//! queues.

use serde::Serialize;

use crate::domain::{AccountId, DestinationName, HookCallId, Timestamp};
use crate::store::claims::holder::Holder;
use crate::store::claims::leases::{ClaimNumber, HOOK_CALLS, Lease};
use crate::store::claims::outcomes::{ClaimRound, NextWork, SetAside, Settled};
use crate::store::claims::paused::is_paused;
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{Row, Tx};
use crate::store::{Result, Settlement, Store, Topic, WorkStep};

/// A hook call claimed by a worker.
#[derive(Debug, Clone)]
pub struct HookCall {
    lease: Lease,
    pub id: HookCallId,
    /// None for a call about no account.
    pub account: Option<AccountId>,
    pub event: String,
    /// The body, the same for every attempt.
    pub payload: String,
    /// Time since which it waits.
    pub released_at: Timestamp,
    /// Number of the attempt, from 1.
    pub attempt: u32,
}

impl HookCall {
    /// Number of the claim, higher than that of every earlier claim.
    #[must_use]
    pub fn number(&self) -> ClaimNumber {
        self.lease.number
    }
}

/// Number of waiting and failed calls of one hook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HookCount {
    pub waiting: u64,
    pub failed: u64,
}

fn read_call(row: &Row, lease: Lease) -> Result<HookCall> {
    Ok(HookCall {
        lease,
        id: row.get("id")?,
        account: row.get("account_id")?,
        event: row.get("event")?,
        payload: row.get("payload")?,
        released_at: row.get("released_at")?,
        attempt: row.get("attempts")?,
    })
}

/// Claims up to `limit` due calls, and sets aside those that are damaged.
fn take(
    tx: &Tx,
    hook: &DestinationName,
    limit: usize,
    holder: &Holder,
    lease_until: Millis,
    now: Millis,
) -> Result<(Vec<HookCall>, Vec<SetAside>)> {
    let due = HOOK_CALLS.due(tx, hook, limit, now)?;
    let (mut claims, mut set_aside) = (Vec::new(), Vec::new());
    for (_, n) in due {
        let leases = &HOOK_CALLS.leases;
        let lease = leases.take(tx, n, holder, lease_until)?;
        let found = tx.one_with(
            "SELECT c.id, a.id AS account_id, c.event, c.payload, c.released_at, c.attempts
                 FROM hook_call AS c LEFT JOIN account AS a ON a.n = c.account WHERE c.n = ?",
            &[&n],
            |row| read_call(row, lease.clone()),
        );
        match found {
            Ok(call) => claims.push(call),
            Err(cause) if cause.is_of_row() => {
                let cause = cause.to_string();
                let failed = Settlement::Failed {
                    cause: cause.clone(),
                };
                settle(tx, &lease, &failed, now)?;
                let what = format!("call {n} of the hook {hook}");
                set_aside.push(SetAside { what, cause });
            }
            Err(error) => return Err(error),
        }
    }
    Ok((claims, set_aside))
}

fn settle(tx: &Tx, lease: &Lease, settlement: &Settlement, now: Millis) -> Result<Settled> {
    if !HOOK_CALLS.leases.holds(tx, lease)? {
        return Ok(Settled::ClaimLost);
    }
    let (state, error) = match settlement {
        Settlement::Retry { at, cause } => {
            let (leases, due) = (&HOOK_CALLS.leases, Millis::from(*at));
            leases.put_back(tx, lease.row, due, Some(cause))?;
            return Ok(Settled::Recorded);
        }
        Settlement::Unattempted => {
            let (account, hook): (_, DestinationName) = HOOK_CALLS.free(tx, lease.row, 1, now)?;
            HOOK_CALLS.promote(tx, account, &hook, now)?;
            return Ok(Settled::Recorded);
        }
        Settlement::Delivered => ("delivered", None),
        Settlement::Failed { cause } => ("failed", Some(cause)),
    };
    let (account, hook): (Option<i64>, DestinationName) = tx.one(
        "UPDATE hook_call SET state = ?2, settled_at = ?3, due_at = NULL, in_work = 0,
                 claim = NULL, holder = NULL, last_error = coalesce(?4, last_error)
             WHERE n = ?1 RETURNING account, hook",
        &[&lease.row, &state, &now, &error],
    )?;
    HOOK_CALLS.promote(tx, account, &hook, now)?;
    Ok(Settled::Recorded)
}

fn next(tx: &Tx, hook: &DestinationName) -> Result<NextWork> {
    if is_paused(tx, hook)? {
        return Ok(NextWork::Paused);
    }
    HOOK_CALLS.next_due(tx, hook).map(NextWork::at)
}

/// True if calls were written since the last check, which found up to `newest`.
pub(crate) fn owes_more(tx: &Tx, newest: &mut i64) -> bool {
    let found: Result<Option<i64>, _> = tx.one("SELECT max(n) FROM hook_call", &[]);
    // If the query fails, the check after the next change finds the calls.
    let found = found.map_or(*newest, Option::unwrap_or_default);
    let more = found > *newest;
    *newest = found;
    more
}

impl Store {
    /// Gives back the calls that this handle claimed after the claim with the number `after`. For a worker whose
    /// claim failed but may still have been recorded.
    pub async fn give_back_hook_calls(&self, after: ClaimNumber, now: Timestamp) -> Result<()> {
        let holder = self.holder.clone();
        self.write(move |work| {
            let (tx, now) = (work.tx, now.into());
            let given = HOOK_CALLS.give_back(tx, &holder, after, now)?;
            work.wakeups.add_if(Topic::Calls, given > 0);
            Ok(())
        })
        .await
    }

    /// Time at which a call of this hook can be claimed.
    pub async fn next_hook_work(&self, hook: &DestinationName) -> Result<NextWork> {
        let hook = hook.clone();
        self.read(move |tx| next(tx, &hook)).await
    }

    /// Records outcomes in order, then claims up to `limit` due calls of this hook, unless it is paused. A
    /// call whose row is damaged fails instead.
    pub async fn settle_and_claim_hook_calls<'a>(
        &self,
        hook: &DestinationName,
        outcomes: impl IntoIterator<Item = (&'a HookCall, Settlement, Timestamp)>,
        limit: usize,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<ClaimRound<HookCall>> {
        let outcomes: Vec<(Lease, Settlement, Millis)> = outcomes
            .into_iter()
            .map(|(call, settlement, at)| (call.lease.clone(), settlement, at.into()))
            .collect();
        let (hook, holder) = (hook.clone(), self.holder.clone());
        let (lease_until, now) = (lease_until.into(), now.into());
        self.write(move |work| {
            let tx = work.tx;
            let mut settled = Vec::with_capacity(outcomes.len());
            for (lease, settlement, at) in &outcomes {
                settled.push(settle(tx, lease, settlement, *at)?);
            }
            // The clock may have jumped since the worker looked at it.
            let claims_none = is_paused(tx, &hook)? || !work.driver.is_clock_right();
            let limit = if claims_none { 0 } else { limit };
            let (claims, set_aside) = take(tx, &hook, limit, &holder, lease_until, now)?;
            // The next calls of these queues are due.
            let is_changed = limit == 0 && settled.contains(&Settled::Recorded);
            let is_changed = is_changed || !set_aside.is_empty();
            work.wakeups.add_if(Topic::Calls, is_changed);
            Ok(ClaimRound {
                settled,
                runs: claims.into_iter().map(|call| vec![call]).collect(),
                set_aside,
                next: next(tx, &hook)?,
                unread: None,
            })
        })
        .await
    }

    /// Counts the waiting and failed calls of a hook.
    pub async fn hook_count(&self, hook: DestinationName) -> Result<HookCount> {
        self.read(move |tx| {
            let count = |state: &str| -> Result<u64> {
                let sql = "SELECT count(*) FROM hook_call WHERE hook = ? AND state = ?";
                tx.one(sql, &[&hook, &state])
            };
            Ok(HookCount {
                waiting: count("waiting")?,
                failed: count("failed")?,
            })
        })
        .await
    }

    /// Deletes up to `limit` calls that were settled longer than `keep` ago.
    pub async fn delete_settled_calls(
        &self,
        now: Timestamp,
        keep: std::time::Duration,
        limit: usize,
    ) -> Result<WorkStep<usize>> {
        self.write(move |work| {
            let begin = std::time::Instant::now();
            let done = work.tx.run(
                "DELETE FROM hook_call WHERE n IN (
                         SELECT n FROM hook_call WHERE settled_at <= ? ORDER BY settled_at LIMIT ?
                     )",
                &[&Millis::from(now).minus(keep), &limit],
            )?;
            Ok(WorkStep {
                done,
                more: done >= limit,
                took: begin.elapsed(),
            })
        })
        .await
    }
}
