//! In: the queue of one destination. Out: its attempts, one after the other or several at a time.
//!
//! A worker claims as many items as its destination may get at a time, under a lease that is longer than any
//! attempt. Then it sleeps until something is due, something changed or it is told to stop. On shutdown it
//! claims no more and finishes its attempts.
//!
//! The outcome of an attempt is settled by its claim. A settlement that the database rejects is retried for
//! as long as the lease lasts, so that a database error does not cause a second delivery.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::breaker::{Capacity, SharedBreaker};
use super::{Attempt, Cause};
use crate::domain::{DestinationName, Timestamp};
use crate::observe::{catch_panic, events};
use crate::store::{ClaimNumber, ClaimedWork, Settled, Settlement, Store, StoreError, Topic};

/// Time by which a lease is longer than an attempt.
const LEASE_MARGIN: Duration = Duration::from_mins(1);

/// Delay before a retry after a database error.
const SETBACK: Duration = Duration::from_secs(1);

/// Maximum sleep, so that a clock that was set wrong is noticed.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Time for which a free slot may wait for others to become free. One claim is a transaction of its own, so
/// it should fill several slots.
const COMPANY: Duration = Duration::from_millis(2);

/// Idle time after which connections are closed.
const RESTFUL: Duration = Duration::from_secs(10);

/// The queue of one place, and the way to deliver to it.
pub trait Queue: Send + Sync + 'static {
    /// An item that the worker has claimed.
    type Claim: Clone + Send + Sync + 'static;

    fn name(&self) -> &DestinationName;

    fn store(&self) -> &Store;

    /// Topic of the wakeups that tell of new items.
    fn topic(&self) -> Topic;

    /// Maximum number of concurrent attempts.
    fn concurrency(&self) -> usize;

    /// Longest duration of an attempt.
    fn timeout(&self) -> Duration;

    /// Time of the next attempt; `None` if the queue is empty.
    fn next_due(&self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    fn claim(
        &self,
        most: usize,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Result<ClaimedWork<Self::Claim>, StoreError>> + Send;

    fn number(claim: &Self::Claim) -> ClaimNumber;

    /// Gives back all claims after the claim of that number.
    fn give_back(
        &self,
        after: ClaimNumber,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// One attempt.
    fn attempt(&self, claim: &Self::Claim) -> impl Future<Output = Attempt> + Send;

    /// Derives from the outcome of an attempt the settlement to record.
    fn conclude(&self, claim: &Self::Claim, attempt: &Attempt, now: Timestamp) -> Settlement;

    fn settle(
        &self,
        claim: &Self::Claim,
        settlement: Settlement,
        now: Timestamp,
    ) -> impl Future<Output = Result<Settled, StoreError>> + Send;

    /// Called when there is nothing to do: closes idle connections.
    fn close_idle(&self) -> impl Future<Output = ()> + Send;
}

/// The event that the worker waits for.
#[derive(Clone, Copy)]
enum Next {
    At(Timestamp),
    /// The destination is paused until an operator resumes it.
    Resumed,
}

impl Next {
    fn time(self) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Resumed => Timestamp::MAX,
        }
    }
}

/// A settlement that the database rejected.
struct Unsettled<C> {
    claim: C,
    settlement: Settlement,
    at: Timestamp,
    /// End of the lease, after which another worker may have the claim.
    lease: Timestamp,
}

impl<C> Unsettled<C> {
    /// Tries once. Returns itself if it must be retried.
    async fn settle<Q: Queue<Claim = C>>(self, queue: &Q) -> Result<(), (Self, StoreError)> {
        match queue
            .settle(&self.claim, self.settlement.clone(), self.at)
            .await
        {
            Ok(Settled::Recorded) => Ok(()),
            Ok(Settled::ClaimLost) => {
                let cause = "the lease expired before the attempt was settled; the message may be \
                             delivered twice";
                events::fault("delivery", &cause);
                Ok(())
            }
            Err(error) => Err((self, error)),
        }
    }

