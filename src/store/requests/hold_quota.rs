//! The hold quota: which messages it drops, which ones it replaces, and which ones the verification page
//! offers again.
//!
//! A pending account holds requests up to its quota. Anybody can fill it with forged requests, so an authenticated
//! request replaces the oldest unauthenticated one. Messages that the quota dropped are kept for as long as held
//! ones, up to the size of a second quota, and can be restored with the verification.

use std::collections::BTreeSet;

use crate::config::Quota;
use crate::domain::Timestamp;
use crate::domain::{AccountId, Actor, PortalName, Reason, RequestId};
use crate::store::audit::events::NewEvent;
use crate::store::requests::decided_message::DecidedMessage;
use crate::store::requests::transitions;
use crate::store::rows::dropped_content::{count_if_unwanted, uncount};
use crate::store::rows::duplicates::{StoredMessage, find_original};
use crate::store::rows::entry_ids::carrier_of;
use crate::store::rows::keys::octets;
use crate::store::rows::shown_facts::ShownFacts;
use crate::store::sql::sql_types::{JsonFields, Millis, from_row, json};
use crate::store::sql::{FromRow, Tx, insert};
use crate::store::{Result, Store};

/// A held request as its sender sees it before releasing it.
#[derive(Debug, Clone)]
pub struct WaitingRequest {
    pub id: RequestId,
    pub portal: PortalName,
    pub subject: Option<String>,
    pub received_at: Timestamp,
}
from_row!(
    WaitingRequest, row: id, portal, subject = row.get::<_, ShownFacts>("facts")?.subject, received_at,
);

/// A message that its sender may restore: the quota dropped it, or the person refused it.
#[derive(Debug, Clone)]
pub struct Offer {
    pub request: WaitingRequest,
    /// The domain of its sender vouches for it, so it is restored unless the person deselects it.
    pub authenticated: bool,
    /// The person refused it with "This was not me": it is restored only if they select it.
    pub discarded: bool,
}
from_row!(Offer, row: request = WaitingRequest::from_row(row)?, authenticated, discarded = false);

/// Held requests: the `n` of each and what its sender sees of it.
pub(crate) fn list_held(tx: &Tx, account: i64) -> Result<Vec<(i64, WaitingRequest)>> {
    tx.all_with(
        "SELECT l.n, l.id, r.portal, l.received_at, l.facts
         FROM request AS r JOIN ledger AS l ON l.n = r.ledger
         WHERE r.account = ? AND r.state = 'held' ORDER BY l.n",
        &[&account],
        |row| Ok((row.get("n")?, WaitingRequest::from_row(row)?)),
    )
}

/// The room that the quota leaves for another request of `size` octets.
#[derive(Debug, Clone, Copy, Default)]
pub struct QuotaRoom {
    pub quota_reached: bool,
    /// There would be room without the unauthenticated requests.
    pub can_replace: bool,
}

impl Store {
    /// The room that the quota leaves an account for another request of `size` octets.
    pub async fn quota_room(
        &self,
        account: AccountId,
        size: u64,
        quota: Quota,
    ) -> Result<QuotaRoom> {
        self.read(move |tx| {
            let n: Option<i64> = tx.maybe("SELECT n FROM account WHERE id = ?", &[&account])?;
            n.map_or_else(|| Ok(QuotaRoom::default()), |n| room(tx, n, size, quota))
        })
        .await
    }
}

pub(crate) fn room(tx: &Tx, account: i64, size: u64, quota: Quota) -> Result<QuotaRoom> {
    // Number and octets of all held requests, then of the unauthenticated ones.
    let (requests, bytes, unauthenticated_requests, unauthenticated_bytes): (i64, i64, i64, i64) =
        tx.one(
            "SELECT count(*), CAST(coalesce(sum(size), 0) AS bigint),
                 count(*) FILTER (WHERE authenticated = 0),
                 CAST(coalesce(sum(size) FILTER (WHERE authenticated = 0), 0) AS bigint)
             FROM request WHERE account = ? AND state = 'held'",
            &[&account],
        )?;
    let full = |requests: i64, bytes: i64| {
        requests >= i64::from(quota.requests)
            || bytes.saturating_add(octets(size)) > octets(quota.bytes)
    };
    let quota_reached = full(requests, bytes);
    Ok(QuotaRoom {
        quota_reached,
        can_replace: quota_reached
            && !full(
                requests - unauthenticated_requests,
                bytes - unauthenticated_bytes,
            ),
    })
}

