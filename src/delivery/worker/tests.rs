//! A queue without an end, of which an attempt ends when the test says so, in paused time.

use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;

/// How long the database may take for what it is asked, by the clock on the wall.
const PATIENCE: Duration = Duration::from_mins(1);

struct Endless {
    name: DestinationName,
    store: Store,
    seats: usize,
    /// A permit for each attempt that may end.
    ends: Semaphore,
    /// How much each claim asked for.
    claims: Mutex<Vec<usize>>,
}

impl Queue for Arc<Endless> {
    type Claim = ();

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
        self.seats
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(Some(Timestamp::UNIX_EPOCH))
    }

    async fn claim(&self, most: usize, _: Timestamp, _: Timestamp) -> Result<Vec<()>, StoreError> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.push(most);
        Ok(vec![(); most])
    }

    async fn end_leases(&self, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn hand_over(&self, (): (), learned: impl FnOnce(&Attempt) + Send) {
        self.ends.acquire().await.expect("never closed").forget();
        learned(&Attempt::Delivered);
    }

    async fn rest(&self) {}
}

/// A worker and its queue.
struct Post {
    queue: Arc<Endless>,
    stop: CancellationToken,
    work: JoinHandle<()>,
    _folder: TempDir,
}

impl Post {
    fn of(seats: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let queue = Arc::new(Endless {
            name: DestinationName::parse("desk").expect("a name"),
            store: Store::open(&folder.path().join("vestibule.db")).expect("a database"),
            seats,
            ends: Semaphore::new(0),
            claims: Mutex::default(),
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

    /// So many attempts end, and the worker has all the time it wants to see it.
    async fn end(&self, attempts: usize, wait: Duration) {
        self.queue.ends.add_permits(attempts);
        tokio::time::sleep(wait).await;
    }

    /// Waits until there are as many claims as these, and compares.
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
            assert!(begin.elapsed() < PATIENCE, "no more than {claims:?}");
        }
    }

    async fn close(self) {
        self.stop.cancel();
        self.queue.ends.add_permits(self.queue.seats);
        self.work.await.expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn seats_that_become_free_soon_after_each_other_are_filled_together() {
    let post = Post::of(16);
    post.claims(&[16]).await;
    post.end(1, COMPANY / 2).await;
    post.end(1, Duration::ZERO).await;
    post.claims(&[16, 2]).await;
    post.end(1, COMPANY / 2).await;
    post.claims(&[16, 2, 1]).await;
    post.close().await;
}
