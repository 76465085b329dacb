//! Users of the directory (SCIM), each with the account of its address.
//!
//! The access settings decide about a new account as they do for mail. The directory vouches for the address of
//! an account, unless the settings refuse the address, the person said "This was not me", or messages wait for it.
//! Anybody may have written those, so only the person can say that they are theirs. An inactive or removed user
//! loses access; an active user regains only the access that the directory took away.

use serde::{Deserialize, Serialize};

use crate::access::Consequence;
use crate::domain::{
    Account, AccountOrigin, Actor, EmailAddress, GroupName, NewAccount, Timestamp, UserId,
};
use crate::store::accounts::customers::account;
use crate::store::audit::events::record_of_account;
use crate::store::engine::job::Work;
use crate::store::rows::account_rows::{AccountRow, account_by_number, find_sender_account, make};
use crate::store::sql::sql_types::{Millis, json, json_columns};
use crate::store::sql::{Conditions, Row, Tx, insert};
use crate::store::{Result, Store, StoreError, Topic};

/// An address of a user, as the directory gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryEmail {
    pub value: String,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
}

/// A role of a user, which is a group of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryRole {
    pub value: GroupName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
}

/// Attributes that are stored as they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Attributes {
    #[serde(default)]
    emails: Vec<DirectoryEmail>,
    #[serde(default)]
    roles: Vec<DirectoryRole>,
}
json_columns!(Attributes);

/// A user as the directory describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDirectoryUser {
    pub user_name: String,
    pub external_id: Option<String>,
    pub emails: Vec<DirectoryEmail>,
    pub roles: Vec<DirectoryRole>,
    /// None leaves it unchanged; a new user is active.
    pub active: Option<bool>,
    /// The address that the user writes from: one of `emails`, or the user name.
    pub address: EmailAddress,
}

/// A user of the directory with its account.
#[derive(Debug, Clone)]
pub struct DirectoryUser {
    pub id: UserId,
    pub user_name: String,
    pub external_id: Option<String>,
    pub emails: Vec<DirectoryEmail>,
    pub roles: Vec<DirectoryRole>,
    pub account: Account,
    /// Increases with each change of the user.
    pub version: i64,
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
}

/// Reason why a user is not stored. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserRefusal {
    #[error("another user already has this userName")]
    UserNameTaken,
    #[error("another user already has the address {0}")]
    AddressTaken(EmailAddress),
    #[error(
        "the access settings do not allow {address} ({cause}); approve or allow its domain first"
    )]
    NotAllowed {
        address: EmailAddress,
        cause: String,
    },
    #[error("the user was changed in the meantime")]
    Changed,
}

/// Selection of users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Not case-sensitive.
    pub user_name: Option<String>,
    pub external_id: Option<String>,
    pub id: Option<UserId>,
    /// The address of the account.
    pub address: Option<EmailAddress>,
}

/// A part of the selected users, oldest first.
#[derive(Debug, Clone)]
pub struct UserList {
    /// Number of all selected users.
    pub total: u64,
    pub rows: Vec<DirectoryUser>,
}

/// A stored user, without its account.
struct UserRow {
    n: i64,
    account: i64,
    user: DirectoryUser,
}

const SHOWN: &str =
    "SELECT u.n, u.id, u.account, u.user_name, u.external_id, u.attributes, u.version,
     u.created_at, u.changed_at FROM directory_user AS u";

fn read_user(tx: &Tx, row: &Row) -> Result<UserRow> {
    let n_of_account: i64 = row.get("account")?;
    let Attributes { emails, roles } = row.get("attributes")?;
    Ok(UserRow {
        n: row.get("n")?,
        account: n_of_account,
        user: DirectoryUser {
            id: row.get("id")?,
            user_name: row.get("user_name")?,
            external_id: row.get("external_id")?,
            emails,
            roles,
            account: account(tx, n_of_account)?,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
            changed_at: row.get("changed_at")?,
        },
    })
}

fn find(tx: &Tx, id: UserId) -> Result<Option<UserRow>> {
    tx.maybe_with(&format!("{SHOWN} WHERE u.id = ?"), &[&id], |row| {
        read_user(tx, row)
    })
}

fn require(tx: &Tx, id: UserId) -> Result<UserRow> {
    find(tx, id)?.ok_or_else(|| StoreError::not_found("user", id))
}

/// Form of a userName for comparisons.
fn user_key(user_name: &str) -> String {
    user_name.to_lowercase()
}

