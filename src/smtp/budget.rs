//! Memory budget for incoming messages, shared by all connections.
//!
//! A connection reserves memory for its buffer, and for reading the message, before it allocates. If none is
//! free it waits; TCP flow control holds the client back. Freed memory goes to the peer that holds least, so
//! that one peer's messages delay those of others by no more than a fair share. While nothing waits, any peer
//! may have all of it. A reserve, enough for one message, goes to one waiting connection at a time. That
//! connection then needs nothing from others, and its own timeouts make it finish, so there is no deadlock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Allocation unit of reservations, in octets.
const PIECE: usize = 1024;

/// The memory budget of a listener.
pub struct Budget {
    state: Mutex<State>,
}

struct State {
    /// Unreserved octets.
    free: usize,
    /// True while the reserve is free.
    has_reserve: bool,
    /// Reserved octets by peer; a peer that has none has no entry.
    held: HashMap<IpAddr, usize>,
    /// Waiting reservations, in order of arrival.
    waiting: Vec<Waiting>,
    next: u64,
}

struct Waiting {
    id: u64,
    peer: IpAddr,
    more: usize,
    granted: oneshot::Sender<Grant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grant {
    Octets(usize),
    Reserve,
}

impl Budget {
    /// Creates a budget of `total` octets. `largest` of them, enough for the largest message, form the reserve.
    #[must_use]
    pub fn new(total: u64, largest: u64) -> Self {
        Self {
            state: Mutex::new(State {
                free: usize::try_from(total.saturating_sub(largest)).unwrap_or(usize::MAX),
                has_reserve: true,
                held: HashMap::new(),
                waiting: Vec::new(),
                next: 0,
            }),
        }
    }

    /// Creates an empty reservation for a message of this peer.
    #[must_use]
    pub fn reservation(&self, peer: IpAddr) -> Reservation<'_> {
        Reservation {
            budget: self,
            peer,
            octets: 0,
            has_reserve: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, peer: IpAddr, grant: Grant) {
        let mut state = self.lock();
        state.put_back(peer, grant);
        state.hand_out();
    }
}

impl State {
    fn take(&mut self, peer: IpAddr, octets: usize) {
        self.free -= octets;
        *self.held.entry(peer).or_default() += octets;
    }

    fn put_back(&mut self, peer: IpAddr, grant: Grant) {
        match grant {
            Grant::Reserve => self.has_reserve = true,
            Grant::Octets(octets) => {
                self.free += octets;
                if let Some(held) = self.held.get_mut(&peer) {
                    *held = held.saturating_sub(octets);
                    if *held == 0 {
                        self.held.remove(&peer);
                    }
                }
            }
        }
    }

    /// Grants memory to waiting reservations, the peer that holds least first, while there is enough. Stops at
    /// the first that does not fit: otherwise small messages would starve a large one.
    fn hand_out(&mut self) {
        while let Some(first) = self.first() {
            let Waiting { peer, more, .. } = self.waiting[first];
            let grant = if more <= self.free {
                self.take(peer, more);
                Grant::Octets(more)
            } else if self.has_reserve {
                self.has_reserve = false;
                Grant::Reserve
            } else {
                return;
            };
            let waiting = self.waiting.remove(first);
            if waiting.granted.send(grant).is_err() {
                self.put_back(peer, grant);
            }
        }
    }

    fn first(&self) -> Option<usize> {
        let held = |waiting: &Waiting| self.held.get(&waiting.peer).copied().unwrap_or(0);
        (0..self.waiting.len()).min_by_key(|at| (held(&self.waiting[*at]), self.waiting[*at].id))
    }
}

/// Memory reserved for one message; released on drop.
pub struct Reservation<'a> {
    budget: &'a Budget,
    peer: IpAddr,
    octets: usize,
    has_reserve: bool,
}

impl Reservation<'_> {
    /// True if this many octets are reserved already.
    #[must_use]
    pub fn covers(&self, octets: usize) -> bool {
        self.has_reserve || octets <= self.octets
    }

    /// Octets reserved for this message; at least 1 while it holds the reserve.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.octets.max(usize::from(self.has_reserve))
    }

    /// Waits until the message has `octets` reserved in total.
    pub async fn grow(&mut self, octets: usize) {
        if self.covers(octets) {
            return;
        }
        let more = octets.div_ceil(PIECE) * PIECE - self.octets;
        let mut place = {
            let mut state = self.budget.lock();
            if state.waiting.is_empty() && more <= state.free {
                state.take(self.peer, more);
                self.octets += more;
                return;
            }
            let (granted, grant) = oneshot::channel();
            let id = state.next;
            state.next += 1;
            state.waiting.push(Waiting {
                id,
                peer: self.peer,
                more,
                granted,
            });
            state.hand_out();
            QueuePlace {
                budget: self.budget,
                peer: self.peer,
                id,
                grant,
            }
        };
        match (&mut place.grant).await {
            Ok(Grant::Octets(octets)) => self.octets += octets,
            Ok(Grant::Reserve) => self.has_reserve = true,
            // The budget owns the sender until it grants something, and outlives the reservation.
            Err(_) => {}
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.has_reserve {
            self.budget.give_back(self.peer, Grant::Reserve);
        }
        self.budget.give_back(self.peer, Grant::Octets(self.octets));
    }
}

