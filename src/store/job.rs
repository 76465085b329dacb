//! An operation on its way to the writer: what is to be done in, what it came to out.
//!
//! It may run twice, and the last run counts. What it brought along goes back to who handed it in, so
//! that the one thread that all wait for frees nothing.

use rusqlite::Connection;
use tokio::sync::oneshot::{self, Receiver};

use super::StoreError;
use super::changes::Wakeups;
use super::settings_cache::SettingsCache;

/// What an operation works with.
pub(super) struct Work<'a> {
    pub(super) connection: &'a Connection,
    pub(super) settings: &'a mut SettingsCache,
    /// What became due that a worker waits for, or that the log is to tell.
    pub(super) wakeups: Wakeups,
}

/// An operation that waits to be run and answered.
pub(super) trait Job: Send {
    /// Octets that it brings along.
    fn weight(&self) -> usize;
    fn run(&mut self, work: &mut Work) -> Result<(), StoreError>;
    /// Replaces what the last run said.
    fn fail(&mut self, error: StoreError);
    /// Tells the caller what the last run said, or why there was no commit.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);
}

/// What it came to, and what it brought along.
pub(super) type Outcome<T, F> = (Result<T, StoreError>, F);

struct Operation<F, T> {
    weight: usize,
    run: F,
    result: Result<T, StoreError>,
    reply: oneshot::Sender<Outcome<T, F>>,
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
        // Nobody listens when the caller was cancelled; what is committed stays committed.
        let _ = self.reply.send((commit.and(self.result), self.run));
    }
}

/// An operation for the queue, and where its outcome will be. `weight` is the octets that it brings
/// along.
pub(super) fn job<F, T>(weight: usize, run: F) -> (Box<dyn Job>, Receiver<Outcome<T, F>>)
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
