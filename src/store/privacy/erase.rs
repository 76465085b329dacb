//! Erases a person at their request: takes an address, returns a summary.
//!
//! The ledger keeps an entry for each message, with its verdict and the rule, under a pseudonym. The content,
//! the subject, the Message-ID, and the verification mails, links and rate limits of the address are deleted.
//! Waiting requests are discarded. It runs in steps of a few rows, so that mail does not wait. The first step
//! blocks the account and the [last one](super::last_step) renames or removes it. If a run is interrupted, the next
//! run finishes it. Mail that arrives during a run is erased as long as the account has its key. Without an account, it
//! is later mail from a new sender, and stays, unless an operator recovers an earlier message during the run: the
//! account of that message is erased with all its mail.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::domain::{Actor, EmailAddress, Envelope, RequestState, Timestamp, Transition};
use crate::mail::Facts;
use crate::store::audit::events::{NewEvent, record_of_entry};
use crate::store::engine::job::Work;
use crate::store::error::readable;
use crate::store::privacy::export::{entries_of, has_dropped};
use crate::store::privacy::last_step::LastStep;
use crate::store::privacy::pseudonym::{
    Pseudonym, without_content, without_detail, without_people,
};
use crate::store::requests::hold_quota::withdraw;
use crate::store::requests::transitions;
use crate::store::rows::account_rows::find_account;
use crate::store::rows::expired_accounts::accounts_of;
use crate::store::rows::orphaned_content::delete_content;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::{Millis, json};
use crate::store::verification::verification_mail::cancel;
use crate::store::{Result, Store, StoreError, Topic};

/// Number of entries in one transaction.
pub(super) const STEP: usize = 20;

/// Parameters of forgetting an address.
#[derive(Debug, Clone)]
pub struct Forgetting {
    pub address: EmailAddress,
    /// The domain identifies the person: erase it, too.
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

/// Result of a step.
#[derive(Debug, Default)]
pub(super) struct Erased {
    /// Entries of messages that the person wrote.
    own: BTreeSet<i64>,
    /// Number of discarded requests.
    discarded: u64,
}

impl Erased {
    fn add(&mut self, step: Self) {
        self.own.extend(step.own);
        self.discarded += step.discarded;
    }
}

impl Work<'_> {
    /// Blocks the account and cancels its mail. Records the erasure of an address that only has dropped messages.
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

