//! How many clients may be in at once, and who has to go when one more comes.
//!
//! When all seats are taken, the client that has made us wait the longest — for a command to come
//! whole, or for more of a message — gives up its own, if that is longer than one that means to
//! send mail ever does. So connections that dawdle cannot keep the others out. And the last tenth of
//! the seats is for peers that have less than a tenth of them: one that opens connection after
//! connection, for whatever reason, leaves room for the others.
//!
//! The same goes for the memory of the budget: while somebody waits for some, those who have some and
//! dawdle with their messages go, one after the other.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Whoever waits for less than this keeps its seat.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one who waits for memory waits between two who are sent away for it.
const TURN: Duration = Duration::from_secs(1);

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
    by_peer: HashMap<IpAddr, usize>,
}

/// What is known of the one in a seat.
struct Mark {
    peer: IpAddr,
    /// Since when it is waited for; [`BUSY`] while it is not.
    waiting_since: AtomicU64,
    /// Whether it has memory of the budget.
    has_memory: AtomicBool,
    evicted: CancellationToken,
}

impl Mark {
    fn waits_since(&self) -> u64 {
        self.waiting_since.load(Ordering::Relaxed)
    }
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

    /// A seat for this peer, if fewer than `max` are taken or one can be made free.
    pub fn take(self: &Arc<Self>, max: usize, peer: IpAddr) -> Option<Seat> {
        let mut taken = self.lock();
        let tenth = max / 10;
        let has_many = taken.by_peer.get(&peer).is_some_and(|own| *own >= tenth);
        let room = if has_many { max - tenth } else { max };
        if taken.seats.len() >= room {
            // Whoever has many makes room for itself, and for others.
            let is_full = taken.seats.len() >= max;
            self.send_away(&mut taken, |mark| is_full || mark.peer == peer)?;
        }
        let id = taken.next;
        taken.next += 1;
        let mark = Arc::new(Mark {
            peer,
            waiting_since: AtomicU64::new(BUSY),
            has_memory: AtomicBool::new(false),
            evicted: CancellationToken::new(),
        });
        taken.seats.insert(id, Arc::clone(&mark));
        *taken.by_peer.entry(peer).or_default() += 1;
        Some(Seat {
            seats: Arc::clone(self),
            id,
            mark,
        })
    }

    /// The one of these who dawdles longest goes, if it has dawdled for long. It says its last words
    /// without a seat.
    fn send_away(&self, taken: &mut Taken, these: impl Fn(&Mark) -> bool) -> Option<()> {
        let latest = self.now().checked_sub(PATIENCE.as_secs() * 1000)?;
        let (&id, mark) = taken
            .seats
            .iter()
            .filter(|(_, mark)| these(mark) && mark.waits_since() <= latest)
            .min_by_key(|(_, mark)| mark.waits_since())?;
        mark.evicted.cancel();
        taken.remove(id);
        Some(())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(BUSY)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn remove(&mut self, id: u64) {
        let Some(mark) = self.seats.remove(&id) else {
            return;
        };
        if let Some(own) = self.by_peer.get_mut(&mark.peer) {
            *own -= 1;
            if *own == 0 {
                self.by_peer.remove(&mark.peer);
            }
        }
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

    /// The client has memory of the budget from now on, or has none any more.
    pub fn has_memory(&self, has: bool) {
        self.mark.has_memory.store(has, Ordering::Relaxed);
    }

    /// Waits for memory of the budget. As long as that takes, those who have some and dawdle go, one
    /// after the other.
    pub async fn insists_on(&self, memory: impl Future<Output = ()>) {
        let mut memory = std::pin::pin!(memory);
        while tokio::time::timeout(TURN, memory.as_mut()).await.is_err() {
            let mut taken = self.seats.lock();
            let has_memory = |mark: &Mark| mark.has_memory.load(Ordering::Relaxed);
            self.seats.send_away(&mut taken, has_memory);
        }
        self.has_memory(true);
    }

    /// Returns when this client is to go, for the sake of others.
    pub async fn evicted(&self) {
        self.mark.evicted.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_who_dawdles_longest_goes() {
        let seats = Arc::new(Seats::new());
        let take = || seats.take(3, [127, 0, 0, 1].into());
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

    #[tokio::test(start_paused = true)]
    async fn only_who_has_memory_goes_for_the_sake_of_memory() {
        let seats = Arc::new(Seats::new());
        let take = || seats.take(10, [127, 0, 0, 1].into()).expect("a seat");
        let (without, with, busy, waiting) = (take(), take(), take(), take());
        without.waits();
        with.has_memory(true);
        with.waits();
        busy.has_memory(true);
        let begin = Instant::now();
        let memory = tokio::time::timeout(Duration::from_mins(1), async {
            waiting.insists_on(with.evicted()).await;
        });
        memory.await.expect("who has memory goes");
        assert!(begin.elapsed() >= PATIENCE, "{:?}", begin.elapsed());
        assert!(begin.elapsed() < PATIENCE + 2 * TURN);
        let patience = tokio::time::timeout(Duration::from_hours(1), async {
            waiting.insists_on(std::future::pending()).await;
        });
        assert!(patience.await.is_err(), "nobody has any to spare");
        assert!(!without.mark.evicted.is_cancelled() && !busy.mark.evicted.is_cancelled());
        assert_eq!(seats.lock().seats.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn one_peer_leaves_a_tenth_to_the_others() {
        let seats = Arc::new(Seats::new());
        let [greedy, modest] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let take = |peer| seats.take(20, peer);
        let held: Vec<_> = std::iter::from_fn(|| take(greedy)).collect();
        assert_eq!(held.len(), 18);
        let first = take(modest).expect("a seat is kept");
        let second = take(modest).expect("and another");
        assert!(take(modest).is_none(), "all are taken");
        drop(first);
        assert!(take(greedy).is_none(), "it is not for who has many");
        let first = take(modest).expect("it is for who has few");

        // One of its own goes when the greedy one insists, never another's.
        for seat in &held {
            seat.waits();
        }
        advance(Duration::from_secs(5)).await;
        first.waits();
        second.waits();
        advance(PATIENCE).await;
        let again = take(greedy).expect("in place of one of its own");
        assert!(!first.mark.evicted.is_cancelled() && !second.mark.evicted.is_cancelled());
        assert_eq!(seats.lock().by_peer[&greedy], 18);
        drop((held, again, first, second));
        assert!(seats.lock().by_peer.is_empty());
    }
}
