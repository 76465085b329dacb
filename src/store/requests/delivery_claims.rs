//! Claims of released requests: reads them, settles them, gives them back.
//! [`delivery_queue`](super::delivery_queue) chooses the requests, and [`leases`](crate::store::claims::leases)
//! claims them.
//!
//! A request with an expired lease can be claimed again: delivery is at least once, with the same request id.
//! Requests of one account for one portal are claimed by one worker at a time, oldest first. A request with a
//! damaged row is set aside as failed, with the cause, so that it does not block others.

#[cfg(test)]
mod sample;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

use crate::access::Enforcement;
use crate::domain::{
    AccountId, AccountKind, Actor, DestinationName, EmailAddress, Envelope, LedgerId, PortalName,
    RequestId, Timestamp, Transition,
};
use crate::mail::Authentication;
use crate::store::audit::events::NewEvent;
use crate::store::claims::leases::{ClaimNumber, HOOK_CALLS, Lease, REQUESTS};
use crate::store::claims::outcomes::{SetAside, Settled, Settlement};
use crate::store::requests::transitions;
use crate::store::rows::entry_ids::id_of;
use crate::store::sql::sql_types::{Millis, json_columns};
use crate::store::sql::{Row, Tx};
use crate::store::verification::mail_claims;
use crate::store::{Result, Store, StoreError, Topic};

/// A released request claimed by a worker. Only the store creates one, and only from a released request:
/// there is no other way to a destination.
#[derive(Debug, Clone)]
pub struct Claim {
    request: RequestId,
    pub(crate) lease: Lease,
    pub ledger: LedgerId,
    pub portal: PortalName,
    pub account: AccountId,
    pub address: EmailAddress,
    pub kind: AccountKind,
    pub groups: Vec<String>,
    /// Method and time of the address's verification, if that released the request. None for a request that a
    /// rule accepted before the account was verified, and for one that an operator released.
    pub verified: Option<(String, Timestamp)>,
    /// Operator who released this request regardless of its account.
    pub released_by: Option<String>,
    /// The operator who released it named its sender, because the message has no usable sender.
    pub sender_named: bool,
    pub envelope: Envelope,
    /// Result of authenticating the sender's domain.
    pub authentication: Authentication,
    /// Authentication was enforced when the message was decided.
    pub authentication_enforced: bool,
    /// Portal address that it was sent to.
    pub recipient: String,
    pub message_id: Option<String>,
    pub subject: Option<String>,
    pub received_at: Timestamp,
    pub released_at: Timestamp,
    pub size: u64,
    /// Number of the attempt, from 1.
    pub attempt: u32,
}

impl Claim {
    /// Stable id by which a help desk recognises a repeat.
    #[must_use]
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// Number of the claim, higher than that of every earlier claim.
    #[must_use]
    pub fn number(&self) -> ClaimNumber {
        self.lease.number
    }
}

/// The facts of a message that a delivery reports.
#[derive(Deserialize)]
struct ToldFacts {
    subject: Option<String>,
    message_id: Option<String>,
    authentication: Authentication,
}

/// The circumstances of the decision that a delivery reports.
#[derive(Deserialize)]
struct ToldCircumstances {
    #[serde(default)]
    enforcement: Enforcement,
}

json_columns!(ToldFacts, ToldCircumstances);

pub(crate) const CLAIMED: &str = "SELECT l.id, l.recipient, l.envelope, l.received_at,
     l.facts, l.circumstances, r.portal, r.size, r.attempts, r.released_at, r.released_by,
     r.sender_named,
     a.id AS account_id, a.address, a.kind, a.groups, a.verified_by, a.verified_at
     FROM request AS r JOIN ledger AS l ON l.n = r.ledger JOIN account AS a ON a.n = r.account
     WHERE r.ledger = ?";

