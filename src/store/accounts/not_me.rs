//! "This was not me": the holder of a link objects. Everything that waits is refused
//! ([`refused_messages`]), and the address gets no mail for a while. While a link is valid, the person can take the
//! objection back. After a verification an objection changes nothing, but is recorded.

use std::time::Duration;

use crate::domain::{AccountId, Actor, EmailAddress, PortalName, RequestId, Timestamp, TokenHash};
use crate::store::accounts::link_standing::{LinkStanding, link_standing};
use crate::store::accounts::look_at_link::portal_of_mail;
use crate::store::audit::events::{NewEvent, record_of_account};
use crate::store::engine::job::Work;
use crate::store::requests::refused_messages;
use crate::store::rows::account_rows::AccountRow;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::verification::tokens::TokenRow;
use crate::store::verification::verification_mail::cancel;
use crate::store::{Result, Store};

/// Effect of "This was not me".
#[derive(Debug, Clone)]
pub enum Refused {
    Recorded {
        account: AccountId,
        address: EmailAddress,
        discarded: Vec<RequestId>,
    },
    /// It was refused before; nothing changed.
    AlreadyRefused,
    /// The address was verified before and stays verified: the person who objects may not be the one who
    /// verified it.
    AlreadyVerified {
        account: AccountId,
        address: EmailAddress,
        /// Portal that the verification mail was about.
        portal: Option<PortalName>,
    },
    Expired,
    Unknown,
}

/// Records an objection to a completed verification, once, for an operator to judge. A link that verified an
/// address must not be enough to block its owner.
fn refused_too_late(
    tx: &Tx,
    token: TokenHash,
    account: &AccountRow,
    found: &TokenRow,
    now: Millis,
) -> Result<Refused> {
    if !found.refused {
        let sql = "UPDATE token SET refused_at = ?2 WHERE hash = ?1";
        tx.run(sql, &[&token, &now])?;
        NewEvent::new("verification.refused")
            .account(account.n)
            .detail("the address was verified before")
            .record(tx, &Actor::Person, now)?;
    }
    Ok(Refused::AlreadyVerified {
        account: account.id,
        address: account.address(tx)?,
        portal: portal_of_mail(tx, found.verification_mail)?,
    })
}

impl Work<'_> {
    fn refuse(&mut self, token: TokenHash, quiet_for: Duration, now: Millis) -> Result<Refused> {
        let tx = self.tx;
        let account = match link_standing(tx, token, now)? {
            LinkStanding::Unknown => return Ok(Refused::Unknown),
            LinkStanding::Expired => return Ok(Refused::Expired),
            LinkStanding::Refused(..) => return Ok(Refused::AlreadyRefused),
            LinkStanding::Active(account, found) => {
                return refused_too_late(tx, token, &account, &found, now);
            }
            LinkStanding::Pending(account) => account,
        };
        let sql = "SELECT max(expires_at) FROM token WHERE account = ?";
        let restorable_until: Millis = tx.one(sql, &[&account.n])?;
        tx.run(
            "UPDATE account SET quiet_until = ?2, refused_at = ?3, quiet_mailed = 0,
                     unanswered_mails = 0,
                     refused_authenticated = CASE WHEN EXISTS (
                         SELECT 1 FROM request
                         WHERE account = ?1 AND state = 'held' AND authenticated = 1
                     ) OR EXISTS (
                         SELECT 1 FROM offer
                         WHERE account = ?1 AND authenticated = 1 AND refused_at IS NULL
                     ) THEN 1 ELSE 0 END
                 WHERE n = ?1",
            &[&account.n, &now.plus(quiet_for), &now],
        )?;
        let sql = "UPDATE token SET refused_at = ?2 WHERE account = ?1";
        tx.run(sql, &[&account.n, &now])?;
        cancel(tx, account.n, now)?;
        record_of_account(tx, "verification.refused", account.n, &Actor::Person, now)?;
        let discarded = refused_messages::refuse_waiting(tx, account.n, restorable_until, now)?;
        Ok(Refused::Recorded {
            account: account.id,
            address: account.address(tx)?,
            discarded,
        })
    }
}

impl Store {
    /// Objects with "This was not me": everything that waits is refused, and the address gets no mail from us for
    /// a while. The account keeps its status: pending, or active for portals that accept it unverified.
    pub async fn refuse(
        &self,
        token: TokenHash,
        quiet_for: Duration,
        now: Timestamp,
    ) -> Result<Refused> {
        self.write(move |work| work.refuse(token, quiet_for, now.into()))
            .await
    }
}