pub(crate) fn list(tx: &Tx, filter: &UserFilter, skip: u64, limit: usize) -> Result<UserList> {
    let key = filter.user_name.as_deref().map(user_key);
    let address = filter.address.as_ref().map(EmailAddress::key);
    let mut wanted = Conditions::default();
    wanted.ask("u.user_key = ?", key.as_ref());
    wanted.ask("u.external_id = ?", filter.external_id.as_ref());
    wanted.ask("u.id = ?", filter.id.as_ref());
    wanted.ask(
        "u.account = (SELECT n FROM account WHERE key = ?)",
        address.as_ref(),
    );
    let sql = format!(
        "SELECT count(*) FROM directory_user AS u WHERE {}",
        wanted.sql()
    );
    let total = tx.one(&sql, wanted.values())?;
    let (most, offset) = (wanted.bind(&limit), wanted.bind(&skip));
    let sql = format!(
        "{SHOWN} WHERE {} ORDER BY u.n LIMIT {most} OFFSET {offset}",
        wanted.sql()
    );
    let rows = tx.all_with(&sql, wanted.values(), |row| Ok(read_user(tx, row)?.user))?;
    Ok(UserList { total, rows })
}

/// Account that a user gets.
enum Target {
    Existing(AccountRow),
    New(NewAccount),
}

impl Work<'_> {
    /// Finds the account for the address of a user, or the new account that the access settings permit. `own` is
    /// the user's own row.
    fn find_target(
        &mut self,
        address: &EmailAddress,
        own: Option<i64>,
    ) -> Result<Result<Target, UserRefusal>> {
        let tx = self.tx;
        if let Some(there) = find_sender_account(tx, &address.key())? {
            let sql = "SELECT 1 FROM directory_user WHERE account = ?1 AND n <> ?2";
            let is_taken = tx.exists(sql, &[&there.n, &own.unwrap_or_default()])?;
            return Ok(if is_taken {
                Err(UserRefusal::AddressTaken(address.clone()))
            } else {
                Ok(Target::Existing(there))
            });
        }
        let decision = self.decide_person(address)?;
        Ok(match decision.consequence {
            Consequence::Hold(Some(new)) | Consequence::Accept(Some(new)) => Ok(Target::New(new)),
            _ => Err(UserRefusal::NotAllowed {
                address: address.clone(),
                cause: match decision.evidence {
                    Some(evidence) => format!("{}: {evidence}", decision.reason),
                    None => decision.reason.to_string(),
                },
            }),
        })
    }

    /// Creates the account where there is none, and vouches for its address.
    fn take_target(
        &mut self,
        target: Target,
        address: &EmailAddress,
        by: &Actor,
        now: Millis,
    ) -> Result<AccountRow> {
        let tx = self.tx;
        let taken = match target {
            Target::Existing(there) => there,
            Target::New(new) => {
                let groups = self.default_groups(new.kind)?;
                let made = make(
                    tx,
                    address,
                    new,
                    &groups,
                    AccountOrigin::Operator,
                    None,
                    now,
                )?;
                self.wakeups.add(Topic::OperatorActions);
                record_of_account(tx, "account.added", made.n, by, now)?;
                made
            }
        };
        let decision = self.decide_person(address)?;
        self.vouch_by_directory(&taken, decision, by, now)?;
        account_by_number(tx, taken.n)
    }

    /// Brings the access and the groups of an account in line with its user.
    fn follow(
        &mut self,
        account: &AccountRow,
        new: &NewDirectoryUser,
        active: bool,
        roles_before: &[DirectoryRole],
        by: &Actor,
        now: Millis,
    ) -> Result<()> {
        if active {
            self.reactivate(account, by, now)?;
        } else {
            self.deactivate(account, by, now)?;
        }
        if new.roles.as_slice() == roles_before {
            return Ok(());
        }
        let groups: Vec<GroupName> = if new.roles.is_empty() {
            // The directory no longer assigns groups: the account gets those of a new account.
            let parse = |name: &String| GroupName::parse(name).ok();
            let defaults = self.default_groups(account.kind)?;
            defaults.iter().filter_map(parse).collect()
        } else {
            new.roles.iter().map(|role| role.value.clone()).collect()
        };
        self.set_groups(account, &groups, by, now)?;
        Ok(())
    }

    fn is_user_name_taken(&self, user_name: &str, own: Option<i64>) -> Result<bool> {
        let sql = "SELECT 1 FROM directory_user WHERE user_key = ?1 AND n <> ?2";
        self.tx
            .exists(sql, &[&user_key(user_name), &own.unwrap_or_default()])
    }

    fn create_user(
        &mut self,
        new: &NewDirectoryUser,
        by: &Actor,
        now: Millis,
    ) -> Result<Result<DirectoryUser, UserRefusal>> {
        let tx = self.tx;
        if self.is_user_name_taken(&new.user_name, None)? {
            return Ok(Err(UserRefusal::UserNameTaken));
        }
        let target = match self.find_target(&new.address, None)? {
            Ok(target) => target,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let account = self.take_target(target, &new.address, by, now)?;
        self.follow(&account, new, new.active.unwrap_or(true), &[], by, now)?;
        let id = UserId::new();
        insert!(
            tx,
            directory_user {
                n: tx.next_number()?,
                id,
                account: account.n,
                user_name: new.user_name,
                user_key: user_key(&new.user_name),
                external_id: new.external_id,
                attributes: attributes(new)?,
                version: 1_i64,
                created_at: now,
                changed_at: now
            }
        )?;
        Ok(Ok(require(tx, id)?.user))
    }

    fn replace_user(
        &mut self,
        id: UserId,
        version: i64,
        new: &NewDirectoryUser,
        by: &Actor,
        now: Millis,
    ) -> Result<Result<DirectoryUser, UserRefusal>> {
        let tx = self.tx;
        let before = require(tx, id)?;
        if before.user.version != version {
            return Ok(Err(UserRefusal::Changed));
        }
        if self.is_user_name_taken(&new.user_name, Some(before.n))? {
            return Ok(Err(UserRefusal::UserNameTaken));
        }
        let own = account_by_number(tx, before.account)?;
        let account = if before.user.account.address.key() == new.address.key() {
            own
        } else {
            let target = match self.find_target(&new.address, Some(before.n))? {
                Ok(target) => target,
                Err(refusal) => return Ok(Err(refusal)),
            };
            // The earlier address is no longer the person's.
            self.deactivate(&own, by, now)?;
            self.take_target(target, &new.address, by, now)?
        };
        let roles_before = if account.n == before.account {
            before.user.roles.as_slice()
        } else {
            &[]
        };
        let was_active = before.user.account.deactivated_at.is_none();
        let active = new.active.unwrap_or(was_active);
        self.follow(&account, new, active, roles_before, by, now)?;
        let attributes = attributes(new)?;
        tx.run(
            "UPDATE directory_user
             SET account = ?2, user_name = ?3, user_key = ?4, external_id = ?5, attributes = ?6,
                 version = version + 1, changed_at = ?7
             WHERE n = ?1",
            &[
                &before.n,
                &account.n,
                &new.user_name,
                &user_key(&new.user_name),
                &new.external_id,
                &attributes,
                &now,
            ],
        )?;
        Ok(Ok(require(tx, id)?.user))
    }
}

