//! Accounts that expired: nobody verified them, and nothing waited for them for a long time.
//!
//! An expired account counts as none: no list has it, and the next message of its address creates a new one. Its row
//! stays, under a key that no address has, as long as a request or a delivery report refers to it. `former_key` leads
//! from the address to them; export and erasure use it.

use crate::domain::{AccountId, Actor};
use crate::store::Result;
use crate::store::audit::events::record_of_account;
use crate::store::rows::account_rows::AccountRow;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;

/// Sorts before the keys of all addresses, and after those of expired accounts.
const BEFORE_ADDRESSES: &str = "!";

/// Finds an entry that refers to the account `?1`: a request, or a delivery report.
const REFERENCE: &str = "SELECT 1 FROM request WHERE account = ?1
     UNION ALL SELECT 1 FROM event WHERE account = ?1 AND ledger IS NOT NULL";

/// A key that no address has, because it begins with a space.
fn key_of_expired(n: i64) -> String {
    format!(" {n}")
}

/// The key after which a list of accounts continues: expired accounts, which no list has, would fill many scans.
pub(crate) fn not_before_addresses(after: Option<&str>) -> &str {
    after.map_or(BEFORE_ADDRESSES, |after| after.max(BEFORE_ADDRESSES))
}

/// Numbers of the account of an address and of its expired accounts, by the key of the address.
pub(crate) fn accounts_of(tx: &Tx, key: &str) -> Result<Vec<i64>> {
    tx.all(
        "SELECT n FROM account WHERE key = ?1
         UNION ALL SELECT n FROM account WHERE former_key = ?1",
        &[&key],
    )
}

/// Removes a pending account that nothing waits for, or leaves its row to the entries that refer to it.
pub(crate) fn expire(tx: &Tx, account: &AccountRow, now: Millis) -> Result<()> {
    let n = account.n;
    if !tx.exists(&format!("{REFERENCE} LIMIT 1"), &[&n])? {
        tx.run("DELETE FROM account WHERE n = ?", &[&n])?;
        return Ok(());
    }
    // Their links are deleted with them.
    tx.run("DELETE FROM letter WHERE account = ?", &[&n])?;
    // Without a domain, it does not make that domain a known one, for `dropped_content`.
    tx.run(
        "UPDATE account SET id = ?2, key = ?3, former_key = coalesce(former_key, key), domain = '',
                 groups = '[]', status = 'blocked', undeliverable = 0, quiet_until = NULL,
                 refused_at = NULL, language = NULL, forgotten_at = ?4
             WHERE n = ?1",
        &[&n, &AccountId::new(), &key_of_expired(n), &now],
    )?;
    record_of_account(tx, "account.expired", n, &Actor::Daemon, now)
}

/// Numbers of the expired accounts and those of forgotten persons that this entry refers to; may contain duplicates.
pub(crate) fn ended_accounts_of(tx: &Tx, entry: i64) -> Result<Vec<i64>> {
    tx.all(
        "SELECT a.n FROM request AS r JOIN account AS a ON a.n = r.account
         WHERE r.ledger = ?1 AND a.forgotten_at IS NOT NULL
         UNION ALL
         SELECT a.n FROM event AS e JOIN account AS a ON a.n = e.account
         WHERE e.ledger = ?1 AND a.forgotten_at IS NOT NULL",
        &[&entry],
    )
}

/// Deletes the row of an expired account or of a forgotten person if no entry refers to it.
pub(crate) fn delete_unneeded(tx: &Tx, n: i64) -> Result<()> {
    let sql = format!(
        "DELETE FROM account
         WHERE n = ?1 AND forgotten_at IS NOT NULL AND NOT EXISTS ({REFERENCE})"
    );
    tx.run(&sql, &[&n])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_expired_accounts_sort_before_those_of_addresses() {
        for first in ['!', '"', '0', 'a', '~'] {
            let key = format!("{first}a@corp.example");
            assert!(BEFORE_ADDRESSES < key.as_str(), "{key}");
        }
        assert!(key_of_expired(i64::MAX).as_str() < BEFORE_ADDRESSES);
    }

    #[test]
    fn a_list_never_begins_before_the_addresses() {
        let (cursor, expired) = ("ann@corp.example", key_of_expired(7));
        assert_eq!(not_before_addresses(Some(cursor)), cursor);
        for after in [None, Some(""), Some(" "), Some(expired.as_str())] {
            assert_eq!(not_before_addresses(after), BEFORE_ADDRESSES, "{after:?}");
        }
    }
}
