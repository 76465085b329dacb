//! What waits for one destination in; out, its attempts, one after the other or some at a time.
//!
//! A worker claims as much as its destination may get at a time, under a lease that is longer than
//! any attempt, and sleeps until something is due, something changed or it is to stop. Told to stop,
//! it claims no more and finishes what is under way.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::breaker::{Room, SharedBreaker};
use super::{Attempt, Cause};
use crate::domain::{DestinationName, Timestamp};
use crate::observe::events;
use crate::store::{Store, StoreError, Topic};

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
    type Claim: Send + 'static;

    fn name(&self) -> &DestinationName;

    fn store(&self) -> &Store;

    /// What tells that more may be due.
    fn topic(&self) -> Topic;

    /// How many attempts may be under way at a time.
    fn concurrency(&self) -> usize;

    /// The longest that an attempt may take.
    fn patience(&self) -> Duration;

    /// When the next attempt is due; None when nothing waits.
    fn next_due(&self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    fn claim(
        &self,
        most: usize,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Self::Claim>, StoreError>> + Send;

    /// Ends the leases of what is not under way: of everything, when this is asked for.
    fn end_leases(&self, now: Timestamp) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// One attempt, settled. What came of it is `learned` before it is recorded.
    fn hand_over(
        &self,
        claim: Self::Claim,
        learned: impl FnOnce(&Attempt) + Send,
    ) -> impl Future<Output = ()> + Send;

    /// There is nothing to do at present: gives back what others may want.
    fn rest(&self) -> impl Future<Output = ()> + Send;
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

/// The worker of one queue.
pub(super) struct Worker<Q> {
    queue: Arc<Q>,
    breaker: SharedBreaker,
    stop: CancellationToken,
    /// A claim failed, and may all the same have been recorded: somebody's lease runs for nobody.
    leases_in_doubt: bool,
}

impl<Q: Queue> Worker<Q> {
    pub(super) fn of(queue: Q, breaker: SharedBreaker, stop: CancellationToken) -> Self {
        Self {
            queue: Arc::new(queue),
            breaker,
            stop,
            leases_in_doubt: false,
        }
    }

    /// Works until it is told to stop and nothing is under way any more.
    pub(super) async fn run(mut self) {
        let mut arrivals = self.queue.store().subscribe(self.queue.topic());
        let mut deeds = self.queue.store().subscribe(Topic::Deeds);
        let mut under_way = JoinSet::new();
        let mut rested = true;
        let mut seats_free_since: Option<Instant> = None;
        while !self.stop.is_cancelled() {
            let now = Timestamp::now();
            let next = match self
                .breaker
                .room(self.queue.concurrency(), under_way.len(), now)
            {
                Room::For(0) => Next::At(Timestamp::MAX),
                Room::For(_) if self.leases_in_doubt && !under_way.is_empty() => {
                    Next::At(Timestamp::MAX)
                }
                Room::For(room) => {
                    let few = room * 4 < self.queue.concurrency() && !under_way.is_empty();
                    let since = *seats_free_since.get_or_insert_with(Instant::now);
                    let rest = COMPANY.saturating_sub(since.elapsed());
                    if few && !rest.is_zero() {
                        Next::At(later(now, rest))
                    } else {
                        seats_free_since = None;
                        self.take(room, &mut under_way, now).await
                    }
                }
                Room::NotBefore(time) => Next::At(time),
            };
            let is_idle = under_way.is_empty();
            rested &= is_idle;
            let sleep = until(next.time(), now);
            // While it is paused, what comes is nothing to look at the database for.
            let changes = match next {
                Next::At(_) => &mut arrivals,
                Next::Resumed => &mut deeds,
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
                        self.queue.rest().await;
                        rested = true;
                    }
                }
            }
        }
        while let Some(done) = under_way.join_next().await {
            self.look_at(done);
        }
        self.queue.rest().await;
    }

    /// Starts up to `room` attempts; says when there will be more to do.
    async fn take(&mut self, room: usize, under_way: &mut JoinSet<()>, now: Timestamp) -> Next {
        match self.claim(room, now).await {
            Ok((claims, next)) => {
                for claim in claims {
                    let (queue, breaker) = (Arc::clone(&self.queue), self.breaker.clone());
                    under_way.spawn(async move {
                        // Whoever finds it recorded finds the breaker as it left it, also when a reload
                        // has come in between.
                        let learned = |attempt: &Attempt| breaker.note(attempt, Timestamp::now());
                        queue.hand_over(claim, learned).await;
                    });
                }
                next
            }
            Err(error) => {
                events::fault("delivery", &error);
                self.leases_in_doubt = true;
                Next::At(later(now, SETBACK))
            }
        }
    }

    /// An attempt that panicked is a fault of ours; its lease runs out and it is made again.
    fn look_at(&self, done: Result<(), JoinError>) {
        if let Err(panic) = done {
            events::fault("delivery", &panic);
            let fault = Attempt::Retry(Cause::of_request("a fault in vestibule"));
            self.breaker.note(&fault, Timestamp::now());
        }
    }

    async fn claim(
        &mut self,
        room: usize,
        now: Timestamp,
    ) -> Result<(Vec<Q::Claim>, Next), StoreError> {
        if self.leases_in_doubt {
            // Nothing is under way: whatever is leased is leased for nothing.
            self.queue.end_leases(now).await?;
            self.leases_in_doubt = false;
        }
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
        let lease = later(now, self.queue.patience() + LEASE_MARGIN);
        let claims = self.queue.claim(room, lease, now).await?;
        let next = if claims.is_empty() {
            later(now, SETBACK)
        } else {
            now
        };
        Ok((claims, Next::At(next)))
    }
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
