//! In: the queue of one destination. Out: its attempts, sequential or concurrent.
//!
//! A worker claims as many runs as its destination may receive at a time, under a lease that is longer than any
//! attempt. Finished attempts are settled in the same transaction. Then it sleeps until an item is due, something
//! changes or it is told to stop. On shutdown it claims no more and finishes its attempts.
//!
//! The items of a run are attempted in order. The run ends at the first item that has to be retried, at an
//! operator's action and at shutdown; the items not yet attempted return to the queue. They also return once the
//! run has taken [`RUN_TIME`], while the attempt in progress goes on. So requests of a slow destination can still
//! be discarded, and little is repeated after a crash.
//!
//! The outcome of an attempt is settled under its claim. A settlement that the database rejects is retried for as
//! long as the lease lasts, so that a database error does not cause a second delivery.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::breaker::{BreakerChange, Capacity, SharedBreaker};
use super::queue::{WorkOutcome, WorkQueue};
use super::run::{RUN_TIME, Run};
use crate::domain::{DestinationName, Timestamp, later};
use crate::observe::events;
use crate::store::{Changes, ClaimNumber, DownDestination, NextWork, Settled, StoreError, Topic};

/// Time by which a lease is longer than an attempt, besides [`RUN_TIME`].
const LEASE_MARGIN: Duration = Duration::from_mins(1);

/// Delay before a retry after a database error.
const SETBACK: Duration = Duration::from_secs(1);

/// Interval between checks of a clock that is wrong.
const CLOCK_WAIT: Duration = Duration::from_secs(5);

/// Maximum sleep, so that a clock that was set wrong is noticed.
const MAX_SLEEP: Duration = Duration::from_mins(1);

/// Time for which a free slot may wait for others to become free. Each round is a transaction, so it should fill
/// several slots.
const GATHER: Duration = Duration::from_millis(2);

/// Idle time after which connections are closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The worker of one queue.
pub struct Worker<Q: WorkQueue> {
    queue: Arc<Q>,
    breaker: SharedBreaker,
    stop: CancellationToken,
    /// Number of the last claim that returned.
    last_claim: ClaimNumber,
    /// True if a claim failed but may have been recorded: a lease may be running without a worker.
    claims_in_doubt: bool,
    unsettled: Vec<WorkOutcome<Q>>,
    /// `None` if something may have become due since the last query.
    next: Option<NextWork>,
    /// Earliest time of the next round after a failed one.
    setback: Instant,
    under_way: JoinSet<Vec<WorkOutcome<Q>>>,
    /// Outcomes of runs that are still in progress.
    early: mpsc::UnboundedSender<Vec<WorkOutcome<Q>>>,
    actions: Changes,
    /// Time at which a free slot began to wait until others are free, too. `None` if none waits.
    free_since: Option<Instant>,
}

impl<Q: WorkQueue> Worker<Q> {
    /// Works until `stop`, and then until all attempts have ended.
    pub async fn run(queue: Q, breaker: SharedBreaker, stop: CancellationToken) {
        let (early, mut outcomes) = mpsc::unbounded_channel();
        let mut arrivals = queue.store().subscribe(Q::TOPIC);
        let mut worker = Self {
            actions: queue.store().subscribe(Topic::OperatorActions),
            queue: Arc::new(queue),
            breaker,
            stop: stop.clone(),
            last_claim: ClaimNumber::default(),
            claims_in_doubt: false,
            unsettled: Vec::new(),
            next: None,
            setback: Instant::now(),
            under_way: JoinSet::new(),
            early,
            free_since: None,
        };
        let mut has_closed_idle = true;
        while !(stop.is_cancelled() && worker.under_way.is_empty()) {
            worker.follow_state().await;
            let is_stopping = stop.is_cancelled();
            let now = Timestamp::now();
            let (capacity, _) = worker.capacity(now);
            let mut wait = worker.gather_time(capacity);
            if wait.is_zero() {
                worker.free_since = None;
                worker.step(capacity, now).await;
                wait = worker.wait(now);
            }
            let is_idle = worker.under_way.is_empty();
            has_closed_idle &= is_idle;
            let (wait, closes_idle) = choose_wait(wait, is_idle && !has_closed_idle);
            // While the destination is paused, changes need no query.
            let is_paused = worker.next == Some(NextWork::Paused);
            let changes = if is_paused {
                &mut worker.actions
            } else {
                &mut arrivals
            };
            tokio::select! {
                () = stop.cancelled(), if !is_stopping => {}
                Some(done) = worker.under_way.join_next() => {
                    worker.keep(done);
                    while let Some(done) = worker.under_way.try_join_next() {
                        worker.keep(done);
                    }
                }
                Some(done) = outcomes.recv() => worker.unsettled.extend(done),
                () = changes.wait() => worker.next = None,
                () = sleep(wait) => {
                    if closes_idle {
                        worker.queue.close_idle().await;
                        has_closed_idle = true;
                    }
                }
            }
        }
        while let Ok(done) = outcomes.try_recv() {
            worker.unsettled.extend(done);
        }
        // Anything that cannot be settled now is retried when the lease expires, or by the next start.
        let now = Timestamp::now();
        worker.settle_and_claim(0, now).await;
        worker.queue.close_idle().await;
    }

