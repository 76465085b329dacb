//! Operators and their keys: browser sessions and API tokens.
//!
//! Only hashes are stored. A key is invalid once it has expired or its operator is removed, and never grants
//! more than its operator's present role.
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{
    Actor, Interface, OperatorName, PasswordHash, Role, Timestamp, TokenHash, TokenScope, keywords,
};
use crate::store::audit::events::NewEvent;
use crate::store::sql::sql_types::{Millis, from_row, words};
use crate::store::sql::{Tx, insert};
use crate::store::{Result, Store, StoreError};

/// An operator as shown in lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Operator {
    pub name: OperatorName,
    pub role: Role,
    pub sign_in: SignInWay,
    /// Unexpired sessions and tokens.
    pub sessions: u64,
    pub tokens: u64,
    pub created_at: Timestamp,
    /// `operator:NAME`.
    pub created_by: String,
}
from_row!(Operator, row: name, role, sign_in, sessions, tokens, created_at, created_by);

/// Credentials that an operator uses to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignInWay {
    Password,
    /// A password and a one-time code.
    PasswordAndCode,
    /// The session of the organisation's OpenID provider.
    Sso,
}

keywords!(SignInWay {
    Password => "password",
    PasswordAndCode => "password_and_code",
    Sso => "sso",
});

/// Credentials that replace the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Of a browser, created by the login.
    Session,
    /// Of an API client.
    Token,
}

keywords!(KeyKind { Session => "session", Token => "token" });
words!(SignInWay, KeyKind);

/// A key to be created.
#[derive(Debug, Clone, Copy)]
pub struct OperatorKey {
    pub hash: TokenHash,
    pub kind: KeyKind,
    /// Capped by the operator's role.
    pub role: Role,
    pub expires_at: Timestamp,
}

/// The operator of a valid key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHolder {
    pub name: OperatorName,
    /// The lower one of the operator's present role and that of the key.
    pub role: Role,
    /// The only interface that the key opens; None for all that its role opens.
    pub scope: Option<TokenScope>,
}

pub(crate) fn n_of(tx: &Tx, name: &OperatorName) -> Result<i64> {
    tx.maybe("SELECT n FROM operator WHERE name = ?", &[&name])?
        .ok_or_else(|| StoreError::not_found("operator", name))
}

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
    /// Operators in the order of their names.
    pub async fn operators(&self, now: Timestamp) -> Result<Vec<Operator>> {
        self.read(move |tx| {
            tx.all(
                "SELECT o.name, o.role, o.created_at, o.created_by,
                     CASE WHEN o.issuer IS NOT NULL THEN 'sso'
                         WHEN o.totp_confirmed_at IS NOT NULL THEN 'password_and_code'
                         ELSE 'password' END AS sign_in,
                     count(k.hash) FILTER (WHERE k.kind = 'session') AS sessions,
                     count(k.hash) FILTER (WHERE k.kind = 'token') AS tokens
                 FROM operator AS o
                 LEFT JOIN operator_key AS k ON k.operator = o.n AND k.expires_at > ?
                 GROUP BY o.n ORDER BY o.name",
                &[&now],
            )
        })
        .await
    }

    /// Adds an operator.
    ///
    /// # Errors
    /// `NotAllowed` if there is one of that name.
    pub async fn add_operator(
        &self,
        name: OperatorName,
        role: Role,
        password: PasswordHash,
        by: Actor,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |work| {
            let added = insert!(
                work.tx,
                operator {
                    n: work.tx.next_number()?,
                    name,
                    role,
                    password: password.as_str(),
                    created_at: Millis::from(now),
                    created_by: by
                },
                "ON CONFLICT (name) DO NOTHING"
            )?;
            if added == 0 {
                return Err(StoreError::NotAllowed(format!(
                    "an operator {name} already exists"
                )));
            }
            NewEvent::new("operator.added")
                .detail(format!("{name}, {role}"))
                .record(work.tx, &by, now.into())
        })
        .await
    }

    /// Removes an operator and ends their sessions and tokens.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn remove_operator(
        &self,
        name: OperatorName,
        by: Actor,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |work| {
            let n = n_of(work.tx, &name)?;
            work.tx.run("DELETE FROM operator WHERE n = ?", &[&n])?;
            NewEvent::new("operator.removed")
                .detail(name.to_string())
                .record(work.tx, &by, now.into())
        })
        .await
    }

    /// Creates a key for an operator, and deletes expired keys. `by` is the person who asked for it.
    ///
    /// # Errors
    /// `NotFound` if there is no such operator.
    pub async fn make_key(
        &self,
        name: OperatorName,
        key: OperatorKey,
        by: Actor,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |work| {
            let n = n_of(work.tx, &name)?;
            insert_key(work.tx, n, &name, key, &by, now.into())
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
            let found: Option<(OperatorName, Role, Role, Option<TokenScope>)> = tx.maybe(
                "SELECT o.name, o.role, k.role, k.scope FROM operator_key AS k
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
            )?;
            Ok(found.map(|(name, operators, keys, scope)| KeyHolder {
                name,
                role: operators.min(keys),
                scope,
            }))
        })
        .await
    }

    /// Ends one key at logout.
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

    /// Records a failed login, as this operator or under an unknown name.
    pub async fn record_failed_login(
        &self,
        name: Option<OperatorName>,
        detail: String,
        now: Timestamp,
    ) -> Result<()> {
        // No operator can have this name.
        let name = name.as_ref().map_or("?", OperatorName::as_str);
        let by = Actor::operator(name, Interface::Page);
        self.write(move |work| {
            NewEvent::new("operator.login_failed")
                .detail(detail.as_str())
                .record(work.tx, &by, now.into())
        })
        .await
    }
}
