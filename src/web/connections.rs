//! The connections of an HTTP listener: their limits, in all and by peer, and eviction.
//!
//! Every connection is accepted at once. It is a full connection while a slot is free, in all and for its peer.
//! Otherwise an idle or stalled connection is evicted for it: the longest-idle one of the same peer if that peer is
//! at its limit, else of the peer with the most connections. If none can be evicted, the new one is a brief
//! connection: it lasts a few seconds and serves only the health and metrics of the daemon. When there are too many
//! brief connections, the oldest is evicted. So a peer that opens as many connections as it can neither keeps
//! others out nor stops the monitoring.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::rate_limit::network;

/// Maximum full connections, in all and of one peer.
const MAX_CONNECTIONS: usize = 1024;
const MAX_OF_ONE_PEER: usize = 128;

/// Maximum brief connections.
const MAX_BRIEF: usize = 128;

/// A connection that has been idle for this long may be evicted.
const IDLE: Duration = Duration::from_secs(2);

/// A connection that is being answered may be evicted after this time; few answers take as long.
const ANSWERING: Duration = Duration::from_secs(10);

/// All connections of a listener.
#[derive(Default)]
pub(super) struct Connections {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    full: HashMap<u64, Arc<Activity>>,
    by_peer: HashMap<IpAddr, usize>,
    brief: BTreeMap<u64, Arc<Activity>>,
}

/// Time of the last activity on a connection.
pub(super) struct Activity {
    peer: IpAddr,
    opened: Instant,
    /// Milliseconds since the connection was opened.
    last: AtomicU64,
    is_answering: AtomicBool,
    /// Requests received.
    requests: AtomicU64,
    closed: CancellationToken,
}

impl Activity {
    fn new(peer: IpAddr) -> Self {
        Self {
            peer,
            opened: Instant::now(),
            last: AtomicU64::new(0),
            is_answering: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            closed: CancellationToken::new(),
        }
    }

    /// Records that the client has read a part of an answer.
    pub(super) fn note_progress(&self) {
        let millis = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    /// Records a request.
    pub(super) fn begin_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.is_answering.store(true, Ordering::Relaxed);
        self.note_progress();
    }

