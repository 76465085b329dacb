//! The writer thread: runs queued operations and answers each once it is committed and synced.
//!
//! It combines the waiting operations, and some of those that are queued during the transaction, into one
//! transaction, within limits of number, size and time. If an operation fails or panics, it does not affect the
//! others: the transaction is rolled back and run again with a savepoint around each operation. Failures are rare, so
//! the common path needs no savepoints; but an operation may run twice.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use crate::failpoint;
use crate::panics::text_of;
use crate::store::engine::disk_space::DiskSpace;
use crate::store::engine::driver::{Driver, WriterSession};
use crate::store::engine::health::Health;
use crate::store::engine::job::{Closure, Job, Operation, Work, job};
use crate::store::engine::notify::{Notifier, Wakeups};
use crate::store::engine::queue::{MAX_OPERATIONS, Message, Queue};
use crate::store::engine::readers::IDLE_TIMEOUT;
use crate::store::engine::settings_cache::SettingsCache;
use crate::store::engine::transaction::{Failure, Mode, classify_deferred_error, commit, fill};
use crate::store::sql::Tx;
use crate::store::{Result, StoreError, Topic};

/// Number of operations that make a burst; housekeeping alone runs fewer in a quarter of an hour.
const BURST: usize = 100;

/// Checks before each commit whether hook calls were written since the one with the given number, and advances that
/// number.
pub(crate) type OwesCalls = fn(&Tx, &mut i64) -> bool;

/// Handle of the writer thread, which ends when the last handle is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Message>,
    health: Arc<Health>,
}

impl Writer {
    /// Opens the database and starts the thread.
    pub(crate) fn start(
        driver: Arc<dyn Driver>,
        notifier: Arc<Notifier>,
        health: Arc<Health>,
        owes_calls: OwesCalls,
    ) -> Result<Self> {
        let session = driver.open_writer(false)?;
        let (sender, queue) = Queue::new();
        let thread = Thread {
            driver,
            notifier,
            session: Some(session),
            in_doubt: false,
            extension_failed: false,
            settings: SettingsCache::default(),
            owes_calls,
            newest_call: 0,
            operations: 0,
            health: health.clone(),
        };
        let ends = health.clone();
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                // A panic outside of an operation leaves a state that cannot be trusted.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| thread.run(queue))) {
                    ends.fail(StoreError::WriterFailed(text_of(&*panic).to_owned()));
                }
            })
            .map_err(|error| {
                StoreError::Other(format!("cannot start the writer thread: {error}"))
            })?;
        Ok(Self {
            queue: sender,
            health,
        })
    }

    /// Runs an operation in a transaction and resolves when it is synced. `weight` is the size of its
    /// captured data in octets.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        weight: usize,
        run: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run_operation(weight, Closure(run)).await
    }

    /// Runs an operation as [`run`](Self::run) does, after its prefetch.
    pub(crate) async fn run_operation<T: Send + 'static>(
        &self,
        weight: usize,
        operation: impl Operation<T> + 'static,
    ) -> Result<T> {
        let (job, answer) = job(weight, operation);
        let message = Message::Run(job);
        self.queue
            .send(message)
            .await
            .map_err(|_| self.closing_error())?;
        // The captured data is freed here, and not by the writer thread, which all callers share.
        let (result, _) = answer.await.map_err(|_| self.closing_error())?;
        result
    }

    /// Takes a step in extending the log, unless operations are waiting. Returns true if another is useful.
    pub(crate) async fn extend_log(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        let is_sent = self.queue.send(Message::ExtendLog(reply)).await.is_ok();
        is_sent && answer.await.unwrap_or(false)
    }

    /// The reason why operations are not run any more.
    fn closing_error(&self) -> StoreError {
        self.health.failure().unwrap_or(StoreError::Closed)
    }

    /// Resolves when all queued operations are done and the database is closed.
    pub(crate) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.queue.send(Message::Close(reply)).await.is_ok() {
            let _ = closed.await;
        }
    }
}

/// Measures the space that mail can use.
fn measure(driver: &dyn Driver, tx: &Tx) -> Option<DiskSpace> {
    let space = driver.disk_space()?;
    Some(space.with_unused(|| tx.unused_octets().ok()))
}

struct Thread {
    driver: Arc<dyn Driver>,
    notifier: Arc<Notifier>,
    /// None after a failure: the next batch opens another one.
    session: Option<Box<dyn WriterSession>>,
    /// A write or a sync failed, and no session was opened since.
    in_doubt: bool,
    /// A step in extending the log failed.
    extension_failed: bool,
    settings: SettingsCache,
    owes_calls: OwesCalls,
    /// Number of the last hook call written.
    newest_call: i64,
    /// Operations since memory was last freed.
    operations: usize,
    health: Arc<Health>,
}

impl Thread {
    fn run(mut self, mut queue: Queue) {
        let mut batch = Vec::with_capacity(MAX_OPERATIONS);
        loop {
            let idle_since = Instant::now();
            let Some(first) = queue.wait(|| self.extend_log()) else {
                break;
            };
            if idle_since.elapsed() >= IDLE_TIMEOUT {
                self.free_memory_after_burst();
            }
            batch.push(first);
            queue.move_into(&mut batch);
            while !batch.is_empty() {
                self.commit(&mut batch, &mut queue);
            }
        }
        drop(self.session);
        queue.answer_closing();
    }

