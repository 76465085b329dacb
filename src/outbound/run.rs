//! In: items that were claimed together. Out: their attempts, in order, and the outcomes to settle.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::breaker::SharedBreaker;
use super::queue::{WorkOutcome, WorkQueue};
use super::{Attempt, Cause};
use crate::domain::Timestamp;
use crate::observe::{catch_panic, events};
use crate::store::Changes;

/// Time after which a run begins no attempt.
pub(super) const RUN_TIME: Duration = Duration::from_secs(1);

/// A run under way.
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
        while !self.left.is_empty() {
            let together = if self.queue.attempts_together() {
                self.left.len()
            } else {
                1
            };
            let claims: Vec<_> = self.left.drain(..together).collect();
            let attempts = self.attempt(&claims, end, &early).await;
            let attempts = attempts.unwrap_or_else(|panic| {
                events::fault("outbound", &panic);
                let unknown = || Some(Attempt::Unknown(Cause::of_request("a fault in vestibule")));
                std::iter::repeat_with(unknown).take(together).collect()
            });
            let mut is_retried = false;
            for (claim, attempt) in claims.into_iter().zip(attempts) {
                is_retried |= !matches!(attempt, Some(Attempt::Delivered | Attempt::Refused(_)));
                self.note(claim, attempt.as_ref());
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

    /// Attempts these items. If that takes longer than the run may, what is not attempted is returned
    /// meanwhile.
    async fn attempt(
        &mut self,
        claims: &[Q::Claim],
        end: Instant,
        early: &mpsc::UnboundedSender<Vec<WorkOutcome<Q>>>,
    ) -> Result<Vec<Option<Attempt>>, String> {
        let (queue, stop) = (Arc::clone(&self.queue), self.stop.clone());
        let mut attempts = std::pin::pin!(catch_panic(queue.attempt(claims, &stop)));
        tokio::select! {
            attempts = &mut attempts => return attempts,
            () = sleep_until(end) => {}
        }
        self.return_unattempted();
        if !self.done.is_empty() {
            // The worker outlives its runs.
            let _ = early.send(std::mem::take(&mut self.done));
        }
        attempts.await
    }

    fn return_unattempted(&mut self) {
        while let Some(claim) = self.left.pop_front() {
            self.note(claim, None);
        }
    }

    fn note(&mut self, claim: Q::Claim, attempt: Option<&Attempt>) {
        let at = Timestamp::now();
        // Before the settlement, so that everyone who finds it recorded finds the breaker updated, even if a
        // reload came in between.
        if let Some(attempt) = attempt {
            self.breaker.note(attempt, at);
        }
        self.done.push(WorkOutcome {
            settlement: self.queue.conclude(&claim, attempt, at),
            claim,
            at,
            lease: self.lease,
            is_attempted: attempt.is_some(),
        });
    }
}
