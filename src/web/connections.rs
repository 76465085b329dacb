//! The connections of an HTTP listener: their limits, in all and by peer, and eviction.
//!
//! Every connection is accepted at once. It is a full connection while a slot is free, in all and for each network of
//! its peer. Otherwise an idle or stalled connection is evicted for it: the longest-idle one of the smallest network
//! that is at its limit, else of the network that uses most of its limit. If none can be evicted, the new one is a
//! brief connection: it lasts a few seconds and serves only the health and metrics of the daemon. When there are too
//! many brief connections, the oldest is evicted. So a peer that opens as many connections as it can neither keeps
//! others out nor stops the monitoring, even if it has a large network of IPv6.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{IPV6_NETWORKS, client_networks};

/// Maximum full connections.
const MAX_CONNECTIONS: usize = 1024;

/// Maximum full connections of the [networks](client_networks) of a peer, the smallest first: none can have them all.
const MAX_OF_NETWORKS: [usize; IPV6_NETWORKS.len()] = [128, 256, 384, 512];

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
    by_network: HashMap<IpNet, NetworkUsage>,
    brief: BTreeMap<u64, Arc<Activity>>,
}

/// Full connections of a network.
struct NetworkUsage {
    count: usize,
    limit: usize,
}

impl NetworkUsage {
    /// Used share of the limit, in 1024ths.
    fn share(&self) -> usize {
        self.count * 1024 / self.limit
    }
}

/// Time of the last activity on a connection.
pub(super) struct Activity {
    /// Networks of the peer, the smallest first.
    networks: Vec<IpNet>,
    opened: Instant,
    /// Milliseconds since the connection was opened.
    last: AtomicU64,
    is_answering: AtomicBool,
    /// Requests received.
    requests: AtomicU64,
    closed: CancellationToken,
}

impl Activity {
    fn new(networks: Vec<IpNet>) -> Self {
        Self {
            networks,
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
    /// Admits a connection. A trusted proxy carries the requests of many people, so it has no limit of its own, and
    /// does not count for the larger networks that it shares with others.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr, is_proxy: bool) -> OpenConnection {
        let mut networks = client_networks(peer);
        if is_proxy {
            networks.truncate(1);
        }
        let activity = Arc::new(Activity::new(networks));
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        let is_brief = !state.has_room_for(&activity.networks, is_proxy);
        if is_brief {
            while state.brief.len() >= MAX_BRIEF
                && let Some((_, oldest)) = state.brief.pop_first()
            {
                oldest.closed.cancel();
            }
            state.brief.insert(id, Arc::clone(&activity));
        } else {
            state.add(id, &activity);
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
    fn has_room_for(&mut self, networks: &[IpNet], is_proxy: bool) -> bool {
        let is_exhausted = |network: &&IpNet| {
            let usage = self.by_network.get(*network);
            usage.is_some_and(|usage| usage.count >= usage.limit)
        };
        let exhausted = networks.iter().find(is_exhausted).copied();
        if let Some(network) = exhausted.filter(|_| !is_proxy) {
            return self.close_idlest_of(network);
        }
        if self.full.len() < MAX_CONNECTIONS {
            return true;
        }
        let usages = self.by_network.iter();
        let greatest = usages.max_by_key(|(_, usage)| usage.share());
        let greatest = greatest.map(|(network, _)| *network);
        greatest.is_some_and(|greatest| self.close_idlest_of(greatest))
    }

    fn add(&mut self, id: u64, activity: &Arc<Activity>) {
        self.full.insert(id, Arc::clone(activity));
        for (&network, limit) in activity.networks.iter().zip(MAX_OF_NETWORKS) {
            let empty = NetworkUsage { count: 0, limit };
            self.by_network.entry(network).or_insert(empty).count += 1;
        }
    }

    fn close_idlest_of(&mut self, network: IpNet) -> bool {
        let own = self
            .full
            .iter()
            .filter(|(_, activity)| activity.networks.contains(&network));
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
        for network in &activity.networks {
            if let Some(usage) = self.by_network.get_mut(network) {
                usage.count -= 1;
                if usage.count == 0 {
                    self.by_network.remove(network);
                }
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
        assert_eq!(full, MAX_OF_NETWORKS[0]);
        let closed = |one: &&OpenConnection| one.activity.closed.is_cancelled();
        assert_eq!(held.iter().filter(closed).count(), 1024 - 128 - 128);
        assert!(!connections.admit(ip(2), false).is_brief);
        assert!(connections.admit(ip(1), false).is_brief);
        drop(held);
        assert!(connections.lock().by_network.is_empty());
        assert!(connections.lock().brief.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_idlest_is_closed_for_the_next_of_its_peer() {
        let connections = Arc::new(Connections::default());
        let held = many(&connections, ip(1), MAX_OF_NETWORKS[0]);
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

    /// Number of full connections of a peer that opens 1024, each from another address.
    fn full_of(connections: &Arc<Connections>, address: fn(u16) -> [u16; 8]) -> usize {
        let held: Vec<_> = (0..1024)
            .map(|number| connections.admit(address(number).into(), false))
            .collect();
        assert!(!connections.admit(ip(1), false).is_brief);
        held.iter().filter(|one| !one.is_brief).count()
    }

    #[tokio::test(start_paused = true)]
    async fn no_network_of_ipv6_takes_all_connections() {
        let connections = Arc::new(Connections::default());
        let networks: [fn(u16) -> [u16; 8]; 4] = [
            |n| [0x2001, 0xdb8, 0, 0, 0, 0, 0, n],
            |n| [0x2001, 0xdb8, 0, n % 256, 0, 0, 0, n],
            |n| [0x2001, 0xdb8, 0, n, 0, 0, 0, 0],
            |n| [0x2001, 0xdb8, n, 0, 0, 0, 0, 0],
        ];
        for (address, most) in networks.into_iter().zip(MAX_OF_NETWORKS) {
            assert_eq!(full_of(&connections, address), most);
        }
        assert!(connections.lock().by_network.is_empty());
    }
}
