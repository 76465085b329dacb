//! Accounts of operators: lists, adds and removes them, and records failed logins.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Actor, Interface, OperatorName, PasswordHash, Role, Timestamp, keywords};
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
words!(SignInWay);

/// Right to the name of a removed operator. The audit has names only, so it shows the actions of both as those of one
/// operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameReuse {
    Refused,
    /// The new operator is the same person.
    SamePerson,
}

/// Finds the operator of this name, in whatever case.
pub(crate) fn find_namesake(tx: &Tx, name: &OperatorName) -> Result<Option<OperatorName>> {
    let sql = "SELECT name FROM operator WHERE lower(name) = ? ORDER BY name LIMIT 1";
    tx.maybe(sql, &[&name.comparison_key()])
}

/// True if an operator of this name, in whatever case, was removed.
pub(crate) fn was_removed(tx: &Tx, name: &OperatorName) -> Result<bool> {
    let sql = "SELECT 1 FROM event
               WHERE name = 'operator.removed' AND origin IS NOT NULL AND lower(detail) = ?";
    tx.exists(sql, &[&name.comparison_key()])
}

/// Finds the row number of the operator of that name.
///
/// # Errors
/// `NotFound`.
pub(crate) fn n_of(tx: &Tx, name: &OperatorName) -> Result<i64> {
    tx.maybe("SELECT n FROM operator WHERE name = ?", &[&name])?
        .ok_or_else(|| StoreError::not_found("operator", name))
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

    /// True if an operator of this name, in whatever case, was removed.
    pub async fn was_operator_removed(&self, name: OperatorName) -> Result<bool> {
        self.read(move |tx| was_removed(tx, &name)).await
    }

    /// Adds an operator.
    ///
    /// # Errors
    /// `NotAllowed` if there is one of that name, in whatever case, or was one and the name may not be reused.
    pub async fn add_operator(
        &self,
        name: OperatorName,
        role: Role,
        password: PasswordHash,
        reuse: NameReuse,
        by: Actor,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |work| {
            if let Some(other) = find_namesake(work.tx, &name)? {
                return Err(StoreError::NotAllowed(format!(
                    "an operator {other} already exists"
                )));
            }
            if reuse == NameReuse::Refused && was_removed(work.tx, &name)? {
                return Err(StoreError::NotAllowed(format!(
                    "{name} is the name of a removed operator, and the audit would show the actions of both as \
                     one operator's; choose another name, or confirm that it is the same person \
                     (--same-person at the command line, or the box on the page)"
                )));
            }
            insert!(
                work.tx,
                operator {
                    n: work.tx.next_number()?,
                    name,
                    role,
                    password: password.as_str(),
                    created_at: Millis::from(now),
                    created_by: by
                }
            )?;
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
