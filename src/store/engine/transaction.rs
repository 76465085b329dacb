//! One transaction of the writer: runs the operations of a batch in it, and classifies what fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::failpoint;
use crate::panics::text_of;
use crate::store::engine::driver::WriterSession;
use crate::store::engine::job::{Job, Work};
use crate::store::engine::notify::Wakeups;
use crate::store::engine::prefetcher::Prefetcher;
use crate::store::engine::queue::Queue;
use crate::store::{Result, StoreError};

/// Time after which a transaction takes no further operation: other processes wait for its lock.
pub(super) const MAX_DURATION: Duration = Duration::from_secs(1);

/// Reason why a transaction was not committed.
pub(super) enum Failure {
    /// One operation failed after it had written something; the others can still be committed.
    OneFailed,
    /// Nothing can be committed now.
    All(StoreError),
    /// The connection was lost before the commit, so nothing of the transaction was stored.
    Lost(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::All(error)
    }
}

/// Treatment of the operations of a batch.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mode {
    /// All succeed, or the batch is run again with savepoints.
    Batch,
    /// With a savepoint around each operation.
    Savepoints,
}

/// Begins a transaction and runs the operations of a batch in it. The operations that are queued while it begins join
/// the batch, and so do those that are queued while it runs, if the session takes them: callers that were just answered
/// often come back at once. Returns the number of operations that it ran.
pub(super) fn fill(
    session: &dyn WriterSession,
    work: &mut Work,
    batch: &mut Vec<Box<dyn Job>>,
    queue: &mut Queue,
    mode: Mode,
) -> Result<usize, Failure> {
    session.begin()?;
    let begin = Instant::now();
    if mode == Mode::Batch {
        queue.move_into(batch);
    }
    let mut done = 0;
    let mut prefetcher = Prefetcher::default();
    loop {
        if done > 0 && begin.elapsed() >= MAX_DURATION {
            break;
        }
        if mode == Mode::Batch && done == batch.len() && session.takes_late_operations() {
            queue.move_into(batch);
        }
        if done == batch.len() {
            break;
        }
        if mode == Mode::Batch {
            catch_panic(|| prefetcher.prefetch(session, work, batch, done))
                .map_err(classify_deferred_error)?;
        }
        let job = &mut batch[done];
        done += 1;
        if mode == Mode::Savepoints {
            session.begin_savepoint()?;
        }
        let before = session.changes();
        let run = catch_unwind(AssertUnwindSafe(|| job.run(work))).unwrap_or_else(|panic| {
            let error = StoreError::fault(text_of(&*panic));
            job.fail(error.clone());
            Err(error)
        });
        let run = run.and_then(|()| {
            let settled = match mode {
                Mode::Batch => Ok(()),
                Mode::Savepoints => session.settle_deferred(),
            };
            let outcome = settled.and_then(|()| {
                if !session.has_failed() {
                    return Ok(());
                }
                let cause = "an operation continued after an error";
                Err(StoreError::Other(cause.to_owned()))
            });
            outcome.inspect_err(|error| job.fail(error.clone()))
        });
        match run {
            Ok(()) => {}
            Err(error) if error.spoils_transaction() || !session.is_in_transaction() => {
                return Err(Failure::All(error));
            }
            // An operation that failed before it wrote anything needs no rollback.
            Err(_) if session.changes() == before && !session.has_failed() => {}
            Err(_) if mode == Mode::Batch => return Err(Failure::OneFailed),
            Err(_) => {
                session.roll_back_to_savepoint()?;
                work.settings.invalidate();
                work.has_hooks = None;
            }
        }
        if mode == Mode::Savepoints {
            session.release_savepoint()?;
        }
    }
    session.keep_numbers()?;
    Ok(done)
}

/// Classifies the error of an operation that was reported only after the operation had run.
pub(super) fn classify_deferred_error(error: StoreError) -> Failure {
    if error.spoils_transaction() {
        Failure::All(error)
    } else {
        Failure::OneFailed
    }
}

/// Commits the transaction, and tells other processes of the topics.
pub(super) fn commit(session: &dyn WriterSession, wakeups: Wakeups) -> Result<()> {
    failpoint::pass("filled");
    session.commit(wakeups)?;
    failpoint::pass("committed");
    Ok(())
}

/// Runs a closure, and returns a fault of this program if it panics.
pub(super) fn catch_panic<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|panic| Err(StoreError::fault(text_of(&*panic))))
}