    /// Frees memory after an idle period, if there was a burst before it.
    fn free_memory_after_burst(&mut self) {
        if let Some(session) = &self.session
            && self.operations > BURST
        {
            session.free_memory();
            self.operations = 0;
        }
    }

    /// Takes a step in extending the log, if the disk has room for it. After one that failed, no other is taken: it
    /// would probably fail too, and commits have to wait until the log was emptied.
    fn extend_log(&mut self) -> bool {
        let is_ample = (self.driver.disk_space()).is_none_or(DiskSpace::is_ample);
        let is_wanted = is_ample && !self.extension_failed;
        let Some(session) = self.session.as_ref().filter(|_| is_wanted) else {
            return false;
        };
        self.health.begin();
        let extended = session.extend_log();
        self.health.end_step();
        match extended {
            Ok(is_useful) => is_useful,
            Err(StoreError::Busy(_)) => false,
            // As after a failed commit.
            Err(_) => {
                self.session = None;
                self.in_doubt = true;
                self.extension_failed = true;
                false
            }
        }
    }

    /// Runs as many operations of a batch and of the queue as one transaction takes, and answers their callers; after
    /// a failure, those of the whole batch.
    fn commit(&mut self, batch: &mut Vec<Box<dyn Job>>, queue: &mut Queue) {
        self.health.begin();
        let outcome = match self.transaction(batch, queue, Mode::Batch) {
            // Nothing was committed over a lost connection, so another connection is tried once.
            Err(Failure::OneFailed | Failure::Lost(_)) => {
                self.transaction(batch, queue, Mode::Savepoints)
            }
            outcome => outcome,
        };
        let (done, outcome) = match outcome {
            Ok(done) => (done, Ok(())),
            Err(Failure::All(error) | Failure::Lost(error)) => (batch.len(), Err(error)),
            Err(Failure::OneFailed) => (
                batch.len(),
                Err(StoreError::Other("an operation failed twice".to_owned())),
            ),
        };
        self.health.record(outcome.is_ok());
        // A server can lose a migration in a failover, and only a restart of this process migrates again.
        if let Err(error @ StoreError::OlderSchema { .. }) = &outcome {
            self.health.fail(error.clone());
        }
        self.operations += done;
        for job in batch.drain(..done) {
            job.answer(outcome.clone());
        }
        failpoint::pass("answered");
        if let Some(session) = &self.session {
            session.after_commit();
            let space = measure(&*self.driver, &**session);
            self.health.record_disk_space(space);
        }
    }

    /// Runs one transaction: begins, fills and commits it; rolls back on failure. Returns the number of
    /// operations that it took.
    fn transaction(
        &mut self,
        batch: &mut Vec<Box<dyn Job>>,
        queue: &mut Queue,
        mode: Mode,
    ) -> Result<usize, Failure> {
        let session = match self.session.take() {
            Some(session) => session,
            None => self.open_again().map_err(Failure::All)?,
        };
        self.settings.begin_transaction();
        let mut work = Work {
            tx: &*session,
            driver: &*self.driver,
            settings: &mut self.settings,
            wakeups: Wakeups::default(),
            entered: HashSet::new(),
            has_hooks: None,
        };
        let mut newest_call = self.newest_call;
        let outcome = fill(&*session, &mut work, batch, queue, mode)
            .and_then(|done| {
                let owes_more = (self.owes_calls)(&*session, &mut newest_call);
                work.wakeups.add_if(Topic::Calls, owes_more);
                session.settle_deferred().map_err(classify_deferred_error)?;
                // The query of `owes_calls` may have reported the error of an earlier statement.
                if session.has_failed() {
                    return Err(Failure::OneFailed);
                }
                Ok(done)
            })
            .map_err(|failure| match failure {
                Failure::All(error @ StoreError::Away(_)) => Failure::Lost(error),
                other => other,
            })
            .and_then(|done| {
                commit(&*session, work.wakeups).map_err(Failure::All)?;
                session.confirm().map_err(Failure::All)?;
                Ok(done)
            });
        let wakeups = work.wakeups;
        match &outcome {
            Ok(_) => {
                self.newest_call = newest_call;
                self.notifier.announce(wakeups);
                self.session = Some(session);
            }
            Err(failure) => {
                self.settings.invalidate();
                let rolled_back = session.roll_back();
                // After a failing disk or a damaged file, the connection is not used again: its cached pages
                // may be wrong.
                let trusted = matches!(
                    failure,
                    Failure::OneFailed | Failure::All(StoreError::Busy(_))
                );
                if rolled_back && trusted {
                    self.session = Some(session);
                }
                self.in_doubt |= !trusted;
            }
        }
        outcome
    }

    /// Opens another session after a failure.
    fn open_again(&mut self) -> Result<Box<dyn WriterSession>> {
        let session = self.driver.open_writer(self.in_doubt)?;
        self.in_doubt = false;
        Ok(session)
    }
}

#[cfg(test)]
mod tests;
