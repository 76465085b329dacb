//! The last step of an erasure: erases the entries that are new since the first one, and renames or removes the
//! accounts. It is postponed until steps of their own have erased many new entries.

use crate::domain::{AccountId, EmailAddress};
use crate::store::Result;
use crate::store::engine::job::Work;
use crate::store::privacy::erase::{Begun, Forgetting, STEP, delete_calls};
use crate::store::privacy::erase_entries::ErasedEntries;
use crate::store::privacy::export::{PersonEntries, PersonEntry, dropped_of, entries_of};
use crate::store::privacy::pseudonym::Pseudonym;
use crate::store::rows::account_rows::find_account;
use crate::store::sql::sql_types::Millis;
use crate::store::verification::rate_limits::erase_claims;

/// Result of the last step: done, or postponed because of these new entries.
pub(super) enum LastStep {
    Done(ErasedEntries),
    Postponed {
        entries: Vec<PersonEntry>,
        begun: Begun,
    },
}

impl Work<'_> {
    /// Erases the entries that are new since the entries were read, and renames or removes the accounts. Erases
    /// nothing if there are too many new entries.
    pub(super) fn finish(
        &mut self,
        begun: &Begun,
        forgetting: &Forgetting,
        pseudonym: &Pseudonym,
    ) -> Result<LastStep> {
        let now = Millis::from(forgetting.now);
        let mut begun = begun.clone();
        let recovered = self.include_account(&mut begun, forgetting)?;
        let entries = self.find_new(&begun, &forgetting.address, recovered)?;
        if entries.len() > STEP {
            begun.next = self.tx.next_number()?;
            return Ok(LastStep::Postponed { entries, begun });
        }
        let erased = self.erase_some(&entries, begun.first, pseudonym, &forgetting.by, now)?;
        let key = forgetting.address.key();
        let mut remain = Vec::new();
        for &account in &begun.accounts {
            if self.rename_or_remove(account, &key, pseudonym, now)? {
                remain.push(Some(account));
            }
        }
        if remain.is_empty() && !begun.accounts.is_empty() {
            remain.push(None);
        }
        if !begun.is_recorded {
            for account in remain {
                self.record_forgotten(account, &forgetting.by, now)?;
            }
        }
        Ok(LastStep::Done(erased))
    }

    /// Includes the account that the address has got since the first step, if an earlier message belongs to it: an
    /// operator has recovered one. Returns its entries.
    fn include_account(&self, begun: &mut Begun, forgetting: &Forgetting) -> Result<PersonEntries> {
        let (tx, address) = (self.tx, &forgetting.address);
        let account = find_account(tx, &address.key())?.map(|account| account.n);
        let Some(account) = account.filter(|n| !begun.accounts.contains(n)) else {
            return Ok(PersonEntries::default());
        };
        let sql = "SELECT 1 FROM request WHERE account = ? AND ledger < ? LIMIT 1";
        if !tx.exists(sql, &[&account, &begun.first])? {
            return Ok(PersonEntries::default());
        }
        self.block_forgotten(account, forgetting)?;
        begun.accounts.push(account);
        // Its dropped messages are found with the new ones.
        entries_of(tx, address, &[account], 0)
    }

    /// Adds the entries of mail that arrived after the entries were read, whatever became of it, and requests whose
    /// content an operator kept in the meantime: somebody may have unblocked the account.
    fn find_new(
        &self,
        begun: &Begun,
        address: &EmailAddress,
        mut found: PersonEntries,
    ) -> Result<Vec<PersonEntry>> {
        let tx = self.tx;
        for account in &begun.accounts {
            let sql = "SELECT ledger FROM request
                 WHERE account = ? AND (kept = 1 OR settled_at IS NULL OR ledger > ?)";
            found
                .own
                .extend(tx.all::<i64>(sql, &[account, &begun.next])?);
            let sql = "SELECT ledger FROM event WHERE account = ? AND ledger IS NOT NULL AND n > ?";
            found
                .about
                .extend(tx.all::<i64>(sql, &[account, &begun.next])?);
        }
        // As long as the account has its key, the mail of the address is no later mail.
        let account = find_account(tx, &address.key())?;
        if account.is_some_and(|account| begun.accounts.contains(&account.n)) {
            found.own.extend(dropped_of(tx, address)?);
        }
        found.about.retain(|n| !found.own.contains(n));
        Ok(found.into_list())
    }

    /// Renames the account while a request refers to it, and removes it otherwise. Returns true if it still
    /// exists.
    fn rename_or_remove(
        &self,
        account: i64,
        key: &str,
        pseudonym: &Pseudonym,
        now: Millis,
    ) -> Result<bool> {
        let tx = self.tx;
        let sql = "SELECT former_key IS NOT NULL FROM account
             WHERE n = ?1 AND (key = ?2 OR former_key = ?2)";
        let Some(is_expired) = tx.maybe::<bool>(sql, &[&account, &key])? else {
            // Another run has finished in the meantime, perhaps without the domain.
            return Ok(false);
        };
        erase_claims(tx, account)?;
        // Rows that belong to the account, such as verification mails and links. Events stay for the audit, as long
        // as the account does.
        for (table, column) in tx.columns_that_cascade("account")? {
            if table == "event" {
                continue;
            }
            tx.run(
                &format!("DELETE FROM {table} WHERE {column} = ?"),
                &[&account],
            )?;
        }
        let sql = "UPDATE event SET detail = NULL WHERE account = ?";
        tx.run(sql, &[&account])?;
        delete_calls(tx, account)?;
        let sql = "SELECT 1 FROM request WHERE account = ? LIMIT 1";
        let needed = tx.exists(sql, &[&account])?;
        if needed {
            // An expired account keeps its own key, and has no domain.
            let (column, domain) = if is_expired {
                ("former_key", "")
            } else {
                ("key", pseudonym.address().domain().as_str())
            };
            tx.run(
                &format!(
                    "UPDATE account SET id = ?2, {column} = ?3, address = ?4, domain = ?5,
                         groups = '[]', status = 'blocked', takes_automatic = 0, undeliverable = 0,
                         quiet_until = NULL, refused_at = NULL, forgotten_at = ?6
                     WHERE n = ?1"
                ),
                &[
                    &account,
                    &AccountId::new(),
                    &pseudonym.address().key(),
                    &pseudonym.address().to_string(),
                    &domain,
                    &now,
                ],
            )?;
        } else {
            tx.run("DELETE FROM account WHERE n = ?", &[&account])?;
        }
        Ok(needed)
    }
}
