//! Transactions of a session: those of the writer, one after the other over all nodes, and those that read.

use super::commit_outcome;
use super::connection::Purpose;
use super::migrations::Version;
use super::session::{NumberBlock, PostgresSession};
use super::wire::{ServerAnswer, TransactionState};
use crate::store::engine::driver::{BLOCK, ReaderSession, WriterSession};
use crate::store::engine::notify::Wakeups;
use crate::store::sql::EngineSession;
use crate::store::{Result, StoreError};

/// Time without a whole message after which a node that has the lock of the writer counts as stopped. It is shorter than
/// `lock_timeout`, so that the first node whose wait for the lock times out ends the session.
const STOPPED: &str = "9s";

/// Statements that lock the row of the writer until the transaction ends, and reserve numbers. The second one has
/// a snapshot of its own, so that it sees the schema of a migration that held the lock before.
pub(super) fn lock_writer() -> String {
    format!(
        "UPDATE writer SET next_number = next_number + {BLOCK} WHERE n = 1;
         SELECT next_number, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, version, works_with
             FROM writer, schema_version WHERE n = 1"
    )
}

impl PostgresSession {
    /// Takes the answer to [`lock_writer`]. Returns the first of the reserved numbers.
    ///
    /// # Errors
    /// The store was moved, or its schema is none that this program works with.
    pub(super) fn reserve(&self, answer: &ServerAnswer) -> Result<i64> {
        let (Some(next), Some(now)) = (answer.parse::<i64>(0), answer.parse(1)) else {
            return Err(StoreError::of_moved_store());
        };
        self.server.clock.compare(now);
        Version::of(answer, 2).check()?;
        Ok(next - BLOCK)
    }

    /// Ends the sessions of nodes that stopped with the lock of the writer. The server does that itself if they stopped
    /// between two messages, but not in the middle of a message, or before the Sync that follows it.
    fn end_stopped_writers(&self) {
        let schema = &self.server.place.schema;
        let sql = format!(
            "SELECT pg_terminate_backend(a.pid)
             FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
             WHERE l.relation = to_regclass('{}.writer') AND l.mode = 'RowExclusiveLock' AND l.granted
                 AND a.datname = current_database() AND a.application_name = 'vestibule {schema}'
                 AND a.pid <> pg_backend_pid() AND a.wait_event = 'ClientRead'
                 AND a.state_change < clock_timestamp() - interval '{STOPPED}'",
            self.server.place.quoted_schema()
        );
        // If this fails, the next transaction that waits for the lock tries again.
        let _ = self.simple("ROLLBACK").and_then(|_| self.simple(&sql));
    }
}

/// Converts the refusal of BEGIN READ WRITE by a standby, to which a pooler may lead after a failover. Nothing was
/// written, so the writer tries another connection.
fn of_standby(error: StoreError) -> StoreError {
    match error {
        StoreError::Other(cause) if cause.ends_with("(0A000)") => StoreError::Away(cause),
        error => error,
    }
}

impl WriterSession for PostgresSession {
    fn begin(&self) -> Result<()> {
        let local = self.local_settings();
        let lock = lock_writer();
        let sql = format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {local} {lock}");
        let began = self.begin_with(&sql).map_err(of_standby);
        if matches!(began, Err(StoreError::Busy(_))) && self.purpose == Purpose::Write {
            self.end_stopped_writers();
        }
        let first = self.reserve(&began?)?;
        self.numbers.set(NumberBlock {
            first,
            next: first,
            end: first + BLOCK,
        });
        self.discard_prefetched();
        Ok(())
    }

    fn begin_without_numbers(&self) -> Result<()> {
        let local = self.local_settings();
        let sql = format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {local}");
        self.begin_with(&sql)?;
        self.discard_prefetched();
        Ok(())
    }

    /// They are reserved already.
    fn keep_numbers(&self) -> Result<()> {
        Ok(())
    }

    fn commit(&self, wakeups: Wakeups) -> Result<()> {
        let batch = self.numbers.take().first;
        self.settle_deferred()?;
        commit_outcome::commit(self, batch, wakeups)
    }

