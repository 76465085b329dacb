//! Rounds of delivery workers: one transaction records outcomes and claims the next requests.
//!
//! A run is the beginning of a queue: requests of one account and portal that a worker claims together, delivers in
//! order, and settles together. Each request of a run has a lease of its own, so that an action of an operator, a
//! crash or a lost lease affects each separately. Freed requests wait behind the head of their queue again, so the
//! order is kept. The requests of a run that was not settled may be delivered again.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::content::{MessageContent, PIECE};
use super::delivery_claims::{self, CLAIMED, Claim, read_claim};
use super::transitions;
use crate::domain::{DestinationName, PortalName, Timestamp};
use crate::store::claims::holder::Holder;
use crate::store::claims::leases::{Lease, REQUESTS};
use crate::store::claims::outcomes::{ClaimRound, NextWork, SetAside, Settled, Settlement};
use crate::store::claims::paused::is_paused;
use crate::store::engine::job::{Operation, Work};
use crate::store::engine::notify::Topic;
use crate::store::hooks::subscriptions;
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{FromRow, Tx};
use crate::store::{Result, Store, StoreError};

/// Maximum requests of a round: the writer has other work, too.
const MAX_REQUESTS: usize = 128;

/// Maximum octets of a run, unless its first message is larger.
const MAX_OCTETS: u64 = 2 * 1024 * 1024;

/// Bounds of a round.
#[derive(Debug, Clone, Copy)]
pub struct RunLimits {
    /// Maximum runs, each of a different queue.
    pub runs: usize,
    /// Maximum requests of one run.
    pub requests: usize,
    /// Octets after which no run is added.
    pub octets: u64,
}

/// A claimed request with the beginning of its content.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub claim: Claim,
    /// None if it is no longer kept.
    pub content: Result<Option<(MessageContent, Vec<u8>)>>,
}

/// An outcome to be recorded: the claim, the number of the attempt, its result and its time.
type Outcome = (Lease, u32, Settlement, Millis);

/// The requests that a worker may claim, and the end of their lease.
struct Share {
    destination: DestinationName,
    portals: Vec<PortalName>,
    limits: RunLimits,
    holder: Holder,
    lease_until: Millis,
}

impl Share {
    /// Claims the beginnings of the queues whose heads are due, oldest first.
    fn take(&self, tx: &Tx, now: Millis) -> Result<Vec<Vec<Lease>>> {
        let mut due: Vec<(Millis, i64)> = Vec::new();
        for portal in &self.portals {
            due.extend(REQUESTS.due(tx, portal, self.limits.runs, now)?);
        }
        due.sort_unstable();
        due.truncate(self.limits.runs);
        let mut queues = BTreeSet::new();
        let mut left = MAX_REQUESTS;
        let mut octets = 0;
        let mut runs = Vec::with_capacity(due.len());
        for (_, head) in due {
            let most = self.limits.requests.min(left);
            if most == 0 || octets >= self.limits.octets {
                break;
            }
            let (rows, size) = run(tx, head, most, now, &mut queues)?;
            left -= rows.len();
            octets += size;
            let leases = rows
                .into_iter()
                .map(|n| {
                    let leases = &REQUESTS.leases;
                    leases.take(tx, n, &self.holder, self.lease_until)
                })
                .collect::<Result<Vec<_>, _>>()?;
            if !leases.is_empty() {
                runs.push(leases);
            }
        }
        Ok(runs)
    }

    fn next(&self, tx: &Tx) -> Result<NextWork> {
        next_due(tx, &self.portals).map(NextWork::at)
    }
}

