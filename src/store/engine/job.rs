//! An operation in the queue of the writer, with its result.
//!
//! It may run twice, and the last run counts. The captured data returns to the caller to be freed, so that
//! the single writer thread spends no time on it.

use tokio::sync::oneshot::{self, Receiver};

use crate::store::StoreError;
use crate::store::engine::notify::Wakeups;
use crate::store::engine::settings_cache::SettingsCache;
use crate::store::sql::Tx;

/// Context of an operation.
pub(crate) struct Work<'a> {
    pub(crate) tx: &'a Tx,
    pub(crate) settings: &'a mut SettingsCache,
    /// Topics to wake, for the workers and the log.
    pub(crate) wakeups: Wakeups,
}

/// A queued operation.
pub(crate) trait Job: Send {
    /// Size of the captured data in octets.
    fn weight(&self) -> usize;
    fn run(&mut self, work: &mut Work) -> Result<(), StoreError>;
    /// Replaces the result of the last run.
    fn fail(&mut self, error: StoreError);
    /// Sends the caller the result of the last run, or the reason why there was no commit.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);
}

/// The result, and the closure with its captured data.
pub(crate) type JobOutcome<T, F> = (Result<T, StoreError>, F);

struct Operation<F, T> {
    weight: usize,
    run: F,
    result: Result<T, StoreError>,
    reply: oneshot::Sender<JobOutcome<T, F>>,
}

impl<F, T> Job for Operation<F, T>
where
    F: FnMut(&mut Work) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn weight(&self) -> usize {
        self.weight
    }

    fn run(&mut self, work: &mut Work) -> Result<(), StoreError> {
        self.result = (self.run)(work);
        match &self.result {
            Ok(_) => Ok(()),
            Err(error) => Err(error.clone()),
        }
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Err(error);
    }

    fn answer(self: Box<Self>, commit: Result<(), StoreError>) {
        // Sending fails if the caller was cancelled; the commit stays valid.
        let _ = self.reply.send((commit.and(self.result), self.run));
    }
}

/// Creates an operation for the queue, and the receiver of its outcome. `weight` is the size of the captured
/// data in octets.
pub(crate) fn job<F, T>(weight: usize, run: F) -> (Box<dyn Job>, Receiver<JobOutcome<T, F>>)
where
    F: FnMut(&mut Work) -> Result<T, StoreError> + Send + 'static,
    T: Send + 'static,
{
    let (reply, outcome) = oneshot::channel();
    let operation = Operation {
        weight,
        run,
        result: Err(StoreError::Closed),
        reply,
    };
    (Box::new(operation), outcome)
}
