//! The second factor of operators with a password: the key that their authenticator shares, and recovery codes.
//! A code is compared and marked as used in one transaction, so none counts twice.

use crate::domain::{
    Actor, Interface, OperatorName, SecondFactorCode, Timestamp, TokenHash, TotpKey,
};
use crate::store::audit::events::NewEvent;
use crate::store::operators::operator_accounts::n_of;
use crate::store::operators::passwords::require_password;
use crate::store::operators::pending_logins::{self, AttemptPurpose};
use crate::store::operators::sessions_and_tokens::{OperatorKey, insert_key};
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{Tx, insert};
use crate::store::{Result, Store, StoreError};

/// State of an operator's second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecondFactor {
    Off,
    /// There is a key, but the operator has not confirmed it with a code yet. The login does not ask for one.
    Pending,
    On {
        /// Number of unused recovery codes.
        recovery_codes: u64,
    },
}

/// Outcome of a code at the login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeOutcome {
    /// Name of the operator, and path of the page to open.
    SignedIn(OperatorName, String),
    Wrong(OperatorName),
    /// The password was entered too long ago, or not in this browser.
    NoAttempt,
}

fn key_of(tx: &Tx, n: i64) -> Result<Option<TotpKey>> {
    let key: Option<[u8; 20]> = tx
        .maybe("SELECT totp_key FROM operator WHERE n = ?", &[&n])?
        .flatten();
    Ok(key.map(TotpKey::from_stored))
}

/// True if the login asks this operator for a code.
pub(crate) fn is_on(tx: &Tx, n: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM operator WHERE n = ? AND totp_confirmed_at IS NOT NULL";
    tx.exists(sql, &[&n])
}

/// Uses up a code. Returns false if it is wrong or was used before.
fn take_code(
    tx: &Tx,
    n: i64,
    name: &OperatorName,
    code: &SecondFactorCode,
    now: Timestamp,
) -> Result<bool> {
    match code {
        SecondFactorCode::Totp(code) => {
            let used: Option<i64> =
                tx.one("SELECT totp_last_period FROM operator WHERE n = ?", &[&n])?;
            let key = key_of(tx, n)?;
            let Some(period) = key.and_then(|key| key.period_of(code, now, used)) else {
                return Ok(false);
            };
            let sql = "UPDATE operator SET totp_last_period = ? WHERE n = ?";
            tx.run(sql, &[&period, &n])?;
            Ok(true)
        }
        SecondFactorCode::Recovery(hash) => {
            let sql = "DELETE FROM recovery_code WHERE operator = ? AND hash = ?";
            let taken = tx.run(sql, &[&n, hash])?;
            if taken > 0 {
                let by = Actor::operator(name.as_str(), Interface::Page);
                NewEvent::new("operator.recovery_code_used")
                    .detail(name.to_string())
                    .record(tx, &by, now.into())?;
            }
            Ok(taken > 0)
        }
    }
}

fn replace_codes(tx: &Tx, n: i64, hashes: &[TokenHash]) -> Result<()> {
    tx.run("DELETE FROM recovery_code WHERE operator = ?", &[&n])?;
    for hash in hashes {
        insert!(
            tx,
            recovery_code {
                operator: n,
                hash: *hash
            }
        )?;
    }
    Ok(())
}

impl Store {
    /// # Errors
    /// `NotFound`.
    pub async fn second_factor_of(&self, name: OperatorName) -> Result<SecondFactor> {
        self.read(move |tx| {
            let n = n_of(tx, &name)?;
            if is_on(tx, n)? {
                let sql = "SELECT count(*) FROM recovery_code WHERE operator = ?";
                let recovery_codes = tx.one(sql, &[&n])?;
                return Ok(SecondFactor::On { recovery_codes });
            }
            Ok(match key_of(tx, n)? {
                Some(_) => SecondFactor::Pending,
                None => SecondFactor::Off,
            })
        })
        .await
    }

    /// Stores a key that the operator is about to enter into an authenticator.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` if there is a second factor, or for an operator without a password.
    pub async fn begin_second_factor(&self, name: OperatorName, key: TotpKey) -> Result<()> {
        self.write(move |work| {
            let n = n_of(work.tx, &name)?;
            require_password(work.tx, n, &name)?;
            let changed = work.tx.run(
                "UPDATE operator SET totp_key = ?, totp_last_period = NULL
                 WHERE n = ? AND totp_confirmed_at IS NULL",
                &[key.as_bytes(), &n],
            )?;
            if changed == 0 {
                return Err(StoreError::NotAllowed(format!(
                    "{name} already has a second factor"
                )));
            }
            Ok(())
        })
        .await
    }

