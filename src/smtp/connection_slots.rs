//! Connection slots, shared by all peers: the limit of concurrent connections, and the choice of the one to
//! evict for a new one.
//!
//! When all slots are taken, the longest-idle connection is evicted, provided that it was idle longer than an
//! honest client ever is. A connection is idle while we wait for a complete command or for more of a message.
//! So idle connections cannot keep others out. The last tenth of the slots is for peers that have less than a
//! tenth of them: a peer that opens one connection after another, for whatever reason, leaves room for
//! others.
//!
//! The memory budget works in the same way. While a connection waits for memory, connections that hold memory
//! and are idle or slow are evicted one after the other, those of the peer that holds most first. If none is
//! slow and the wait is long, a peer that holds more than its share loses its slowest connection to a peer
//! that holds less.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::rate::Rate;

/// Idle time below which a connection is not evicted.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// Interval between evictions while a connection waits for memory.
const EVICTION_INTERVAL: Duration = Duration::from_secs(1);

/// Time without a complete message after which a connection may be evicted when all slots are taken, even if
/// it sends something from time to time.
const NO_MESSAGE_LIMIT: Duration = Duration::from_mins(1);

/// All connection slots of a listener.
pub struct ConnectionSlots {
    /// Start of the millisecond clock.
    opened: Instant,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    by_id: HashMap<u64, Arc<SlotState>>,
    by_peer: HashMap<IpAddr, usize>,
}

/// State of the connection in a slot.
struct SlotState {
    peer: IpAddr,
    /// Time since which we wait for it; [`BUSY`] otherwise.
    waiting_since: AtomicU64,
    /// Octets of the memory budget that it holds.
    memory: AtomicUsize,
    /// Time of its last complete message, or of its start.
    last_message: AtomicU64,
    /// Rate of the message in transfer, if any.
    rate: Mutex<Option<Rate>>,
    evicted: CancellationToken,
}

impl SlotState {
    fn waits_since(&self) -> u64 {
        self.waiting_since.load(Ordering::Relaxed)
    }

    fn is_waited_for(&self) -> bool {
        self.waits_since() != BUSY
    }

    fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    fn rate(&self) -> MutexGuard<'_, Option<Rate>> {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_slow(&self, now: Instant) -> bool {
        self.rate().is_some_and(|rate| rate.is_slow(now))
    }

    /// True if it would be idle but for the little that it sends from time to time.
    fn lingers(&self, latest: u64, now: Instant) -> bool {
        self.is_waited_for()
            && self.last_message.load(Ordering::Relaxed) <= latest
            && self.rate().is_none_or(|rate| rate.is_slow(now))
    }
}

const BUSY: u64 = u64::MAX;

/// One connection's slot; freed on drop.
pub struct Slot {
    connection_slots: Arc<ConnectionSlots>,
    id: u64,
    state: Arc<SlotState>,
}

impl ConnectionSlots {
    #[must_use]
    pub fn new() -> Self {
        Self {
            opened: Instant::now(),
            taken: Mutex::default(),
        }
    }

    /// Takes a slot for this peer, if fewer than `max` are taken or a connection can be evicted.
    pub fn take(self: &Arc<Self>, max: usize, peer: IpAddr) -> Option<Slot> {
        let mut taken = self.lock();
        let tenth = max / 10;
        let has_many = taken.by_peer.get(&peer).is_some_and(|own| *own >= tenth);
        let room = if has_many { max - tenth } else { max };
        if taken.by_id.len() >= room {
            // A peer with many connections loses one of its own.
            let is_full = taken.by_id.len() >= max;
            self.send_away(&mut taken, |state| is_full || state.peer == peer)?;
        }
        let id = taken.next;
        taken.next += 1;
        let state = Arc::new(SlotState {
            peer,
            waiting_since: AtomicU64::new(BUSY),
            memory: AtomicUsize::new(0),
            last_message: AtomicU64::new(self.now()),
            rate: Mutex::default(),
            evicted: CancellationToken::new(),
        });
        taken.by_id.insert(id, Arc::clone(&state));
        *taken.by_peer.entry(peer).or_default() += 1;
        Some(Slot {
            connection_slots: Arc::clone(self),
            id,
            state,
        })
    }

