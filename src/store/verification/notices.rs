//! Notices: mail that tells a sender that their mail is not accepted, if a portal is configured to send them.
//!
//! Only a message that passes DMARC causes one, so that it reaches the real author. A mailbox gets at most
//! one a day. A notice that may have been sent before a crash is not sent again. Notices have their own share
//! of the rate limits, and are dropped rather than sent late.

use crate::config::MailLimits;
use crate::domain::{
    Actor, EmailAddress, LanguagePriority, LedgerId, MailId, MailboxKey, PortalName, Reason,
    ReversePath, Timestamp,
};
use crate::mail::{Facts, is_program};
use crate::store::audit::events::record_of_entry;
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{Tx, insert};
use crate::store::verification::rate_limits::Shares;
use crate::store::{ClaimRound, NextWork, Result, Settled, Settlement, Store};

/// Minimum interval between two notices to a sender.
const ONCE_IN: i64 = Millis::DAY;

/// Age at which an unsent notice is dropped.
const LATEST: i64 = Millis::DAY;

/// Time for which a notice is remembered.
const KEPT: i64 = 2 * Millis::DAY;

/// Maximum number of due notices that a claim examines: those that are too late or beyond the limits are not sent.
const LOOKED_AT: usize = 64;

/// Maximum number of waiting notices; further senders get none.
const MAX_WAITING: i64 = 1000;

/// A notice to be sent now. Contains nothing that its addressee wrote, except the Message-ID that it answers.
#[derive(Debug, Clone)]
pub struct Notice {
    pub id: MailId,
    /// Entry of the message.
    pub ledger: Option<LedgerId>,
    pub address: EmailAddress,
    pub portal: PortalName,
    /// `DomainNotAllowed` or `ExternalAccountsDisabled`.
    pub reason: Reason,
    /// Without angle brackets.
    pub in_reply_to: Option<String>,
    /// Languages in which the sender writes and reads.
    pub languages: LanguagePriority,
    /// Number of the attempt, from 1.
    pub attempt: u32,
}

/// The message that a notice is about.
pub(crate) struct NotTaken<'a> {
    pub(crate) entry: i64,
    pub(crate) sender: &'a EmailAddress,
    pub(crate) portal: &'a PortalName,
    pub(crate) reason: Reason,
    pub(crate) message_id: Option<&'a str>,
}

/// True if the author of a refused message gets a notice: `sender` wrote it, their domain vouches for it, and
/// neither its envelope nor their address says that a program sent it.
pub(crate) fn reaches_a_person(
    facts: &Facts,
    reverse_path: &ReversePath,
    sender: &EmailAddress,
) -> bool {
    // Authentication of a mailing list says nothing about the author.
    facts.authentication.passes_dmarc()
        && facts.sender.address() == Some(sender)
        && *reverse_path != ReversePath::Null
        && !is_program(sender.local())
}

/// Owes a notice, unless the sender got one within a day or is about to. Returns true if one is owed.
pub(crate) fn owe(tx: &Tx, about: &NotTaken, now: Millis) -> Result<bool> {
    let key = about.sender.key();
    let was_told = tx.exists(
        "SELECT 1 FROM notice
             WHERE sender = ?1 AND (due_at IS NOT NULL OR claimed_at > ?2)",
        &[&key, &now.0.saturating_sub(ONCE_IN)],
    )?;
    if was_told {
        return Ok(false);
    }
    let sql = "SELECT count(*) FROM (SELECT 1 FROM notice WHERE due_at IS NOT NULL LIMIT ?) AS due";
    let waiting: i64 = tx.one(sql, &[&MAX_WAITING])?;
    if waiting >= MAX_WAITING {
        return Ok(false);
    }
    insert!(
        tx,
        notice {
            n: tx.next_number()?,
            id: MailId::new(),
            ledger: about.entry,
            sender: key,
            address: about.sender.to_string(),
            portal: about.portal,
            reason: about.reason.as_str(),
            in_reply_to: about.message_id,
            created_at: now,
            due_at: now
        }
    )?;
    Ok(true)
}

fn due(tx: &Tx, limit: usize, now: Millis) -> Result<Vec<(i64, Millis, Notice)>> {
    tx.all_with(
        "SELECT o.n, o.created_at, o.id, l.id AS entry, o.address, o.portal, o.reason,
             o.in_reply_to, o.attempts, l.facts
         FROM notice AS o LEFT JOIN ledger AS l ON l.n = o.ledger
         WHERE o.due_at <= ? ORDER BY o.due_at LIMIT ?",
        &[&now, &limit],
        |row| {
            let reason: String = row.get("reason")?;
            let attempts: u32 = row.get("attempts")?;
            // A damaged entry does not keep the sender from being notified.
            let facts: Option<Facts> = row.get("facts").unwrap_or_default();
            let notice = Notice {
                id: row.get("id")?,
                ledger: row.get("entry")?,
                address: row.get("address")?,
                portal: row.get("portal")?,
                reason: Reason::from_name(&reason).unwrap_or(Reason::DomainNotAllowed),
                in_reply_to: row.get("in_reply_to")?,
                languages: facts.map(|facts| facts.languages).unwrap_or_default(),
                attempt: attempts + 1,
            };
            Ok((row.get(0)?, row.get(1)?, notice))
        },
    )
}

