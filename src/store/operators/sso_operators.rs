//! Operators who sign in at the organisation's provider. They are identified by issuer and subject. The first
//! sign-in sets their name here, and each sign-in their role.

use crate::domain::{Actor, Interface, OperatorName, Role, Timestamp};
use crate::store::audit::events::NewEvent;
use crate::store::operators::operator_accounts::{find_namesake, was_removed};
use crate::store::operators::sessions_and_tokens::{OperatorKey, insert_key};
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{Tx, insert};
use crate::store::{Result, Store, StoreError};

/// A person whom the provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryIdentity {
    pub issuer: String,
    pub subject: String,
}

/// Maximum number appended to a name that is taken.
const MAX_OF_A_NAME: u32 = 10_000;

/// The first of `base`, `base-2`, `base-3` … that no operator has or had, in whatever case: a person may be able to
/// choose their name at the provider, and `Ann` in the audit must not be taken for `ann`.
fn free_name(tx: &Tx, base: &OperatorName) -> Result<OperatorName> {
    for number in 1..MAX_OF_A_NAME {
        let text = match number {
            1 => base.to_string(),
            number => format!("{base}-{number}"),
        };
        let name = OperatorName::parse(&text).map_err(StoreError::other)?;
        if find_namesake(tx, &name)?.is_none() && !was_removed(tx, &name)? {
            return Ok(name);
        }
    }
    Err(StoreError::NotAllowed(format!(
        "there are too many operators named {base}"
    )))
}

fn find(tx: &Tx, person: &DirectoryIdentity) -> Result<Option<(i64, OperatorName, Role)>> {
    let sql = "SELECT n, name, role FROM operator WHERE issuer = ? AND subject = ?";
    tx.maybe(sql, &[&person.issuer, &person.subject])
}

/// Creates the operator of a first sign-in.
fn create(
    tx: &Tx,
    person: &DirectoryIdentity,
    base: &OperatorName,
    role: Role,
    now: Millis,
) -> Result<(i64, OperatorName)> {
    let (n, name) = (tx.next_number()?, free_name(tx, base)?);
    let by = Actor::operator(name.as_str(), Interface::Page);
    insert!(
        tx,
        operator {
            n,
            name,
            role,
            // No password matches it.
            password: "",
            created_at: now,
            created_by: by,
            issuer: person.issuer,
            subject: person.subject
        }
    )?;
    NewEvent::new("operator.added")
        .detail(format!("{name}, {role}, signed in at {}", person.issuer))
        .record(tx, &by, now)?;
    Ok((n, name))
}

impl Store {
    /// Signs a person in: creates their operator or updates its role, and opens this session. `base` is the name
    /// for a new operator; `authenticated_at` is the time at which the provider authenticated the person, if it says
    /// so. Returns the operator's name.
    pub async fn sign_in_from_directory(
        &self,
        person: DirectoryIdentity,
        base: OperatorName,
        role: Role,
        key: OperatorKey,
        authenticated_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<OperatorName> {
        self.write(move |work| {
            let (tx, now) = (work.tx, Millis::from(now));
            let (n, name) = match find(tx, &person)? {
                None => create(tx, &person, &base, role, now)?,
                Some((n, name, before)) => {
                    if before != role {
                        let by = Actor::operator(name.as_str(), Interface::Page);
                        tx.run("UPDATE operator SET role = ? WHERE n = ?", &[&role, &n])?;
                        NewEvent::new("operator.role_changed")
                            .detail(format!("{name}, {before} to {role}"))
                            .record(tx, &by, now)?;
                    }
                    (n, name)
                }
            };
            let sql = "UPDATE operator SET signed_in_at = ? WHERE n = ?";
            tx.run(sql, &[&now, &n])?;
            let by = Actor::operator(name.as_str(), Interface::Page);
            insert_key(tx, n, &name, key, &by, now)?;
            let sql = "UPDATE operator_key SET authenticated_at = ? WHERE hash = ?";
            tx.run(sql, &[&authenticated_at, &key.hash])?;
            Ok(name)
        })
        .await
    }

    /// Ends all sessions and tokens of a person who no longer has a role. Returns the name of their operator, if
    /// there is one.
    pub async fn refuse_from_directory(
        &self,
        person: DirectoryIdentity,
        now: Timestamp,
    ) -> Result<Option<OperatorName>> {
        self.write(move |work| {
            let Some((n, name, _)) = find(work.tx, &person)? else {
                return Ok(None);
            };
            let sql = "DELETE FROM operator_key WHERE operator = ?";
            let ended = work.tx.run(sql, &[&n])?;
            if ended > 0 {
                let by = Actor::operator(name.as_str(), Interface::Page);
                NewEvent::new("operator.revoked")
                    .detail(name.to_string())
                    .record(work.tx, &by, now.into())?;
            }
            Ok(Some(name))
        })
        .await
    }
}
