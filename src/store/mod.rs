//! The store: the only module with SQL, offered as operations of the domain: accept, verify, claim, settle.
//!
//! One writer thread combines waiting operations, up to a bound, into one transaction, and answers each
//! caller after the commit is synced (WAL, `synchronous = FULL`). Readers have their own connections. Every
//! operation takes the time as an argument, so that tests control the clock. No operation awaits anything but
//! the writer, and none opens a network connection: mail and deliveries are rows first.

mod access;
mod account_rows;
mod accounts;
mod backup;
mod bounces;
mod canary;
mod changes;
mod checkpoint;
mod clock_repair;
mod compact;
mod connection;
mod content;
mod copies;
mod correspondence;
mod counts;
mod deliveries;
mod denied;
mod dropped;
mod dropped_content;
mod effects;
mod error;
mod events;
mod examine;
mod export;
mod file_identity;
mod for_us;
mod forced;
mod forget;
mod forget_content;
mod health;
mod holder;
mod hook_calls;
mod hooks;
mod housekeeping;
mod idempotency;
mod intake;
mod invariants;
mod job;
mod lanes;
mod languages;
mod leases;
mod ledger;
mod link_key;
mod lists;
mod mail_claims;
mod mail_queue;
mod memory;
mod not_me;
mod notices;
mod numbers;
mod offers;
mod operators;
mod pagination;
#[cfg(test)]
mod plans;
mod prepared;
mod proofs;
mod pseudonym;
mod queue;
mod rate_limits;
mod readers;
mod reason_codes;
mod replies;
mod requests;
mod settings_cache;
mod simulate;
mod sql_types;
mod taken_back;
mod time_slice;
mod tokens;
mod vacuum;
mod verification_mail;
mod writer;

pub use accounts::{Added, CustomerFilter};
pub use backup::backup;
pub use changes::{Changes, Topic};
pub use clock_repair::MaxDelays;
pub use compact::{Compacted, compact};
pub use content::Content;
pub use correspondence::SentMail;
pub use counts::{
    Backlog, Bounded, Counts, DayCount, Depths, EntryCount, HeldDomain, RequestCount,
};
pub use deliveries::{Claim, Settlement};
pub use denied::StoppedAccounts;
pub use dropped::{DroppedDomain, Recovered, Terms, Today};
pub use error::StoreError;
pub use events::OperatorAction;
pub use examine::{Examination, examine, has_verified_accounts};
pub use export::{Holdings, PersonEvent};
pub use forget::{Forgetting, Forgotten};
pub use hook_calls::{HookCall, HookCount};
pub use idempotency::{AnswerKey, Claimed, KeptAnswer};
pub use intake::{Arrival, Entry, Part};
pub use invariants::Violation;
pub use languages::{LanguageWish, MailLanguages};
pub use leases::{ClaimNumber, ClaimedWork, SetAside, Settled};
pub use ledger::{Event, LedgerEntry, LedgerFilter};
pub use mail_claims::MailClaim;
pub use not_me::Refused;
pub use notices::{ClaimedNotices, Notice};
pub use offers::Offer;
pub use operators::{AuditEntry, Key, KeyKind, Operator};
pub use pagination::{Listed, Page};
pub use proofs::{Choice, Link, Proved, WaitingRequest};
pub use replies::Answer;
pub use requests::{Request, RequestFilter};
pub use settings_cache::Revision;
pub use simulate::{DomainShift, Example, ShiftCount, Simulated, WhatIf};
pub use taken_back::TakenBack;
pub use time_slice::Step;
pub use tokens::IssuedToken;
pub use verification_mail::{
    ClaimedMail, MailCause, MailKind, MailOutcome, TokenHashes, VerificationMail,
};

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use changes::Notifier;
use health::Health;
use holder::Holder;
use job::Work;
use readers::Readers;
use writer::Writer;

/// Handle of the database; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Writer,
    readers: Arc<Readers>,
    /// For queries that read much of the database, so that they do not delay others.
    long_readers: Arc<Readers>,
    notifier: Arc<Notifier>,
    health: Arc<Health>,
    path: Arc<Path>,
    /// Holder of this handle's claims.
    holder: Holder,
}

/// Migrates the schema of a database, for a caller that holds the lock of its folder. Returns the number of
/// migrations before and after.
///
/// # Errors
/// A damaged file, or a schema newer than this program.
pub fn migrate(path: &Path) -> Result<(usize, usize), StoreError> {
    let (before, _) = connection::schema(&connection::reading(path)?)?;
    connection::migrate(path)?;
    let (now, _) = connection::schema(&connection::reading(path)?)?;
    Ok((before, now))
}

impl Store {
    /// Opens the database, or creates it, and migrates its schema: for the daemon, which holds the lock of
    /// the folder.
    ///
    /// # Errors
    /// A folder that is missing or not writable, a damaged file, a schema newer than this program.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        connection::create(path)?;
        connection::migrate(path)?;
        Self::start(path)
    }

    /// Opens an existing database, with or without a running daemon, and does not migrate it.
    ///
    /// # Errors
    /// As [`open`](Self::open), and a schema older than this program, which a running daemon of an older
    /// version may still use.
    pub fn open_existing(path: &Path) -> Result<Self, StoreError> {
        connection::check_schema(path)?;
        Self::start(path)
    }

    fn start(path: &Path) -> Result<Self, StoreError> {
        let notifier = Arc::new(Notifier::beside(path));
        let health = Arc::new(Health::default());
        Ok(Self {
            writer: Writer::start(path.to_owned(), notifier.clone(), health.clone())?,
            readers: Arc::new(Readers::of(path.to_owned())),
            long_readers: Arc::new(Readers::for_long_questions(path.to_owned())),
            notifier,
            health,
            path: path.into(),
            holder: Holder::of_opening(),
        })
    }

    /// Another handle for another set of workers: its claims are not given back by others.
    #[must_use]
    pub fn for_workers(self) -> Self {
        let holder = self.holder.another();
        Self { holder, ..self }
    }

    /// Commits a transaction that changes nothing.
    ///
    /// # Errors
    /// The reason why nothing can be committed now.
    pub async fn writable(&self) -> Result<(), StoreError> {
        self.write(|work| {
            // Rewrites the same value: it still dirties a page, so COMMIT must sync.
            let version: i64 = work
                .connection
                .query_row("PRAGMA user_version", [], |row| row.get(0))?;
            work.connection
                .pragma_update(None, "user_version", version)?;
            Ok(())
        })
        .await
    }

    /// Runs the queued operations and closes the database. Later operations, by any handle, fail with
    /// `Closed`.
    pub async fn close(&self) {
        self.readers.close();
        self.long_readers.close();
        self.writer.close().await;
    }

    async fn write<T: Send + 'static>(
        &self,
        run: impl FnMut(&mut Work) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.run(0, run).await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        readers::run(&self.readers, read).await
    }

    /// Like [`read`](Self::read), for a query that reads much of the database.
    async fn read_long<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        readers::run(&self.long_readers, read).await
    }
}