    fn roll_back(&self) -> bool {
        self.numbers.take();
        self.discard_deferred();
        if self.is_broken() {
            return false;
        }
        self.state() == TransactionState::None || self.simple("ROLLBACK").is_ok()
    }

    fn is_in_transaction(&self) -> bool {
        !self.is_broken() && self.state() != TransactionState::None
    }

    fn has_failed(&self) -> bool {
        self.is_broken()
            || self.state() == TransactionState::Failed
            || self.pipeline.borrow().has_lost_rows()
    }

    fn takes_late_operations(&self) -> bool {
        false
    }

    fn needs_prefetch(&self) -> bool {
        self.pipeline.borrow().needs_prefetch()
    }

    fn begin_prefetch(&self) -> Result<()> {
        let mut pipeline = self.pipeline.borrow_mut();
        pipeline.begin_prefetch(
            &mut self.wire.borrow_mut(),
            &mut self.statements.borrow_mut(),
        )
    }

    fn can_prefetch(&self) -> bool {
        self.pipeline
            .borrow()
            .can_prefetch(&mut self.wire.borrow_mut())
    }

    fn end_prefetch(&self) -> Result<()> {
        let mut pipeline = self.pipeline.borrow_mut();
        pipeline.end_prefetch(
            &mut self.wire.borrow_mut(),
            &mut self.statements.borrow_mut(),
        )
    }

    fn settle_deferred(&self) -> Result<()> {
        PostgresSession::settle_deferred(self)
    }

    fn begin_savepoint(&self) -> Result<()> {
        self.numbers_at_savepoint.set(self.numbers.get());
        self.simple("SAVEPOINT part").map(drop)
    }

    fn roll_back_to_savepoint(&self) -> Result<()> {
        self.discard_deferred();
        self.discard_prefetched();
        // Blocks that the part reserved are given back with it, and are reserved again.
        let (before, mut numbers) = (self.numbers_at_savepoint.get(), self.numbers.get());
        if numbers.end != before.end {
            (numbers.next, numbers.end) = (before.end, before.end);
            self.numbers.set(numbers);
        }
        self.simple("ROLLBACK TO SAVEPOINT part").map(drop)
    }

    fn release_savepoint(&self) -> Result<()> {
        self.simple("RELEASE SAVEPOINT part").map(drop)
    }

    fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// The outcome of a commit says it all.
    fn confirm(&self) -> Result<()> {
        Ok(())
    }

    fn after_commit(&self) {
        self.discard_prefetched();
    }

    fn free_memory(&self) {
        self.statements.borrow_mut().clear();
        if !self.server.place.pooler {
            // A failure shows at the next transaction.
            let _ = self.simple("DEALLOCATE ALL");
        }
    }
}

impl ReaderSession for PostgresSession {
    fn confirm(&self) -> Result<()> {
        if self.is_broken() {
            return Err(StoreError::Away("the connection is broken".to_owned()));
        }
        Ok(())
    }

    fn begin_reading(&self) -> Result<()> {
        let local = self.local_settings();
        let sql = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {local}");
        if !self.server.place.pooler {
            return self.begin_with(&sql).map(drop);
        }
        // A connection to a pooler outlives a failover, and the server behind it may be a standby now, which can lag
        // behind acknowledged commits.
        let sql = format!("{sql} SELECT pg_is_in_recovery()");
        let is_primary = |began: &ServerAnswer| began.text(0).as_deref() == Some("f");
        if is_primary(&self.begin_with(&sql)?) {
            return Ok(());
        }
        self.replace_wire(self.server.connect(self.purpose, None)?);
        if is_primary(&self.simple(&sql)?) {
            return Ok(());
        }
        let cause = "the server behind the pooler is a standby";
        Err(StoreError::Away(cause.to_owned()))
    }

    fn end_reading(&self) -> Result<()> {
        self.simple("COMMIT").map(drop)
    }

    /// The server has the caches.
    fn free_cache(&self) {}
}

#[cfg(test)]
mod tests;
