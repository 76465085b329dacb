//! The store: the only module with SQL, offered as operations of the domain: accept, verify, claim, settle.
//!
//! One writer thread combines waiting operations, up to a bound, into one transaction, and answers each caller
//! after the commit is durable (`synchronous = FULL` of `SQLite`, `synchronous_commit = on` of PostgreSQL). Readers
//! have their own connections. Every operation takes the time as an argument, so that tests control the clock. No
//! operation waits for anything but the database: mail and deliveries are rows first.

mod accounts;
mod audit;
mod claims;
mod engine;
mod error;
mod hooks;
mod intake;
mod ledger;
mod location;
mod operators;
mod postgres;
mod privacy;
mod requests;
mod rows;
mod sql;
mod sqlite;
mod upkeep;
mod verification;

pub use crate::domain::{MailCause, MailKind};
pub use accounts::customer_lists::CustomerFilter;
pub use accounts::customers::Added;
pub use accounts::directory::UserRefusal;
pub use accounts::directory_users::{
    DirectoryEmail, DirectoryRole, DirectoryUser, NewDirectoryUser, UserFilter, UserList,
};
pub use accounts::look_at_link::{Link, Refusal};
pub use accounts::newly_denied_accounts::StoppedAccounts;
pub use accounts::not_me::Refused;
pub use accounts::people::{Person, PersonChange, PersonOutcome, PersonRefusal};
pub use accounts::replies::ReplyAnswer;
pub use accounts::undo_not_me::TakenBack;
pub use accounts::unlisted_accounts::UnlistedAccounts;
pub use accounts::verify_account::{Choice, VerificationOutcome};
pub use audit::events::{Event, OperatorAction};
pub use audit::operator_actions::{AuditEntry, AuditFilter};
pub use claims::leases::ClaimNumber;
pub use claims::outcomes::{ClaimRound, NextWork, SetAside, Settled, Settlement};
pub(crate) use engine::disk_space::DiskSpace;
pub use engine::health::FreeSpace;
pub use engine::notify::{Changes, Topic};
pub use engine::settings_cache::Revision;
pub use engine::time_slice::WorkStep;
pub use error::{Result, StoreError};
pub use hooks::calls::{HookCall, HookCount};
pub use hooks::failed_calls::{FailedCall, FailedCallFilter};
pub use intake::arrival::{Arrival, ArrivalOutcome, ArrivalPart};
pub use ledger::backlog_history::HourlyBacklog;
pub use ledger::counts::{
    Backlog, Bounded, Counts, DayCount, EntryCount, HeldDomain, QueueLengths, RequestCount,
};
pub use ledger::dropped_domains::DroppedDomain;
pub use ledger::dropped_entry::NamedPortal;
pub use ledger::entries::{LedgerEntry, LedgerFilter};
pub use ledger::find::{FindFilter, MAX_NOT_INDEXED};
pub use ledger::recover_dropped::{Recovered, Terms, Today};
pub use ledger::simulate::{DomainShift, Example, ShiftCount, Simulated, WhatIf};
pub use location::Location;
pub use operators::duties::Duty;
pub use operators::idempotency::{AnswerKey, Claimed, KeptAnswer};
pub use operators::issued_tokens::IssuedToken;
pub use operators::nodes::{NODE_TIMEOUT, Node};
pub use operators::operator_accounts::{NameReuse, Operator, SignInWay};
pub use operators::passwords::{PasswordOutcome, StoredPassword};
pub use operators::pending_logins::AttemptPurpose;
pub use operators::second_factor::{CodeOutcome, SecondFactor};
pub use operators::sessions_and_tokens::{KeyHolder, KeyKind, OperatorKey, TokenTerms};
pub use operators::sso_operators::DirectoryIdentity;
pub use postgres::preflight::ServerFacts;
pub use privacy::erase::{Forgetting, Forgotten};
pub use privacy::export::{Holdings, PersonEvent};
pub use requests::actions::{Retried, SeenRequest, SeenState};
pub use requests::content::{MessageContent, PIECE};
pub use requests::delivery_claims::{Claim, NODE_SILENCE};
pub use requests::delivery_queue::{Delivery, RunLimits};
pub use requests::destinations::{DownDestination, WaitingWork};
pub use requests::hold_quota::{Offer, QuotaRoom, WaitingRequest};
pub use requests::refused_messages::StillRefused;
pub use requests::request::{Request, RequestFilter};
pub use sql::pagination::{ListOrder, Listed, Page};
pub use sqlite::compact::{Compacted, compact};
pub use upkeep::backup::backup;
pub use upkeep::clock_repair::MaxDelays;
pub use upkeep::digest::{DigestClaim, DigestContent};
pub use upkeep::examine::{
    Examination, access_settings_of, examine, has_verified_accounts, nodes_of, unused_octets_of,
};
pub use upkeep::invariants::Violation;
pub use upkeep::transfer::{Transferred, transfer, undo_transfer};
pub use verification::languages::{LanguageWish, MailLanguages};
pub use verification::mail_claims::MailClaim;
pub use verification::notices::Notice;
pub use verification::sent_and_queued_mail::{QueuedMail, QueuedMailFilter, SentMail};
pub use verification::verification_mail::{
    ClaimedMail, MailOutcome, TokenHashes, VerificationMail,
};

