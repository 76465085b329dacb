//! Erases entries of a person: discards the request, rewrites the entry under the pseudonym, and deletes the content
//! and the hook calls.

use std::collections::BTreeSet;

use crate::domain::{Actor, EmailAddress, Envelope, RequestState, Transition};
use crate::mail::Facts;
use crate::store::audit::events::record_of_entry;
use crate::store::engine::job::Work;
use crate::store::error::readable;
use crate::store::privacy::erase::delete_calls;
use crate::store::privacy::export::PersonEntry;
use crate::store::privacy::pseudonym::{
    Pseudonym, without_content, without_detail, without_people,
};
use crate::store::requests::hold_quota::withdraw;
use crate::store::requests::transitions;
use crate::store::rows::orphaned_content::delete_content;
use crate::store::sql::sql_types::{Millis, json};
use crate::store::{Result, StoreError, Topic};

/// Result of a step.
#[derive(Debug, Default)]
pub(super) struct ErasedEntries {
    /// Entries of messages that the person wrote.
    pub(super) own: BTreeSet<i64>,
    /// Number of discarded requests.
    pub(super) discarded: u64,
}

impl ErasedEntries {
    pub(super) fn add(&mut self, step: Self) {
        self.own.extend(step.own);
        self.discarded += step.discarded;
    }
}

impl Work<'_> {
    /// Erases a few entries, and their copies from the number `first` on.
    pub(super) fn erase_some(
        &mut self,
        entries: &[PersonEntry],
        first: i64,
        pseudonym: &Pseudonym,
        by: &Actor,
        now: Millis,
    ) -> Result<ErasedEntries> {
        let mut erased = ErasedEntries::default();
        for &PersonEntry { n, is_own } in entries {
            // Copies from before the run are in the list themselves. A copy that was rewritten has no key.
            let sql =
                "SELECT n FROM ledger WHERE original = ? AND n >= ? AND message_key IS NOT NULL";
            let copies: Vec<i64> = self.tx.all(sql, &[&n, &first])?;
            for n in copies.into_iter().chain([n]) {
                if is_own {
                    erased.discarded += u64::from(self.discard_in_any_state(n, by, now)?);
                    erased.own.insert(n);
                }
                self.rewrite(n, is_own.then_some(pseudonym))?;
                withdraw(self.tx, n)?;
                delete_content(self.tx, n)?;
            }
        }
        Ok(erased)
    }

    /// Discards the request of an entry in any state, and releases its content.
    fn discard_in_any_state(&mut self, n: i64, by: &Actor, now: Millis) -> Result<bool> {
        let tx = self.tx;
        // The lease of a worker that stopped may stay in the row after it ended.
        let sql = "SELECT state, in_work = 1 AND due_at > ?2, account
             FROM request WHERE ledger = ?1";
        let found: Option<(RequestState, bool, i64)> =
            tx.maybe(sql, &[&n, &self.database_time(now)])?;
        let Some((state, in_work, account)) = found else {
            return Ok(false);
        };
        if in_work {
            return Err(in_work_now());
        }
        let waits = state.after(Transition::Discard).is_some();
        if waits {
            transitions::settle(tx, n, Transition::Discard, None, now)?;
            record_of_entry(tx, "request.discarded", n, by, now)?;
            delete_calls(tx, account)?;
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
            Some(pseudonym) => pseudonym.rewrite_author(facts),
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

pub(super) fn in_work_now() -> StoreError {
    StoreError::NotAllowed(
        "a request of this address is being delivered; try again in a minute".to_owned(),
    )
}
