//! Sessions and API tokens of operators, together called keys: creates them, finds the operator of one, and ends
//! a session at logout or all keys of an operator. `issued_tokens` lists them, and ends one by its id.
//!
//! Only hashes are stored. A key is invalid once it has expired or its operator is removed, and never grants
//! more than its operator's present role.

use crate::domain::{Actor, OperatorName, Role, Timestamp, TokenHash, TokenScope, keywords};
use crate::store::audit::events::NewEvent;
use crate::store::operators::operator_accounts::n_of;
use crate::store::sql::sql_types::{Millis, from_row, words};
use crate::store::sql::{Tx, insert};
use crate::store::{Result, Store};

/// Credentials that replace the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Of a browser, created by the login.
    Session,
    /// Of an API client.
    Token,
}

keywords!(KeyKind { Session => "session", Token => "token" });
words!(KeyKind);

/// A key to be created.
#[derive(Debug, Clone, Copy)]
pub struct OperatorKey {
    pub hash: TokenHash,
    pub kind: KeyKind,
    /// Capped by the operator's role.
    pub role: Role,
    pub expires_at: Timestamp,
}

/// Limit and purpose of a token.
#[derive(Debug, Clone, Default)]
pub struct TokenTerms {
    /// The only interface that the token opens; None for all that its role opens.
    pub scope: Option<TokenScope>,
    /// Purpose of the token.
    pub note: Option<String>,
}

/// The operator of a valid key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHolder {
    pub name: OperatorName,
    /// The lower one of the operator's present role and that of the key.
    pub role: Role,
    /// The only interface that the key opens; None for all that its role opens.
    pub scope: Option<TokenScope>,
    /// For a session, the time at which the operator was authenticated, here or by the provider. None if the provider
    /// did not say when.
    pub signed_in_at: Option<Timestamp>,
}
from_row!(
    KeyHolder, row:
    name,
    role = row.get::<_, Role>("role")?.min(row.get("key_role")?),
    scope,
    signed_in_at,
);

/// Time after the last sign-in of an operator of the directory for which their tokens are valid. An operator who
/// has left the organisation can no longer sign in.
pub(crate) const DIRECTORY_TOKENS: std::time::Duration = std::time::Duration::from_hours(30 * 24);

/// Creates a key of an operator.
pub(crate) fn insert_key(
    tx: &Tx,
    n: i64,
    name: &OperatorName,
    key: OperatorKey,
    by: &Actor,
    now: Millis,
) -> Result<()> {
    tx.run("DELETE FROM operator_key WHERE expires_at <= ?", &[&now])?;
    insert!(
        tx,
        operator_key {
            hash: key.hash,
            operator: n,
            kind: key.kind,
            role: key.role,
            created_at: now,
            expires_at: Millis::from(key.expires_at)
        }
    )?;
    let (event, detail) = match key.kind {
        KeyKind::Session => ("operator.logged_in", name.to_string()),
        KeyKind::Token => ("operator.token_made", format!("{name}, {}", key.role)),
    };
    NewEvent::new(event).detail(detail).record(tx, by, now)
}

impl Store {
    /// Creates a key for an operator with its terms, in one transaction: no token ever opens more than it was made
    /// for. Deletes expired keys. `by` is the person who asked for it.
    ///
    /// # Errors
    /// `NotFound` if there is no such operator.
    pub async fn make_key(
        &self,
        name: OperatorName,
        key: OperatorKey,
        terms: TokenTerms,
        by: Actor,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |work| {
            let n = n_of(work.tx, &name)?;
            insert_key(work.tx, n, &name, key, &by, now.into())?;
            let sql = "UPDATE operator_key SET scope = ?, note = ? WHERE hash = ?";
            work.tx.run(sql, &[&terms.scope, &terms.note, &key.hash])?;
            Ok(())
        })
        .await
    }

    /// Finds the operator of a key. None for an invalid key. `issuer` is that of the provider at which operators
    /// sign in: keys of another provider's operators are invalid. A token of an operator of the directory is valid
    /// for some time after their last sign-in.
    pub async fn key_holder(
        &self,
        hash: TokenHash,
        kind: KeyKind,
        issuer: Option<String>,
        now: Timestamp,
    ) -> Result<Option<KeyHolder>> {
        self.read(move |tx| {
            let now = Millis::from(now);
            tx.maybe(
                "SELECT o.name, o.role, k.role AS key_role, k.scope,
                     CASE WHEN o.issuer IS NULL THEN k.created_at ELSE k.authenticated_at END
                         AS signed_in_at
                     FROM operator_key AS k
                     JOIN operator AS o ON o.n = k.operator
                     WHERE k.hash = ? AND k.kind = ? AND k.expires_at > ?
                         AND (o.issuer IS NULL
                             OR o.issuer = ? AND (k.kind = 'session' OR o.signed_in_at > ?))",
                &[
                    &hash,
                    &kind.as_str(),
                    &now,
                    &issuer,
                    &now.minus(DIRECTORY_TOKENS),
                ],
            )
        })
        .await
    }

    /// Ends the session with this key, at logout.
    pub async fn end_key(&self, hash: TokenHash) -> Result<()> {
        self.write(move |work| {
            work.tx
                .run("DELETE FROM operator_key WHERE hash = ?", &[&hash])?;
            Ok(())
        })
        .await
    }

    /// Ends all sessions and tokens of an operator and returns their number.
    ///
    /// # Errors
    /// `NotFound` if there is no such operator.
    pub async fn end_keys_of(
        &self,
        name: OperatorName,
        by: Actor,
        now: Timestamp,
    ) -> Result<usize> {
        self.write(move |work| {
            let n = n_of(work.tx, &name)?;
            let sql = "DELETE FROM operator_key WHERE operator = ?";
            let ended = work.tx.run(sql, &[&n])?;
            work.tx
                .run("DELETE FROM sign_in_attempt WHERE operator = ?", &[&n])?;
            NewEvent::new("operator.revoked")
                .detail(name.to_string())
                .record(work.tx, &by, now.into())?;
            Ok(ended)
        })
        .await
    }
}
