//! An operation in the queue of the writer, with its result.
//!
//! It may run twice, and the last run counts. The captured data returns to the caller to be freed, so that
//! the single writer thread spends no time on it.

use std::collections::HashSet;

use tokio::sync::oneshot::{self, Receiver};

use crate::store::engine::driver::Driver;
use crate::store::engine::notify::Wakeups;
use crate::store::engine::settings_cache::SettingsCache;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::{Result, StoreError};

/// Context of an operation.
pub(crate) struct Work<'a> {
    pub(crate) tx: &'a Tx,
    /// The driver, which compared the clocks at the beginning of the transaction.
    pub(crate) driver: &'a dyn Driver,
    pub(crate) settings: &'a mut SettingsCache,
    /// Topics to wake, for the workers and the log.
    pub(crate) wakeups: Wakeups,
    /// Keys of the messages that this transaction entered so far.
    pub(crate) entered: HashSet<(i64, i64)>,
    /// True if there are hooks; None while this transaction does not know.
    pub(crate) has_hooks: Option<bool>,
}

impl Work<'_> {
    /// Converts a time of this machine's clock to the clock of the database, with which leases are compared.
    pub(crate) fn database_time(&self, now: Millis) -> Millis {
        now.behind(self.driver.clock_offset())
    }
}

/// An operation in the writer's transaction. It may run twice.
pub(crate) trait Operation<T>: Send {
    fn run(&mut self, work: &mut Work) -> Result<T>;

    /// Issues the queries of [`run`](Self::run) that are known in advance. They return no rows yet.
    fn prefetch(&self, _work: &mut Work) {}
}

/// An operation without a prefetch.
pub(crate) struct Closure<F>(pub(crate) F);

impl<T, F: FnMut(&mut Work) -> Result<T> + Send> Operation<T> for Closure<F> {
    fn run(&mut self, work: &mut Work) -> Result<T> {
        (self.0)(work)
    }
}

/// A queued operation.
pub(crate) trait Job: Send {
    /// Size of the captured data in octets.
    fn weight(&self) -> usize;
    fn run(&mut self, work: &mut Work) -> Result<()>;
    fn prefetch(&self, work: &mut Work);
    /// Replaces the result of the last run.
    fn fail(&mut self, error: StoreError);
    /// Sends the caller the result of the last run, or the reason why there was no commit.
    fn answer(self: Box<Self>, commit: Result<()>);
}

/// The result, and the operation with its captured data.
pub(crate) type JobOutcome<T, O> = (Result<T>, O);

struct QueuedOperation<O, T> {
    weight: usize,
    operation: O,
    result: Result<T>,
    reply: oneshot::Sender<JobOutcome<T, O>>,
}

impl<O: Operation<T>, T: Send> Job for QueuedOperation<O, T> {
    fn weight(&self) -> usize {
        self.weight
    }

    fn run(&mut self, work: &mut Work) -> Result<()> {
        self.result = self.operation.run(work);
        match &self.result {
            Ok(_) => Ok(()),
            Err(error) => Err(error.clone()),
        }
    }

    fn prefetch(&self, work: &mut Work) {
        self.operation.prefetch(work);
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Err(error);
    }

    fn answer(self: Box<Self>, commit: Result<()>) {
        // Sending fails if the caller was cancelled; the commit stays valid.
        let _ = self.reply.send((commit.and(self.result), self.operation));
    }
}

/// Creates an operation for the queue, and the receiver of its outcome. `weight` is the size of the captured
/// data in octets.
pub(crate) fn job<O, T>(weight: usize, operation: O) -> (Box<dyn Job>, Receiver<JobOutcome<T, O>>)
where
    O: Operation<T> + 'static,
    T: Send + 'static,
{
    let (reply, outcome) = oneshot::channel();
    let job = QueuedOperation {
        weight,
        operation,
        result: Err(StoreError::Closed),
        reply,
    };
    (Box::new(job), outcome)
}