    /// Retries for as long as this may occupy a slot.
    async fn settle_soon<Q: Queue<Claim = C>>(self, queue: &Q) -> Option<Self> {
        let mut tries = Tries::begin();
        let mut unsettled = self;
        loop {
            match unsettled.settle(queue).await {
                Ok(()) => return None,
                Err((left, error)) => {
                    if !tries.again(&error).await {
                        return Some(left);
                    }
                    unsettled = left;
                }
            }
        }
    }
}

/// The worker of one queue.
pub struct Worker<Q: Queue> {
    queue: Arc<Q>,
    breaker: SharedBreaker,
    stop: CancellationToken,
    /// Number of the last claim that returned.
    last_claim: ClaimNumber,
    /// A claim failed but may have been recorded nevertheless: a lease may be running without a worker.
    claims_in_doubt: bool,
    unsettled: Vec<Unsettled<Q::Claim>>,
}

impl<Q: Queue> Worker<Q> {
    pub fn of(queue: Q, breaker: SharedBreaker, stop: CancellationToken) -> Self {
        Self {
            queue: Arc::new(queue),
            breaker,
            stop,
            last_claim: ClaimNumber::default(),
            claims_in_doubt: false,
            unsettled: Vec::new(),
        }
    }

    /// Works until it is told to stop and all attempts have ended.
    pub async fn run(mut self) {
        let mut arrivals = self.queue.store().subscribe(self.queue.topic());
        let mut actions = self.queue.store().subscribe(Topic::OperatorActions);
        let mut under_way = JoinSet::new();
        let mut rested = true;
        let mut slots_free_since: Option<Instant> = None;
        while !self.stop.is_cancelled() {
            let now = Timestamp::now();
            self.settle_the_rest(now).await;
            let next = match self
                .breaker
                .capacity(self.queue.concurrency(), under_way.len(), now)
            {
                Capacity::For(0) => Next::At(Timestamp::MAX),
                Capacity::For(capacity) => {
                    let few = capacity * 4 < self.queue.concurrency() && !under_way.is_empty();
                    let since = *slots_free_since.get_or_insert_with(Instant::now);
                    let rest = COMPANY.saturating_sub(since.elapsed());
                    if few && !rest.is_zero() {
                        Next::At(later(now, rest))
                    } else {
                        slots_free_since = None;
                        self.take(capacity, &mut under_way, now).await
                    }
                }
                Capacity::NotBefore(time) => Next::At(time),
            };
            let is_idle = under_way.is_empty();
            rested &= is_idle;
            let mut sleep = until(next.time(), now);
            if !self.unsettled.is_empty() {
                sleep = sleep.min(SETBACK);
            }
            // While the destination is paused, changes need no look at the database.
            let changes = match next {
                Next::At(_) => &mut arrivals,
                Next::Resumed => &mut actions,
            };
            let (sleep, is_last) = if rested || sleep < RESTFUL || !is_idle {
                (sleep, false)
            } else {
                (RESTFUL, true)
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                Some(done) = under_way.join_next() => {
                    self.look_at(done);
                    while let Some(done) = under_way.try_join_next() {
                        self.look_at(done);
                    }
                }
                () = changes.wait() => {}
                () = tokio::time::sleep(sleep) => {
                    if is_last {
                        self.queue.close_idle().await;
                        rested = true;
                    }
                }
            }
        }
        while let Some(done) = under_way.join_next().await {
            self.look_at(done);
        }
        // Work that cannot be done now is done when the lease expires, or by the next start.
        let now = Timestamp::now();
        self.settle_the_rest(now).await;
        if let Err(error) = self.give_back_the_doubtful(now).await {
            events::fault("delivery", &error);
        }
        self.queue.close_idle().await;
    }

    /// Starts up to `capacity` attempts and returns the event to wait for.
    async fn take(
        &mut self,
        capacity: usize,
        under_way: &mut JoinSet<Option<Unsettled<Q::Claim>>>,
        now: Timestamp,
    ) -> Next {
        let lease = later(now, self.queue.timeout() + LEASE_MARGIN);
        match self.claim(capacity, lease, now).await {
            Ok((claims, next)) => {
                for claim in claims {
                    self.last_claim = self.last_claim.max(Q::number(&claim));
                    let (queue, breaker) = (Arc::clone(&self.queue), self.breaker.clone());
                    under_way.spawn(hand_over(queue, breaker, claim, lease));
                }
                next
            }
            Err(error) => {
                events::fault("delivery", &error);
                Next::At(later(now, SETBACK))
            }
        }
    }

