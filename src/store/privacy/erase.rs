//! Erases a person at their request: takes an address, returns a summary.
//!
//! The ledger keeps an entry for each message, with its verdict and the rule, under a pseudonym. The content,
//! the subject, the Message-ID, and the verification mails, links and rate limits of the address are deleted.
//! Waiting requests are discarded. It runs in steps of a few rows, so that mail does not wait. The first step
//! blocks the account and the last one renames or removes it. If a run is interrupted, the next run finishes
//! it. Mail from the address that creates an account after the first step is mail from an unknown sender, and stays.
use serde::Serialize;

use crate::domain::{Actor, EmailAddress, Envelope, RequestState, Timestamp, Transition};
use crate::mail::Facts;
use crate::store::audit::events::{NewEvent, record_of_entry};
use crate::store::engine::job::Work;
use crate::store::engine::vacuum::shorten;
use crate::store::error::readable;
use crate::store::privacy::export::entries_of;
use crate::store::privacy::pseudonym::{
    Pseudonym, without_content, without_detail, without_people,
};
use crate::store::requests::transitions;
use crate::store::rows::account_rows::find_account;
use crate::store::rows::expired_accounts::accounts_of;
use crate::store::rows::orphaned_content::delete_content;
use crate::store::sql::sql_types::{Millis, json};
use crate::store::verification::rate_limits::erase_claims;
use crate::store::verification::verification_mail::cancel;
use crate::store::{Result, Store, StoreError, Topic};

/// Number of entries in one transaction.
const STEP: usize = 20;

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
    /// for too long, and repeating the command finishes it; or the file does not return free pages, and
    /// compacting it finishes it.
    pub overwritten: bool,
}