    /// Records that the answer is ready to be written.
    pub(super) fn end_request(&self) {
        self.is_answering.store(false, Ordering::Relaxed);
        self.note_progress();
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Idle time, if it is long enough for the connection to be evicted.
    fn idle(&self) -> Option<Duration> {
        let last = self.opened + Duration::from_millis(self.last.load(Ordering::Relaxed));
        let idle = last.elapsed();
        let answering = self.is_answering.load(Ordering::Relaxed);
        (idle >= if answering { ANSWERING } else { IDLE }).then_some(idle)
    }
}

/// One connection. Its slot is free again when this is dropped.
pub(super) struct OpenConnection {
    connections: Arc<Connections>,
    id: u64,
    pub(super) is_brief: bool,
    pub(super) activity: Arc<Activity>,
}

impl Connections {
    /// Admits a connection. A trusted proxy carries the requests of many people, so it has no limit of its
    /// own.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr, is_proxy: bool) -> OpenConnection {
        let peer = network(peer.to_canonical());
        let activity = Arc::new(Activity::new(peer));
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        let is_brief = !state.has_room_for(peer, is_proxy);
        if is_brief {
            while state.brief.len() >= MAX_BRIEF
                && let Some((_, oldest)) = state.brief.pop_first()
            {
                oldest.closed.cancel();
            }
            state.brief.insert(id, Arc::clone(&activity));
        } else {
            state.full.insert(id, Arc::clone(&activity));
            *state.by_peer.entry(peer).or_default() += 1;
        }
        drop(state);
        OpenConnection {
            connections: Arc::clone(self),
            id,
            is_brief,
            activity,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// True if one more full connection can be admitted, evicting another if necessary.
    fn has_room_for(&mut self, peer: IpAddr, is_proxy: bool) -> bool {
        let own = self.by_peer.get(&peer).copied().unwrap_or(0);
        if own >= MAX_OF_ONE_PEER && !is_proxy {
            return self.close_idlest_of(peer);
        }
        if self.full.len() < MAX_CONNECTIONS {
            return true;
        }
        let greatest = self.by_peer.iter().max_by_key(|(_, count)| **count);
        let greatest = greatest.map(|(peer, _)| *peer);
        greatest.is_some_and(|greatest| self.close_idlest_of(greatest))
    }

    fn close_idlest_of(&mut self, peer: IpAddr) -> bool {
        let own = self
            .full
            .iter()
            .filter(|(_, activity)| activity.peer == peer);
        let idlest = own
            .filter_map(|(id, activity)| Some((activity.idle()?, *id)))
            .max();
        let Some((_, id)) = idlest else {
            return false;
        };
        if let Some(activity) = self.full.get(&id) {
            activity.closed.cancel();
        }
        self.remove(id);
        true
    }

    fn remove(&mut self, id: u64) {
        self.brief.remove(&id);
        let Some(activity) = self.full.remove(&id) else {
            return;
        };
        if let Some(own) = self.by_peer.get_mut(&activity.peer) {
            *own -= 1;
            if *own == 0 {
                self.by_peer.remove(&activity.peer);
            }
        }
    }
}

impl OpenConnection {
    /// Returns when the connection is evicted.
    pub(super) async fn wait_until_closed(&self) {
        self.activity.closed.cancelled().await;
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn many(connections: &Arc<Connections>, peer: IpAddr, count: usize) -> Vec<OpenConnection> {
        let all = (0..count).map(|_| connections.admit(peer, false));
        all.collect()
    }

    #[tokio::test(start_paused = true)]
    async fn one_peer_leaves_room_for_the_others() {
        let connections = Arc::new(Connections::default());
        let held = many(&connections, ip(1), 1024);
        let full = held.iter().filter(|one| !one.is_brief).count();
        assert_eq!(full, MAX_OF_ONE_PEER);
        let closed = |one: &&OpenConnection| one.activity.closed.is_cancelled();
        assert_eq!(held.iter().filter(closed).count(), 1024 - 128 - 128);
        assert!(!connections.admit(ip(2), false).is_brief);
        assert!(connections.admit(ip(1), false).is_brief);
        drop(held);
        assert!(connections.lock().by_peer.is_empty());
        assert!(connections.lock().brief.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_idlest_is_closed_for_the_next_of_its_peer() {
        let connections = Arc::new(Connections::default());
        let held = many(&connections, ip(1), MAX_OF_ONE_PEER);
        advance(Duration::from_secs(1)).await;
        assert!(
            connections.admit(ip(1), false).is_brief,
            "no connection is idle"
        );
        for one in &held[1..] {
            one.activity.begin_request();
        }
        advance(Duration::from_secs(1)).await;
        assert!(!connections.admit(ip(1), false).is_brief);
        assert!(held[0].activity.closed.is_cancelled());
        let next = many(&connections, ip(1), 1);
        advance(Duration::from_secs(8)).await;
        held[1].activity.note_progress();
        assert!(
            !connections.admit(ip(1), false).is_brief,
            "the one without a request is closed"
        );
        assert!(next[0].activity.closed.is_cancelled());
        assert!(
            held[1..]
                .iter()
                .all(|one| !one.activity.closed.is_cancelled())
        );
        let again = many(&connections, ip(1), 1);
        advance(Duration::from_secs(2)).await;
        again[0].activity.note_progress();
        assert!(
            !connections.admit(ip(1), false).is_brief,
            "an answer takes too long"
        );
        assert!(!held[1].activity.closed.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_may_have_them_all_and_gives_way_to_others() {
        let connections = Arc::new(Connections::default());
        let proxied: Vec<_> = (0..MAX_CONNECTIONS)
            .map(|_| connections.admit(ip(1), true))
            .collect();
        assert!(proxied.iter().all(|one| !one.is_brief));
        assert!(connections.admit(ip(2), false).is_brief);
        advance(IDLE).await;
        assert!(!connections.admit(ip(2), false).is_brief);
        let closed = |one: &&OpenConnection| one.activity.closed.is_cancelled();
        assert_eq!(proxied.iter().filter(closed).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_network_of_ipv6_is_one_peer() {
        let connections = Arc::new(Connections::default());
        let held: Vec<_> = (0..200_u16)
            .map(|last| connections.admit([0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into(), false))
            .collect();
        let full = held.iter().filter(|one| !one.is_brief).count();
        assert_eq!(full, MAX_OF_ONE_PEER);
    }
}
