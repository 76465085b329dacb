//! Groups of an account, which requests carry to the help desk.

use crate::domain::{Account, AccountId, Actor, GroupName, Timestamp};
use crate::store::accounts::customers::account;
use crate::store::audit::events::NewEvent;
use crate::store::engine::job::Work;
use crate::store::rows::account_rows::{AccountRow, account_by_id};
use crate::store::sql::Tx;
use crate::store::sql::sql_types::{Millis, json};
use crate::store::{Result, Store, StoreError, Topic};

/// Sorts the groups and removes duplicates. Returns None if the account has exactly these groups.
pub(crate) fn changed_groups(
    tx: &Tx,
    account: i64,
    groups: &[GroupName],
) -> Result<Option<Vec<GroupName>>> {
    let mut sorted = groups.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut before: Vec<String> = tx.one("SELECT groups FROM account WHERE n = ?", &[&account])?;
    before.sort_unstable();
    let is_same = sorted.iter().map(GroupName::as_str).eq(&before);
    Ok((!is_same).then_some(sorted))
}

impl Work<'_> {
    /// Replaces the groups of an account. Returns false if it had these already.
    pub(crate) fn set_groups(
        &mut self,
        account: &AccountRow,
        groups: &[GroupName],
        by: &Actor,
        now: Millis,
    ) -> Result<bool> {
        let tx = self.tx;
        if groups.len() > GroupName::MAX_PER_ACCOUNT {
            return Err(StoreError::NotAllowed(format!(
                "an account can have at most {} groups, but {} were given",
                GroupName::MAX_PER_ACCOUNT,
                groups.len()
            )));
        }
        let Some(sorted) = changed_groups(tx, account.n, groups)? else {
            return Ok(false);
        };
        let names: Vec<&str> = sorted.iter().map(GroupName::as_str).collect();
        let sql = "UPDATE account SET groups = ?2 WHERE n = ?1";
        tx.run(sql, &[&account.n, &json(&sorted)?])?;
        self.wakeups.add(Topic::OperatorActions);
        NewEvent::new("account.groups_changed")
            .account(account.n)
            .detail(if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            })
            .record(tx, by, now)?;
        Ok(true)
    }
}

impl Store {
    /// Replaces the groups of an account, sorted and without duplicates. Nothing is recorded if they are the same.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` for more groups than an account can have.
    pub async fn set_groups(
        &self,
        id: AccountId,
        groups: Vec<GroupName>,
        by: Actor,
        now: Timestamp,
    ) -> Result<Account> {
        self.write(move |work| {
            let there = account_by_id(work.tx, id)?;
            work.set_groups(&there, &groups, &by, now.into())?;
            account(work.tx, there.n)
        })
        .await
    }
}
