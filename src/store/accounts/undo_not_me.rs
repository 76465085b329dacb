//! Taking back "This was not me" by the holder of a link: discarded requests are held again, and the address
//! gets mail again. If another copy of a message is held, released or delivered, the discarded one is not
//! restored beside it.

use std::time::Duration;

use crate::domain::{AccountId, Actor, EmailAddress, PortalName, RequestId, Timestamp, TokenHash};
use crate::mail::Facts;
use crate::store::accounts::link_standing::{LinkStanding, link_standing};
use crate::store::audit::events::{record_of_account, record_of_entry};
use crate::store::engine::job::Work;
use crate::store::error::readable;
use crate::store::hooks::calls_about_accounts;
use crate::store::requests::hold_quota::Offer;
use crate::store::requests::hold_quota::WaitingRequest;
use crate::store::rows::duplicates::{Likeness, find_original};
use crate::store::sql::sql_types::{Millis, from_row};
use crate::store::sql::{FromRow, Tx};
use crate::store::verification::verification_mail::cancel;
use crate::store::{Result, Store};

/// Outcome of taking back "This was not me".
#[derive(Debug, Clone)]
pub enum TakenBack {
    Restored {
        account: AccountId,
        address: EmailAddress,
        restored: Vec<RequestId>,
    },
    /// Nothing to take back, or it is too late: the link shows the state.
    NothingToRestore,
    Expired,
    Unknown,
}

/// A request that "This was not me" discarded.
pub(crate) struct Discarded {
    pub(crate) n: i64,
    id: RequestId,
    portal: PortalName,
    sender: Option<String>,
    facts: Facts,
    received_at: Millis,
    settled_at: Millis,
}
from_row!(Discarded, row: n, id, portal, sender, facts, received_at, settled_at);

/// Requests of an account that only the person can restore, and still can at `after`.
pub(crate) fn list_discarded(tx: &Tx, account: i64, after: Millis) -> Result<Vec<Discarded>> {
    // A damaged request cannot be compared with others, and stays discarded.
    let found = tx.all_with(
        "SELECT l.n, l.id, r.portal, l.sender, l.facts, l.received_at, r.settled_at
         FROM request AS r JOIN ledger AS l ON l.n = r.ledger
         WHERE r.account = ? AND r.state = 'discarded' AND r.restorable_until > ?
             AND r.kept = 1
             AND EXISTS (SELECT 1 FROM content WHERE ledger = coalesce(l.message, l.n))
         ORDER BY l.n",
        &[&account, &after],
        |row| readable(Discarded::from_row(row)),
    )?;
    Ok(found.into_iter().flatten().collect())
}

impl Discarded {
    /// Offer that a link sent after "This was not me" shows, for example a link from an operator.
    pub(crate) fn offer(self) -> Offer {
        Offer {
            request: WaitingRequest {
                id: self.id,
                portal: self.portal,
                subject: self.facts.subject,
                received_at: self.received_at.timestamp(),
            },
            authenticated: false,
            discarded: true,
        }
    }

    /// True if the same message already has a held, released or delivered request.
    pub(crate) fn has_copy(&self, tx: &Tx) -> Result<bool> {
        let sender_key = self.sender.as_deref();
        let like = Likeness::of(&self.facts, &self.portal, sender_key, self.received_at);
        Ok(find_original(tx, &like, Some(self.n))?.is_some())
    }
}

/// Returns false if the same message already has a held, released or delivered request.
fn restore(tx: &Tx, request: &Discarded, due_at: Millis, now: Millis) -> Result<bool> {
    if request.has_copy(tx)? {
        return Ok(false);
    }
    tx.run(
        "UPDATE request SET state = 'held', due_at = ?2, settled_at = NULL,
                 restorable_until = NULL
             WHERE ledger = ?1",
        &[&request.n, &due_at],
    )?;
    record_of_entry(tx, "request.restored", request.n, &Actor::Person, now)?;
    calls_about_accounts::tell(
        tx,
        "request.held",
        None,
        Some(request.n),
        &Actor::Person,
        now,
    )?;
    Ok(true)
}

impl Work<'_> {
    fn take_back_refusal(
        &mut self,
        token: TokenHash,
        hold_for: Duration,
        now: Millis,
    ) -> Result<TakenBack> {
        let tx = self.tx;
        let (account, found) = match link_standing(tx, token, now)? {
            LinkStanding::Unknown => return Ok(TakenBack::Unknown),
            LinkStanding::Expired => return Ok(TakenBack::Expired),
            LinkStanding::Active(..) | LinkStanding::Pending(_) => {
                return Ok(TakenBack::NothingToRestore);
            }
            LinkStanding::Refused(_, found) if found.expires_at <= now => {
                return Ok(TakenBack::Expired);
            }
            LinkStanding::Refused(account, found) => (account, found),
        };
        // What an earlier objection discarded stays discarded: its link may still offer it.
        let objected_at: Option<Millis> = tx.one(
            "SELECT max(refused_at) FROM (
                 SELECT refused_at FROM account WHERE n = ?1
                 UNION ALL SELECT refused_at FROM token WHERE account = ?1
             ) AS objections",
            &[&account.n],
        )?;
        tx.run(
            "UPDATE account SET quiet_until = NULL, refused_at = NULL,
                     refused_authenticated = 0, quiet_mailed = 0, unanswered_mails = 0
                 WHERE n = ?",
            &[&account.n],
        )?;
        let sql = "UPDATE token SET refused_at = NULL WHERE account = ?";
        tx.run(sql, &[&account.n])?;
        // Cancels the mail that would say how to take it back.
        cancel(tx, account.n, now)?;
        record_of_account(
            tx,
            "verification.taken_back",
            account.n,
            &Actor::Person,
            now,
        )?;
        let mut restored = Vec::new();
        for request in list_discarded(tx, account.n, Millis(i64::MIN))? {
            let due_at = request.received_at.plus(hold_for).max(found.expires_at);
            let is_of_last = objected_at.is_none_or(|at| request.settled_at >= at);
            if is_of_last && restore(tx, &request, due_at, now)? {
                restored.push(request.id);
            }
        }
        Ok(TakenBack::Restored {
            account: account.id,
            address: account.address(tx)?,
            restored,
        })
    }
}

impl Store {
    /// Takes "This was not me" back with a valid link. `hold_for` is the hold time of a request, from its
    /// receipt; restored requests are held at least for as long as the link is valid.
    pub async fn take_back_refusal(
        &self,
        token: TokenHash,
        hold_for: Duration,
        now: Timestamp,
    ) -> Result<TakenBack> {
        self.write(move |work| work.take_back_refusal(token, hold_for, now.into()))
            .await
    }
}
