//! In: items that were claimed together. Out: their attempts, in order, and the outcomes to settle.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::AttemptOutcome;
use super::breaker::SharedBreaker;
use super::queue::{WorkOutcome, WorkQueue};
use crate::domain::Timestamp;
use crate::panics::catch_panic;
use crate::store::Changes;

/// Time after which a run begins no further attempt.
pub(super) const RUN_TIME: Duration = Duration::from_secs(1);

/// A run in progress.
pub(super) struct Run<Q: WorkQueue> {
    pub(super) queue: Arc<Q>,
    pub(super) breaker: SharedBreaker,
    pub(super) stop: CancellationToken,
    pub(super) actions: Changes,
    pub(super) lease: Timestamp,
    pub(super) left: VecDeque<Q::Claim>,
    pub(super) done: Vec<WorkOutcome<Q>>,
}

impl<Q: WorkQueue> Run<Q> {
    /// Makes the attempts. Returns the outcomes, except for those that were sent to `early`.
    pub(super) async fn make(
        mut self,
        early: mpsc::UnboundedSender<Vec<WorkOutcome<Q>>>,
    ) -> Vec<WorkOutcome<Q>> {
        let end = Instant::now() + RUN_TIME;
        while !self.left.is_empty() && self.has_time() {
            let together = if self.queue.attempts_together() {
                self.left.len()
            } else {
                1
            };
            let mut claims: Vec<_> = self.left.drain(..together).collect();
            let attempts = self.attempt(&mut claims, end, &early).await;
            let attempts = attempts.unwrap_or_else(|panic| {
                let unknown = AttemptOutcome::of_panic(&panic);
                vec![Some(unknown); together]
            });
            self.note(&attempts);
            let mut is_retried = false;
            for (claim, attempt) in claims.into_iter().zip(attempts) {
                is_retried |= !matches!(
                    attempt,
                    Some(AttemptOutcome::Delivered | AttemptOutcome::Refused(_))
                );
                self.conclude(claim, attempt.as_ref());
            }
            if is_retried
                || Instant::now() >= end
                || self.stop.is_cancelled()
                || self.actions.is_pending()
                || self.breaker.is_open(Timestamp::now())
            {
                break;
            }
        }
        self.return_unattempted();
        self.done
    }

    /// True if another attempt would end before the lease does, even if the clock was set or the machine slept.
    fn has_time(&self) -> bool {
        let end = Timestamp::now().checked_add(self.queue.timeout());
        end.is_ok_and(|end| end <= self.lease)
    }

    /// Attempts these items. When the time of the run is up, the remaining items are returned while the attempt
    /// continues. If several items are attempted together, an operator's action stops the attempt.
    async fn attempt(
        &mut self,
        claims: &mut [Q::Claim],
        end: Instant,
        early: &mpsc::UnboundedSender<Vec<WorkOutcome<Q>>>,
    ) -> Result<Vec<Option<AttemptOutcome>>, String> {
        let (queue, stop) = (Arc::clone(&self.queue), self.stop.child_token());
        let mut attempts = std::pin::pin!(catch_panic(queue.attempt(claims, &stop)));
        let (mut is_late, mut is_stopped) = (false, !queue.attempts_together());
        loop {
            tokio::select! {
                attempts = &mut attempts => return attempts,
                () = sleep_until(end), if !is_late => {
                    is_late = true;
                    self.return_unattempted();
                    if !self.done.is_empty() {
                        // The worker outlives its runs.
                        let _ = early.send(std::mem::take(&mut self.done));
                    }
                }
                () = self.actions.wait(), if !is_stopped => {
                    is_stopped = true;
                    stop.cancel();
                }
            }
        }
    }

    fn return_unattempted(&mut self) {
        while let Some(claim) = self.left.pop_front() {
            self.conclude(claim, None);
        }
    }

    /// Updates the breaker. The outcome is settled only later, so anyone who sees the settlement also sees the new
    /// state of the breaker, even across a reload.
    fn note(&self, attempts: &[Option<AttemptOutcome>]) {
        let now = Timestamp::now();
        let mut is_failed = false;
        for attempt in attempts.iter().flatten() {
            // Items that were attempted together can all report the same failure, which counts once.
            let is_failure = attempt.destination_failure().is_some();
            if !(is_failure && is_failed) {
                self.breaker.note(attempt, now);
            }
            is_failed |= is_failure;
        }
    }

    fn conclude(&mut self, claim: Q::Claim, attempt: Option<&AttemptOutcome>) {
        let at = Timestamp::now();
        self.done.push(WorkOutcome {
            settlement: self.queue.conclude(&claim, attempt, at),
            claim,
            at,
            lease: self.lease,
            is_attempted: attempt.is_some(),
        });
    }
}
