//! Messages that the person refused with "This was not me": requests that were held, and messages that the hold quota
//! had dropped and the link offered.
//!
//! A refused request is discarded; a refused offer stays dropped and keeps its row with the time of the refusal. Until
//! the last link of that time expires, only the person can restore or release a refused message. This module decides
//! that for both kinds: whatever lets an operator release a request or a dropped message calls
//! [`check_operator_may_release`] first, and a verification releases a refused message only if the person selects it.

use crate::domain::{AccountId, AccountStatus, Actor, RequestId, Timestamp, Transition};
use crate::store::audit::events::record_of_entry;
use crate::store::error::readable;
use crate::store::hooks::calls_about_accounts;
use crate::store::requests::hold_quota::{Offer, WaitingRequest, list_held, take_back, withdraw};
use crate::store::requests::transitions;
use crate::store::rows::account_rows::account_by_id;
use crate::store::rows::duplicates::{StoredMessage, find_original};
use crate::store::sql::sql_types::{Millis, from_row};
use crate::store::sql::{FromRow, Tx};
use crate::store::{Result, Store, StoreError};

/// Form of a message before the person refused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A held request.
    Request,
    /// A message that the hold quota had dropped.
    Offer,
}

/// A refused message that the person can still restore.
pub(crate) struct RefusedMessage {
    n: i64,
    pub(crate) id: RequestId,
    pub(crate) stored: StoredMessage,
    pub(crate) refused_at: Millis,
    pub(crate) restorable_until: Millis,
    form: Form,
}
from_row!(
    RefusedMessage, row: n, id, stored = StoredMessage::from_row(row)?, refused_at, restorable_until,
    form = if row.get::<_, bool>("is_request")? { Form::Request } else { Form::Offer },
);

/// Refused messages that are still stored and that only the person can restore after a time, oldest first.
const REFUSED: &str = "SELECT l.n AS n, l.id, r.portal, l.sender, l.facts, l.received_at,
         r.settled_at AS refused_at, r.restorable_until, true AS is_request
     FROM request AS r JOIN ledger AS l ON l.n = r.ledger
     WHERE r.account = ?1 AND r.state = 'discarded' AND r.restorable_until > ?2 AND r.kept = 1
         AND EXISTS (SELECT 1 FROM content WHERE ledger = coalesce(l.message, l.n))
     UNION ALL
     SELECT l.n, l.id, l.portal, l.sender, l.facts, l.received_at,
         o.refused_at, o.restorable_until, false
     FROM offer AS o JOIN ledger AS l ON l.n = o.ledger
     WHERE o.account = ?1 AND o.restorable_until > ?2
         AND EXISTS (SELECT 1 FROM content WHERE ledger = coalesce(l.message, l.n))
     ORDER BY n";

/// Lists the refused messages of an account that only the person can restore, and still can at `after`.
pub(crate) fn list_refused(tx: &Tx, account: i64, after: Millis) -> Result<Vec<RefusedMessage>> {
    // A damaged message cannot be compared with others, and stays refused.
    let found = tx.all_with(REFUSED, &[&account, &after], |row| {
        readable(RefusedMessage::from_row(row))
    })?;
    Ok(found.into_iter().flatten().collect())
}

/// Lists those of [`list_refused`] that a link can release now: no copy of the message is held, released or delivered.
pub(crate) fn list_releasable(tx: &Tx, account: i64, now: Millis) -> Result<Vec<RefusedMessage>> {
    let mut releasable = Vec::new();
    for message in list_refused(tx, account, now)? {
        if !message.has_copy(tx)? {
            releasable.push(message);
        }
    }
    Ok(releasable)
}

/// Lists the messages that the last objection refused, which undoing it restores. Those that an earlier one refused
/// stay refused: their link may still offer them.
pub(crate) fn list_last_refused(tx: &Tx, account: i64) -> Result<Vec<RefusedMessage>> {
    let objected_at: Option<Millis> = tx.one(
        "SELECT max(refused_at) FROM (
             SELECT refused_at FROM account WHERE n = ?1
             UNION ALL SELECT refused_at FROM token WHERE account = ?1
         ) AS objections",
        &[&account],
    )?;
    let mut refused = list_refused(tx, account, Millis(i64::MIN))?;
    refused.retain(|message| objected_at.is_none_or(|at| message.refused_at >= at));
    Ok(refused)
}

