//! Sign-in attempts in progress, each bound to the secret of one browser. An attempt can be used once, and expires
//! soon.

use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, TokenHash};
use crate::store::accounts::verify_account::Choice;
use crate::store::sql::sql_types::{Millis, json, json_columns};
use crate::store::sql::{Tx, insert};
use crate::store::{Result, Store};

/// Consequence of a successful attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptPurpose {
    /// Opens a session on the operators' pages.
    Operator {
        /// Path of the page to open afterwards.
        to: String,
        /// The provider was asked for a recent authentication.
        #[serde(default)]
        recent: bool,
    },
    /// The password was right; a code of the second factor opens the session.
    Code {
        /// Path of the page to open afterwards.
        to: String,
    },
    /// Verifies the address of the link with this token.
    Verification { token: TokenHash, choice: Choice },
}
json_columns!(AttemptPurpose);

fn delete_expired(tx: &Tx, now: Millis) -> Result<()> {
    tx.run("DELETE FROM sign_in_attempt WHERE expires_at <= ?", &[&now])?;
    Ok(())
}

/// Records the start of an attempt, and deletes expired ones.
pub(crate) fn insert_attempt(
    tx: &Tx,
    hash: TokenHash,
    operator: Option<i64>,
    purpose: &AttemptPurpose,
    expires_at: Millis,
    now: Millis,
) -> Result<()> {
    delete_expired(tx, now)?;
    insert!(
        tx,
        sign_in_attempt {
            hash,
            operator,
            purpose: json(purpose)?,
            expires_at
        }
    )?;
    Ok(())
}

/// Finds an attempt of an operator whose password was right.
pub(crate) fn find_with_operator(
    tx: &Tx,
    hash: TokenHash,
    now: Millis,
) -> Result<Option<(i64, AttemptPurpose)>> {
    tx.maybe(
        "SELECT operator, purpose FROM sign_in_attempt
         WHERE hash = ? AND operator IS NOT NULL AND expires_at > ?",
        &[&hash, &now],
    )
}

impl Store {
    /// Records the start of an attempt, and deletes expired ones.
    pub async fn begin_attempt(
        &self,
        hash: TokenHash,
        purpose: AttemptPurpose,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |work| {
            insert_attempt(work.tx, hash, None, &purpose, expires_at.into(), now.into())
        })
        .await
    }

    /// Ends an attempt and returns its purpose. None if there is no attempt with this secret, or if it has expired.
    pub async fn take_attempt(
        &self,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<AttemptPurpose>> {
        self.write(move |work| {
            delete_expired(work.tx, now.into())?;
            let sql = "DELETE FROM sign_in_attempt WHERE hash = ? RETURNING purpose";
            work.tx.maybe(sql, &[&hash])
        })
        .await
    }
}