/// Rows of the queue of a due request, from its head on, with their size in octets. Empty if `queues` contains the
/// queue already, or if another worker holds its head.
fn run(
    tx: &Tx,
    due: i64,
    most: usize,
    now: Millis,
    queues: &mut BTreeSet<(i64, PortalName)>,
) -> Result<(Vec<i64>, u64)> {
    let (account, portal, passed, is_expired, size): (i64, PortalName, bool, bool, u64) = tx.one(
        "SELECT account, portal, passed, in_work, size FROM request WHERE ledger = ?",
        &[&due],
    )?;
    if queues.contains(&(account, portal.clone())) {
        return Ok((Vec::new(), 0));
    }
    if passed {
        return Ok((vec![due], size));
    }
    if is_expired {
        // The leases of a run expire together, but this round may not claim the whole run.
        tx.run(
            "UPDATE request SET in_work = 0, claim = NULL, holder = NULL, due_at = NULL
             WHERE account = ?1 AND portal = ?2 AND state = 'released' AND stopped = 0
                 AND passed = 0 AND in_work = 1 AND due_at <= ?3",
            &[&account, &portal, &now],
        )?;
    }
    let mut rows = Vec::new();
    let mut octets = 0;
    let sql = "SELECT ledger, size, due_at FROM request
         WHERE account = ? AND portal = ? AND state = 'released' AND stopped = 0 AND passed = 0
         ORDER BY released_at, ledger LIMIT ?";
    tx.query(sql, &[&account, &portal, &most], &mut |row| {
        let (n, size, due_at) = <(i64, u64, Option<Millis>)>::from_row(row)?;
        let is_free = due_at.is_none_or(|at| at <= now);
        if !is_free || (octets + size > MAX_OCTETS && !rows.is_empty()) {
            return Ok(ControlFlow::Break(()));
        }
        octets += size;
        rows.push(n);
        Ok(ControlFlow::Continue(()))
    })?;
    if !rows.contains(&due) {
        // The due request waits for those before it.
        let sql = "UPDATE request SET due_at = NULL WHERE ledger = ? AND in_work = 0";
        tx.run(sql, &[&due])?;
    }
    queues.insert((account, portal));
    Ok((rows, octets))
}

fn next_due(tx: &Tx, portals: &[PortalName]) -> Result<Option<Millis>> {
    let mut next: Option<Millis> = None;
    for portal in portals {
        let of_portal = REQUESTS.next_due(tx, portal)?;
        next = [next, of_portal].into_iter().flatten().min();
    }
    Ok(next)
}

/// The operation of a round.
struct Settling {
    outcomes: Vec<Outcome>,
    share: Share,
    now: Millis,
}

impl Operation<ClaimRound<Lease>> for Settling {
    fn run(&mut self, work: &mut Work) -> Result<ClaimRound<Lease>> {
        settle_and_claim(work, &self.outcomes, &self.share, self.now)
    }

    fn prefetch(&self, work: &mut Work) {
        // An error recurs when the round runs the query itself.
        for (lease, ..) in &self.outcomes {
            let _ = REQUESTS.queue_of::<i64, PortalName>(work.tx, lease);
        }
        if !self.outcomes.is_empty() {
            subscriptions::prefetch(work.tx);
        }
    }
}

/// The transaction of a round.
fn settle_and_claim(
    work: &mut Work,
    outcomes: &[Outcome],
    share: &Share,
    now: Millis,
) -> Result<ClaimRound<Lease>> {
    let tx = work.tx;
    let mut queues = BTreeSet::new();
    let mut settled = Vec::with_capacity(outcomes.len());
    let mut retried = Vec::new();
    for (lease, attempt, settlement, at) in outcomes {
        let outcome = delivery_claims::settle(tx, lease, *attempt, settlement, *at, &mut queues)?;
        if outcome == Settled::Recorded && matches!(settlement, Settlement::Retry { .. }) {
            retried.push(lease.row);
        }
        settled.push(outcome);
    }
    // After all outcomes, since one may concern a later request of the same run.
    for n in retried {
        transitions::return_later(tx, n)?;
    }
    for (account, portal) in &queues {
        REQUESTS.promote(tx, Some(*account), portal, now)?;
    }
    // Later operations of the transaction must see the new states of these requests.
    tx.discard_prefetched();
    let is_paused = is_paused(tx, &share.destination)?;
    // The clock may have jumped since the worker looked at it. With a wrong clock, this would take over leases that
    // have not expired, or lease requests until a time that is past for other nodes.
    let claims_none = share.limits.runs == 0 || !work.driver.is_clock_right();
    let runs = if is_paused || claims_none {
        // The next requests of these queues may be due: wake the worker that claims them.
        let is_changed = settled.contains(&Settled::Recorded);
        work.wakeups.add_if(Topic::Requests, is_changed);
        Vec::new()
    } else {
        share.take(tx, now)?
    };
    let next = if is_paused {
        NextWork::Paused
    } else {
        share.next(tx)?
    };
    Ok(ClaimRound {
        settled,
        runs,
        set_aside: Vec::new(),
        next,
        unread: None,
    })
}