    /// Evicts the longest-idle of these connections, if it was idle for long enough. It sends its final reply
    /// without a slot.
    fn send_away(&self, taken: &mut Taken, these: impl Fn(&SlotState) -> bool) -> Option<()> {
        let before = |time: Duration| {
            let millis = u64::try_from(time.as_millis()).unwrap_or(BUSY);
            self.now().checked_sub(millis)
        };
        let latest = before(IDLE_LIMIT)?;
        let these = || taken.by_id.iter().filter(|(_, state)| these(state));
        let idle = these()
            .filter(|(_, state)| state.waits_since() <= latest)
            .min_by_key(|(_, state)| state.waits_since());
        let lingering = || {
            let (latest, now) = (before(NO_MESSAGE_LIMIT)?, Instant::now());
            these()
                .filter(|(_, state)| state.lingers(latest, now))
                .min_by_key(|(_, state)| state.last_message.load(Ordering::Relaxed))
        };
        let id = *idle.or_else(lingering)?.0;
        taken.evict(id);
        Some(())
    }

    /// Evicts a connection that holds memory, for a connection of `peer` that has waited for this long. It
    /// evicts an idle or slow connection of the peer that holds most; after [`IDLE_LIMIT`], any connection of
    /// a peer that holds more than its share, if `peer` holds less.
    fn evict_for_memory(&self, peer: IpAddr, waited: Duration) {
        let latest = self.now().checked_sub(IDLE_LIMIT.as_secs() * 1000);
        let now = Instant::now();
        let mut taken = self.lock();
        let mut held: HashMap<IpAddr, usize> = HashMap::from([(peer, 0)]);
        for state in taken.by_id.values() {
            let octets = state.memory();
            if octets > 0 {
                *held.entry(state.peer).or_default() += octets;
            }
        }
        let fair_share = held.values().sum::<usize>() / held.len();
        let of_peer = |state: &SlotState| held.get(&state.peer).copied().unwrap_or(0);
        let candidates = || {
            let connection_slots = taken.by_id.iter();
            connection_slots.filter(|(_, state)| state.memory() > 0 && state.is_waited_for())
        };
        let slow = candidates()
            .filter(|(_, state)| {
                latest.is_some_and(|latest| state.waits_since() <= latest) || state.is_slow(now)
            })
            .max_by_key(|(_, state)| (of_peer(state), Reverse(state.waits_since())));
        let beyond_its_share = || {
            candidates()
                .filter(|(_, state)| of_peer(state) > fair_share)
                .min_by_key(|(_, state)| {
                    let rate = state.rate().and_then(|rate| rate.octets_a_second(now));
                    rate.unwrap_or(u64::MAX)
                })
        };
        let insists = waited >= IDLE_LIMIT && held[&peer] < fair_share;
        let victim = slow.or_else(|| insists.then(beyond_its_share).flatten());
        if let Some(id) = victim.map(|(id, _)| *id) {
            taken.evict(id);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(BUSY)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn evict(&mut self, id: u64) {
        if let Some(state) = self.by_id.get(&id) {
            state.evicted.cancel();
        }
        self.remove(id);
    }

    fn remove(&mut self, id: u64) {
        let Some(state) = self.by_id.remove(&id) else {
            return;
        };
        if let Some(own) = self.by_peer.get_mut(&state.peer) {
            *own -= 1;
            if *own == 0 {
                self.by_peer.remove(&state.peer);
            }
        }
    }
}

impl Slot {
    /// Records that we wait for the client from now on.
    pub fn waits(&self) {
        let now = self.connection_slots.now();
        self.state.waiting_since.store(now, Ordering::Relaxed);
    }

    /// Records that the client sent something.
    pub fn is_busy(&self) {
        self.state.waiting_since.store(BUSY, Ordering::Relaxed);
    }

    /// Records the octets of the budget that the connection holds.
    pub fn has_memory(&self, octets: usize) {
        self.state.memory.store(octets, Ordering::Relaxed);
    }

    /// Records the start of a message.
    pub fn message_begins(&self) {
        *self.state.rate() = Some(Rate::begin(Instant::now()));
    }

    /// Records received octets of the message.
    pub fn record(&self, octets: usize) {
        if let Some(rate) = self.state.rate().as_mut() {
            rate.record(octets, Instant::now());
        }
    }

    /// Records the end of the message.
    pub fn message_ends(&self) {
        *self.state.rate() = None;
        let now = self.connection_slots.now();
        self.state.last_message.store(now, Ordering::Relaxed);
    }

    /// Waits for memory of the budget, and evicts others that hold some meanwhile. The time does not count as
    /// the client's.
    pub async fn acquire_evicting(&self, memory: impl Future<Output = ()>) {
        let began = Instant::now();
        let mut memory = std::pin::pin!(memory);
        while tokio::time::timeout(EVICTION_INTERVAL, memory.as_mut())
            .await
            .is_err()
        {
            self.connection_slots
                .evict_for_memory(self.state.peer, began.elapsed());
        }
        if let Some(rate) = self.state.rate().as_mut() {
            rate.pause(began.elapsed());
        }
    }

    /// Returns when this connection is evicted in favour of others.
    pub async fn wait_for_eviction(&self) {
        self.state.evicted.cancelled().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connection_slots.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_connection_is_evicted() {
        let connection_slots = Arc::new(ConnectionSlots::new());
        let take = || connection_slots.take(3, [127, 0, 0, 1].into());
        let (busy, first, second) = (take().expect("1"), take().expect("2"), take().expect("3"));
        first.waits();
        advance(Duration::from_secs(1)).await;
        second.waits();
        assert!(take().is_none(), "nobody has waited long");
        advance(Duration::from_secs(9)).await;

        let fourth = take().expect("the slot of the first");
        assert!(first.state.evicted.is_cancelled());
        assert!(!second.state.evicted.is_cancelled());
        assert!(take().is_none(), "the second has waited nine seconds");
        second.is_busy();
        advance(Duration::from_mins(10)).await;
        assert!(take().is_none(), "all are busy");
        assert!(!busy.state.evicted.is_cancelled());

        drop(first);
        assert!(take().is_none(), "its slot is another's");
        drop(fourth);
        assert!(take().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn only_connections_with_memory_are_evicted_for_memory() {
        let connection_slots = Arc::new(ConnectionSlots::new());
        let take = || {
            connection_slots
                .take(10, [127, 0, 0, 1].into())
                .expect("a slot")
        };
        let (without, with, busy, waiting) = (take(), take(), take(), take());
        without.waits();
        with.has_memory(1);
        with.waits();
        busy.has_memory(1);
        let begin = Instant::now();
        let memory = tokio::time::timeout(Duration::from_mins(1), async {
            waiting.acquire_evicting(with.wait_for_eviction()).await;
        });
        memory.await.expect("who has memory goes");
        assert!(begin.elapsed() >= IDLE_LIMIT, "{:?}", begin.elapsed());
        assert!(begin.elapsed() < IDLE_LIMIT + 2 * EVICTION_INTERVAL);
        let starved = tokio::time::timeout(Duration::from_hours(1), async {
            waiting.acquire_evicting(std::future::pending()).await;
        });
        assert!(starved.await.is_err(), "nobody has any to spare");
        assert!(!without.state.evicted.is_cancelled() && !busy.state.evicted.is_cancelled());
        assert_eq!(connection_slots.lock().by_id.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_keeps_no_memory_that_others_wait_for() {
        let connection_slots = Arc::new(ConnectionSlots::new());
        let take = || {
            connection_slots
                .take(100, [127, 0, 0, 1].into())
                .expect("a slot")
        };
        let trickling: Vec<_> = (0..40).map(|_| take()).collect();
        for slot in &trickling {
            slot.has_memory(8 << 20);
            slot.message_begins();
            slot.record(8 << 20);
            slot.waits();
        }
        let waiting = take();
        let gone = || {
            let connection_slots = trickling.iter();
            connection_slots
                .filter(|slot| slot.state.evicted.is_cancelled())
                .count()
        };
        let trickle = async {
            while gone() == 0 {
                tokio::time::sleep(Duration::from_secs(5)).await;
                for slot in &trickling {
                    slot.record(5000);
                    slot.is_busy();
                    slot.waits();
                }
            }
        };
        let begin = Instant::now();
        waiting.acquire_evicting(trickle).await;
        assert!(begin.elapsed() <= 3 * IDLE_LIMIT, "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_peer_loses_memory_beyond_its_share() {
        let connection_slots = Arc::new(ConnectionSlots::new());
        let [greedy, modest] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let take = |peer| connection_slots.take(100, peer).expect("a slot");
        let fast: Vec<_> = (0..4).map(|_| take(greedy)).collect();
        for slot in &fast {
            slot.has_memory(8 << 20);
            slot.message_begins();
            slot.waits();
        }
        let gone = || fast.iter().any(|slot| slot.state.evicted.is_cancelled());
        let send = async |until: Duration| {
            let begin = Instant::now();
            while !gone() && begin.elapsed() < until {
                tokio::time::sleep(Duration::from_secs(1)).await;
                for (rate, slot) in fast.iter().enumerate() {
                    slot.record(100_000 * (rate + 1));
                    slot.waits();
                }
            }
        };
        // Another connection of the same peer waits like everyone else.
        take(greedy)
            .acquire_evicting(send(Duration::from_mins(1)))
            .await;
        assert!(!gone());
        let begin = Instant::now();
        take(modest)
            .acquire_evicting(send(Duration::from_mins(1)))
            .await;
        assert!(fast[0].state.evicted.is_cancelled(), "the slowest goes");
        assert!(
            begin.elapsed() <= IDLE_LIMIT + 2 * EVICTION_INTERVAL,
            "{:?}",
            begin.elapsed()
        );

        // Nothing is evicted for a peer that has its share already.
        let slot = take(modest);
        slot.has_memory(20 << 20);
        let rest = &fast[1..];
        slot.acquire_evicting(tokio::time::sleep(Duration::from_secs(9)))
            .await;
        for slot in rest {
            slot.waits();
        }
        assert!(rest.iter().all(|slot| !slot.state.evicted.is_cancelled()));
    }

    #[tokio::test(start_paused = true)]
    async fn occasional_commands_do_not_keep_a_slot() {
        let connection_slots = Arc::new(ConnectionSlots::new());
        let take = || connection_slots.take(2, [127, 0, 0, 1].into());
        let (talking, working) = (take().expect("1"), take().expect("2"));
        for second in 0..60 {
            advance(Duration::from_secs(1)).await;
            for slot in [&talking, &working] {
                slot.is_busy();
                slot.waits();
            }
            if second % 10 == 0 {
                working.message_ends();
            }
            assert_eq!(take().is_some(), second == 59, "{second}");
        }
        assert!(talking.state.evicted.is_cancelled());
        assert!(!working.state.evicted.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn one_peer_leaves_a_tenth_to_the_others() {
        let connection_slots = Arc::new(ConnectionSlots::new());
        let [greedy, modest] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let take = |peer| connection_slots.take(20, peer);
        let held: Vec<_> = std::iter::from_fn(|| take(greedy)).collect();
        assert_eq!(held.len(), 18);
        let first = take(modest).expect("a slot is kept");
        let second = take(modest).expect("and another");
        assert!(take(modest).is_none(), "all are taken");
        drop(first);
        assert!(take(greedy).is_none(), "it is not for who has many");
        let first = take(modest).expect("it is for who has few");

        // If the greedy peer insists, it loses one of its own connections, never another's.
        for slot in &held {
            slot.waits();
        }
        advance(Duration::from_secs(5)).await;
        first.waits();
        second.waits();
        advance(IDLE_LIMIT).await;
        let again = take(greedy).expect("in place of one of its own");
        assert!(!first.state.evicted.is_cancelled() && !second.state.evicted.is_cancelled());
        assert_eq!(connection_slots.lock().by_peer[&greedy], 18);
        drop((held, again, first, second));
        assert!(connection_slots.lock().by_peer.is_empty());
    }
}