    /// Records for operators that the destination is down, asked for a pause, or is up again. If an operator removed
    /// the record, closes the breaker. After a reload, the next worker does so: this one may have an earlier breaker.
    async fn follow_state(&mut self) {
        if self.stop.is_cancelled() {
            return;
        }
        let state = self.breaker.down_state();
        let Some(name) = self.queue.name().cloned() else {
            return;
        };
        self.log_change(&name);
        let store = self.queue.store();
        let done = match (&state, &self.breaker.last_record()) {
            (None, None) => return,
            (Some(state), Some(recorded)) if state == recorded => {
                match store.is_down(name.clone()).await {
                    Ok(true) => return,
                    Ok(false) => {
                        self.breaker.close();
                        self.log_change(&name);
                        self.breaker.set_record(None);
                        self.next = None;
                        return;
                    }
                    Err(error) => Err(error),
                }
            }
            (Some(state), recorded) => {
                let was_down = recorded.as_ref().is_some_and(|before| !before.is_requested);
                let down = DownDestination {
                    name,
                    since: Timestamp::now(),
                    next_try_at: state.next_try_at,
                    last_error: state.last_error.clone(),
                    is_requested: state.is_requested,
                };
                let ended = if was_down && down.is_requested {
                    let ended = store.record_up(down.name.clone(), down.since).await;
                    ended.map(drop)
                } else {
                    Ok(())
                };
                match ended {
                    Ok(()) => store.record_down(down).await,
                    error => error,
                }
            }
            (None, Some(_)) => store.record_up(name, Timestamp::now()).await.map(drop),
        };
        match done {
            Ok(()) => self.breaker.set_record(state),
            Err(error) => events::fault("outbound", &error),
        }
    }

    /// Logs that the destination went down or is up again, even if the database cannot record it.
    fn log_change(&self, name: &DestinationName) {
        match self.breaker.take_change() {
            Some(BreakerChange::Down(cause)) => events::destination_down(name, &cause),
            Some(BreakerChange::Up) => events::destination_up(name),
            None => {}
        }
    }

    /// Number of runs that may start, and the time at which there may be more.
    fn capacity(&self, now: Timestamp) -> (usize, Timestamp) {
        let concurrency = self.queue.concurrency();
        if self.stop.is_cancelled() {
            return (0, Timestamp::MAX);
        }
        // With a wrong clock, this worker would take over leases that have not expired, or send too early.
        if !self.queue.store().is_clock_right() {
            return (0, now + CLOCK_WAIT);
        }
        match self
            .breaker
            .capacity(concurrency, self.under_way.len(), now)
        {
            Capacity::For(capacity) => (capacity, Timestamp::MAX),
            Capacity::NotBefore(time) => (0, time),
        }
    }

    /// Time for which free slots wait for others to become free; zero if the next round can begin.
    fn gather_time(&mut self, capacity: usize) -> Duration {
        let is_few = capacity * 4 < self.queue.concurrency() && !self.under_way.is_empty();
        if !is_few || (capacity == 0 && self.unsettled.is_empty()) {
            return Duration::ZERO;
        }
        let since = *self.free_since.get_or_insert_with(Instant::now);
        GATHER.saturating_sub(since.elapsed())
    }

    /// Time until there is something to do, unless an event comes first.
    fn wait(&self, now: Timestamp) -> Duration {
        let (capacity, more_at) = self.capacity(now);
        let due = match self.next {
            Some(NextWork::Due(due)) => due,
            Some(NextWork::Nothing | NextWork::Paused) => Timestamp::MAX,
            None => now,
        };
        let at = if capacity == 0 { more_at } else { due };
        let at = if self.unsettled.is_empty() && !self.claims_in_doubt {
            at
        } else {
            now
        };
        until(at, now).max(self.setback.saturating_duration_since(Instant::now()))
    }