fn attributes(new: &NewDirectoryUser) -> Result<String> {
    json(&Attributes {
        emails: new.emails.clone(),
        roles: new.roles.clone(),
    })
}

impl Store {
    pub async fn directory_user(&self, id: UserId) -> Result<Option<DirectoryUser>> {
        self.read(move |tx| Ok(find(tx, id)?.map(|row| row.user)))
            .await
    }

    /// Users that match the filter: up to `limit` after the first `skip`.
    pub async fn directory_users(
        &self,
        filter: UserFilter,
        skip: u64,
        limit: usize,
    ) -> Result<UserList> {
        self.read(move |tx| list(tx, &filter, skip, limit)).await
    }

    /// Creates a user of the directory, with an account where there is none for the address.
    pub async fn create_user(
        &self,
        new: NewDirectoryUser,
        by: Actor,
        now: Timestamp,
    ) -> Result<Result<DirectoryUser, UserRefusal>> {
        self.write(move |work| work.create_user(&new, &by, now.into()))
            .await
    }

    /// Replaces a user whose present version is `version`. Another address means another account; the
    /// earlier one loses its access.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn replace_user(
        &self,
        id: UserId,
        version: i64,
        new: NewDirectoryUser,
        by: Actor,
        now: Timestamp,
    ) -> Result<Result<DirectoryUser, UserRefusal>> {
        self.write(move |work| work.replace_user(id, version, &new, &by, now.into()))
            .await
    }

    /// Removes a user. Its account loses its access, but stays with everything that belongs to it.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn remove_user(&self, id: UserId, by: Actor, now: Timestamp) -> Result<()> {
        self.write(move |work| {
            let row = require(work.tx, id)?;
            let account = account_by_number(work.tx, row.account)?;
            work.deactivate(&account, &by, now.into())?;
            work.tx
                .run("DELETE FROM directory_user WHERE n = ?", &[&row.n])?;
            Ok(())
        })
        .await
    }
}