pub(crate) fn read_claim(row: &Row, lease: &Lease) -> Result<Claim> {
    let verified_by: Option<String> = row.get("verified_by")?;
    let verified_at: Option<Millis> = row.get("verified_at")?;
    let released_by: String = row.get("released_by")?;
    let released_at: Millis = row.get("released_at")?;
    let operator = Actor::operator_name(&released_by).map(str::to_owned);
    let received_at: Millis = row.get("received_at")?;
    let facts: ToldFacts = row.get("facts")?;
    let circumstances: Option<ToldCircumstances> = row.get("circumstances")?;
    let is_enforced = |told: ToldCircumstances| told.enforcement == Enforcement::Enforce;
    // A rule releases a request as its message arrives. A retry releases it again; a verification between the two
    // did not release it.
    let covered_until = match &*released_by {
        "rule" => received_at,
        _ => released_at,
    };
    let counts = operator.is_none() && verified_at.is_some_and(|at| at <= covered_until);
    Ok(Claim {
        request: row.get("id")?,
        lease: lease.clone(),
        ledger: row.get("id")?,
        portal: row.get("portal")?,
        account: row.get("account_id")?,
        address: row.get("address")?,
        kind: row.get("kind")?,
        groups: row.get("groups")?,
        verified: verified_by
            .zip(verified_at.map(Millis::timestamp))
            .filter(|_| counts),
        released_by: operator,
        sender_named: row.get("sender_named")?,
        envelope: row.get("envelope")?,
        authentication: facts.authentication,
        authentication_enforced: circumstances.is_some_and(is_enforced),
        recipient: row.get("recipient")?,
        message_id: facts.message_id,
        subject: facts.subject,
        received_at: received_at.timestamp(),
        released_at: released_at.timestamp(),
        size: row.get("size")?,
        attempt: row.get("attempts")?,
    })
}

/// Fails a claimed request that cannot be read.
pub(crate) fn set_aside(
    tx: &Tx,
    lease: &Lease,
    cause: &StoreError,
    now: Millis,
) -> Result<Option<SetAside>> {
    let n = lease.row;
    if !REQUESTS.leases.holds(tx, lease)? {
        return Ok(None);
    }
    let cause = cause.to_string();
    transitions::settle(tx, n, Transition::Fail, Some(&cause), now)?;
    NewEvent::new("delivery.failed")
        .entry(n)
        .detail(cause.as_str())
        .record(tx, &Actor::Daemon, now)?;
    let id = RequestId::from_bytes(id_of(tx, n)?.to_bytes());
    let what = format!("request {id}");
    Ok(Some(SetAside { what, cause }))
}

/// Records the outcome of a claimed request, and keeps prefetched results. Adds its queue to `queues` if the next
/// request of the queue may be due.
pub(crate) fn settle(
    tx: &Tx,
    lease: &Lease,
    attempt: u32,
    settlement: &Settlement,
    now: Millis,
    queues: &mut BTreeSet<(i64, PortalName)>,
) -> Result<Settled> {
    let Some(queue) = REQUESTS.queue_of(tx, lease)? else {
        return Ok(Settled::ClaimLost);
    };
    let n = lease.row;
    let event = match settlement {
        Settlement::Delivered => {
            transitions::leave(tx, n, Transition::Deliver, None, now)?;
            queues.insert(queue);
            NewEvent::new("delivery.succeeded")
        }
        Settlement::Retry { at, cause } => {
            let (leases, due) = (&REQUESTS.leases, Millis::from(*at));
            leases.put_back(tx, n, due, Some(cause))?;
            if attempt >= transitions::MAX_BLOCKING_ATTEMPTS {
                transitions::let_pass(tx, n, now)?;
            } else {
                transitions::wait_behind_earlier(tx, n)?;
            }
            NewEvent::new("delivery.deferred").detail(cause.as_str())
        }
        Settlement::Failed { cause } => {
            let cause = cause.as_str();
            transitions::leave(tx, n, Transition::Fail, Some(cause), now)?;
            queues.insert(queue);
            NewEvent::new("delivery.failed").detail(cause)
        }
        Settlement::Unattempted => {
            let (account, portal) = REQUESTS.free(tx, n, 1, now)?;
            queues.extend(account.map(|account| (account, portal)));
            return Ok(Settled::Recorded);
        }
    };
    event.entry(n).record(tx, &Actor::Daemon, now)?;
    Ok(Settled::Recorded)
}

