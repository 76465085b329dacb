//! Stored users of the directory: what it said of each, and the account of its address.

use serde::{Deserialize, Serialize};

use crate::domain::{Account, EmailAddress, GroupName, Timestamp, UserId};
use crate::store::accounts::customers::{account, accounts};
use crate::store::sql::sql_types::{json, json_columns};
use crate::store::sql::{Conditions, Row, Tx};
use crate::store::{Result, Store, StoreError};

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

/// A stored user, with the numbers of its row and of its account's row.
pub(super) struct UserRow {
    pub(super) n: i64,
    pub(super) account: i64,
    pub(super) user: DirectoryUser,
}

const SHOWN: &str =
    "SELECT u.n, u.id, u.account, u.user_name, u.external_id, u.attributes, u.version,
     u.created_at, u.changed_at FROM directory_user AS u";

fn read_user(row: &Row, account: Account) -> Result<UserRow> {
    let Attributes { emails, roles } = row.get("attributes")?;
    Ok(UserRow {
        n: row.get("n")?,
        account: row.get("account")?,
        user: DirectoryUser {
            id: row.get("id")?,
            user_name: row.get("user_name")?,
            external_id: row.get("external_id")?,
            emails,
            roles,
            account,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
            changed_at: row.get("changed_at")?,
        },
    })
}

fn find(tx: &Tx, id: UserId) -> Result<Option<UserRow>> {
    tx.maybe_with(&format!("{SHOWN} WHERE u.id = ?"), &[&id], |row| {
        read_user(row, account(tx, row.get("account")?)?)
    })
}

pub(super) fn require(tx: &Tx, id: UserId) -> Result<UserRow> {
    find(tx, id)?.ok_or_else(|| StoreError::not_found("user", id))
}

/// Form of a userName for comparisons.
pub(super) fn user_key(user_name: &str) -> String {
    user_name.to_lowercase()
}

fn list(tx: &Tx, filter: &UserFilter, skip: u64, limit: usize) -> Result<UserList> {
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
    let part = format!(
        "WHERE {} ORDER BY u.n LIMIT {most} OFFSET {offset}",
        wanted.sql()
    );
    let sql = format!("SELECT u.account FROM directory_user AS u {part}");
    let numbers: Vec<i64> = tx.all(&sql, wanted.values())?;
    let accounts = accounts(tx, &numbers)?;
    let rows = tx.all_with(&format!("{SHOWN} {part}"), wanted.values(), |row| {
        let n: i64 = row.get("account")?;
        let account = accounts.get(&n).cloned();
        let account = account.ok_or_else(|| StoreError::not_found("account", n))?;
        Ok(read_user(row, account)?.user)
    })?;
    Ok(UserList { total, rows })
}

/// The attributes of a user as they are stored.
pub(super) fn attributes(new: &NewDirectoryUser) -> Result<String> {
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
}
