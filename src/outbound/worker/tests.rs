//! An endless queue whose attempts end when the test says so, in paused time.

use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;

/// Time limit of the database, in wall-clock time.
const TIMEOUT: Duration = Duration::from_mins(1);

struct Endless {
    name: DestinationName,
    store: Store,
    slots: usize,
    /// One permit for each attempt that may end.
    ends: Semaphore,
    /// Number of items that each claim asked for.
    claims: Mutex<Vec<usize>>,
    faults: Mutex<Faults>,
}

/// Faults, each with a count.
#[derive(Default)]
struct Faults {
    panics: usize,
    /// The claim is recorded nevertheless.
    claims: usize,
    settlements: usize,
    /// Recorded settlements and claims that were given back.
    settled: Vec<(usize, Settlement)>,
    given_back: usize,
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

impl Queue for Arc<Endless> {
    /// The index among all claims.
    type Claim = usize;

    fn name(&self) -> &DestinationName {
        &self.name
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn topic(&self) -> Topic {
        Topic::Requests
    }

    fn concurrency(&self) -> usize {
        self.slots
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(Some(Timestamp::UNIX_EPOCH))
    }

    async fn claim(
        &self,
        most: usize,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<ClaimedWork<usize>, StoreError> {
        if one_less(&mut self.faults().claims) {
            return Err(full());
        }
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let before: usize = claims.iter().sum();
        claims.push(most);
        Ok(ClaimedWork {
            claims: (before..before + most).collect(),
            set_aside: Vec::new(),
        })
    }

    fn number(_: &usize) -> ClaimNumber {
        ClaimNumber::default()
    }

    async fn give_back(&self, _: ClaimNumber, _: Timestamp) -> Result<(), StoreError> {
        self.faults().given_back += 1;
        Ok(())
    }

    async fn attempt(&self, _: &usize) -> Attempt {
        self.ends.acquire().await.expect("never closed").forget();
        assert!(!one_less(&mut self.faults().panics), "a slip");
        Attempt::Delivered
    }

    fn conclude(&self, _: &usize, attempt: &Attempt, at: Timestamp) -> Settlement {
        match attempt {
            Attempt::Delivered => Settlement::Delivered,
            Attempt::Retry(cause) | Attempt::Refused(cause) => Settlement::Retry {
                at,
                cause: cause.text.clone(),
            },
        }
    }

    async fn settle(
        &self,
        claim: &usize,
        settlement: Settlement,
        _: Timestamp,
    ) -> Result<Settled, StoreError> {
        let mut faults = self.faults();
        if one_less(&mut faults.settlements) {
            return Err(full());
        }
        faults.settled.push((*claim, settlement));
        Ok(Settled::Recorded)
    }

    async fn close_idle(&self) {}
}

/// A worker and its queue.
struct Post {
    queue: Arc<Endless>,
    stop: CancellationToken,
    work: JoinHandle<()>,
    _folder: TempDir,
}

impl Post {
    fn of(slots: usize) -> Self {
        Self::with(slots, Faults::default())
    }

    fn with(slots: usize, faults: Faults) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let queue = Arc::new(Endless {
            name: DestinationName::parse("desk").expect("a name"),
            store: Store::open(&folder.path().join("vestibule.db")).expect("a database"),
            slots,
            ends: Semaphore::new(0),
            claims: Mutex::default(),
            faults: Mutex::new(faults),
        });
        let stop = CancellationToken::new();
        let worker = Worker::of(Arc::clone(&queue), SharedBreaker::default(), stop.clone());
        Self {
            queue,
            stop,
            work: tokio::spawn(worker.run()),
            _folder: folder,
        }
    }

    /// Ends this many attempts and gives the worker time to see it.
    async fn end(&self, attempts: usize, wait: Duration) {
        self.queue.ends.add_permits(attempts);
        tokio::time::sleep(wait).await;
    }

    /// Waits until there are this many claims, and compares them.
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

    /// Waits until this many are settled.
    async fn settled(&self, count: usize) -> Vec<(usize, Settlement)> {
        let begin = std::time::Instant::now();
        while self.queue.faults().settled.len() < count {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(begin.elapsed() < TIMEOUT, "not that many");
        }
        self.queue.faults().settled.clone()
    }

    async fn close(self) {
        self.stop.cancel();
        self.queue.ends.add_permits(self.queue.slots);
        self.work.await.expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn slots_that_become_free_at_nearly_the_same_time_are_filled_together() {
    let post = Post::of(16);
    post.claims(&[16]).await;
    post.end(1, COMPANY / 2).await;
    post.end(1, Duration::ZERO).await;
    post.claims(&[16, 2]).await;
    post.end(1, COMPANY / 2).await;
    post.claims(&[16, 2, 1]).await;
    post.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_is_settled_as_one_to_be_tried_again() {
    let faults = Faults {
        panics: 1,
        ..Faults::default()
    };
    let post = Post::with(1, faults);
    post.end(1, Duration::ZERO).await;
    let settled = post.settled(1).await;
    let (0, Settlement::Retry { cause, .. }) = &settled[0] else {
        panic!("{settled:?}");
    };
    assert!(cause.contains("a fault in vestibule"), "{cause}");
    post.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_settlement_is_not_lost_while_the_database_does_not_take_it() {
    // Longer than a slot is kept for it, and shorter than its lease.
    let faults = Faults {
        settlements: 30,
        ..Faults::default()
    };
    let post = Post::with(1, faults);
    post.end(1, Duration::ZERO).await;
    let settled = post.settled(1).await;
    assert!(
        matches!(settled[..], [(0, Settlement::Delivered)]),
        "{settled:?}"
    );
    // The slot went to others meanwhile.
    let claims = post.queue.claims.lock();
    let claims = claims.unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(claims, [1, 1]);
    post.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_failed_is_given_back_while_others_are_under_way() {
    let post = Post::of(2);
    post.claims(&[2]).await;
    post.queue.faults().claims = 1;
    post.end(1, COMPANY).await;
    post.claims(&[2, 1]).await;
    let given_back = post.queue.faults().given_back;
    assert_eq!(given_back, 1);
    post.close().await;
}
