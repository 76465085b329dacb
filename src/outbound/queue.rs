//! The queue of one destination, as its worker sees it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::AttemptOutcome;
use crate::domain::{DestinationName, Timestamp};
use crate::store::{ClaimNumber, ClaimRound, NextWork, Store, StoreError, Topic};

/// The queue of one target, and the way to deliver to it.
pub trait WorkQueue: Send + Sync + 'static {
    /// An item that the worker has claimed.
    type Claim: Send + Sync + 'static;
    /// The record of an outcome.
    type Settlement: Clone + Send + Sync + 'static;

    /// Topic whose notifications announce new items.
    const TOPIC: Topic;

    /// Name of the target as operators know it; its state is recorded under this name.
    fn name(&self) -> Option<&DestinationName> {
        None
    }

    fn store(&self) -> &Store;

    /// Maximum number of concurrent runs.
    fn concurrency(&self) -> usize;

    /// Longest duration of an attempt.
    fn timeout(&self) -> Duration;

    /// True if the items of a run are attempted together, and not one after the other.
    fn attempts_together(&self) -> bool {
        false
    }

    /// Finds when the next item is due, if any waits and the queue is not paused.
    fn next(&self) -> impl Future<Output = Result<NextWork, StoreError>> + Send;

    /// Settles outcomes and then claims up to `most` runs, in one transaction.
    fn settle_and_claim(
        &self,
        outcomes: &[WorkOutcome<Self>],
        most: usize,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Result<ClaimRound<Self::Claim>, StoreError>> + Send;

    fn number(claim: &Self::Claim) -> ClaimNumber;

    /// Gives back all claims whose numbers are above `after`.
    fn give_back(
        &self,
        after: ClaimNumber,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes one attempt for each item. Returns `None` for an item that was not attempted, because an earlier one
    /// has to be retried or `stop` was cancelled. May move data out of the items that only an attempt needs.
    fn attempt(
        &self,
        claims: &mut [Self::Claim],
        stop: &CancellationToken,
    ) -> impl Future<Output = Vec<Option<AttemptOutcome>>> + Send;

    /// Derives the settlement to record; `attempt` is `None` if the item was not attempted.
    fn conclude(
        &self,
        claim: &Self::Claim,
        attempt: Option<&AttemptOutcome>,
        now: Timestamp,
    ) -> Self::Settlement;

    /// Called when there is nothing to do: closes idle connections.
    fn close_idle(&self) -> impl Future<Output = ()> + Send;
}

/// The outcome of a claim, until it is recorded.
pub struct WorkOutcome<Q: WorkQueue + ?Sized> {
    pub claim: Q::Claim,
    pub settlement: Q::Settlement,
    pub at: Timestamp,
    /// End of the lease, after which another worker may have the claim.
    pub(super) lease: Timestamp,
    pub(super) is_attempted: bool,
}