/// Requests of one account and portal in order, for each run.
type Runs = Vec<Vec<Delivery>>;

/// Rows that cannot be read, with the cause.
type DamagedRows = Vec<(Lease, StoreError)>;

/// Reads the claimed requests, and returns damaged rows separately.
fn read(store: &Store, tx: &Tx, runs: Vec<Vec<Lease>>) -> Result<(Runs, DamagedRows)> {
    let mut damaged = Vec::new();
    let mut all = Vec::with_capacity(runs.len());
    for leases in runs {
        let mut run = Vec::with_capacity(leases.len());
        for lease in leases {
            match tx.maybe_with(CLAIMED, &[&lease.row], |row| read_claim(row, &lease)) {
                Ok(Some(claim)) => run.push(Delivery {
                    content: MessageContent::open(store, tx, lease.row, PIECE),
                    claim,
                }),
                // A row that was deleted meanwhile belongs to no worker.
                Ok(None) => {}
                Err(cause) if cause.is_of_row() => damaged.push((lease, cause)),
                Err(error) => return Err(error),
            }
        }
        if !run.is_empty() {
            all.push(run);
        }
    }
    Ok((all, damaged))
}

impl Store {
    /// Records outcomes in order, then claims runs of due requests of these portals, unless the destination
    /// is paused. A request whose row is damaged fails instead.
    pub async fn settle_and_claim_deliveries<'a>(
        &self,
        destination: &DestinationName,
        portals: &[PortalName],
        outcomes: impl IntoIterator<Item = (&'a Claim, Settlement, Timestamp)>,
        limits: RunLimits,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<ClaimRound<Delivery>> {
        let outcomes = outcomes.into_iter().map(|(claim, settlement, at)| {
            (claim.lease.clone(), claim.attempt, settlement, at.into())
        });
        let share = Share {
            destination: destination.clone(),
            portals: portals.to_vec(),
            limits,
            holder: self.holder.clone(),
            lease_until: lease_until.into(),
        };
        let settling = Settling {
            outcomes: outcomes.collect(),
            share,
            now: now.into(),
        };
        let round = self.writer.run_operation(0, settling).await?;
        let mut read = ClaimRound {
            settled: round.settled,
            runs: Vec::new(),
            set_aside: Vec::new(),
            next: round.next,
            unread: None,
        };
        match self.read_claims(round.runs, now).await {
            Ok((runs, set_aside)) => (read.runs, read.set_aside) = (runs, set_aside),
            Err(error) => read.unread = Some(error),
        }
        Ok(read)
    }

    /// Reads the claimed requests, and sets damaged rows aside.
    async fn read_claims(
        &self,
        runs: Vec<Vec<Lease>>,
        now: Timestamp,
    ) -> Result<(Vec<Vec<Delivery>>, Vec<SetAside>)> {
        if runs.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let store = self.clone();
        let (runs, damaged) = self.read(move |tx| read(&store, tx, runs)).await?;
        if damaged.is_empty() {
            return Ok((runs, Vec::new()));
        }
        let set_aside = self
            .write(move |work| {
                // The next requests of their queues are due.
                work.wakeups.add(Topic::Requests);
                let mut all = Vec::with_capacity(damaged.len());
                for (lease, cause) in &damaged {
                    let now = now.into();
                    all.extend(delivery_claims::set_aside(work.tx, lease, cause, now)?);
                }
                Ok(all)
            })
            .await?;
        Ok((runs, set_aside))
    }

    /// Time at which a request of these portals can be claimed.
    pub async fn next_delivery_work(
        &self,
        destination: &DestinationName,
        portals: &[PortalName],
    ) -> Result<NextWork> {
        let (destination, portals) = (destination.clone(), portals.to_vec());
        self.read(move |tx| {
            if is_paused(tx, &destination)? {
                return Ok(NextWork::Paused);
            }
            next_due(tx, &portals).map(NextWork::at)
        })
        .await
    }
}