    /// Turns the second factor on if the code matches the pending key. All other sessions of the operator end: they
    /// were opened without it. Returns false for a wrong code.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` if none is pending.
    pub async fn confirm_second_factor(
        &self,
        name: OperatorName,
        code: SecondFactorCode,
        recovery_codes: Vec<TokenHash>,
        session: TokenHash,
        by: Actor,
        now: Timestamp,
    ) -> Result<bool> {
        self.write(move |work| {
            let (tx, n) = (work.tx, n_of(work.tx, &name)?);
            if is_on(tx, n)? || key_of(tx, n)?.is_none() {
                return Err(StoreError::NotAllowed(
                    "there is no second factor to confirm".to_owned(),
                ));
            }
            let is_of_key = matches!(code, SecondFactorCode::Totp(_));
            if !is_of_key || !take_code(tx, n, &name, &code, now)? {
                return Ok(false);
            }
            let sql = "UPDATE operator SET totp_confirmed_at = ? WHERE n = ?";
            tx.run(sql, &[&Millis::from(now), &n])?;
            replace_codes(tx, n, &recovery_codes)?;
            let sql = "DELETE FROM operator_key WHERE operator = ? AND hash <> ?";
            tx.run(sql, &[&n, &session])?;
            NewEvent::new("operator.second_factor_added")
                .detail(name.to_string())
                .record(tx, &by, now.into())?;
            Ok(true)
        })
        .await
    }

    /// Replaces the recovery codes. Returns false for a wrong code.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` without a second factor.
    pub async fn replace_recovery_codes(
        &self,
        name: OperatorName,
        code: SecondFactorCode,
        recovery_codes: Vec<TokenHash>,
        by: Actor,
        now: Timestamp,
    ) -> Result<bool> {
        self.write(move |work| {
            let (tx, n) = (work.tx, n_of(work.tx, &name)?);
            if !is_on(tx, n)? {
                return Err(StoreError::NotAllowed(format!(
                    "{name} has no second factor"
                )));
            }
            if !take_code(tx, n, &name, &code, now)? {
                return Ok(false);
            }
            replace_codes(tx, n, &recovery_codes)?;
            NewEvent::new("operator.recovery_codes_made")
                .detail(name.to_string())
                .record(tx, &by, now.into())?;
            Ok(true)
        })
        .await
    }

    /// Turns the second factor off. `code` is what the operator typed; None where another operator resets it.
    /// Returns false for a wrong code.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` without a second factor.
    pub async fn remove_second_factor(
        &self,
        name: OperatorName,
        code: Option<SecondFactorCode>,
        by: Actor,
        now: Timestamp,
    ) -> Result<bool> {
        self.write(move |work| {
            let (tx, n) = (work.tx, n_of(work.tx, &name)?);
            if key_of(tx, n)?.is_none() {
                return Err(StoreError::NotAllowed(format!(
                    "{name} has no second factor"
                )));
            }
            if let Some(code) = &code
                && is_on(tx, n)?
                && !take_code(tx, n, &name, code, now)?
            {
                return Ok(false);
            }
            tx.run(
                "UPDATE operator SET totp_key = NULL, totp_confirmed_at = NULL,
                     totp_last_period = NULL WHERE n = ?",
                &[&n],
            )?;
            replace_codes(tx, n, &[])?;
            NewEvent::new("operator.second_factor_removed")
                .detail(name.to_string())
                .record(tx, &by, now.into())?;
            Ok(true)
        })
        .await
    }

    /// The operator whose password was right in this attempt.
    pub async fn awaited_operator(
        &self,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<OperatorName>> {
        self.read(move |tx| {
            tx.maybe(
                "SELECT o.name FROM sign_in_attempt AS a JOIN operator AS o ON o.n = a.operator
                 WHERE a.hash = ? AND a.expires_at > ?",
                &[&hash, &Millis::from(now)],
            )
        })
        .await
    }

    /// Opens a session for the operator of an attempt, if the code is right; the attempt ends then.
    pub async fn log_in_with_code(
        &self,
        hash: TokenHash,
        code: Option<SecondFactorCode>,
        key: OperatorKey,
        now: Timestamp,
    ) -> Result<CodeOutcome> {
        self.write(move |work| {
            let tx = work.tx;
            let Some((n, AttemptPurpose::Code { to })) =
                pending_logins::find_with_operator(tx, hash, now.into())?
            else {
                return Ok(CodeOutcome::NoAttempt);
            };
            let name: OperatorName = tx.one("SELECT name FROM operator WHERE n = ?", &[&n])?;
            let is_right = match &code {
                // Without a second factor there is nothing to compare, and the password must be asked for again.
                Some(code) => is_on(tx, n)? && take_code(tx, n, &name, code, now)?,
                None => false,
            };
            if !is_right {
                return Ok(CodeOutcome::Wrong(name));
            }
            tx.run("DELETE FROM sign_in_attempt WHERE hash = ?", &[&hash])?;
            let by = Actor::operator(name.as_str(), Interface::Page);
            insert_key(tx, n, &name, key, &by, now.into())?;
            Ok(CodeOutcome::SignedIn(name, to))
        })
        .await
    }
}