/// True if undoing the last objection restores a message.
pub(crate) fn can_restore(tx: &Tx, account: i64) -> Result<bool> {
    for message in list_last_refused(tx, account)? {
        if message.is_restorable(tx)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses everything that waits for the person: discards the held requests, which it returns, and marks the offers.
/// Messages that an earlier objection refused stay protected for as long.
pub(crate) fn refuse_waiting(
    tx: &Tx,
    account: i64,
    restorable_until: Millis,
    now: Millis,
) -> Result<Vec<RequestId>> {
    extend_protection(tx, account, restorable_until, now)?;
    let mut discarded = Vec::new();
    for (n, request) in list_held(tx, account)? {
        transitions::settle(tx, n, Transition::Discard, None, now)?;
        let sql = "UPDATE request SET restorable_until = ?2 WHERE ledger = ?1";
        tx.run(sql, &[&n, &restorable_until])?;
        record_of_entry(tx, "request.discarded", n, &Actor::Person, now)?;
        discarded.push(request.id);
    }
    tx.run(
        "UPDATE offer SET refused_at = ?2, restorable_until = ?3
             WHERE account = ?1 AND refused_at IS NULL",
        &[&account, &now, &restorable_until],
    )?;
    // Content of all these offers is kept at least until then.
    tx.run(
        "UPDATE ledger SET forget_at = ?2
             WHERE n IN (SELECT ledger FROM offer WHERE account = ?1 AND restorable_until = ?2)
                 AND forget_at < ?2",
        &[&account, &restorable_until],
    )?;
    Ok(discarded)
}

/// Protects what is still refused at least until then.
fn extend_protection(tx: &Tx, account: i64, until: Millis, now: Millis) -> Result<()> {
    tx.run(
        "UPDATE request SET restorable_until = ?2
             WHERE account = ?1 AND state = 'discarded'
                 AND restorable_until > ?3 AND restorable_until < ?2",
        &[&account, &until, &now],
    )?;
    tx.run(
        "UPDATE offer SET restorable_until = ?2
             WHERE account = ?1 AND restorable_until > ?3 AND restorable_until < ?2",
        &[&account, &until, &now],
    )?;
    Ok(())
}

/// Ends the protection of what the person refused, because they have decided: no link restores it any more, and an
/// operator can release it.
pub(crate) fn end_protection(tx: &Tx, account: i64) -> Result<()> {
    tx.run(
        "UPDATE request SET restorable_until = NULL WHERE account = ? AND state = 'discarded'",
        &[&account],
    )?;
    let sql = "DELETE FROM offer WHERE account = ? AND refused_at IS NOT NULL";
    tx.run(sql, &[&account])?;
    Ok(())
}

/// Refuses an operator's release of an entry's message while only the person can release it. `what` names the message.
///
/// # Errors
/// `NotAllowed` with the end of that time.
pub(crate) fn check_operator_may_release(tx: &Tx, n: i64, what: &str, now: Millis) -> Result<()> {
    let found: Option<(Millis, AccountStatus, bool)> = tx.maybe(
        "SELECT refused.until, a.status, a.verified_at IS NOT NULL
         FROM (
             SELECT account, restorable_until AS until FROM request
             WHERE ledger = ?1 AND state = 'discarded'
             UNION ALL
             SELECT account, restorable_until FROM offer WHERE ledger = ?1
         ) AS refused JOIN account AS a ON a.n = refused.account
         WHERE refused.until > ?2",
        &[&n, &now],
    )?;
    let Some((until, status, is_verified)) = found else {
        return Ok(());
    };
    // To the second, as `customers show` and the page of the refusal show it.
    let until = format!("{:.0}", until.timestamp());
    let what = format!("{what} was discarded by the person (\"This was not me\")");
    Err(StoreError::NotAllowed(match status {
        AccountStatus::Active if is_verified => format!(
            "{what}; only they can restore it, with their link; an operator can release it from \
             {until} on"
        ),
        AccountStatus::Blocked => format!(
            "{what}; until {until} only they can undo that, with their link, once the account is \
             unblocked"
        ),
        AccountStatus::Pending | AccountStatus::Active => format!(
            "{what}; until {until} only they can undo that, with their link (`vestibule customers \
             resend` sends a new one)"
        ),
    }))
}

impl RefusedMessage {
    /// The message as the page of a link offers it: not selected.
    pub(crate) fn offer(&self) -> Offer {
        Offer {
            request: WaitingRequest {
                id: self.id,
                portal: self.stored.portal.clone(),
                subject: self.stored.facts.subject.clone(),
                received_at: self.stored.received_at.timestamp(),
            },
            authenticated: false,
            discarded: true,
        }
    }

    /// True for a request, false for a message that the hold quota had dropped.
    pub(crate) fn is_request(&self) -> bool {
        self.form == Form::Request
    }

    /// True if the same message already has a held, released or delivered request.
    fn has_copy(&self, tx: &Tx) -> Result<bool> {
        Ok(find_original(tx, &self.stored.likeness(), Some(self.n))?.is_some())
    }

    /// True if undoing the objection restores it: a request is not restored beside a copy.
    fn is_restorable(&self, tx: &Tx) -> Result<bool> {
        Ok(!self.is_request() || !self.has_copy(tx)?)
    }

    /// Withdraws the refusal: a request is held until `due_at`, and an offer waits at least until then. Returns false
    /// for a request if the same message already has a held, released or delivered one, such as one restored before.
    pub(crate) fn restore(&self, tx: &Tx, due_at: Millis, now: Millis) -> Result<bool> {
        if !self.is_restorable(tx)? {
            return Ok(false);
        }
        if !self.is_request() {
            let sql =
                "UPDATE offer SET refused_at = NULL, restorable_until = NULL WHERE ledger = ?";
            tx.run(sql, &[&self.n])?;
            let sql = "UPDATE ledger SET forget_at = ?2 WHERE n = ?1 AND forget_at < ?2";
            tx.run(sql, &[&self.n, &due_at])?;
            return Ok(true);
        }
        tx.run(
            "UPDATE request SET state = 'held', due_at = ?2, settled_at = NULL,
                     restorable_until = NULL
                 WHERE ledger = ?1",
            &[&self.n, &due_at],
        )?;
        record_of_entry(tx, "request.restored", self.n, &Actor::Person, now)?;
        let (event, by) = ("request.held", &Actor::Person);
        calls_about_accounts::tell(tx, event, None, Some(self.n), by, now)?;
        Ok(true)
    }

    /// Releases the message of an account that is verified by now. Returns false if the same message already has a
    /// held, released or delivered request.
    pub(crate) fn release(&self, tx: &Tx, account: i64, by: &Actor, now: Millis) -> Result<bool> {
        match self.form {
            Form::Request => {
                if self.has_copy(tx)? {
                    return Ok(false);
                }
                // The operator may discard it later, and release it again.
                let sql = "UPDATE request SET restorable_until = NULL WHERE ledger = ?";
                tx.run(sql, &[&self.n])?;
                transitions::release(tx, self.n, "proof", now)?;
            }
            Form::Offer => {
                if !take_back(tx, account, self.n, by, now)? {
                    return Ok(false);
                }
                withdraw(tx, self.n)?;
            }
        }
        record_of_entry(tx, "request.released", self.n, by, now)?;
        Ok(true)
    }
}

/// The refused messages of an account that only the person can release, with their link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StillRefused {
    pub messages: usize,
    /// Time from which an operator can release all of them.
    pub until: Timestamp,
}

impl Store {
    /// The messages that the person refused, and that they can release and nobody else; None if there are none.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn still_refused(
        &self,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Option<StillRefused>> {
        self.read(move |tx| {
            let account = account_by_id(tx, account)?;
            let refused = list_releasable(tx, account.n, now.into())?;
            let until = refused.iter().map(|message| message.restorable_until).max();
            Ok(until.map(|until| StillRefused {
                messages: refused.len(),
                until: until.timestamp(),
            }))
        })
        .await
    }
}