/// Makes room for a request by dropping the oldest unauthenticated ones, which are offered from now on.
pub(crate) fn make_room(tx: &Tx, account: i64, message: &DecidedMessage) -> Result<()> {
    while room(tx, account, message.size, message.quota)?.quota_reached {
        let oldest = tx.one(
            "SELECT ledger, size, due_at FROM request
                 WHERE account = ? AND state = 'held' AND authenticated = 0
                 ORDER BY ledger LIMIT 1",
            &[&account],
        )?;
        replace(tx, account, oldest, message)?;
    }
    Ok(())
}

fn replace(
    tx: &Tx,
    account: i64,
    (n, size, until): (i64, i64, Millis),
    message: &DecidedMessage,
) -> Result<()> {
    // Recorded while the request that it is about still exists.
    NewEvent::new("request.replaced")
        .entry(n)
        .detail(format!(
            "replaced by {}, which is authenticated",
            message.ledger
        ))
        .record(tx, &Actor::Daemon, message.now)?;
    tx.run("DELETE FROM request WHERE ledger = ?", &[&n])?;
    let mut standing: JsonFields = tx.one(STANDING, &[&n])?;
    standing.set("account", &message.full)?;
    tx.run(
        "UPDATE ledger SET verdict = 'dropped', rule = ?2, forget_at = ?3, standing = ?4
             WHERE n = ?1",
        &[&n, &Reason::HoldQuota, &until, &json(&standing)?],
    )?;
    let dropped = QuotaDropped {
        n,
        account,
        authenticated: false,
        octets: size,
        kept_otherwise_until: until,
    };
    count_if_unwanted(tx, carrier_of(tx, n)?)?;
    offer(tx, &dropped, until, message.quota)
}

/// Selects the standing with which an entry was decided.
const STANDING: &str = "SELECT standing FROM ledger WHERE n = ?";

/// A message that the quota dropped.
pub(crate) struct QuotaDropped {
    pub(crate) n: i64,
    pub(crate) account: i64,
    pub(crate) authenticated: bool,
    pub(crate) octets: i64,
    /// Expiry of its content without an offer.
    pub(crate) kept_otherwise_until: Millis,
}

/// Offers the message, and keeps its content until `until`. If there are too many offers, the oldest
/// unauthenticated one is withdrawn.
pub(crate) fn offer(tx: &Tx, dropped: &QuotaDropped, until: Millis, quota: Quota) -> Result<()> {
    insert!(
        tx,
        offer {
            n: tx.next_number()?,
            ledger: dropped.n,
            account: dropped.account,
            authenticated: dropped.authenticated,
            octets: dropped.octets,
            kept_otherwise_until: dropped.kept_otherwise_until
        }
    )?;
    keep_until(tx, dropped.n, until.max(dropped.kept_otherwise_until))?;
    // A message that the person refused keeps its row, however many messages come.
    let mut offers: Vec<(i64, bool, i64, Millis)> = tx.all(
        "SELECT ledger, authenticated, octets, kept_otherwise_until FROM offer
             WHERE account = ? AND refused_at IS NULL ORDER BY n",
        &[&dropped.account],
    )?;
    let mut octets_offered: i64 = offers.iter().map(|(_, _, size, _)| size).sum();
    while offers.len() > quota.requests as usize || octets_offered > octets(quota.bytes) {
        let oldest = offers
            .iter()
            .position(|(_, authenticated, ..)| !authenticated);
        // If all offers are authenticated, the newest is withdrawn: first come, first served.
        let Some(place) = oldest.or(offers.len().checked_sub(1)) else {
            break;
        };
        let (n, _, size, kept_otherwise_until) = offers.remove(place);
        octets_offered -= size;
        withdraw(tx, n)?;
        keep_until(tx, n, kept_otherwise_until)?;
    }
    Ok(())
}

