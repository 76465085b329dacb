//! Requests for a new link: by a person, on the page for it or with an expired link, and by an operator.

use std::net::IpAddr;

use crate::domain::{Actor, EmailAddress, MailCause, MailKind, PortalName, Timestamp, TokenHash};
use crate::store::audit::events::NewEvent;
use crate::store::rows::account_rows::{
    AccountRow, account_by_number, find_account, find_sender_account,
};
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::verification::languages::{LanguageWish, wish};
use crate::store::verification::mail_lanes::QueuePlace;
use crate::store::verification::verification_mail::{Occasion, owe};
use crate::store::{Result, Store, Topic};

/// Owes a new link to an account that can be verified. Records a request by an operator, and whether it overrides an
/// objection.
fn renew(
    tx: &Tx,
    mut account: AccountRow,
    by: &Actor,
    client: Option<IpAddr>,
    now: Millis,
) -> Result<bool> {
    if !account.can_be_verified() {
        return Ok(false);
    }
    let cause = match by {
        Actor::Operator { .. } => MailCause::Operator,
        Actor::Person | Actor::Daemon => MailCause::Resend,
    };
    let mut hastened = false;
    if cause == MailCause::Operator {
        let mut requested = NewEvent::new("verification.requested").account(account.n);
        if account.has_objected(now) {
            requested = requested.detail("the person had said \"This was not me\"");
        }
        requested.record(tx, by, now)?;
        // An operator's request overrides an earlier bounce or an accidental objection.
        tx.run(
            "UPDATE account SET undeliverable = 0, quiet_until = NULL, refused_at = NULL,
                     refused_authenticated = 0, quiet_mailed = 0
                 WHERE n = ?",
            &[&account.n],
        )?;
        account.allow_mail();
        // It also makes a mail due that waits for the end of a pause.
        hastened = tx.run(
            "UPDATE letter SET due_at = ?2
                 WHERE account = ?1 AND state = 'waiting' AND due_at > ?2",
            &[&account.n, &now],
        )? > 0;
    }
    let portal: Option<PortalName> = tx.maybe(
        "SELECT portal FROM request WHERE account = ? AND state = 'held'
             ORDER BY ledger DESC LIMIT 1",
        &[&account.n],
    )?;
    let address = account.address(tx)?;
    let place = match cause {
        MailCause::Operator => QueuePlace::of_operator(address.domain()),
        _ => QueuePlace::of_page(client, address.domain()),
    };
    let occasion = Occasion {
        kind: MailKind::Verification,
        cause,
        portal: portal.as_ref(),
        in_reply_to: None,
        place,
    };
    Ok(owe(tx, &account, &occasion, now)? || hastened)
}

impl Store {
    /// Owes a new link to the account with this address if it can be verified. Does not tell whether the
    /// account exists: the page answers the same either way. A request by an operator also clears the
    /// undeliverable mark and the quiet time of the address.
    pub async fn renew_link(&self, address: EmailAddress, by: Actor, now: Timestamp) -> Result<()> {
        let language = LanguageWish::default();
        self.renew_link_for(address, by, None, language, now).await
    }

    /// Like [`renew_link`](Self::renew_link), for a client of the pages, which has its own share of the limits.
    pub async fn renew_link_for(
        &self,
        address: EmailAddress,
        by: Actor,
        client: Option<IpAddr>,
        language: LanguageWish,
        now: Timestamp,
    ) -> Result<()> {
        let key = address.key();
        self.write(move |work| {
            // Only an operator can ask for a link for a placeholder.
            let found = match by {
                Actor::Operator { .. } => find_account(work.tx, &key)?,
                Actor::Person | Actor::Daemon => find_sender_account(work.tx, &key)?,
            };
            if let Some(account) = found {
                let n = account.n;
                let is_owed = renew(work.tx, account, &by, client, now.into())?;
                wish(work.tx, n, &language)?;
                work.wakeups.add_if(Topic::VerificationMail, is_owed);
            }
            Ok(())
        })
        .await
    }

    /// Owes a new link to the account of an expired link.
    pub async fn renew_expired_link(
        &self,
        token: TokenHash,
        client: Option<IpAddr>,
        language: LanguageWish,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |work| {
            let sql = "SELECT account FROM token WHERE hash = ? AND refused_at IS NULL";
            let account: Option<i64> = work.tx.maybe(sql, &[&token])?;
            if let Some(n) = account {
                let account = account_by_number(work.tx, n)?;
                let is_owed = renew(work.tx, account, &Actor::Person, client, now.into())?;
                wish(work.tx, n, &language)?;
                work.wakeups.add_if(Topic::VerificationMail, is_owed);
            }
            Ok(())
        })
        .await
    }
}
