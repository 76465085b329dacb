//! Connection slots, shared by all peers: the limit of concurrent connections, and the choice of the one to
//! evict for a new one.
//!
//! When all slots are taken, the longest-idle connection is evicted, provided that it was idle longer than an
//! honest client ever is. A connection is idle while we wait for a complete command or for more of a message.
//! So idle connections cannot keep others out. The last tenth of the slots is reserved for peers that hold less
//! than a tenth of all: a peer that opens one connection after another, for whatever reason, leaves room for
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
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

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
    /// Time at which we began to wait for the client, in milliseconds; [`BUSY`] while we do not wait.
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

    /// True if the connection is idle except for a trickle: no message has completed after `latest`, and none
    /// is in transfer at a sufficient rate.
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
            self.evict_for_slot(&mut taken, |state| is_full || state.peer == peer)?;
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

    /// Evicts the longest-idle of these connections if it was idle for long enough, else the one that is
    /// longest without a complete message. The evicted connection sends its final reply after it has lost its
    /// slot.
    fn evict_for_slot(&self, taken: &mut Taken, these: impl Fn(&SlotState) -> bool) -> Option<()> {
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

    /// Evicts a connection that holds memory, for a connection of `peer` that has waited for this long: an idle
    /// or slow connection of the peer that holds most. If there is none, then after [`IDLE_LIMIT`] the slowest
    /// connection of a peer that holds more than its share, provided that `peer` holds less.
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
    pub fn mark_waiting(&self) {
        let now = self.connection_slots.now();
        self.state.waiting_since.store(now, Ordering::Relaxed);
    }

    /// Records that the client sent something.
    pub fn mark_busy(&self) {
        self.state.waiting_since.store(BUSY, Ordering::Relaxed);
    }

    /// Records the octets of the budget that the connection holds.
    pub fn set_memory(&self, octets: usize) {
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

    /// Waits for memory of the budget, and meanwhile evicts other connections that hold some. The wait does not
    /// count against the client's rate.
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
    pub fn wait_for_eviction(&self) -> WaitForCancellationFuture<'_> {
        self.state.evicted.cancelled()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connection_slots.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests;