fn keep_until(tx: &Tx, n: i64, until: Millis) -> Result<()> {
    let sql = "UPDATE ledger SET forget_at = ?2 WHERE n = ?1 AND forget_at IS NOT NULL";
    tx.run(sql, &[&n, &until])?;
    Ok(())
}

/// Withdraws an offer.
pub(crate) fn withdraw(tx: &Tx, n: i64) -> Result<()> {
    tx.run("DELETE FROM offer WHERE ledger = ?", &[&n])?;
    Ok(())
}

/// Offers of an account that the person did not refuse, oldest first.
pub(crate) fn offers(tx: &Tx, account: i64, now: Millis) -> Result<Vec<(i64, Offer)>> {
    tx.all_with(
        "SELECT l.n, l.id, l.portal, l.facts, l.received_at, o.authenticated
         FROM offer AS o JOIN ledger AS l ON l.n = o.ledger
             JOIN content AS c ON c.ledger = coalesce(l.message, l.n)
         WHERE o.account = ? AND o.refused_at IS NULL AND l.forget_at > ? ORDER BY l.n",
        &[&account, &now],
        |row| Ok((row.get("n")?, Offer::from_row(row)?)),
    )
}

/// Reads an offered message, and whether it is authenticated.
fn find_offered(tx: &Tx, n: i64) -> Result<(StoredMessage, bool)> {
    tx.one_with(
        "SELECT l.facts, l.portal, l.sender, l.received_at, o.authenticated
         FROM ledger AS l JOIN offer AS o ON o.ledger = l.n WHERE l.n = ?",
        &[&n],
        |row| Ok((StoredMessage::from_row(row)?, row.get("authenticated")?)),
    )
}

/// Number of offers that a verification without the person's choice restores: the authenticated ones, and one
/// of several copies.
pub(crate) fn count_restored(tx: &Tx, account: i64, now: Millis) -> Result<usize> {
    let mut restored = BTreeSet::new();
    for (n, _) in offers(tx, account, now)? {
        let (message, authenticated) = find_offered(tx, n)?;
        let like = message.likeness();
        if authenticated && find_original(tx, &like, Some(n))?.is_none() {
            let key = like.message_key;
            restored.insert((key, key.map_or(n, |_| like.copy_key)));
        }
    }
    Ok(restored.len())
}

/// Restores an offered message as a released request of an account that is active by now. Returns false if
/// the same message already has a held, released or delivered request.
pub(crate) fn take_back(tx: &Tx, account: i64, n: i64, by: &Actor, now: Millis) -> Result<bool> {
    let (message, authenticated) = find_offered(tx, n)?;
    let like = message.likeness();
    if find_original(tx, &like, Some(n))?.is_some() {
        return Ok(false);
    }
    let mut standing: JsonFields = tx.one(STANDING, &[&n])?;
    standing.set_in("account", "quota_reached", false);
    tx.run(
        "UPDATE ledger SET verdict = 'held', rule = ?2, forget_at = NULL, copy_key = ?3,
                 standing = ?4
             WHERE n = ?1",
        &[
            &n,
            &Reason::AccountPending,
            &like.copy_key,
            &json(&standing)?,
        ],
    )?;
    insert!(
        tx,
        request {
            ledger: n,
            account,
            portal: message.portal,
            size: message.facts.size,
            received_at: message.received_at,
            state: "held",
            due_at: now,
            authenticated
        }
    )?;
    uncount(tx, n)?;
    transitions::release(tx, n, "proof", now)?;
    NewEvent::new("request.recovered")
        .entry(n)
        .detail("dropped earlier as hold_quota; restored with the verification")
        .record(tx, by, now)?;
    Ok(true)
}
