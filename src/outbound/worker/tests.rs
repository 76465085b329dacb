//! Tests of the worker in paused time, with an endless queue whose attempts end when the test says so.

mod records;
mod runs;

use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::super::{AttemptOutcome, Cause};
use super::*;
use crate::store::{ClaimRound, Settlement, Store};

/// Time limit of the database, in wall-clock time.
const TIMEOUT: Duration = Duration::from_mins(1);

struct Endless {
    /// The state of a queue without a name is not recorded.
    name: Option<DestinationName>,
    store: Store,
    slots: usize,
    /// Items of each run.
    of_run: usize,
    is_together: bool,
    /// One permit for each attempt that may end.
    ends: Semaphore,
    /// Number of runs that each round requested.
    claims: Mutex<Vec<usize>>,
    faults: Mutex<Faults>,
}

/// Faults to inject, most of them with a count.
#[derive(Default)]
struct Faults {
    panics: usize,
    /// Items whose attempt has to be retried.
    retried: Vec<usize>,
    /// Every attempt fails because of the destination.
    is_down: bool,
    /// Claims that fail although they are recorded.
    claims: usize,
    settlements: usize,
    /// Recorded settlements and claims that were given back.
    settled: Vec<(usize, Settlement)>,
    given_back: usize,
    /// Lengths of the leases of the recorded claims.
    leases: Vec<Duration>,
}

fn one_less(left: &mut usize) -> bool {
    let is_left = *left > 0;
    *left = left.saturating_sub(1);
    is_left
}

fn full() -> StoreError {
    StoreError::Full("no room".to_owned())
}

