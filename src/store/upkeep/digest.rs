//! The operators' digest: its due times and its content.
//!
//! A digest is identified by its due time, and settled once across all nodes. If one was not settled, because no
//! node was running or no mail server accepted it, the next one covers its period.

use crate::domain::Timestamp;
use crate::store::ledger::dropped_domains::domains_between;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::verification::sent_and_queued_mail::count_given_up;
use crate::store::{Bounded, DownDestination, DroppedDomain, Result, Store};

/// Maximum domains that are listed.
const DOMAINS: usize = 20;

/// Days for which a digest is kept.
const KEPT: i64 = 30;

/// Longest time that one digest covers.
const MAX_PERIOD: i64 = 7 * Millis::DAY;

/// A digest claimed by a node, which must send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestClaim {
    pub due: Timestamp,
    /// Start of its period: the due time of the last settled digest, or the time at which digests began, but at
    /// most a week before `due`.
    pub since: Timestamp,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// People whom our mail could not reach when the last digest was settled.
    pub undeliverable_before: u64,
}

/// Content of a digest.
#[derive(Debug, Clone, Default)]
pub struct DigestContent {
    /// Domains that the access settings kept out, those with the most messages first.
    pub domains: Vec<DroppedDomain>,
    /// Held requests that expire soon.
    pub expiring: Bounded,
    /// Time at which the first of them expires.
    pub first_expiry: Option<Timestamp>,
    /// People whom our mail cannot reach.
    pub undeliverable: Bounded,
    /// People whose last verification mail was given up in the period, and who still wait for one.
    pub given_up: Bounded,
    pub down: Vec<DownDestination>,
}

impl DigestContent {
    /// True if there is nothing that an operator should know. People who were already unreachable at the last
    /// digest are not news.
    #[must_use]
    pub fn is_empty(&self, claim: &DigestClaim) -> bool {
        self.domains.is_empty()
            && self.expiring.number == 0
            && self.undeliverable.number <= claim.undeliverable_before
            && self.given_up.number == 0
            && self.down.is_empty()
    }
}

fn claim(tx: &Tx, due: Millis, lease_until: Millis, now: Millis) -> Result<Option<DigestClaim>> {
    let last: Option<(Millis, u64)> = tx.maybe(
        "SELECT CASE WHEN attempts = 0 THEN settled_at ELSE due_at END, undeliverable
         FROM digest WHERE settled_at IS NOT NULL ORDER BY due_at DESC LIMIT 1",
        &[],
    )?;
    let Some((last, undeliverable_before)) = last else {
        // The first digest covers the time from now on: this row without an attempt stores its start.
        tx.run(
            "INSERT INTO digest (due_at, claimed_until, attempts, settled_at) VALUES (?1, ?2, 0, ?2)
             ON CONFLICT (due_at) DO UPDATE SET attempts = 0, settled_at = excluded.settled_at",
            &[&due, &now],
        )?;
        return Ok(None);
    };
    if last >= due {
        return Ok(None);
    }
    let attempt: Option<u32> = tx.maybe(
        "INSERT INTO digest (due_at, claimed_until, attempts) VALUES (?1, ?2, 1)
         ON CONFLICT (due_at) DO UPDATE
         SET claimed_until = excluded.claimed_until, attempts = digest.attempts + 1
         WHERE digest.settled_at IS NULL AND digest.claimed_until <= ?3
         RETURNING attempts",
        &[&due, &lease_until, &now],
    )?;
    Ok(attempt.map(|attempt| DigestClaim {
        due: due.timestamp(),
        since: Millis(last.0.max(due.0.saturating_sub(MAX_PERIOD))).timestamp(),
        attempt,
        undeliverable_before,
    }))
}

/// Number of held requests that expire before `before`, and the earliest expiry.
fn expiring(tx: &Tx, before: Millis) -> Result<(Bounded, Option<Millis>)> {
    let mut number = 0;
    let mut first = None;
    for reminded in [false, true] {
        let (some, earliest): (u64, Option<Millis>) = tx.one(
            "SELECT count(*), min(due_at) FROM (
                 SELECT due_at FROM request
                 WHERE state = 'held' AND reminded = ?1 AND due_at < ?2
                 ORDER BY due_at LIMIT ?3
             ) AS soon",
            &[&reminded, &before, &(Bounded::MAX + 1)],
        )?;
        number += some;
        first = [first, earliest].into_iter().flatten().min();
    }
    Ok((Bounded::of(number), first))
}

impl Store {
    /// Claims the digest that was due at `due`, for a node that sends it by `lease_until`. None if it is settled,
    /// another node has claimed it, or there was no digest before: then there is no period to report on. None as well
    /// if the clock is wrong: the digest of a day to come would count as sent.
    pub async fn claim_digest(
        &self,
        due: Timestamp,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<DigestClaim>> {
        self.write(move |work| {
            if !work.driver.is_clock_right() {
                return Ok(None);
            }
            claim(work.tx, due.into(), lease_until.into(), now.into())
        })
        .await
    }

    /// Records that the digest was sent, or that there was nothing to report.
    pub async fn settle_digest(
        &self,
        due: Timestamp,
        undeliverable: u64,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |work| {
            work.tx.run(
                "UPDATE digest SET settled_at = ?2, undeliverable = ?3 WHERE due_at = ?1",
                &[&Millis::from(due), &Millis::from(now), &undeliverable],
            )?;
            let old = Millis::from(due).0.saturating_sub(KEPT * Millis::DAY);
            work.tx
                .run("DELETE FROM digest WHERE due_at < ?", &[&old])?;
            Ok(())
        })
        .await
    }

    /// Defers the next attempt to send the digest, by any node, until `until`.
    pub async fn put_off_digest(&self, due: Timestamp, until: Timestamp) -> Result<()> {
        self.write(move |work| {
            work.tx.run(
                "UPDATE digest SET claimed_until = ?2 WHERE due_at = ?1 AND settled_at IS NULL",
                &[&Millis::from(due), &Millis::from(until)],
            )?;
            Ok(())
        })
        .await
    }

    /// Content of the digest of a period: its events, and what an operator should know now. Requests that expire
    /// before `soon` are counted.
    pub async fn digest_content(
        &self,
        since: Timestamp,
        until: Timestamp,
        soon: Timestamp,
    ) -> Result<DigestContent> {
        let mut down = self.down_destinations().await?;
        down.retain(|down| !down.is_requested);
        self.read_long(move |tx| {
            let (expiring, first) = expiring(tx, soon.into())?;
            let undeliverable: u64 = tx.one(
                "SELECT count(*) FROM (
                     SELECT 1 FROM account WHERE undeliverable = 1 LIMIT ?
                 ) AS unreached",
                &[&(Bounded::MAX + 1)],
            )?;
            Ok(DigestContent {
                domains: domains_between(tx, since.into(), until.into(), DOMAINS)?,
                expiring,
                first_expiry: first.map(Millis::timestamp),
                undeliverable: Bounded::of(undeliverable),
                given_up: Bounded::of(count_given_up(tx, since.into())?),
                down: down.clone(),
            })
        })
        .await
    }
}
