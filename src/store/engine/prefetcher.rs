//! Prefetches the queries of the operations of a batch, so that one round trip to the database serves many
//! operations.

use crate::store::Result;
use crate::store::engine::driver::WriterSession;
use crate::store::engine::job::{Job, Work};

/// The operations of a batch whose queries were prefetched.
#[derive(Default)]
pub(super) struct Prefetcher {
    /// Index of the first of them, and of the first operation after them.
    from: usize,
    to: usize,
}

impl Prefetcher {
    /// Prefetches for the operations from `next` on, unless the results are already there. After an operation has
    /// changed prefetched results, the next prefetch covers twice as many operations as the last one served. No
    /// prefetch covers more than the session can collect at once.
    pub(super) fn prefetch(
        &mut self,
        session: &dyn WriterSession,
        work: &mut Work,
        batch: &[Box<dyn Job>],
        next: usize,
    ) -> Result<()> {
        let is_at_the_end = self.to > 0 && next >= self.to;
        if !session.needs_prefetch() && !is_at_the_end {
            return Ok(());
        }
        let most = match self.to {
            0 => batch.len(),
            _ => (2 * (next - self.from)).max(2),
        };
        (self.from, self.to) = (next, next);
        session.begin_prefetch()?;
        for job in batch.iter().skip(next).take(most) {
            if !session.can_prefetch() {
                break;
            }
            job.prefetch(work);
            self.to += 1;
        }
        session.end_prefetch()
    }
}
