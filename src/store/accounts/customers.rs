//! Accounts: sign-up and the actions of operators. [`customer_lists`](super::customer_lists) lists them.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::access::{Decision, decide_newcomer};
use crate::domain::{
    Account, AccountId, AccountOrigin, AccountStatus, Actor, EmailAddress, NewAccount, PortalName,
    Reason, Timestamp,
};
use crate::store::audit::events::{NewEvent, record_of_account};
use crate::store::engine::job::Work;
use crate::store::rows::account_rows::{
    AccountRow, account_by_id, create_account, find_sender_account,
};
use crate::store::sql::sql_types::{Millis, from_row};
use crate::store::sql::{FromRow, Row, Tx, list_of};
use crate::store::verification::languages;
use crate::store::verification::mail_lanes::QueuePlace;
use crate::store::verification::verification_mail::{Occasion, owe};
use crate::store::{LanguageWish, MailCause, MailKind, Result, Store, StoreError, Topic};

/// Outcome of a request for a new account.
#[derive(Debug, Clone)]
pub enum Added {
    /// Created; a verification mail is owed if it is pending.
    Created(Account),
    /// It existed already.
    Existing(Account),
    /// The access settings do not allow it.
    NotAllowed(Decision),
}

pub(super) const SHOWN: &str = "SELECT a.id, a.address, a.kind, a.status, a.verified_by, a.verified_at,
     a.groups, a.undeliverable, a.unanswered_mails, a.takes_automatic, a.created_at, a.created_by, a.key, a.n,
     a.quiet_until, a.refused_at, a.quiet_mailed <> 0 AS quiet_mailed, a.language, a.deactivated_at,
     CASE WHEN a.quiet_until IS NOT NULL
         THEN (SELECT max(expires_at) FROM token WHERE account = a.n) END AS link_valid_until,
     a.placeholder = 1 AND a.status = 'pending' AS placeholder,
     (SELECT count(*) FROM request AS r WHERE r.account = a.n AND r.state = 'held') AS held,
     (SELECT string_agg(portal, ' ' ORDER BY portal) FROM let_in WHERE account = a.n) AS let_in_by
     FROM account AS a";

/// Reads the portals that let the account in.
fn read_portals(row: &Row) -> Result<Vec<PortalName>> {
    let value = row.value("let_in_by")?;
    let names = value.text_or_empty().split_whitespace();
    let parse = |name| PortalName::parse(name).map_err(|_| value.mismatch("names of portals"));
    names.map(parse).collect()
}

from_row!(
    Account, row: id, address, kind, status, verified_by, verified_at, groups, held,
    let_in_by = read_portals(row)?, undeliverable, unanswered_mails, quiet_until, refused_at,
    link_valid_until, quiet_mailed, deactivated_at, takes_automatic, language, placeholder, created_at, created_by,
);

pub(crate) fn account(tx: &Tx, n: i64) -> Result<Account> {
    tx.one(&format!("{SHOWN} WHERE a.n = ?"), &[&n])
}

/// Reads accounts by their numbers.
pub(super) fn accounts(tx: &Tx, numbers: &[i64]) -> Result<HashMap<i64, Account>> {
    let sql = format!("{SHOWN} WHERE {}", tx.is_among("a.n", "?"));
    let read = |row: &Row| Ok((row.get("n")?, Account::from_row(row)?));
    let found = tx.all_with(&sql, &[&list_of(numbers)], read)?;
    Ok(found.into_iter().collect())
}

