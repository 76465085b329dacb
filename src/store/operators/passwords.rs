//! Passwords of operators, and the first step of the login.
//!
//! A password is compared outside of any transaction, since hashing takes long. So the transaction that follows a
//! match requires that nothing has changed meanwhile.

use crate::domain::{Actor, Interface, OperatorName, PasswordHash, Timestamp};
use crate::store::audit::events::NewEvent;
use crate::store::operators::operator_accounts::n_of;
use crate::store::operators::pending_logins::{AttemptPurpose, insert_attempt};
use crate::store::operators::second_factor::is_on;
use crate::store::operators::sessions_and_tokens::{OperatorKey, insert_key};
use crate::store::sql::Tx;
use crate::store::{Result, Store, StoreError};

/// A password hash that a login is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPassword {
    pub hash: PasswordHash,
    /// The event of the operator's last revocation at that time.
    last_revoked: Option<i64>,
}

/// Outcome of the right password at the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordOutcome {
    SignedIn,
    /// A code of the second factor is still needed.
    AwaitsCode,
    /// The password was changed, the access revoked or the operator removed since the password was read.
    Outdated,
}

/// Refuses a password to an operator who signs in elsewhere.
pub(crate) fn require_password(tx: &Tx, n: i64, name: &OperatorName) -> Result<()> {
    let sql = "SELECT 1 FROM operator WHERE n = ? AND issuer IS NULL";
    if tx.exists(sql, &[&n])? {
        return Ok(());
    }
    Err(StoreError::NotAllowed(format!(
        "{name} signs in at the organisation's provider and has no password here"
    )))
}

/// Finds the password of an operator in one round trip to the database, so that an unknown name takes as long.
fn find_password(tx: &Tx, name: &OperatorName) -> Result<Option<StoredPassword>> {
    let found: Option<(String, Option<i64>)> = tx.maybe(
        "SELECT o.password, (
                 SELECT max(e.n) FROM event AS e
                 WHERE e.name = 'operator.revoked' AND e.origin IS NOT NULL AND e.detail = ?1
             )
             FROM operator AS o WHERE o.name = ?1",
        &[name],
    )?;
    Ok(found.map(|(hash, last_revoked)| StoredPassword {
        hash: PasswordHash::from_stored(hash),
        last_revoked,
    }))
}

impl Store {
    /// The password hash that a login is compared with.
    pub async fn password_of(&self, name: OperatorName) -> Result<Option<StoredPassword>> {
        self.read(move |tx| find_password(tx, &name)).await
    }

    /// Opens a session for an operator whose password matched `checked`, or begins an attempt that waits for a
    /// code: then the hash of the key is that of the attempt, until `code_until`. `to` is the path of the page to
    /// open then.
    pub async fn log_in_with_password(
        &self,
        name: OperatorName,
        checked: StoredPassword,
        key: OperatorKey,
        to: String,
        code_until: Timestamp,
        now: Timestamp,
    ) -> Result<PasswordOutcome> {
        self.write(move |work| {
            let tx = work.tx;
            if find_password(tx, &name)?.as_ref() != Some(&checked) {
                return Ok(PasswordOutcome::Outdated);
            }
            let n = n_of(tx, &name)?;
            if is_on(tx, n)? {
                let purpose = AttemptPurpose::Code { to: to.clone() };
                insert_attempt(
                    tx,
                    key.hash,
                    Some(n),
                    &purpose,
                    code_until.into(),
                    now.into(),
                )?;
                return Ok(PasswordOutcome::AwaitsCode);
            }
            let by = Actor::operator(name.as_str(), Interface::Page);
            insert_key(tx, n, &name, key, &by, now.into())?;
            Ok(PasswordOutcome::SignedIn)
        })
        .await
    }

    /// Changes the password and ends all sessions and tokens made with the old one.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` for an operator who signs in elsewhere.
    pub async fn change_password(
        &self,
        name: OperatorName,
        password: PasswordHash,
        by: Actor,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |work| {
            let n = n_of(work.tx, &name)?;
            require_password(work.tx, n, &name)?;
            let sql = "UPDATE operator SET password = ? WHERE n = ?";
            work.tx.run(sql, &[&password.as_str(), &n])?;
            work.tx
                .run("DELETE FROM operator_key WHERE operator = ?", &[&n])?;
            // These attempts were made with the old password.
            work.tx
                .run("DELETE FROM sign_in_attempt WHERE operator = ?", &[&n])?;
            NewEvent::new("operator.password_changed")
                .detail(name.to_string())
                .record(work.tx, &by, now.into())
        })
        .await
    }
}
