//! How many clients may be in at once, and who has to go when one more comes.
//!
//! When all seats are taken, the client that has made us wait the longest — for a command to come
//! whole, or for more of a message — gives up its own, if that is longer than one that means to
//! send mail ever does. So connections that dawdle cannot keep the others out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Whoever waits for less than this keeps its seat.
const PATIENCE: Duration = Duration::from_secs(10);

/// All seats of a listener.
pub struct Seats {
    /// Times are milliseconds since.
    opened: Instant,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    seats: HashMap<u64, Arc<Mark>>,
}

/// What is known of the one in a seat.
struct Mark {
    /// Since when it is waited for; [`BUSY`] while it is not.
    waiting_since: AtomicU64,
    evicted: CancellationToken,
}

const BUSY: u64 = u64::MAX;

/// One client's seat; free again when dropped.
pub struct Seat {
    seats: Arc<Seats>,
    id: u64,
    mark: Arc<Mark>,
}

impl Seats {
    #[must_use]
    pub fn new() -> Self {
        Self {
            opened: Instant::now(),
            taken: Mutex::default(),
        }
    }

    /// A seat, if fewer than `max` are taken or one can be made free.
    pub fn take(self: &Arc<Self>, max: usize) -> Option<Seat> {
        let mut taken = self.lock();
        if taken.seats.len() >= max {
            let latest = self.now().checked_sub(PATIENCE.as_secs() * 1000)?;
            let (&id, mark) = taken
                .seats
                .iter()
                .min_by_key(|(_, mark)| mark.waiting_since.load(Ordering::Relaxed))?;
            if mark.waiting_since.load(Ordering::Relaxed) > latest {
                return None;
            }
            // It says its last words without a seat.
            mark.evicted.cancel();
            taken.seats.remove(&id);
        }
        let id = taken.next;
        taken.next += 1;
        let mark = Arc::new(Mark {
            waiting_since: AtomicU64::new(BUSY),
            evicted: CancellationToken::new(),
        });
        taken.seats.insert(id, Arc::clone(&mark));
        Some(Seat {
            seats: Arc::clone(self),
            id,
            mark,
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(BUSY)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The client is waited for from now on.
    pub fn waits(&self) {
        let now = self.seats.now();
        self.mark.waiting_since.store(now, Ordering::Relaxed);
    }

    /// The client has said something.
    pub fn is_busy(&self) {
        self.mark.waiting_since.store(BUSY, Ordering::Relaxed);
    }

    /// Returns when another client is given this seat.
    pub async fn evicted(&self) {
        self.mark.evicted.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().seats.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_who_dawdles_longest_goes() {
        let seats = Arc::new(Seats::new());
        let take = || seats.take(3);
        let (busy, first, second) = (take().expect("1"), take().expect("2"), take().expect("3"));
        first.waits();
        advance(Duration::from_secs(1)).await;
        second.waits();
        assert!(take().is_none(), "nobody has waited long");
        advance(Duration::from_secs(9)).await;

        let fourth = take().expect("the seat of the first");
        assert!(first.mark.evicted.is_cancelled());
        assert!(!second.mark.evicted.is_cancelled());
        assert!(take().is_none(), "the second has waited nine seconds");
        second.is_busy();
        advance(Duration::from_mins(10)).await;
        assert!(take().is_none(), "all are busy");
        assert!(!busy.mark.evicted.is_cancelled());

        drop(first);
        assert!(take().is_none(), "its seat is another's");
        drop(fourth);
        assert!(take().is_some());
    }
}