impl Work<'_> {
    fn add(
        &mut self,
        address: &EmailAddress,
        portal: Option<&PortalName>,
        by: &Actor,
        client: Option<IpAddr>,
        now: Millis,
    ) -> Result<Added> {
        let tx = self.tx;
        let origin = match by {
            Actor::Operator { .. } => AccountOrigin::Operator,
            Actor::Person => AccountOrigin::SignUp,
            Actor::Daemon => AccountOrigin::Mail,
        };
        let domain = address.domain();
        let (place, cause) = match origin {
            AccountOrigin::SignUp => (QueuePlace::of_page(client, domain), MailCause::SignUp),
            AccountOrigin::Mail | AccountOrigin::Operator => {
                (QueuePlace::of_operator(domain), MailCause::Operator)
            }
        };
        let (_, settings) = self.settings.effective(tx, portal)?;
        // Without a portal, the settings of the site decide, looked up under a name that no portal has.
        let nowhere = PortalName::parse("-").map_err(|e| StoreError::Other(e.to_string()))?;
        let decision = decide_newcomer(address, portal.unwrap_or(&nowhere), &settings);
        if decision.reason == Reason::SenderDenied {
            return Ok(Added::NotAllowed(decision));
        }
        if let Some(there) = find_sender_account(tx, &address.key())? {
            let kind = match there.status {
                AccountStatus::Pending => Some(MailKind::Verification),
                // Sign-up lets the owner verify an account that is active but was never verified.
                AccountStatus::Active if origin == AccountOrigin::SignUp && !there.verified => {
                    Some(MailKind::Verification)
                }
                AccountStatus::Active if origin == AccountOrigin::SignUp => {
                    Some(MailKind::AlreadyRegistered)
                }
                AccountStatus::Active | AccountStatus::Blocked => None,
            };
            if let Some(kind) = kind {
                self.owe(&there, kind, cause, portal, place, now)?;
            }
            return Ok(Added::Existing(account(tx, there.n)?));
        }
        let Some(new) = decision.consequence.new_account() else {
            return Ok(Added::NotAllowed(decision));
        };
        let groups = settings.default_groups(new.kind);
        // Anybody can sign up, so sign-up needs verification; for an account that an operator adds, the
        // settings decide as for mail.
        let new = NewAccount {
            proof_needed: new.proof_needed || origin == AccountOrigin::SignUp,
            ..new
        };
        let made = create_account(tx, address, new, groups, origin, None, now)?;
        if origin == AccountOrigin::Operator {
            self.wakeups.add(Topic::OperatorActions);
            record_of_account(tx, "account.added", made.n, by, now)?;
        }
        if let Some(portal) = portal {
            made.let_in(tx, portal)?;
        }
        if made.status == AccountStatus::Pending {
            self.owe(&made, MailKind::Verification, cause, portal, place, now)?;
        }
        Ok(Added::Created(account(tx, made.n)?))
    }

    pub(crate) fn owe(
        &mut self,
        account: &AccountRow,
        kind: MailKind,
        cause: MailCause,
        portal: Option<&PortalName>,
        place: QueuePlace,
        now: Millis,
    ) -> Result<()> {
        let occasion = Occasion {
            kind,
            cause,
            portal,
            in_reply_to: None,
            place,
        };
        let is_owed = owe(self.tx, account, &occasion, now)?;
        self.wakeups.add_if(Topic::VerificationMail, is_owed);
        Ok(())
    }
}

impl Store {
    /// The account of an address. An expired account and that of a forgotten person count as none.
    pub async fn customer(&self, address: &EmailAddress) -> Result<Option<Account>> {
        let key = address.key();
        let sql = format!("{SHOWN} WHERE a.key = ? AND a.forgotten_at IS NULL");
        self.read(move |tx| tx.maybe(&sql, &[&key])).await
    }

    /// The account with this id, as [`Self::customer`].
    pub async fn customer_by_id(&self, id: AccountId) -> Result<Option<Account>> {
        let sql = format!("{SHOWN} WHERE a.id = ? AND a.forgotten_at IS NULL");
        self.read(move |tx| tx.maybe(&sql, &[&id])).await
    }

    /// Adds an account by sign-up or by an operator, the two ways in besides mail. The access settings decide
    /// as they do for mail, but a person who signs up must always verify the address. Owes a verification
    /// mail to a new pending account and, on sign-up, to an existing account.
    pub async fn add_customer(
        &self,
        address: EmailAddress,
        portal: Option<PortalName>,
        by: Actor,
        now: Timestamp,
    ) -> Result<Added> {
        self.write(move |work| work.add(&address, portal.as_ref(), &by, None, now.into()))
            .await
    }

    /// Signs a person up on the page. `client` has its own share of the limit for mail from the pages.
    pub async fn sign_up(
        &self,
        address: EmailAddress,
        portal: Option<PortalName>,
        client: IpAddr,
        language: LanguageWish,
        now: Timestamp,
    ) -> Result<Added> {
        self.write(move |work| {
            let by = &Actor::Person;
            let added = work.add(&address, portal.as_ref(), by, Some(client), now.into())?;
            languages::wish_of(work.tx, &address, &language)?;
            Ok(added)
        })
        .await
    }

    /// Sets whether automatic mail of an account is accepted as if a person wrote it; that counts while the account
    /// is active. The event's detail is `on` or `off`. Does nothing if the account has this setting already.
    pub async fn set_automatic_mail(
        &self,
        id: AccountId,
        accepts: bool,
        by: Actor,
        now: Timestamp,
    ) -> Result<Account> {
        self.write(move |work| {
            let there = account_by_id(work.tx, id)?;
            if there.takes_automatic != accepts {
                let sql = "UPDATE account SET takes_automatic = ?2 WHERE n = ?1";
                work.tx.run(sql, &[&there.n, &accepts])?;
                work.wakeups.add(Topic::OperatorActions);
                NewEvent::new("account.takes_automatic")
                    .account(there.n)
                    .detail(if accepts { "on" } else { "off" })
                    .record(work.tx, &by, now.into())?;
            }
            account(work.tx, there.n)
        })
        .await
    }
}
