//! What waits for one destination in; out, its attempts, one after the other or some at a time.
//!
//! A worker claims as much as its destination may get at a time, under a lease that is longer than
//! any attempt, and sleeps until something is due, something changed or it is to stop. Told to stop,
//! it claims no more and finishes what is under way.
//!
//! What came of an attempt is settled by its claim. A settlement that the database does not take is
//! tried again for as long as the lease lasts, so that nothing is handed over a second time for that.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::breaker::{Capacity, SharedBreaker};
use super::{Attempt, Cause};
use crate::domain::{DestinationName, Timestamp};
use crate::observe::{caught, events};
use crate::store::{ClaimNumber, Settled, Settlement, Store, StoreError, Topic};

/// How much longer than an attempt its lease is.
const LEASE_MARGIN: Duration = Duration::from_mins(1);

/// How long to wait when the database did not answer as it should.
const SETBACK: Duration = Duration::from_secs(1);

/// No sleep is longer, so that a clock that was set wrong is noticed.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// So long a free seat may wait for others to become free, so that one claim, which is a transaction
/// of its own, serves several.
const COMPANY: Duration = Duration::from_millis(2);

/// Without work for so long, connections are closed.
const RESTFUL: Duration = Duration::from_secs(10);

/// What waits to go to one place, and the way there.
pub(super) trait Queue: Send + Sync + 'static {
    /// Something in the hands of the worker.
    type Claim: Clone + Send + Sync + 'static;

    fn name(&self) -> &DestinationName;

    fn store(&self) -> &Store;

    /// What tells that more may be due.
    fn topic(&self) -> Topic;

    /// How many attempts may be under way at a time.
    fn concurrency(&self) -> usize;

    /// The longest that an attempt may take.
    fn timeout(&self) -> Duration;

    /// When the next attempt is due; None when nothing waits.
    fn next_due(&self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    fn claim(
        &self,
        most: usize,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Self::Claim>, StoreError>> + Send;

    fn number(claim: &Self::Claim) -> ClaimNumber;

    /// Gives back what was claimed after the claim of that number.
    fn give_back(
        &self,
        after: ClaimNumber,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// One attempt.
    fn attempt(&self, claim: &Self::Claim) -> impl Future<Output = Attempt> + Send;

    /// Tells what came of an attempt, and what is to be recorded of it.
    fn conclude(&self, claim: &Self::Claim, attempt: &Attempt, now: Timestamp) -> Settlement;

    fn settle(
        &self,
        claim: &Self::Claim,
        settlement: Settlement,
        now: Timestamp,
    ) -> impl Future<Output = Result<Settled, StoreError>> + Send;

    /// There is nothing to do at present: gives back what others may want.
    fn close_idle(&self) -> impl Future<Output = ()> + Send;
}

/// When there will be more to do.
#[derive(Clone, Copy)]
enum Next {
    At(Timestamp),
    /// An operator paused the destination and has to resume it first.
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

/// A settlement that the database did not take.
struct Unsettled<C> {
    claim: C,
    settlement: Settlement,
    at: Timestamp,
    /// The end of the lease, after which somebody else may have the claim.
    lease: Timestamp,
}

impl<C> Unsettled<C> {
    /// Tries once. Comes back when it is to be tried again.
    async fn settle<Q: Queue<Claim = C>>(self, queue: &Q) -> Result<(), (Self, StoreError)> {
        match queue
            .settle(&self.claim, self.settlement.clone(), self.at)
            .await
        {
            Ok(Settled::Recorded) => Ok(()),
            Ok(Settled::ClaimLost) => {
                let cause = "the lease of an attempt was over before the attempt was settled; what it \
                             was about may be handed over twice";
                events::fault("delivery", &cause);
                Ok(())
            }
            Err(error) => Err((self, error)),
        }
    }

    /// Tries for as long as it is worth a seat.
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
pub(super) struct Worker<Q: Queue> {
    queue: Arc<Q>,
    breaker: SharedBreaker,
    stop: CancellationToken,
    /// The last claim that came to us.
    last_claim: ClaimNumber,
    /// A claim failed, and may all the same have been recorded: somebody's lease runs for nobody.
    claims_in_doubt: bool,
    unsettled: Vec<Unsettled<Q::Claim>>,
}

impl<Q: Queue> Worker<Q> {
    pub(super) fn of(queue: Q, breaker: SharedBreaker, stop: CancellationToken) -> Self {
        Self {
            queue: Arc::new(queue),
            breaker,
            stop,
            last_claim: ClaimNumber::default(),
            claims_in_doubt: false,
            unsettled: Vec::new(),
        }
    }

    /// Works until it is told to stop and nothing is under way any more.
    pub(super) async fn run(mut self) {
        let mut arrivals = self.queue.store().subscribe(self.queue.topic());
        let mut actions = self.queue.store().subscribe(Topic::OperatorActions);
        let mut under_way = JoinSet::new();
        let mut rested = true;
        let mut seats_free_since: Option<Instant> = None;
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
                    let since = *seats_free_since.get_or_insert_with(Instant::now);
                    let close_idle = COMPANY.saturating_sub(since.elapsed());
                    if few && !close_idle.is_zero() {
                        Next::At(later(now, close_idle))
                    } else {
                        seats_free_since = None;
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
            // While it is paused, what comes is nothing to look at the database for.
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
        // What cannot be done now is done when the lease is over, or by the next start.
        let now = Timestamp::now();
        self.settle_the_rest(now).await;
        if let Err(error) = self.give_back_the_doubtful(now).await {
            events::fault("delivery", &error);
        }
        self.queue.close_idle().await;
    }

    /// Starts up to `capacity` attempts; says when there will be more to do.
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

    /// Tries to settle what could not be settled until now.
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

    /// Gives back what a claim that failed may have taken all the same.
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
        // A look costs no transaction, and most changes are about something else.
        let Some(due) = self.queue.next_due().await? else {
            return Ok((Vec::new(), Next::At(Timestamp::MAX)));
        };
        if due > now {
            return Ok((Vec::new(), Next::At(due)));
        }
        self.claims_in_doubt = true;
        let claims = self.queue.claim(capacity, lease, now).await?;
        self.claims_in_doubt = false;
        let next = if claims.is_empty() {
            later(now, SETBACK)
        } else {
            now
        };
        Ok((claims, Next::At(next)))
    }
}

/// One attempt and its settlement, which is given back where the database does not take it.
async fn hand_over<Q: Queue>(
    queue: Arc<Q>,
    breaker: SharedBreaker,
    claim: Q::Claim,
    lease: Timestamp,
) -> Option<Unsettled<Q::Claim>> {
    let attempt = caught(queue.attempt(&claim)).await.unwrap_or_else(|panic| {
        events::fault("delivery", &panic);
        Attempt::Retry(Cause::of_request("a fault in vestibule"))
    });
    // Whoever finds it recorded finds the breaker as it left it, also when a reload has come in between.
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

/// Asking the database again while it is full, locked or gone, for half of what the lease is longer
/// than the attempt.
pub(super) struct Tries {
    deadline: Instant,
    wait: Duration,
}

impl Tries {
    pub(super) fn begin() -> Self {
        Self {
            deadline: Instant::now() + LEASE_MARGIN / 2,
            wait: SETBACK,
        }
    }

    /// Waits for the next try, if there is to be one.
    pub(super) async fn again(&mut self, error: &StoreError) -> bool {
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