impl Endless {
    fn faults(&self) -> std::sync::MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkQueue for Arc<Endless> {
    /// The index among all claims.
    type Claim = usize;
    type Settlement = Settlement;

    const TOPIC: Topic = Topic::Requests;

    fn name(&self) -> Option<&DestinationName> {
        self.name.as_ref()
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn concurrency(&self) -> usize {
        self.slots
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn attempts_together(&self) -> bool {
        self.is_together
    }

    async fn next(&self) -> Result<NextWork, StoreError> {
        Ok(NextWork::Due(Timestamp::UNIX_EPOCH))
    }

    async fn settle_and_claim(
        &self,
        outcomes: &[WorkOutcome<Self>],
        most: usize,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<ClaimRound<usize>, StoreError> {
        let mut faults = self.faults();
        if !outcomes.is_empty() && one_less(&mut faults.settlements) {
            return Err(full());
        }
        if most > 0 && one_less(&mut faults.claims) {
            return Err(full());
        }
        let outcomes = outcomes.iter();
        let settled: Vec<_> = outcomes
            .map(|done| (done.claim, done.settlement.clone()))
            .collect();
        faults.settled.extend(settled.clone());
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let before = claims.iter().sum::<usize>() * self.of_run;
        if most > 0 {
            claims.push(most);
            let lease = Duration::try_from(lease_until.duration_since(now));
            faults.leases.push(lease.expect("it ends later"));
        }
        let items: Vec<usize> = (before..before + most * self.of_run).collect();
        Ok(ClaimRound {
            settled: settled.iter().map(|_| Settled::Recorded).collect(),
            runs: items.chunks(self.of_run).map(<[_]>::to_vec).collect(),
            set_aside: Vec::new(),
            next: NextWork::Due(Timestamp::UNIX_EPOCH),
            unread: None,
        })
    }

    fn number(_: &usize) -> ClaimNumber {
        ClaimNumber::default()
    }

    async fn give_back(&self, _: ClaimNumber, _: Timestamp) -> Result<(), StoreError> {
        self.faults().given_back += 1;
        Ok(())
    }

    async fn attempt(
        &self,
        items: &mut [usize],
        stop: &CancellationToken,
    ) -> Vec<Option<AttemptOutcome>> {
        tokio::select! {
            end = self.ends.acquire() => end.expect("never closed").forget(),
            () = stop.cancelled(), if self.is_together => return vec![None; items.len()],
        }
        assert!(!one_less(&mut self.faults().panics), "a slip");
        let faults = self.faults();
        let attempt = |item| {
            if faults.is_down {
                AttemptOutcome::Retry(Cause::of_destination("down"))
            } else if faults.retried.contains(item) {
                AttemptOutcome::Retry(Cause::of_request("later"))
            } else {
                AttemptOutcome::Delivered
            }
        };
        items.iter().map(attempt).map(Some).collect()
    }

    fn conclude(&self, _: &usize, attempt: Option<&AttemptOutcome>, at: Timestamp) -> Settlement {
        match attempt {
            Some(AttemptOutcome::Delivered) => Settlement::Delivered,
            Some(
                AttemptOutcome::Retry(cause)
                | AttemptOutcome::Unknown(cause)
                | AttemptOutcome::Refused(cause),
            ) => {
                let cause = cause.text.clone();
                Settlement::Retry { at, cause }
            }
            None => Settlement::Unattempted,
        }
    }

    async fn close_idle(&self) {}
}

/// A worker and its queue.
struct Harness {
    queue: Arc<Endless>,
    breaker: SharedBreaker,
    stop: CancellationToken,
    work: JoinHandle<()>,
    _folder: TempDir,
}

impl Harness {
    fn of(slots: usize) -> Self {
        Self::with(slots, 1, Faults::default())
    }

    fn with(slots: usize, of_run: usize, faults: Faults) -> Self {
        Self::open(slots, of_run, false, faults)
    }

    /// The items of each run are attempted together.
    fn together(of_run: usize, faults: Faults) -> Self {
        Self::open(1, of_run, true, faults)
    }

    fn open(slots: usize, of_run: usize, is_together: bool, faults: Faults) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let queue = Arc::new(Endless {
            name: None,
            store: Store::open(&folder.path().join("vestibule.db")).expect("a database"),
            slots,
            of_run,
            is_together,
            ends: Semaphore::new(0),
            claims: Mutex::default(),
            faults: Mutex::new(faults),
        });
        let stop = CancellationToken::new();
        let breaker = SharedBreaker::default();
        let worker = Worker::run(Arc::clone(&queue), breaker.clone(), stop.clone());
        Self {
            queue,
            breaker,
            stop,
            work: tokio::spawn(worker),
            _folder: folder,
        }
    }

    /// Ends this many attempts and gives the worker time to notice.
    async fn end(&self, attempts: usize, wait: Duration) {
        self.queue.ends.add_permits(attempts);
        tokio::time::sleep(wait).await;
    }

    /// Waits until there are as many claims as expected, and compares them.
    async fn claims(&self, expected: &[usize]) {
        let begin = std::time::Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let claims = self.queue.claims.lock();
            let claims = claims.unwrap_or_else(PoisonError::into_inner).clone();
            if claims.len() >= expected.len() {
                assert_eq!(claims, expected);
                return;
            }
            assert!(begin.elapsed() < TIMEOUT, "no more than {claims:?}");
        }
    }

    /// Waits until this many items are settled.
    async fn wait_for_settled(&self, count: usize) -> Vec<(usize, Settlement)> {
        let begin = std::time::Instant::now();
        while self.queue.faults().settled.len() < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(begin.elapsed() < TIMEOUT, "not that many");
        }
        self.queue.faults().settled.clone()
    }

    /// The first settlements: `d`elivered, to be `r`etried or `u`nattempted.
    async fn outcomes(&self, count: usize) -> String {
        let mut settled = self.wait_for_settled(count).await;
        settled.truncate(count);
        let letter = |(item, settlement): &(usize, Settlement)| match settlement {
            Settlement::Delivered => format!("{item}d"),
            Settlement::Retry { .. } | Settlement::Failed { .. } => format!("{item}r"),
            Settlement::Unattempted => format!("{item}u"),
        };
        let letters: Vec<_> = settled.iter().map(letter).collect();
        letters.join(" ")
    }

    async fn close(self) {
        self.stop.cancel();
        self.queue.ends.add_permits(self.queue.slots);
        self.work.await.expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn slots_that_become_free_at_nearly_the_same_time_are_filled_together() {
    let harness = Harness::of(16);
    harness.claims(&[16]).await;
    harness.end(1, GATHER / 2).await;
    harness.end(1, Duration::ZERO).await;
    harness.claims(&[16, 2]).await;
    harness.end(1, GATHER / 2).await;
    harness.claims(&[16, 2, 1]).await;
    harness.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_is_settled_for_a_retry() {
    let faults = Faults {
        panics: 1,
        ..Faults::default()
    };
    let harness = Harness::with(1, 1, faults);
    harness.end(1, Duration::ZERO).await;
    let settled = harness.wait_for_settled(1).await;
    let (0, Settlement::Retry { cause, .. }) = &settled[0] else {
        panic!("{settled:?}");
    };
    assert!(cause.contains("internal error in vestibule"), "{cause}");
    harness.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_settlement_is_not_lost_while_the_database_refuses_it() {
    let faults = Faults {
        settlements: 60,
        ..Faults::default()
    };
    let harness = Harness::with(1, 1, faults);
    harness.end(1, Duration::ZERO).await;
    let settled = harness.wait_for_settled(1).await;
    assert!(
        matches!(settled[..], [(0, Settlement::Delivered)]),
        "{settled:?}"
    );
    harness.claims(&[1, 1]).await;
    harness.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_claim_is_returned_while_others_are_in_progress() {
    let harness = Harness::of(2);
    harness.claims(&[2]).await;
    harness.queue.faults().claims = 1;
    harness.end(1, GATHER).await;
    harness.claims(&[2, 1]).await;
    let given_back = harness.queue.faults().given_back;
    assert_eq!(given_back, 1);
    harness.close().await;
}

/// Another worker must not take over a claim while an attempt is in progress. `docs/cluster.md` has the sums.
#[tokio::test(start_paused = true)]
async fn a_lease_is_longer_than_the_longest_attempt_by_61_s() {
    let harness = Harness::of(1);
    harness.claims(&[1]).await;
    let leases = harness.queue.faults().leases.clone();
    assert_eq!(leases, [TIMEOUT + Duration::from_secs(61)]);
    harness.close().await;
}

#[test]
fn a_long_wait_is_shortened_to_close_idle_connections() {
    let just_under = IDLE_TIMEOUT.checked_sub(Duration::from_millis(1));
    let just_under = just_under.expect("more than a millisecond");
    for (wait, has_idle_connections, expected) in [
        (MAX_SLEEP, true, (IDLE_TIMEOUT, true)),
        (IDLE_TIMEOUT, true, (IDLE_TIMEOUT, true)),
        (just_under, true, (just_under, false)),
        (Duration::ZERO, true, (Duration::ZERO, false)),
        (MAX_SLEEP, false, (MAX_SLEEP, false)),
    ] {
        let chosen = choose_wait(wait, has_idle_connections);
        assert_eq!(chosen, expected, "{wait:?} {has_idle_connections}");
    }
}