/// A place in the queue. Dropping it leaves the queue and returns an unclaimed grant.
struct QueuePlace<'a> {
    budget: &'a Budget,
    peer: IpAddr,
    id: u64,
    grant: oneshot::Receiver<Grant>,
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.budget
            .lock()
            .waiting
            .retain(|waiting| waiting.id != self.id);
        if let Ok(grant) = self.grant.try_recv() {
            self.budget.give_back(self.peer, grant);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[tokio::test]
    async fn dropped_reservations_are_returned() {
        let budget = Budget::new(10 * 1024, 0);
        let mut reservation = budget.reservation(A);
        reservation.grow(1).await;
        reservation.grow(1024).await;
        assert_eq!(budget.lock().free, 9 * 1024);
        reservation.grow(1025).await;
        reservation.grow(10 * 1024).await;
        assert_eq!(budget.lock().free, 0);
        assert_eq!(reservation.octets(), 10 * 1024);
        drop(reservation);
        assert_eq!(budget.lock().free, 10 * 1024);
        assert!(budget.lock().held.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn every_message_passes_when_the_budget_is_used_up() {
        // Each of 50 tasks holds a part and waits for more: without the reserve this would be a deadlock.
        let budget = Arc::new(Budget::new(60 * 1024, 10 * 1024));
        let tasks: Vec<_> = (0..50)
            .map(|number| {
                let budget = Arc::clone(&budget);
                tokio::spawn(async move {
                    let mut reservation = budget.reservation(if number % 2 == 0 { A } else { B });
                    for kib in 1..=10 {
                        reservation.grow(kib * 1024).await;
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            tokio::time::timeout(std::time::Duration::from_mins(1), task)
                .await
                .expect("no deadlock")
                .expect("no panic");
        }
        let state = budget.lock();
        assert_eq!((state.free, state.has_reserve), (50 * 1024, true));
        assert!(state.held.is_empty() && state.waiting.is_empty());
    }

    #[tokio::test]
    async fn only_one_reservation_has_the_reserve() {
        let budget = Budget::new(0, 1024);
        let mut first = budget.reservation(A);
        first.grow(1024).await;
        assert_eq!(first.octets(), 1, "it counts as one that holds memory");
        let mut second = budget.reservation(A);
        assert!(now(second.grow(1)).is_none(), "the second must wait");
        drop(first);
        assert!(now(second.grow(1)).is_some(), "its turn");
    }

    #[tokio::test]
    async fn freed_memory_goes_to_the_peer_that_holds_least() {
        let budget = Budget::new(8 * 1024, 0);
        let mut greedy: Vec<_> = (0..4).map(|_| budget.reservation(A)).collect();
        for reservation in &mut greedy {
            reservation.grow(2 * 1024).await;
        }
        let mut reserve = budget.reservation(A);
        reserve.grow(1024).await;
        assert!(reserve.has_reserve);

        let (mut more, mut other) = (budget.reservation(A), budget.reservation(B));
        let mut more = std::pin::pin!(more.grow(1024));
        assert!(poll(more.as_mut()).is_none(), "no memory is left");
        let mut late = std::pin::pin!(other.grow(2 * 1024));
        assert!(poll(late.as_mut()).is_none(), "no memory is left");
        greedy.pop();
        assert!(
            poll(late.as_mut()).is_some(),
            "it came later and holds less"
        );
        assert!(poll(more.as_mut()).is_none());
        greedy.pop();
        assert!(poll(more.as_mut()).is_some());
    }

    #[tokio::test]
    async fn a_small_message_does_not_overtake_a_large_one() {
        let budget = Budget::new(4 * 1024, 0);
        let mut most = budget.reservation(A);
        most.grow(3 * 1024).await;
        let mut reserve = budget.reservation(A);
        reserve.grow(2 * 1024).await;
        assert!(reserve.has_reserve);

        let (mut large, mut small) = (budget.reservation(B), budget.reservation(B));
        let mut large = std::pin::pin!(large.grow(2 * 1024));
        assert!(poll(large.as_mut()).is_none(), "1 KiB is free");
        let mut small = std::pin::pin!(small.grow(1024));
        assert!(poll(small.as_mut()).is_none(), "the large one is first");
        drop(most);
        assert!(poll(large.as_mut()).is_some());
        assert!(poll(small.as_mut()).is_some());
    }

    #[tokio::test]
    async fn leaving_the_queue_returns_the_grant() {
        let budget = Budget::new(1024, 0);
        let mut all = budget.reservation(A);
        all.grow(1024).await;
        let mut reserve = budget.reservation(A);
        reserve.grow(1024).await;
        let mut impatient = budget.reservation(B);
        assert!(now(impatient.grow(1024)).is_none());
        assert!(budget.lock().waiting.is_empty());
        {
            // Granted, and dropped before it was polled.
            let mut granted = Box::pin(impatient.grow(1024));
            assert!(poll(granted.as_mut()).is_none());
            drop(all);
            assert_eq!(budget.lock().free, 0);
        }
        assert_eq!(budget.lock().free, 1024);
    }

    /// Result of a future that is ready at once.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        poll(std::pin::pin!(future))
    }

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
