//! Removal of canaries: our own test messages, which must leave no trace in the ledger.
//!
//! A canary is recognised by its portal, which nobody else can write to. Anyone can forge a canary's sender,
//! so messages with that sender to another portal stay.

use crate::domain::canary;
use crate::store::sql::Tx;
use crate::store::{Result, Store};

impl Store {
    /// Removes all canaries and the accounts of their senders.
    pub async fn delete_canaries(&self) -> Result<()> {
        let there = self.read(accounts).await?;
        if there.is_empty() {
            return Ok(());
        }
        self.write(move |work| {
            for (account, key) in &there {
                delete(work.tx, *account, key)?;
            }
            Ok(())
        })
        .await
    }
}

/// Accounts whose key begins with the canary prefix, without those that other messages created.
fn accounts(tx: &Tx) -> Result<Vec<(i64, String)>> {
    tx.all(
        "SELECT n, key FROM account AS a
         WHERE key >= 'canary-' AND key < 'canary.' AND domain = ?1 AND created_by = 'mail'
             AND NOT EXISTS (SELECT 1 FROM request AS r WHERE r.account = a.n AND r.portal <> ?2)",
        &[&canary::DOMAIN, &canary::NAME],
    )
}

fn delete(tx: &Tx, account: i64, key: &str) -> Result<()> {
    let sql = "DELETE FROM ledger WHERE n IN (SELECT ledger FROM request WHERE account = ?)";
    tx.run(sql, &[&account])?;
    tx.run(
        "DELETE FROM ledger
             WHERE verdict = 'dropped' AND domain = ? AND sender = ? AND portal = ?",
        &[&canary::DOMAIN, &key, &canary::NAME],
    )?;
    tx.run("DELETE FROM account WHERE n = ?", &[&account])?;
    Ok(())
}
