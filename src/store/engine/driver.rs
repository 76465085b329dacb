//! The driver of an engine: everything that the writer, the readers and the upkeep need from a database besides
//! reads and writes within a transaction.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use crate::store::engine::disk_space::DiskSpace;
use crate::store::engine::notify::Wakeups;
use crate::store::sql::EngineSession;
use crate::store::{MAX_CLOCK_OFFSET, Result, StoreError};

/// Number of row numbers that the writer's session reserves at a time.
pub(crate) const BLOCK: i64 = 256;

/// Opens sessions to one database, and creates, migrates and maintains it.
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

    /// Rebuilds indexes that an interrupted migration left invalid, although the migration is recorded as done.
    ///
    /// # Errors
    /// The database cannot be written now.
    fn repair(&self) -> Result<()> {
        Ok(())
    }

    /// Numbers of schema migrations: applied to the database, and known to this program.
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

    /// Opens the writer's session, whose transactions fail if the schema is not that of this program. `in_doubt`
    /// means that an earlier session failed during a write: whatever readers may have seen of it must be made
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

    /// Like [`open_reader`](Self::open_reader), for one snapshot that is read for as long as copying or examining the
    /// whole database takes.
    ///
    /// # Errors
    /// As `open_reader`.
    fn open_copy_reader(&self) -> Result<Box<dyn ReaderSession>> {
        self.open_reader()
    }

    /// Like [`open_writer`](Self::open_writer), for filling a database that nobody else uses, however long a statement
    /// or the pause before the next one is.
    ///
    /// # Errors
    /// As `open_writer`.
    fn open_copy_writer(&self) -> Result<Box<dyn WriterSession>> {
        self.open_writer(false)
    }

    /// Erases deleted data that remains outside of the tables, such as in a log. Returns false if some remains and
    /// a retry may help. Blocks.
    ///
    /// # Errors
    /// The database cannot be written now.
    fn erase_log(&self) -> Result<bool>;

    /// Space on the disk with the database; None if it is not on this machine, or cannot be determined.
    fn disk_space(&self) -> Option<DiskSpace> {
        None
    }

    /// Opens a listener for the commits of other processes; None if the engine does not announce them.
    ///
    /// # Errors
    /// The database cannot be reached now.
    fn listen(&self) -> Result<Option<Box<dyn Listener>>> {
        Ok(None)
    }

    /// Maximum numbers of concurrent read sessions: for short reads, and for reads of much of the database. Each
    /// session has its own cache.
    fn readers(&self) -> (usize, usize) {
        (4, 2)
    }

    /// Milliseconds by which the clock of this machine was ahead of the database's at the start of the last write
    /// transaction.
    fn clock_offset(&self) -> i64 {
        0
    }

    /// False if this machine must not decide by its clock when something is due. Each write transaction compares the
    /// clocks when it begins.
    fn is_clock_right(&self) -> bool {
        Duration::from_millis(self.clock_offset().unsigned_abs()) <= MAX_CLOCK_OFFSET
    }

    /// Time for which a node holds a duty without renewing it. None if only one daemon can use the database.
    fn duty_lease(&self) -> Option<Duration> {
        None
    }
}

/// Receives the commits of other processes.
pub(crate) trait Listener: Send {
    /// Waits up to a second for the next commit. Returns its topics, possibly none. Blocks.
    ///
    /// # Errors
    /// Commits may have been missed.
    fn wait(&mut self) -> Result<Wakeups>;
}

/// The writer's session, which runs one transaction at a time.
pub(crate) trait WriterSession: EngineSession + Send {
    /// Begins a write transaction. All sessions together have at most one.
    fn begin(&self) -> Result<()>;

    /// Begins a write transaction of a store that was moved away. It gets no row numbers.
    fn begin_without_numbers(&self) -> Result<()>;

    /// Reserves the row numbers that the transaction used, so that no later transaction uses them again.
    fn keep_numbers(&self) -> Result<()>;

    /// Commits the transaction, and returns once it is durable. Notifies other processes of the topics, if the engine
    /// does that itself.
    ///
    /// # Errors
    /// Nothing was committed, or the outcome is unknown.
    fn commit(&self, wakeups: Wakeups) -> Result<()>;

    /// Rolls the transaction back, if one is open. Returns false if that failed.
    fn roll_back(&self) -> bool;

    /// True inside a transaction; false once an error has ended it.
    fn is_in_transaction(&self) -> bool;

    /// True after an error that leaves only a rollback: of the transaction, or to the savepoint.
    fn has_failed(&self) -> bool;

    /// True if a transaction takes operations that are queued while others run; false where they would cost it more
    /// round trips.
    fn takes_late_operations(&self) -> bool {
        true
    }

    /// True if prefetching saves time and there are no prefetched results: none yet, or they were discarded.
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

    /// Runs the collected queries. The same queries return these results from now on, until a statement changes
    /// something.
    fn end_prefetch(&self) -> Result<()> {
        Ok(())
    }

    /// Waits for the outcomes of the deferred statements.
    fn settle_deferred(&self) -> Result<()> {
        Ok(())
    }

    /// Begins a part of the transaction that can be rolled back by itself.
    fn begin_savepoint(&self) -> Result<()>;

    fn roll_back_to_savepoint(&self) -> Result<()>;

    fn release_savepoint(&self) -> Result<()>;

    /// A counter that advances with every change that this session makes to the database.
    fn changes(&self) -> u64;

    /// Checks after a commit that it reached the database that other processes see.
    fn confirm(&self) -> Result<()>;

    /// Runs after the callers of a commit have been answered.
    fn after_commit(&self);

    /// Frees memory that a burst of operations has left in use.
    fn free_memory(&self);

    /// Extends the log of the engine by a step that takes some milliseconds, so that a later burst of operations need
    /// not. Called between transactions. Returns true if another step is useful.
    ///
    /// # Errors
    /// As [`begin`](Self::begin), or the log cannot be written.
    fn extend_log(&self) -> Result<bool> {
        Ok(false)
    }
}

/// A read session, which reads one snapshot at a time.
pub(crate) trait ReaderSession: EngineSession + Send {
    /// Checks that the session can be used again after an idle time.
    fn confirm(&self) -> Result<()>;

    /// Begins a transaction that reads one snapshot of the database.
    fn begin_reading(&self) -> Result<()>;

    fn end_reading(&self) -> Result<()>;

    /// Frees memory after an idle time.
    fn free_cache(&self);
}
