//! Erases a person at their request: takes an address, returns a summary.
//!
//! The ledger keeps an entry for each message, with its verdict and the rule, under a pseudonym. The content,
//! the subject, the Message-ID, and the verification mails, links and rate limits of the address are deleted.
//! Waiting requests are discarded. It runs in steps of a few rows, so that mail does not wait. The first step
//! blocks the account and the [last one](super::last_step) renames or removes it. If a run is interrupted, the next
//! run finishes it. Mail that arrives during a run is erased, too, until the last step renames or removes the account.
//! If there was no account, such mail is that of a new sender, and stays, unless an operator recovers an earlier message
//! during the run: the account of that message is erased with all its mail.

use serde::Serialize;

use crate::domain::{Actor, EmailAddress, Timestamp};
use crate::store::audit::events::NewEvent;
use crate::store::engine::job::Work;
use crate::store::privacy::erase_entries::{ErasedEntries, in_work_now};
use crate::store::privacy::export::{entries_of, has_dropped};
use crate::store::privacy::last_step::LastStep;
use crate::store::privacy::pseudonym::Pseudonym;
use crate::store::requests::transitions;
use crate::store::rows::account_rows::find_account;
use crate::store::rows::expired_accounts::accounts_of;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::verification::verification_mail::cancel;
use crate::store::{Result, Store, StoreError, Topic};

/// Number of entries in one transaction.
pub(super) const STEP: usize = 20;

/// Parameters of forgetting an address.
#[derive(Debug, Clone)]
pub struct Forgetting {
    pub address: EmailAddress,
    /// True to erase the domain, too, because it identifies the person.
    pub domain_too: bool,
    /// Operator who erases it.
    pub by: Actor,
    pub now: Timestamp,
}

/// Summary of a forgotten address.
#[derive(Debug, Clone, Serialize)]
pub struct Forgotten {
    /// Its pseudonym in the ledger.
    pub pseudonym: EmailAddress,
    pub entries: u64,
    pub discarded: u64,
    /// True if no trace remains in free pages or in the log. If false, either a reader kept the database open
    /// for too long, and [`Store::complete_erasure`] finishes it; or the file does not return free pages, and
    /// compacting it finishes it.
    pub overwritten: bool,
}

/// State of the database when a run began.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    /// Numbers of the accounts to erase: that of the address and those that expired.
    pub(super) accounts: Vec<i64>,
    /// Entries from this number on are new since the first step.
    pub(super) first: i64,
    /// Rows that are new since the entries were last read have higher numbers.
    pub(super) next: i64,
    /// True if the first step has recorded the erasure.
    pub(super) is_recorded: bool,
}

impl Work<'_> {
    /// Blocks the account. Records the erasure of an address that only has dropped messages.
    fn begin(&mut self, forgetting: &Forgetting) -> Result<Begun> {
        let key = forgetting.address.key();
        let next = self.tx.next_number()?;
        let mut begun = Begun {
            accounts: accounts_of(self.tx, &key)?,
            first: next,
            next,
            is_recorded: false,
        };
        let Some(account) = find_account(self.tx, &key)? else {
            if begun.accounts.is_empty() && has_dropped(self.tx, &forgetting.address)? {
                // Recorded here, because a run that repeats an interrupted one may find none of its entries.
                self.record_forgotten(None, &forgetting.by, forgetting.now.into())?;
                begun.is_recorded = true;
            }
            return Ok(begun);
        };
        self.block_forgotten(account.n, forgetting)?;
        Ok(begun)
    }

    /// Blocks an account that is to be erased, stops its requests, cancels its mail and deletes its hook calls: if only
    /// those of erased entries were deleted, none of the others might be due.
    pub(super) fn block_forgotten(&self, account: i64, forgetting: &Forgetting) -> Result<()> {
        let tx = self.tx;
        let now = Millis::from(forgetting.now);
        let sql = "SELECT 1 FROM request
             WHERE account = ? AND state = 'released' AND in_work = 1 AND due_at > ?";
        if tx.exists(sql, &[&account, &self.database_time(now)])? {
            return Err(in_work_now());
        }
        let sql = "UPDATE account SET status = 'blocked', operator_block = 1 WHERE n = ?";
        tx.run(sql, &[&account])?;
        transitions::stop(tx, account)?;
        delete_calls(tx, account)?;
        cancel(tx, account, now)
    }

    /// Records the erasure, without the address.
    pub(super) fn record_forgotten(
        &mut self,
        account: Option<i64>,
        by: &Actor,
        now: Millis,
    ) -> Result<()> {
        let event = NewEvent::new("account.forgotten").account(account);
        event.record(self.tx, by, now)?;
        self.wakeups.add(Topic::OperatorActions);
        Ok(())
    }
}

/// Deletes the hook calls of an account: their payloads contain the address.
pub(super) fn delete_calls(tx: &Tx, account: i64) -> Result<()> {
    tx.run("DELETE FROM hook_call WHERE account = ?", &[&account])?;
    Ok(())
}

impl Store {
    /// Erases an address. `progress` receives the number of entries done and the total.
    ///
    /// # Errors
    /// `NotAllowed` while one of its requests is being delivered. Repeating it is safe after any error, and
    /// finishes what was begun.
    pub async fn forget_customer(
        &self,
        forgetting: Forgetting,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Forgotten> {
        let now = Millis::from(forgetting.now);
        let address = forgetting.address.clone();
        let pseudonym = Pseudonym::of(&address, forgetting.domain_too)
            .ok_or_else(|| StoreError::Other("no pseudonym could be created".to_owned()))?;
        let begun = {
            let forgetting = forgetting.clone();
            self.write_overwriting(move |work| work.begin(&forgetting))
        };
        let mut begun = begun.await?;
        let first = begun.first;

        let found = {
            let (address, begun) = (address.clone(), begun.clone());
            self.read(move |tx| entries_of(tx, &address, &begun.accounts, begun.next))
        };
        let mut entries = found.await?.into_list();
        let (mut total, mut finished) = (entries.len(), 0);
        let mut erased = ErasedEntries::default();
        loop {
            for some in entries.chunks(STEP) {
                let (some, pseudonym) = (some.to_vec(), pseudonym.clone());
                let by = forgetting.by.clone();
                finished += some.len();
                let step = self.write_overwriting(move |work| {
                    work.erase_some(&some, first, &pseudonym, &by, now)
                });
                erased.add(step.await?);
                progress(finished as u64, total as u64);
            }
            let step = {
                let (begun, forgetting) = (begun.clone(), forgetting.clone());
                let pseudonym = pseudonym.clone();
                self.write_overwriting(move |work| work.finish(&begun, &forgetting, &pseudonym))
            };
            match step.await? {
                LastStep::Done(step) => {
                    erased.add(step);
                    break;
                }
                LastStep::Postponed {
                    entries: new,
                    begun: including_new,
                } => {
                    total += new.len();
                    (entries, begun) = (new, including_new);
                }
            }
        }
        Ok(Forgotten {
            pseudonym: pseudonym.address().clone(),
            entries: erased.own.len() as u64,
            discarded: erased.discarded,
            overwritten: self.erase_leftovers(&address).await?,
        })
    }
}
