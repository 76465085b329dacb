//! Removal of canaries: our own test messages, which must leave no trace in the ledger.
//!
//! A canary is recognised by its portal, which nobody else can write to. Anyone can forge a canary's sender,
//! so messages with that sender to another portal stay.

use rusqlite::{Connection, params};

use crate::domain::canary;
use crate::store::{Store, StoreError};

impl Store {
    /// Removes all canaries and the accounts of their senders.
    pub async fn forget_canaries(&self) -> Result<(), StoreError> {
        let there = self.read(accounts).await?;
        if there.is_empty() {
            return Ok(());
        }
        self.write(move |work| {
            for (account, key) in &there {
                forget(work.connection, *account, key)?;
            }
            Ok(())
        })
        .await
    }
}

/// Accounts whose key begins with the canary prefix, without those that other messages created.
fn accounts(connection: &Connection) -> Result<Vec<(i64, String)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT n, key FROM account AS a
         WHERE key >= 'canary-' AND key < 'canary.' AND domain = ?1 AND created_by = 'mail'
             AND NOT EXISTS (SELECT 1 FROM request AS r WHERE r.account = a.n AND r.portal <> ?2)",
    )?;
    let ours = [canary::DOMAIN, canary::NAME];
    let rows = statement.query_map(ours, |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn forget(connection: &Connection, account: i64, key: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "DELETE FROM ledger WHERE n IN (SELECT ledger FROM request WHERE account = ?)",
        )?
        .execute([account])?;
    connection
        .prepare_cached(
            "DELETE FROM ledger
             WHERE verdict = 'dropped' AND domain = ? AND sender = ? AND portal = ?",
        )?
        .execute(params![canary::DOMAIN, key, canary::NAME])?;
    connection
        .prepare_cached("DELETE FROM account WHERE n = ?")?
        .execute([account])?;
    Ok(())
}