fn claim(tx: &Tx, limit: usize, limits: MailLimits, now: Millis) -> Result<Vec<Notice>> {
    let sql = "DELETE FROM notice WHERE created_at < ?";
    tx.run(sql, &[&now.0.saturating_sub(KEPT)])?;
    let mut shares = Shares::at(tx, limits, now);
    let mut notices = Vec::new();
    for (n, created_at, notice) in due(tx, LOOKED_AT, now)? {
        if notices.len() == limit {
            break;
        }
        let mailbox = MailboxKey::of(&notice.address, limits.delimiters);
        let was_told = tx.exists(
            "SELECT 1 FROM notice WHERE mailbox = ? AND claimed_at > ? AND n <> ?",
            &[&mailbox.as_str(), &now.0.saturating_sub(ONCE_IN), &n],
        )?;
        if was_told || created_at.0 < now.0.saturating_sub(LATEST) || !notice.address.is_usable() {
            tx.run("DELETE FROM notice WHERE n = ?", &[&n])?;
            continue;
        }
        if let Some(free_at) = shares.take_for_notice(&notice.address)? {
            let sql = "UPDATE notice SET due_at = ?2 WHERE n = ?1";
            tx.run(sql, &[&n, &free_at])?;
            continue;
        }
        tx.run(
            "UPDATE notice SET due_at = NULL, claimed_at = ?2, mailbox = ?3,
                     attempts = attempts + 1
                 WHERE n = ?1",
            &[&n, &now, &mailbox.as_str()],
        )?;
        notices.push(notice);
    }
    shares.keep()?;
    Ok(notices)
}

/// Records the outcome of an attempt. A notice that may have been sent, or was refused, stays claimed.
fn settle(tx: &Tx, id: MailId, outcome: &Settlement, now: Millis) -> Result<Settled> {
    let due_at = match outcome {
        Settlement::Delivered => {
            let entry: Option<i64> = tx
                .maybe("SELECT ledger FROM notice WHERE id = ?", &[&id])?
                .flatten();
            if let Some(entry) = entry {
                record_of_entry(tx, "sender.told", entry, &Actor::Daemon, now)?;
            }
            return Ok(Settled::Recorded);
        }
        Settlement::Failed { .. } => return Ok(Settled::Recorded),
        Settlement::Retry { at, .. } => Millis::from(*at),
        Settlement::Unattempted => now,
    };
    let changed = tx.run(
        "UPDATE notice SET due_at = ?2, claimed_at = NULL, mailbox = NULL
             WHERE id = ?1 AND due_at IS NULL",
        &[&id, &due_at],
    )?;
    Ok(if changed > 0 {
        Settled::Recorded
    } else {
        Settled::ClaimLost
    })
}

fn next_due(tx: &Tx) -> Result<NextWork> {
    let sql = "SELECT min(due_at) FROM notice WHERE due_at IS NOT NULL";
    let next = tx.one(sql, &[])?;
    Ok(NextWork::at(next))
}

impl Store {
    /// Records outcomes of attempts, then claims up to `most` notices that are due and within the limits. Each is
    /// a run of its own.
    pub async fn settle_and_claim_notices(
        &self,
        outcomes: Vec<(MailId, Settlement, Timestamp)>,
        most: usize,
        limits: MailLimits,
        now: Timestamp,
    ) -> Result<ClaimRound<Notice>> {
        self.write(move |work| {
            let tx = work.tx;
            let settled = outcomes
                .iter()
                .map(|(id, outcome, at)| settle(tx, *id, outcome, (*at).into()))
                .collect::<Result<_, _>>()?;
            // The clock may have jumped since the worker looked at it.
            let claimed = if most == 0 || !work.driver.is_clock_right() {
                Vec::new()
            } else {
                claim(tx, most, limits, now.into())?
            };
            Ok(ClaimRound {
                settled,
                runs: claimed.into_iter().map(|notice| vec![notice]).collect(),
                set_aside: Vec::new(),
                next: next_due(tx)?,
                unread: None,
            })
        })
        .await
    }

    /// Time at which the next notice is due.
    pub async fn next_notice(&self) -> Result<NextWork> {
        self.read(next_due).await
    }
}
