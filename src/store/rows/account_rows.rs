//! Account rows as the other operations read them: identity, status, and whether mail may be sent.

use std::sync::LazyLock;

use crate::domain::{
    AccountId, AccountKind, AccountOrigin, AccountStatus, Actor, EmailAddress, NewAccount,
    PortalName,
};
use crate::store::audit::events::NewEvent;
use crate::store::sql::sql_types::{Millis, json};
use crate::store::sql::{FromRow, Row, Tx, insert};
use crate::store::{Result, StoreError};

/// The columns of an account that the operations of the store need.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent columns of the row"
)]
pub(crate) struct AccountRow {
    pub(crate) n: i64,
    pub(crate) id: AccountId,
    pub(crate) kind: AccountKind,
    pub(crate) status: AccountStatus,
    pub(crate) takes_automatic: bool,
    pub(crate) verified: bool,
    undeliverable: bool,
    quiet_until: Option<Millis>,
    /// The person said "This was not me", and nothing has ended that.
    objected: bool,
    /// The message behind "This was not me" had passed authentication.
    refused_authenticated: bool,
    /// The account was owed the one mail that a quiet address still gets.
    quiet_mailed: bool,
    /// Verification mails since the person's last action.
    unanswered_mails: u32,
    /// Stands only for requests that an operator released; decided about as if it did not exist.
    pub(crate) is_placeholder: bool,
}

const KNOWN: &str = "n, id, kind, status, takes_automatic, undeliverable, quiet_until,
     verified_at IS NOT NULL, refused_authenticated, quiet_mailed <> 0,
     placeholder = 1 AND status = 'pending', unanswered_mails, refused_at IS NOT NULL";

/// Finds the account with a key, and whether a portal accepted it before. Every message runs it.
static FIND_SENDER_AT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {KNOWN}, EXISTS (SELECT 1 FROM let_in WHERE account = n AND portal = ?2)
         FROM account WHERE key = ?1"
    )
});

/// Maximum mails to a person who does not react to them.
const MAX_UNANSWERED: u32 = 3;

/// Reads columns by number, not by name, because every message reads an account.
impl FromRow for AccountRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            n: row.get(0)?,
            id: row.get(1)?,
            kind: row.get(2)?,
            status: row.get(3)?,
            takes_automatic: row.get(4)?,
            undeliverable: row.get(5)?,
            quiet_until: row.get(6)?,
            verified: row.get(7)?,
            refused_authenticated: row.get(8)?,
            quiet_mailed: row.get(9)?,
            is_placeholder: row.get(10)?,
            unanswered_mails: row.get(11)?,
            objected: row.get(12)?,
        })
    }
}

impl AccountRow {
    /// True if verification changes something: the account is pending, or active only for portals that accept it
    /// unverified.
    pub(crate) fn can_be_verified(&self) -> bool {
        match self.status {
            AccountStatus::Pending => true,
            AccountStatus::Active => !self.verified,
            AccountStatus::Blocked => false,
        }
    }

    /// Records that the portal accepts the account unverified. Does nothing for a verified account.
    pub(crate) fn let_in(&self, tx: &Tx, portal: &PortalName) -> Result<()> {
        if self.status == AccountStatus::Active && !self.verified {
            insert!(
                tx,
                let_in {
                    account: self.n,
                    portal
                },
                "ON CONFLICT (account, portal) DO NOTHING"
            )?;
        }
        Ok(())
    }

    /// True while we send no mail to the address: it bounces, its owner said "not me", or an operator blocked
    /// it.
    pub(crate) fn is_quiet(&self, now: Millis) -> bool {
        self.undeliverable
            || self.status == AccountStatus::Blocked
            || self.quiet_until.is_some_and(|until| until > now)
    }

    /// True if the account has received the maximum of mails without a reaction.
    pub(crate) fn has_ignored_mails(&self) -> bool {
        self.unanswered_mails >= MAX_UNANSWERED
    }

    /// Resets the number of unanswered mails, because the person did something or wrote.
    pub(crate) fn reset_unanswered_mails(&self, tx: &Tx) -> Result<()> {
        if self.unanswered_mails > 0 {
            let sql = "UPDATE account SET unanswered_mails = 0 WHERE n = ?";
            tx.run(sql, &[&self.n])?;
        }
        Ok(())
    }

    /// Records that an operator allows mail to the account again.
    pub(crate) fn allow_mail(&mut self) {
        self.undeliverable = false;
        self.quiet_until = None;
        self.objected = false;
    }

    /// End of the time in which the address gets no mail because its owner said "This was not me".
    pub(crate) fn quiet_until(&self, now: Millis) -> Option<Millis> {
        self.quiet_until.filter(|until| *until > now)
    }

    /// True if the person said "This was not me" and nothing has ended that: the objection outlasts the quiet time.
    pub(crate) fn has_objected(&self, now: Millis) -> bool {
        self.objected || self.quiet_until(now).is_some()
    }

    /// True if "This was not me" is the only reason to send no mail to the address.
    pub(crate) fn is_only_refused(&self, now: Millis) -> bool {
        self.quiet_until(now).is_some()
            && !self.undeliverable
            && self.status != AccountStatus::Blocked
    }

