//! Taking back "This was not me" by the holder of a link: discarded requests are held again, refused offers wait
//! again, and the address gets mail again. If another copy of a message is held, released or delivered, the discarded
//! request is not restored beside it.

use std::time::Duration;

use crate::domain::{AccountId, Actor, EmailAddress, RequestId, Timestamp, TokenHash};
use crate::store::accounts::link_standing::{LinkStanding, link_standing};
use crate::store::audit::events::record_of_account;
use crate::store::engine::job::Work;
use crate::store::requests::refused_messages::list_last_refused;
use crate::store::sql::sql_types::Millis;
use crate::store::verification::verification_mail::cancel;
use crate::store::{Result, Store};

/// Outcome of taking back "This was not me".
#[derive(Debug, Clone)]
pub enum TakenBack {
    Restored {
        account: AccountId,
        address: EmailAddress,
        /// Requests that are held again.
        restored: Vec<RequestId>,
        /// Number of messages that the link offers again: the hold quota had dropped them.
        offered: usize,
    },
    /// Nothing to take back, or it is too late: the link shows the state.
    NothingToRestore,
    Expired,
    Unknown,
}

impl TakenBack {
    /// True if messages wait again.
    #[must_use]
    pub fn has_restored(&self) -> bool {
        match self {
            Self::Restored {
                restored, offered, ..
            } => !restored.is_empty() || *offered > 0,
            Self::NothingToRestore | Self::Expired | Self::Unknown => false,
        }
    }
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
        let refused = list_last_refused(tx, account.n)?;
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
        let (mut restored, mut offered) = (Vec::new(), 0);
        for message in refused {
            let due_at = message
                .stored
                .received_at
                .plus(hold_for)
                .max(found.expires_at);
            if !message.restore(tx, due_at, now)? {
                continue;
            }
            if message.is_request() {
                restored.push(message.id);
            } else {
                offered += 1;
            }
        }
        Ok(TakenBack::Restored {
            account: account.id,
            address: account.address(tx)?,
            restored,
            offered,
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