    /// Settles finished attempts, and starts up to `capacity` runs of due items.
    async fn step(&mut self, capacity: usize, now: Timestamp) {
        if Instant::now() < self.setback {
            return;
        }
        if capacity > 0 && self.next.is_none() && self.unsettled.is_empty() {
            // A query is cheaper than a write transaction, and most changes concern other queues.
            match self.queue.next().await {
                Ok(next) => self.next = Some(next),
                Err(error) => return self.set_back(&error),
            }
        }
        let is_due = match self.next {
            None => true,
            Some(NextWork::Due(due)) => due <= now,
            Some(NextWork::Nothing | NextWork::Paused) => false,
        };
        let most = if is_due { capacity } else { 0 };
        if most > 0 || !self.unsettled.is_empty() || self.claims_in_doubt {
            self.settle_and_claim(most, now).await;
        }
    }

    fn set_back(&mut self, error: &StoreError) {
        events::fault("outbound", error);
        self.setback = Instant::now() + SETBACK;
    }

    /// Settles and claims in one transaction, and starts the runs that it claimed.
    async fn settle_and_claim(&mut self, most: usize, now: Timestamp) {
        if self.claims_in_doubt {
            if let Err(error) = self.queue.give_back(self.last_claim, now).await {
                return self.set_back(&error);
            }
            self.claims_in_doubt = false;
        }
        // An operator's action after this line ends the runs that are claimed now.
        let actions = self.queue.store().subscribe(Topic::OperatorActions);
        let lease = later(now, self.queue.timeout() + RUN_TIME + LEASE_MARGIN);
        self.claims_in_doubt = most > 0;
        let round = match self
            .queue
            .settle_and_claim(&self.unsettled, most, lease, now)
            .await
        {
            Ok(round) => round,
            Err(error) => {
                self.set_back(&error);
                return self.settle_apart(now).await;
            }
        };
        self.claims_in_doubt = false;
        for (outcome, settled) in self.unsettled.drain(..).zip(&round.settled) {
            report_lost_claim(&outcome, *settled);
        }
        if let Some(error) = &round.unread {
            self.claims_in_doubt = true;
            self.set_back(error);
        }
        for damaged in &round.set_aside {
            events::set_aside(damaged);
        }
        self.next = Some(match round.next {
            // Something is due but cannot be claimed. Wait, so that this worker does not busy-loop.
            NextWork::Due(due) if most > 0 && round.runs.is_empty() && due <= now => {
                NextWork::Due(later(now, SETBACK))
            }
            next => next,
        });
        for claims in round.runs {
            for claim in &claims {
                self.last_claim = self.last_claim.max(Q::number(claim));
            }
            let run = Run {
                queue: Arc::clone(&self.queue),
                breaker: self.breaker.clone(),
                stop: self.stop.clone(),
                actions: actions.clone(),
                lease,
                done: Vec::with_capacity(claims.len()),
                left: claims.into(),
            };
            self.under_way.spawn(run.make(self.early.clone()));
        }
    }

    /// Settles each outcome in its own transaction: one that the database rejects must not prevent the others from
    /// being settled.
    async fn settle_apart(&mut self, now: Timestamp) {
        for outcome in std::mem::take(&mut self.unsettled) {
            let alone = std::slice::from_ref(&outcome);
            match self.queue.settle_and_claim(alone, 0, now, now).await {
                Ok(round) => {
                    for settled in round.settled {
                        report_lost_claim(&outcome, settled);
                    }
                }
                Err(error) if outcome.lease > now && !error.is_final() => {
                    self.unsettled.push(outcome);
                }
                Err(error) => events::fault("outbound", &error),
            }
        }
    }

    fn keep(&mut self, done: Result<Vec<WorkOutcome<Q>>, JoinError>) {
        match done {
            Ok(outcomes) => self.unsettled.extend(outcomes),
            Err(panic) => events::fault("outbound", &panic),
        }
    }
}

fn report_lost_claim<Q: WorkQueue>(outcome: &WorkOutcome<Q>, settled: Settled) {
    if settled == Settled::ClaimLost && outcome.is_attempted {
        let cause =
            "the lease expired before the attempt was settled; the message may be sent twice";
        events::fault("outbound", &cause);
    }
}

/// Shortens a wait to the end of the idle time if there are connections to close then. True if they have to be
/// closed after it.
fn choose_wait(wait: Duration, has_idle_connections: bool) -> (Duration, bool) {
    if has_idle_connections && wait >= IDLE_TIMEOUT {
        (IDLE_TIMEOUT, true)
    } else {
        (wait, false)
    }
}

fn until(time: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now))
        .unwrap_or(Duration::ZERO)
        .min(MAX_SLEEP)
}

#[cfg(test)]
mod tests;
