//! The driver of an engine: everything that the writer, the readers and the upkeep need from a database besides
//! reads and writes within a transaction.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use crate::store::engine::notify::Wakeups;
use crate::store::sql::EngineSession;
use crate::store::{Result, StoreError};

/// Row numbers that a session of the writer reserves at once.
pub(crate) const BLOCK: i64 = 256;

/// Opens sessions to one database, and takes care of it as a whole.
pub(crate) trait Driver: fmt::Debug + Send + Sync {
    /// Creates an empty database where there is none.
    ///
    /// # Errors
    /// The place is missing or not writable.
    fn create(&self) -> Result<()>;

    /// Migrates the schema to the newest version. Several processes may do so at once.
    ///
    /// # Errors
    /// A damaged database, or a schema newer than this program.
    fn migrate(&self) -> Result<()>;

    /// Builds the indexes anew that an interrupted migration left unusable although it counts as done.
    ///
    /// # Errors
    /// The database cannot be written now.
    fn repair(&self) -> Result<()> {
        Ok(())
    }

    /// Number of schema migrations that the database has, and that this program knows.
    ///
    /// # Errors
    /// The database cannot be read.
    fn schema(&self) -> Result<(usize, usize)>;

    /// Checks that this program works with the schema.
    ///
    /// # Errors
    /// `OlderSchema`, `NewerSchema`, or the database cannot be read.
    fn check_schema(&self) -> Result<()> {
        let (found, known) = self.schema()?;
        match found.cmp(&known) {
            Ordering::Equal => Ok(()),
            Ordering::Less => Err(StoreError::OlderSchema { found, known }),
            Ordering::Greater => Err(StoreError::NewerSchema { found, known }),
        }
    }

    /// Opens the session of the writer, whose transactions fail if the schema is not that of this program. `in_doubt`
    /// means that an earlier session failed while it wrote, so that what readers may have seen of that must be made
    /// durable first.
    ///
    /// # Errors
    /// The database cannot be written now.
    fn open_writer(&self, in_doubt: bool) -> Result<Box<dyn WriterSession>>;

    /// Opens a session that only reads.
    ///
    /// # Errors
    /// The database cannot be read now.
    fn open_reader(&self) -> Result<Box<dyn ReaderSession>>;

    /// Erases deleted data that remains outside of the tables, such as in a log. Returns false if some remains, and a
    /// repeat may help. Blocks.
    ///
    /// # Errors
    /// The database cannot be written now.
    fn erase_log(&self) -> Result<bool>;

    /// Opens a listener for the commits of other processes; None where the engine does not tell of them.
    ///
    /// # Errors
    /// The database cannot be reached now.
    fn listen(&self) -> Result<Option<Box<dyn Listener>>> {
        Ok(None)
    }

    /// Maximum number of concurrent sessions for short reads, each with a cache of its own, and for those that
    /// read much of the database.
    fn readers(&self) -> (usize, usize) {
        (4, 2)
    }

    /// Milliseconds by which the clock of this machine was ahead of the database's at the last commit.
    fn clock_offset(&self) -> i64 {
        0
    }

    /// Time for which a node holds a duty without renewing it. None if only one daemon can use the database.
    fn duty_lease(&self) -> Option<Duration> {
        None
    }
}

/// Receives the commits of other processes.
pub(crate) trait Listener: Send {
    /// Waits for the next one, a second at most. Returns the topics, which may be none. Blocks.
    ///
    /// # Errors
    /// Commits may have been missed.
    fn wait(&mut self) -> Result<Wakeups>;
}

/// The session of the writer: one transaction after the other.
pub(crate) trait WriterSession: EngineSession + Send {
    /// Begins a transaction that writes, alone of all sessions.
    fn begin(&self) -> Result<()>;

    /// Reserves the row numbers that the transaction used, so that no later one uses them again.
    fn keep_numbers(&self) -> Result<()>;

    /// Commits the transaction, and returns once it is durable. Notifies other processes of the topics, if the engine
    /// does that itself.
    ///
    /// # Errors
    /// Nothing was committed, or the outcome is unknown.
    fn commit(&self, wakeups: Wakeups) -> Result<()>;

    /// Rolls the transaction back, if one is open. Returns false if that failed.
    fn roll_back(&self) -> bool;

    /// False outside of a transaction, and where an error ended it.
    fn is_in_transaction(&self) -> bool;

    /// True if an error occurred after which the transaction, or its part, can only be rolled back.
    fn has_failed(&self) -> bool;

    /// True if prefetched results were discarded, or nothing was prefetched yet, and prefetching saves time.
    fn needs_prefetch(&self) -> bool {
        false
    }

    /// Begins to prefetch: from now on a query is only collected, and returns no rows.
    fn begin_prefetch(&self) -> Result<()> {
        Ok(())
    }

    /// False once no further query can be collected.
    fn can_prefetch(&self) -> bool {
        true
    }

    /// Runs the collected queries. The same queries use these results from now on, until a change.
    fn end_prefetch(&self) -> Result<()> {
        Ok(())
    }

    /// Waits for the outcome of the deferred statements.
    fn settle_deferred(&self) -> Result<()> {
        Ok(())
    }

    /// Begins a part of a transaction that can be rolled back alone.
    fn begin_savepoint(&self) -> Result<()>;

    fn roll_back_to_savepoint(&self) -> Result<()>;

    fn release_savepoint(&self) -> Result<()>;

    /// A number that changes with every change of the database by this session.
    fn changes(&self) -> u64;

    /// Checks after a commit that it went to the database that others see.
    fn confirm(&self) -> Result<()>;

    /// Called after the callers of a commit were answered.
    fn after_commit(&self);

    /// Frees memory that a burst left.
    fn free_memory(&self);
}

/// A session of the readers: one snapshot after the other.
pub(crate) trait ReaderSession: EngineSession + Send {
    /// Checks that the session can be used again after an idle time.
    fn confirm(&self) -> Result<()>;

    /// Begins a transaction that reads one snapshot of the database.
    fn begin_reading(&self) -> Result<()>;

    fn end_reading(&self) -> Result<()>;

    /// Frees memory after an idle time.
    fn free_cache(&self);
}