    /// True while it may get the one mail with which the objection can be taken back.
    pub(crate) fn may_be_mailed_once(&self, now: Millis) -> bool {
        self.is_only_refused(now) && self.can_be_verified() && !self.quiet_mailed
    }

    /// Records that the account gets its one mail.
    pub(crate) fn mail_once(&self, tx: &Tx) -> Result<()> {
        let sql = "UPDATE account SET quiet_mailed = -1 WHERE n = ?";
        tx.run(sql, &[&self.n])?;
        Ok(())
    }

    /// Handles a message from this account that passes DMARC: its owner wrote it, so mail to it may resume. Does
    /// nothing if the refused message had passed as well.
    pub(crate) fn resume_mail(&mut self, tx: &Tx, now: Millis) -> Result<()> {
        if self.quiet_until(now).is_none() || self.refused_authenticated {
            return Ok(());
        }
        tx.run(
            "UPDATE account SET quiet_until = NULL, refused_at = NULL, quiet_mailed = 0
                 WHERE n = ?",
            &[&self.n],
        )?;
        self.quiet_until = None;
        self.objected = false;
        NewEvent::new("account.quiet_ended")
            .account(self.n)
            .detail("a message that passes DMARC arrived")
            .record(tx, &Actor::Daemon, now)
    }

    pub(crate) fn address(&self, tx: &Tx) -> Result<EmailAddress> {
        tx.one("SELECT address FROM account WHERE n = ?", &[&self.n])
    }
}

pub(crate) fn find_account(tx: &Tx, key: &str) -> Result<Option<AccountRow>> {
    let sql = format!("SELECT {KNOWN} FROM account WHERE key = ?");
    tx.maybe(&sql, &[&key])
}

/// The account of a sender, for a decision: a placeholder counts as none.
pub(crate) fn find_sender_account(tx: &Tx, key: &str) -> Result<Option<AccountRow>> {
    let found = find_account(tx, key)?;
    Ok(found.filter(|account| !account.is_placeholder))
}

/// The account of a sender, with its standing at a portal.
#[derive(Debug, Clone)]
pub(crate) struct SenderAccount {
    pub(crate) row: AccountRow,
    /// The portal accepted it unverified before.
    is_let_in: bool,
}

impl SenderAccount {
    /// True for an active account that was never verified and that the portal never accepted.
    pub(crate) fn is_unverified(&self) -> bool {
        self.row.status == AccountStatus::Active && !self.row.verified && !self.is_let_in
    }
}

/// Like [`find_sender_account`], for a message to a portal. `portal` is None for one to our own addresses, where no
/// account counts as unverified.
pub(crate) fn find_sender_at(
    tx: &Tx,
    key: &str,
    portal: Option<&PortalName>,
) -> Result<Option<SenderAccount>> {
    let found = tx.maybe_with(&FIND_SENDER_AT, &[&key, &portal], |row| {
        Ok(SenderAccount {
            row: AccountRow::from_row(row)?,
            is_let_in: portal.is_none() || row.get::<usize, bool>(13)?,
        })
    })?;
    Ok(found.filter(|account| !account.row.is_placeholder))
}

pub(crate) fn account_by_number(tx: &Tx, n: i64) -> Result<AccountRow> {
    tx.one(&format!("SELECT {KNOWN} FROM account WHERE n = ?"), &[&n])
}

/// The account that an operator names. An expired account and that of a forgotten person cannot be changed.
pub(crate) fn account_by_id(tx: &Tx, id: AccountId) -> Result<AccountRow> {
    let sql = format!("SELECT {KNOWN} FROM account WHERE id = ? AND forgotten_at IS NULL");
    tx.maybe(&sql, &[&id])?
        .ok_or_else(|| StoreError::not_found("account", id))
}

/// Creates the account that a decision calls for; a placeholder becomes that account. `entry` is the
/// ledger entry that caused it.
pub(crate) fn create_account(
    tx: &Tx,
    address: &EmailAddress,
    new: NewAccount,
    groups: &[String],
    origin: AccountOrigin,
    entry: Option<i64>,
    now: Millis,
) -> Result<AccountRow> {
    let status = if new.proof_needed {
        AccountStatus::Pending
    } else {
        AccountStatus::Active
    };
    let made: AccountRow = tx.one(
        &format!(
            "INSERT INTO account (n, id, key, address, domain, kind, status, proof_needed, groups,
                 created_at, created_by, last_active_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?10)
             ON CONFLICT (key) DO UPDATE SET kind = excluded.kind, status = excluded.status,
                 proof_needed = excluded.proof_needed, groups = excluded.groups, placeholder = 0
             WHERE account.placeholder = 1 AND account.status = 'pending'
             RETURNING {KNOWN}"
        ),
        &[
            &tx.next_number()?,
            &AccountId::new(),
            &address.key(),
            &address.to_string(),
            &address.domain().as_str(),
            &new.kind,
            &status,
            &new.proof_needed,
            &json(&groups)?,
            &now,
            &origin,
        ],
    )?;
    NewEvent::new("account.created")
        .account(made.n)
        .entry(entry)
        .record(tx, &Actor::Daemon, now)?;
    Ok(made)
}