/// Time since the last record of a node after which its daemon counts as gone, by the clock of the database.
pub const NODE_SILENCE: Duration = Duration::from_secs(30);

/// True if a daemon recorded this node recently.
fn is_node_at_work(tx: &Tx, node: &str, now: Millis) -> Result<bool> {
    let sql = "SELECT 1 FROM node WHERE id = ? AND seen_at > ?";
    tx.exists(sql, &[&node, &now.minus(NODE_SILENCE)])
}

impl Store {
    /// Ends the leases of earlier processes of this node, on requests, hook calls and verification mails. The
    /// daemon calls it as it starts. A daemon that recorded this node recently, by the clock of the database, may
    /// still be running on a copy of its folder: then no lease ends.
    pub async fn end_leases(&self, now: Timestamp) -> Result<()> {
        self.end_leases_unless(self.duty_interval().is_some(), now)
            .await
    }

    /// Like [`end_leases`](Self::end_leases), for a daemon that has been the only one to record this node for
    /// [`NODE_SILENCE`].
    pub async fn end_leases_alone(&self, now: Timestamp) -> Result<()> {
        self.end_leases_unless(false, now).await
    }

    async fn end_leases_unless(&self, can_be_copied: bool, now: Timestamp) -> Result<()> {
        let holder = self.holder.clone();
        self.write(move |work| {
            let tx = work.tx;
            // By the clock of the database, with which the other nodes compare due times.
            let here = work.database_time(now.into());
            if can_be_copied && is_node_at_work(tx, holder.node(), here)? {
                return Ok(());
            }
            for (topic, queue) in [(Topic::Requests, REQUESTS), (Topic::Calls, HOOK_CALLS)] {
                let ended = queue.end_others(tx, &holder, here)?;
                work.wakeups.add_if(topic, ended > 0);
            }
            let ended = mail_claims::end_others(tx, &holder, here)?;
            work.wakeups.add_if(Topic::VerificationMail, ended > 0);
            Ok(())
        })
        .await
    }

    /// Gives back the requests that this handle claimed after the claim of that number. For a worker whose
    /// claim failed but may still have been recorded.
    pub async fn give_back_deliveries(&self, after: ClaimNumber, now: Timestamp) -> Result<()> {
        let holder = self.holder.clone();
        self.write(move |work| {
            let (tx, now) = (work.tx, now.into());
            let given = REQUESTS.give_back(tx, &holder, after, now)?;
            work.wakeups.add_if(Topic::Requests, given > 0);
            Ok(())
        })
        .await
    }

    /// Destinations that an operator paused.
    pub async fn paused_destinations(&self) -> Result<Vec<DestinationName>> {
        self.read(|tx| {
            let sql = "SELECT destination FROM paused_destination ORDER BY destination";
            tx.all(sql, &[])
        })
        .await
    }

    pub async fn pause_destination(
        &self,
        destination: DestinationName,
        paused: bool,
        by: Actor,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |work| {
            let now = Millis::from(now);
            let (changed, name) = if paused {
                let sql = "INSERT INTO paused_destination (destination, at, by) VALUES (?, ?, ?)
                     ON CONFLICT (destination) DO NOTHING";
                let changed = work.tx.run(sql, &[&destination, &now, &by])?;
                (changed, "destination.paused")
            } else {
                let sql = "DELETE FROM paused_destination WHERE destination = ?";
                (work.tx.run(sql, &[&destination])?, "destination.resumed")
            };
            if changed == 1 {
                work.wakeups.add(Topic::Requests);
                work.wakeups.add(Topic::OperatorActions);
                NewEvent::new(name)
                    .detail(destination.as_str())
                    .record(work.tx, &by, now)?;
            }
            Ok(())
        })
        .await
    }
}