impl Work<'_> {
    /// Blocks the account, so that nothing new arrives. Pages freed by this connection are overwritten. Returns the
    /// numbers of the accounts to erase: that of the address and those that expired.
    fn begin(&mut self, key: &str, now: Millis) -> Result<Vec<i64>> {
        let accounts = accounts_of(self.tx, key)?;
        let Some(account) = find_account(self.tx, key)? else {
            return Ok(accounts);
        };
        let sql = "SELECT 1 FROM request WHERE account = ? AND state = 'released' AND in_work = 1";
        let in_work = self.tx.exists(sql, &[&account.n])?;
        if in_work {
            return Err(in_work_now());
        }
        let sql = "UPDATE account SET status = 'blocked', operator_block = 1 WHERE n = ?";
        self.tx.run(sql, &[&account.n])?;
        cancel(self.tx, account.n, now)?;
        Ok(accounts)
    }

    /// Erases a few entries. Returns the number of discarded requests.
    fn erase_some(
        &mut self,
        entries: &[(i64, bool)],
        pseudonym: &Pseudonym,
        by: &Actor,
        now: Millis,
    ) -> Result<u64> {
        let mut discarded = 0;
        for &(n, own) in entries {
            if own {
                discarded += u64::from(self.discard_whatever(n, by, now)?);
            }
            self.rewrite(n, own.then_some(pseudonym))?;
            delete_content(self.tx, n)?;
        }
        Ok(discarded)
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
        let sql = "SELECT facts, envelope, recipient FROM ledger WHERE n = ?";
        let found = tx.maybe::<(Facts, Envelope, String)>(sql, &[&n]);
        let Some(found) = readable(found)? else {
            // The content of a damaged entry is unknown, so all of it is deleted.
            tx.run("DELETE FROM ledger WHERE n = ?", &[&n])?;
            return Ok(());
        };
        let Some((facts, envelope, recipient)) = found else {
            return Ok(());
        };
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

    /// Removes the accounts, once only requests without content refer to them.
    fn finish(
        &mut self,
        accounts: &[i64],
        forgetting: &Forgetting,
        pseudonym: &Pseudonym,
    ) -> Result<()> {
        let tx = self.tx;
        let now = Millis::from(forgetting.now);
        let key = forgetting.address.key();
        tx.run("DELETE FROM notice WHERE sender = ?", &[&key])?;
        let mut remain = Vec::new();
        for &account in accounts {
            erase_claims(tx, account)?;
            if self.leave_a_name(account, pseudonym, now)? {
                remain.push(Some(account));
            }
        }
        if remain.is_empty() {
            remain.push(None);
        }
        for account in remain {
            let event = NewEvent::new("account.forgotten").account(account);
            event.record(tx, &forgetting.by, now)?;
        }
        self.wakeups.add(Topic::OperatorActions);
        Ok(())
    }

    /// Renames the account while a request refers to it, and removes it otherwise. Returns true if it still
    /// exists.
    fn leave_a_name(&self, account: i64, pseudonym: &Pseudonym, now: Millis) -> Result<bool> {
        let tx = self.tx;
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
        // The payloads of hook calls contain the address.
        tx.run("DELETE FROM hook_call WHERE account = ?", &[&account])?;
        let sql = "SELECT 1 FROM request WHERE account = ? LIMIT 1";
        let needed = tx.exists(sql, &[&account])?;
        if needed {
            // An expired account keeps its own key, and has no domain.
            let sql = "SELECT former_key IS NOT NULL FROM account WHERE n = ?";
            let key = if tx.one(sql, &[&account])? {
                "former_key"
            } else {
                "key"
            };
            tx.run(
                &format!(
                    "UPDATE account SET id = ?2, {key} = ?3, address = ?4,
                         domain = CASE WHEN former_key IS NULL THEN ?5 ELSE '' END, groups = '[]',
                         status = 'blocked', takes_automatic = 0, undeliverable = 0, quiet_until = NULL, refused_at = NULL, forgotten_at = ?6
                     WHERE n = ?1"
                ),
                &[
                    &account,
                    &crate::domain::AccountId::new(),
                    &pseudonym.address().key(),
                    &pseudonym.address().to_string(),
                    &pseudonym.address().domain().as_str(),
                    &now,
                ],
            )?;
        } else {
            tx.run("DELETE FROM account WHERE n = ?", &[&account])?;
        }
        Ok(needed)
    }
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
        let by = forgetting.by.clone();
        let address = forgetting.address.clone();
        let pseudonym = Pseudonym::of(&address, forgetting.domain_too)
            .ok_or_else(|| StoreError::Other("no pseudonym could be created".to_owned()))?;
        self.write(|work| work.tx.overwrite_what_is_freed(true))
            .await?;
        let key = address.key();
        let accounts = self.write(move |work| work.begin(&key, now)).await?;

        let (searched, of_accounts) = (address.clone(), accounts.clone());
        let found = self.read(move |tx| entries_of(tx, &searched, &of_accounts));
        let found = found.await?;
        let own = found.own.iter().map(|n| (*n, true));
        let all: Vec<_> = own.chain(found.about.iter().map(|n| (*n, false))).collect();
        let mut done = Forgotten {
            pseudonym: pseudonym.address().clone(),
            entries: found.own.len() as u64,
            discarded: 0,
            overwritten: false,
        };
        for (place, some) in all.chunks(STEP).enumerate() {
            let (some, pseudonym, by) = (some.to_vec(), pseudonym.clone(), by.clone());
            done.discarded += self
                .write(move |work| work.erase_some(&some, &pseudonym, &by, now))
                .await?;
            progress(((place + 1) * STEP).min(all.len()) as u64, all.len() as u64);
        }
        self.erase_answers().await?;
        self.remove_unused_words().await?;
        self.write(move |work| work.finish(&accounts, &forgetting, &pseudonym))
            .await?;
        done.overwritten = self.overwrite_what_was_freed().await?;
        self.write(|work| work.tx.overwrite_what_is_freed(false))
            .await?;
        Ok(done)
    }

    /// Deletes the stored API answers, which may be about anybody; a repeated request is executed again.
    async fn erase_answers(&self) -> Result<()> {
        let newest: i64 = self
            .read(|tx| tx.one("SELECT coalesce(max(n), 0) FROM answer", &[]))
            .await?;
        loop {
            let deleted = self
                .write(move |work| {
                    work.tx.run(
                        "DELETE FROM answer WHERE n IN (
                                 SELECT n FROM answer WHERE n <= ? AND status IS NOT NULL
                                 ORDER BY n LIMIT ?
                             )",
                        &[&newest, &STEP],
                    )
                })
                .await?;
            if deleted < STEP {
                return Ok(());
            }
        }
    }

    /// Returns the free pages to the file system and empties the log. Returns true if both succeeded.
    async fn overwrite_what_was_freed(&self) -> Result<bool> {
        loop {
            let shortened = self.write(|work| shorten(work.tx, 0)).await?;
            if shortened.left == 0 {
                break;
            }
            if !shortened.step.more {
                return Ok(false);
            }
        }
        let driver = self.driver.clone();
        tokio::task::spawn_blocking(move || driver.erase_log())
            .await
            .map_err(StoreError::fault)?
    }
}