use std::sync::Arc;
use std::time::Duration;

use crate::config::PostgresServer;
use claims::holder::Holder;
use engine::driver::Driver;
use engine::health::Health;
use engine::job::Work;
use engine::notify::Notifier;
use engine::readers::{IDLE_TIMEOUT, Readers};
use engine::writer::Writer;
use operators::nodes::OtherNodes;
use sql::Tx;

/// Largest offset between the clocks of this machine and the database at which this machine is ready.
pub const MAX_CLOCK_OFFSET: Duration = Duration::from_secs(5);

/// Handle of the database; clones share it.
///
/// Every operation fails if the database cannot be read or written. The doc of an operation names only its other
/// errors.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Writer,
    readers: Arc<Readers>,
    /// For queries that read much of the database, so that they do not delay others.
    long_readers: Arc<Readers>,
    notifier: Arc<Notifier>,
    health: Arc<Health>,
    driver: Arc<dyn Driver>,
    /// Holder of this handle's claims.
    holder: Holder,
    /// As of the last heartbeat.
    other_nodes: Arc<OtherNodes>,
}

/// Migrates the schema of a database, for a caller that holds the lock of its folder. Returns the number of
/// migrations before and after.
///
/// # Errors
/// A damaged file, or a schema newer than this program. After an error, [`schema_of`] says how far the migration
/// came.
pub fn migrate(location: &Location) -> Result<(usize, usize)> {
    let driver = location.driver();
    let (before, _) = driver.schema()?;
    driver.migrate()?;
    driver.repair()?;
    let (now, _) = driver.schema()?;
    Ok((before, now))
}

/// Numbers of schema migrations: applied to a database, and known to this program.
///
/// # Errors
/// The database cannot be read.
pub fn schema_of(location: &Location) -> Result<(usize, usize)> {
    location.driver().schema()
}

/// Settings and state of a PostgreSQL server. Blocks.
///
/// # Errors
/// The server cannot be reached.
pub fn inspect_server(server: &PostgresServer) -> Result<ServerFacts> {
    postgres::preflight::inspect(server)
}

impl Store {
    /// Opens the database, or creates it, and migrates its schema: for the daemon, which holds the lock of
    /// the folder.
    ///
    /// # Errors
    /// A folder that is missing or not writable, a damaged file, a schema newer than this program, a store that was
    /// moved to another location, or an empty database although this node has served one before.
    pub fn open(location: impl Into<Location>) -> Result<Self> {
        let location = location.into();
        let driver = location.driver();
        driver.create()?;
        // A node accepts no mail into a recreated database until its former content is restored.
        if location.node_id().is_some() && driver.schema()?.0 == 0 {
            let cause = "the database is empty, although this node has served one before: restore a backup, \
                         or create a new store with `vestibule migrate`";
            return Err(StoreError::open(location, cause));
        }
        driver.migrate()?;
        let node = location.make_node_id()?;
        Self::start(&location, driver, &node)
    }

    /// Opens an existing database, with or without a running daemon, and does not migrate it.
    ///
    /// # Errors
    /// As [`open`](Self::open), and a schema older than this program, which a running daemon of an older
    /// version may still use.
    pub fn open_existing(location: impl Into<Location>) -> Result<Self> {
        let location = location.into();
        let driver = location.driver();
        driver.check_schema()?;
        let node = location.node_id().unwrap_or_default();
        Self::start(&location, driver, &node)
    }

    fn start(location: &Location, driver: Arc<dyn Driver>, node: &str) -> Result<Self> {
        upkeep::transfer::check(&*driver, location)?;
        let notifier = Arc::new(location.notifier());
        let health = Arc::new(Health::default());
        let (short, long) = driver.readers();
        let readers =
            |connections| Arc::new(Readers::new(driver.clone(), connections, IDLE_TIMEOUT));
        let is_shared = driver.duty_lease().is_some();
        Ok(Self {
            writer: Writer::start(
                driver.clone(),
                notifier.clone(),
                health.clone(),
                hooks::calls::owes_more,
            )?,
            readers: readers(short),
            long_readers: readers(long),
            notifier,
            health,
            driver,
            holder: Holder::of_node(node),
            other_nodes: Arc::new(OtherNodes::new(is_shared)),
        })
    }

    /// Returns a handle for another set of workers: other handles do not give back its claims.
    #[must_use]
    pub fn for_workers(self) -> Self {
        let holder = self.holder.another();
        Self { holder, ..self }
    }

    /// Commits a transaction that changes nothing.
    ///
    /// # Errors
    /// The reason why nothing can be committed now.
    pub async fn writable(&self) -> Result<()> {
        self.write(|work| work.tx.touch()).await
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
        run: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer.run(0, run).await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Tx) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        engine::readers::run(&self.readers, read).await
    }

    /// Like [`read`](Self::read), for a query that reads much of the database.
    async fn read_long<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Tx) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        engine::readers::run_long(&self.long_readers, read).await
    }

    /// Makes every short read wait until the result is dropped, as behind a slow disk.
    #[cfg(test)]
    pub(crate) fn stall_reads(&self) -> tokio::sync::OwnedSemaphorePermit {
        self.readers.take_all()
    }
}