    fn look_at(&mut self, done: Result<Option<Unsettled<Q::Claim>>, JoinError>) {
        match done {
            Ok(unsettled) => self.unsettled.extend(unsettled),
            Err(panic) => events::fault("delivery", &panic),
        }
    }

    /// Retries the pending settlements.
    async fn settle_the_rest(&mut self, now: Timestamp) {
        for unsettled in std::mem::take(&mut self.unsettled) {
            if let Err((left, error)) = unsettled.settle(&*self.queue).await {
                events::fault("delivery", &error);
                if left.lease > now && !error.is_final() {
                    self.unsettled.push(left);
                }
            }
        }
    }

    /// Gives back the items of a claim that failed but may have been recorded.
    async fn give_back_the_doubtful(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.claims_in_doubt {
            self.queue.give_back(self.last_claim, now).await?;
            self.claims_in_doubt = false;
        }
        Ok(())
    }

    async fn claim(
        &mut self,
        capacity: usize,
        lease: Timestamp,
        now: Timestamp,
    ) -> Result<(Vec<Q::Claim>, Next), StoreError> {
        self.give_back_the_doubtful(now).await?;
        let paused = self.queue.store().paused_destinations().await?;
        if paused.contains(self.queue.name()) {
            return Ok((Vec::new(), Next::Resumed));
        }
        // The query costs no transaction, and most changes concern something else.
        let Some(due) = self.queue.next_due().await? else {
            return Ok((Vec::new(), Next::At(Timestamp::MAX)));
        };
        if due > now {
            return Ok((Vec::new(), Next::At(due)));
        }
        self.claims_in_doubt = true;
        let ClaimedWork { claims, set_aside } = self.queue.claim(capacity, lease, now).await?;
        self.claims_in_doubt = false;
        for damaged in set_aside {
            events::set_aside(&damaged);
        }
        let next = if claims.is_empty() {
            later(now, SETBACK)
        } else {
            now
        };
        Ok((claims, Next::At(next)))
    }
}

/// Makes one attempt and settles it; returns the settlement if the database rejects it.
async fn hand_over<Q: Queue>(
    queue: Arc<Q>,
    breaker: SharedBreaker,
    claim: Q::Claim,
    lease: Timestamp,
) -> Option<Unsettled<Q::Claim>> {
    let attempt = catch_panic(queue.attempt(&claim))
        .await
        .unwrap_or_else(|panic| {
            events::fault("delivery", &panic);
            Attempt::Retry(Cause::of_request("a fault in vestibule"))
        });
    // Before the settlement, so that everyone who finds it recorded finds the breaker updated, even if a
    // reload came in between.
    breaker.note(&attempt, Timestamp::now());
    let at = Timestamp::now();
    let unsettled = Unsettled {
        settlement: queue.conclude(&claim, &attempt, at),
        claim,
        at,
        lease,
    };
    unsettled.settle_soon(&*queue).await
}

/// Retries while the database is full, locked or gone, for half of the time by which the lease is longer than
/// the attempt.
pub struct Tries {
    deadline: Instant,
    wait: Duration,
}

impl Tries {
    pub fn begin() -> Self {
        Self {
            deadline: Instant::now() + LEASE_MARGIN / 2,
            wait: SETBACK,
        }
    }

    /// Waits for the next try; false if there is none.
    pub async fn again(&mut self, error: &StoreError) -> bool {
        events::fault("delivery", error);
        if error.is_final() || Instant::now() + self.wait > self.deadline {
            return false;
        }
        tokio::time::sleep(self.wait).await;
        self.wait *= 2;
        true
    }
}

fn until(time: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now))
        .unwrap_or(Duration::ZERO)
        .min(LONGEST_SLEEP)
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
