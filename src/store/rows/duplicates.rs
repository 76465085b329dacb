//! Copies: finds the earlier entry that a message repeats.
//!
//! Only an entry whose request is held, released or delivered has copies, so that no message is lost to an
//! earlier one that came to nothing. Any other message is decided anew. Delivery reports, which never have a
//! request, are still counted only once; a message that is not a report is never the copy of one.
//!
//! Anyone who knows a message can send it first, with other fields than those of the fingerprint: fields that make a
//! help desk discard or misread it. So a message for which its domain vouches repeats no message that was checked and
//! for which no domain vouches, unless it can still replace it.
//!
//! One index lookup finds the original: `copy_key` is 0 where there never was a request.

use std::ops::ControlFlow;
use std::time::Duration;

use serde::Deserialize;

use crate::access::Original;
use crate::domain::{Actor, PortalName, Reason};
use crate::mail::{Authentication, Facts, Fingerprint};
use crate::store::Result;
use crate::store::audit::events::NewEvent;
use crate::store::error::readable;
use crate::store::rows::dropped_content::count_if_unwanted;
use crate::store::rows::keys::{copy_key, repeat_key};
use crate::store::rows::orphaned_content::delete_orphaned;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::{JsonFields, Millis, from_row, json, json_columns};

/// Time within which the same message counts as a copy.
const COPY_WITHIN: Duration = Duration::from_hours(7 * 24);

/// The values that a copy shares with its original. The keys only find candidates; the full values must be
/// equal.
pub(crate) struct Likeness<'a> {
    /// None for a message with neither a Message-ID nor a date: it has no copies.
    pub(crate) message_key: Option<i64>,
    pub(crate) copy_key: i64,
    pub(crate) portal: Option<&'a PortalName>,
    pub(crate) sender_key: Option<&'a str>,
    pub(crate) facts: &'a Facts,
    pub(crate) received_at: Millis,
}

impl<'a> Likeness<'a> {
    pub(crate) fn of(
        facts: &'a Facts,
        portal: &'a PortalName,
        sender_key: Option<&'a str>,
        received_at: Millis,
    ) -> Self {
        Self {
            message_key: repeat_key(facts),
            copy_key: copy_key(Some(portal), facts),
            portal: Some(portal),
            sender_key,
            facts,
            received_at,
        }
    }
}

/// The values by which a stored message is compared with its copies.
pub(crate) struct StoredMessage {
    pub(crate) portal: PortalName,
    pub(crate) sender: Option<String>,
    pub(crate) facts: Facts,
    pub(crate) received_at: Millis,
}
from_row!(StoredMessage, row: portal, sender, facts, received_at);

impl StoredMessage {
    pub(crate) fn likeness(&self) -> Likeness<'_> {
        let sender_key = self.sender.as_deref();
        Likeness::of(&self.facts, &self.portal, sender_key, self.received_at)
    }
}

/// The original of a copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Earlier {
    pub(crate) n: i64,
    pub(crate) original: Original,
    /// Its request is held, and no domain vouches for it.
    pub(crate) held_unauthenticated: bool,
}

/// The facts that a copy shares with its original, and those that may make it another message.
#[derive(Deserialize)]
struct Identity {
    message_id: Option<String>,
    date: Option<String>,
    fingerprint: Fingerprint,
    #[serde(default)]
    authentication: Authentication,
}
json_columns!(Identity);

impl Identity {
    fn is_of(&self, facts: &Facts) -> bool {
        self.message_id == facts.message_id
            && self.date == facts.date
            && self.fingerprint == facts.fingerprint
    }
}

/// Finds the entry, other than `itself`, that a message repeats. Only a message that arrives, so one without an entry
/// of its own, can replace a held request; it does so only if it repeats no other message.
pub(crate) fn find_original(
    tx: &Tx,
    like: &Likeness,
    itself: Option<i64>,
) -> Result<Option<Earlier>> {
    let Some(message_key) = like.message_key else {
        return Ok(None);
    };
    let is_authenticated = like.facts.authentication.passes();
    let mut found = None;
    tx.query(
        "SELECT l.n, l.id, l.verdict, r.ledger IS NOT NULL,
                 r.state = 'held' AND r.authenticated = 0, l.facts
             FROM ledger AS l LEFT JOIN request AS r ON r.ledger = l.n
             WHERE l.message_key = ?1 AND l.copy_key = ?2 AND l.original IS NULL
                 AND l.received_at > ?3 AND l.portal IS NOT DISTINCT FROM ?4
                 AND l.sender IS NOT DISTINCT FROM ?5 AND l.n IS DISTINCT FROM ?6
                 AND (r.state = 'held' OR r.state = 'released' OR r.state = 'delivered'
                     OR (r.ledger IS NULL AND l.rule = ?7))
             ORDER BY l.n",
        &[
            &message_key,
            &like.copy_key,
            &like.received_at.minus(COPY_WITHIN),
            &like.portal,
            &like.sender_key,
            &itself,
            &Reason::Bounce,
        ],
        &mut |row| {
            // A damaged entry is not known to be the same message.
            let identity: Option<Identity> = readable(row.get(5))?;
            let Some(identity) = identity.filter(|identity| identity.is_of(like.facts)) else {
                return Ok(ControlFlow::Continue(()));
            };
            let has_request: bool = row.get(3)?;
            let held: Option<bool> = row.get(4)?;
            let held_unauthenticated = held.unwrap_or(false);
            let can_be_replaced = held_unauthenticated && is_authenticated && itself.is_none();
            let is_repeated = if has_request {
                let is_other = is_authenticated && identity.authentication.is_known_not_to_pass();
                can_be_replaced || !is_other
            } else {
                like.facts.report.is_some()
            };
            if !is_repeated || (can_be_replaced && found.is_some()) {
                return Ok(ControlFlow::Continue(()));
            }
            found = Some(Earlier {
                n: row.get(0)?,
                original: Original {
                    ledger: row.get(1)?,
                    verdict: row.get(2)?,
                    request: has_request.then(|| row.get(1)).transpose()?,
                },
                held_unauthenticated,
            });
            Ok(if can_be_replaced {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        },
    )?;
    Ok(found)
}

/// Replaces a held request by an authenticated copy of it. The earlier message may be forged throughout, so
/// its content is replaced as well. `carrier` is the entry under which the copy's content is stored.
pub(crate) fn upgrade(
    tx: &Tx,
    original: i64,
    carrier: i64,
    facts: &Facts,
    now: Millis,
) -> Result<()> {
    let sql = "SELECT coalesce(message, n), facts FROM ledger WHERE n = ?";
    let (before, mut recorded): (i64, JsonFields) = tx.one(sql, &[&original])?;
    recorded.set("authentication", &facts.authentication)?;
    recorded.set("size", &facts.size)?;
    let sql = "UPDATE ledger SET message = ?2, facts = ?3 WHERE n = ?1";
    tx.run(sql, &[&original, &carrier, &json(&recorded)?])?;
    let sql = "UPDATE request SET authenticated = 1, size = ?2 WHERE ledger = ?1";
    tx.run(sql, &[&original, &facts.size])?;
    delete_orphaned(tx, before)?;
    count_if_unwanted(tx, before)?;
    NewEvent::new("request.authenticated")
        .entry(original)
        .detail("replaced by an authenticated copy")
        .record(tx, &Actor::Daemon, now)
}