    /// Blocks an account that is to be erased, cancels its mail and deletes its hook calls: if only those of erased
    /// entries were deleted, none of the others might be due.
    pub(super) fn block_forgotten(&self, account: i64, forgetting: &Forgetting) -> Result<()> {
        let tx = self.tx;
        let sql = "SELECT 1 FROM request WHERE account = ? AND state = 'released' AND in_work = 1";
        if tx.exists(sql, &[&account])? {
            return Err(in_work_now());
        }
        let sql = "UPDATE account SET status = 'blocked', operator_block = 1 WHERE n = ?";
        tx.run(sql, &[&account])?;
        delete_calls(tx, account)?;
        cancel(tx, account, forgetting.now.into())
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

    /// Erases a few entries, and their copies from the number `first` on.
    pub(super) fn erase_some(
        &mut self,
        entries: &[(i64, bool)],
        first: i64,
        pseudonym: &Pseudonym,
        by: &Actor,
        now: Millis,
    ) -> Result<Erased> {
        let mut erased = Erased::default();
        for &(n, own) in entries {
            // Earlier copies are entries of steps of their own. A rewritten entry gets no more.
            let sql =
                "SELECT n FROM ledger WHERE original = ? AND n >= ? AND message_key IS NOT NULL";
            let copies: Vec<i64> = self.tx.all(sql, &[&n, &first])?;
            for n in copies.into_iter().chain([n]) {
                if own {
                    erased.discarded += u64::from(self.discard_whatever(n, by, now)?);
                    erased.own.insert(n);
                }
                self.rewrite(n, own.then_some(pseudonym))?;
                withdraw(self.tx, n)?;
                delete_content(self.tx, n)?;
            }
        }
        Ok(erased)
    }

    /// Discards the request of an entry in any state, and releases its content.
    fn discard_whatever(&mut self, n: i64, by: &Actor, now: Millis) -> Result<bool> {
        let tx = self.tx;
        let found: Option<(RequestState, bool)> =
            tx.maybe("SELECT state, in_work FROM request WHERE ledger = ?", &[&n])?;
        let Some((state, in_work)) = found else {
            return Ok(false);
        };
        if in_work {
            return Err(in_work_now());
        }
        let waits = state.after(Transition::Discard).is_some();
        if waits {
            transitions::settle(tx, n, Transition::Discard, None, now)?;
            record_of_entry(tx, "request.discarded", n, by, now)?;
            self.wakeups.add(Topic::Requests);
            self.wakeups.add(Topic::OperatorActions);
        }
        let sql = "UPDATE request SET kept = 0, last_error = NULL WHERE ledger = ?";
        tx.run(sql, &[&n])?;
        Ok(waits)
    }

    /// Rewrites the entry under the pseudonym; an entry by another author only loses its content.
    fn rewrite(&self, n: i64, pseudonym: Option<&Pseudonym>) -> Result<()> {
        let tx = self.tx;
        let sql = "SELECT facts, envelope, recipient, domain FROM ledger WHERE n = ?";
        let found = tx.maybe::<(Facts, Envelope, String, Option<String>)>(sql, &[&n]);
        let Some(found) = readable(found)? else {
            // The content of a damaged entry is unknown, so all of it is deleted.
            tx.run("DELETE FROM ledger WHERE n = ?", &[&n])?;
            return Ok(());
        };
        let Some((facts, envelope, recipient, domain)) = found else {
            return Ok(());
        };
        let pseudonym = pseudonym.filter(|one| !one.restores_domain(domain.as_deref()));
        let facts = match pseudonym {
            Some(pseudonym) => pseudonym.author(facts),
            None => without_content(facts),
        };
        let address = pseudonym.map(Pseudonym::address);
        tx.run(
            "UPDATE ledger SET facts = ?2, envelope = ?3, recipient = ?4,
                     sender = coalesce(?5, sender), domain = coalesce(?6, domain),
                     forget_at = NULL, message_key = NULL, copy_key = 0
                 WHERE n = ?1",
            &[
                &n,
                &json(&facts)?,
                &json(&without_people(envelope))?,
                &without_detail(recipient),
                &address.map(EmailAddress::key),
                &address.map(|address| address.domain().as_str()),
            ],
        )?;
        tx.run("UPDATE event SET detail = NULL WHERE ledger = ?", &[&n])?;
        // The payloads contain the address of the sender.
        tx.run("DELETE FROM hook_call WHERE entry = ?", &[&n])?;
        Ok(())
    }
}

/// Deletes the hook calls of an account: their payloads contain the address.
pub(super) fn delete_calls(tx: &Tx, account: i64) -> Result<()> {
    tx.run("DELETE FROM hook_call WHERE account = ?", &[&account])?;
    Ok(())
}

fn in_work_now() -> StoreError {
    StoreError::NotAllowed(
        "a request of this address is being delivered; try again in a minute".to_owned(),
    )
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
        let asked = forgetting.clone();
        let begun = self.write_overwriting(move |work| work.begin(&asked));
        let mut begun = begun.await?;
        let first = begun.first;

        let (searched, of) = (address.clone(), begun.clone());
        let found = self.read(move |tx| entries_of(tx, &searched, &of.accounts, of.next));
        let mut entries = found.await?.into_list();
        let (mut total, mut finished) = (entries.len(), 0);
        let mut erased = Erased::default();
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
            let (last, of, pseudonym) = (forgetting.clone(), begun.clone(), pseudonym.clone());
            let step = self.write_overwriting(move |work| work.finish(&of, &last, &pseudonym));
            match step.await? {
                LastStep::Done(step) => {
                    erased.add(step);
                    break;
                }
                LastStep::Postponed {
                    entries: new,
                    begun: of,
                } => {
                    total += new.len();
                    (entries, begun) = (new, of);
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
