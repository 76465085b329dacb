//! Changes of users by the directory (SCIM), and what follows for the account of the address.
//!
//! The access settings decide about a new account as they do for mail. The directory vouches for the address of
//! an account, unless the settings refuse the address, the person said "This was not me", or messages wait for it.
//! Anybody may have written those, so only the person can say that they are theirs. An inactive or removed user
//! loses access; an active user regains only the access that the directory took away.

use crate::domain::{AccountOrigin, Actor, EmailAddress, GroupName, NewAccount, Timestamp, UserId};
use crate::store::accounts::directory_users::{
    DirectoryRole, DirectoryUser, NewDirectoryUser, attributes, require, user_key,
};
use crate::store::audit::events::record_of_account;
use crate::store::engine::job::Work;
use crate::store::rows::account_rows::{
    AccountRow, account_by_number, create_account, find_sender_account,
};
use crate::store::sql::insert;
use crate::store::sql::sql_types::Millis;
use crate::store::{Result, Store, Topic};

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
        Ok(match decision.consequence.new_account() {
            Some(new) => Ok(Target::New(new)),
            None => Err(UserRefusal::NotAllowed {
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
                let made = create_account(
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
        if new.roles.is_empty() {
            return self.reset_groups(account, by, now);
        }
        let groups: Vec<GroupName> = new.roles.iter().map(|role| role.value.clone()).collect();
        self.set_groups(account, &groups, by, now)?;
        Ok(())
    }

    /// Gives an account the groups of a new account, because the directory no longer assigns any.
    fn reset_groups(&mut self, account: &AccountRow, by: &Actor, now: Millis) -> Result<()> {
        let parse = |name: &String| GroupName::parse(name).ok();
        let defaults = self.default_groups(account.kind)?;
        let groups: Vec<GroupName> = defaults.iter().filter_map(parse).collect();
        self.set_groups(account, &groups, by, now)?;
        Ok(())
    }

    /// Ends the access of an account that is no longer that of a user, and takes back the groups that the user's
    /// roles gave it: the address may later be another person's.
    fn abandon(
        &mut self,
        account: &AccountRow,
        roles: &[DirectoryRole],
        by: &Actor,
        now: Millis,
    ) -> Result<()> {
        if !roles.is_empty() {
            self.reset_groups(account, by, now)?;
        }
        self.deactivate(account, by, now)?;
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
            self.abandon(&own, &before.user.roles, by, now)?;
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

impl Store {
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

    /// Removes a user whose present version is `version`. Its account loses its access, but stays with everything that
    /// belongs to it.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn remove_user(
        &self,
        id: UserId,
        version: i64,
        by: Actor,
        now: Timestamp,
    ) -> Result<Result<(), UserRefusal>> {
        self.write(move |work| {
            let row = require(work.tx, id)?;
            if row.user.version != version {
                return Ok(Err(UserRefusal::Changed));
            }
            let account = account_by_number(work.tx, row.account)?;
            work.abandon(&account, &row.user.roles, &by, now.into())?;
            work.tx
                .run("DELETE FROM directory_user WHERE n = ?", &[&row.n])?;
            Ok(Ok(()))
        })
        .await
    }
}
