//! "This was not me": the person who holds a link objects, everything held is discarded and the address
//! left in peace; for as long as a link is valid, the person can take that back. Whoever comes after a proof changes nothing, and is written down.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::account_rows::AccountRow;
use super::events::NewEvent;
use super::job::Work;
use super::proofs::{Found, Standing, held, portal_of_mail, standing};
use super::sql_types::Millis;
use super::verification_mail::cancel;
use super::{Store, StoreError, queue};
use crate::domain::{
    AccountId, Actor, EmailAddress, PortalName, RequestId, RequestState, Timestamp, TokenHash,
};

/// What "This was not me" did.
#[derive(Debug, Clone)]
pub enum Refused {
    Now {
        account: AccountId,
        address: EmailAddress,
        discarded: Vec<RequestId>,
    },
    /// It was refused before; nothing changed.
    Before,
    /// The address was proved before and stays so: whoever pressed may not be who proved it.
    TooLate {
        account: AccountId,
        address: EmailAddress,
        /// The portal that the letter was about.
        portal: Option<PortalName>,
    },
    Expired,
    Unknown,
}

/// An objection to a proof that was made. It is written down once, for an operator to judge: a link
/// that proved an address must not be enough to shut its owner out.
fn refused_too_late(
    connection: &Connection,
    token: TokenHash,
    account: &AccountRow,
    found: &Found,
    now: Millis,
) -> Result<Refused, StoreError> {
    if !found.refused {
        connection
            .prepare_cached("UPDATE token SET refused_at = ?2 WHERE hash = ?1")?
            .execute(params![token, now])?;
        NewEvent::named("verification.refused")
            .account(account.n)
            .detail("the address was proved before")
            .record(connection, &Actor::Person, now)?;
    }
    Ok(Refused::TooLate {
        account: account.id,
        address: account.address(connection)?,
        portal: portal_of_mail(connection, found.verification_mail)?,
    })
}

impl Work<'_> {
    fn refuse(
        &mut self,
        token: TokenHash,
        quiet_for: Duration,
        now: Millis,
    ) -> Result<Refused, StoreError> {
        let connection = self.connection;
        let account = match standing(connection, token, now)? {
            Standing::Unknown => return Ok(Refused::Unknown),
            Standing::Expired => return Ok(Refused::Expired),
            Standing::Refused(..) => return Ok(Refused::Before),
            Standing::Active(account, found) => {
                return refused_too_late(connection, token, &account, &found, now);
            }
            Standing::Pending(account) => account,
        };
        let restorable_until: Option<Millis> = connection
            .prepare_cached("SELECT max(expires_at) FROM token WHERE account = ?")?
            .query_row([account.n], |row| row.get(0))?;
        connection
            .prepare_cached(
                "UPDATE account SET quiet_until = ?2, refused_at = ?3, quiet_mailed = 0,
                     refused_authenticated = EXISTS (
                         SELECT 1 FROM request
                         WHERE account = ?1 AND state = 'held' AND authenticated = 1
                     ) OR EXISTS (SELECT 1 FROM offer WHERE account = ?1 AND authenticated = 1)
                 WHERE n = ?1",
            )?
            .execute(params![account.n, now.plus(quiet_for), now])?;
        connection
            .prepare_cached("UPDATE token SET refused_at = ?2 WHERE account = ?1")?
            .execute(params![account.n, now])?;
        cancel(connection, account.n, now)?;
        NewEvent::named("verification.refused")
            .account(account.n)
            .record(connection, &Actor::Person, now)?;
        let mut discarded = Vec::new();
        for (n, request) in held(connection, account.n)? {
            queue::settle(connection, n, RequestState::Discarded, None, now)?;
            connection
                .prepare_cached("UPDATE request SET restorable_until = ?2 WHERE ledger = ?1")?
                .execute(params![n, restorable_until])?;
            NewEvent::named("request.discarded").entry(n).record(
                connection,
                &Actor::Person,
                now,
            )?;
            discarded.push(request.id);
        }
        Ok(Refused::Now {
            account: account.id,
            address: account.address(connection)?,
            discarded,
        })
    }
}

impl Store {
    /// "This was not me": everything held is discarded, and the address gets no more mail of ours
    /// for a while. The account stays as it is: pending, or
    /// active for the portals that let it in unverified.
    pub async fn refuse(
        &self,
        token: TokenHash,
        quiet_for: Duration,
        now: Timestamp,
    ) -> Result<Refused, StoreError> {
        self.write(move |work| work.refuse(token, quiet_for, now.into()))
            .await
    }
}
