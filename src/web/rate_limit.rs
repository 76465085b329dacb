//! Rate limits by client. In: the connection's address and, from trusted proxies, the client that they
//! report. Memory is bounded, however many addresses send requests.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use governor::Quota;
use ipnet::IpNet;

use crate::domain::client_networks;

/// The remote end of the connection; [`serve`](super::serve()) adds it to each request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub SocketAddr);

/// The client's address. `X-Forwarded-For` is read from the right, and only as far as trusted proxies wrote
/// it; values that a client adds itself are further left.
pub(super) fn client(peer: Option<Peer>, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Peer(peer)| {
        peer.ip().to_canonical()
    });
    let is_proxy = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    // A client may send octets that are not text, to which a proxy appends the client's address.
    let fields: Vec<_> = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    for entry in fields.iter().rev().flat_map(|value| value.rsplit(',')) {
        if !is_proxy(client) {
            break;
        }
        let entry = entry.trim();
        let parsed = entry
            .parse::<IpAddr>()
            .or_else(|_| entry.parse::<SocketAddr>().map(|address| address.ip()));
        match parsed {
            Ok(address) => client = address.to_canonical(),
            Err(_) => break,
        }
    }
    client
}

/// Multiples of a client's limit for its [networks](client_networks), the smallest first. One person can have several
/// /48 of a provider, so its /32 has 16 times the limit of a /48.
const MULTIPLES: [u32; 4] = [1, 4, 16, 256];

/// Number of buckets from which on newcomers share one. A client that has one may still add those of its larger
/// networks.
const MAX_BUCKETS: usize = 50_000;

/// Interval at which full buckets are forgotten, and the interval while the maximum is reached.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
const FULL_SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A quota: a burst of at least 1, then one per `every`, which is above zero.
pub(super) fn quota(burst: u32, every: Duration) -> Quota {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let steady = Quota::with_period(every).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    steady.allow_burst(burst)
}

/// A token bucket for each client: a burst, then one token per interval. The larger networks of an IPv6 client have
/// buckets too, and a request takes a token from each of them or from none. So the requests that are refused to a
/// small network use up nothing of the larger one.
pub(super) struct ClientLimiter {
    /// Interval of the tokens of a client.
    every: Duration,
    /// Time in which an empty bucket fills; the same for all networks.
    fill_time: Duration,
    buckets: Mutex<Buckets>,
}

#[derive(Default)]
struct Buckets {
    /// Moment at which each bucket will be full. One that is missing is full.
    full_at: HashMap<IpNet, Instant>,
    swept_at: Option<Instant>,
}

impl ClientLimiter {
    /// `at_once` is at least 1, `every` above zero.
    pub fn new(at_once: u32, every: Duration) -> Self {
        Self {
            every,
            fill_time: every * at_once,
            buckets: Mutex::default(),
        }
    }

    /// Takes a token from the client's buckets; false if one of them is empty.
    pub fn take(&self, client: IpAddr) -> bool {
        self.take_at(client, Instant::now())
    }

    fn take_at(&self, client: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.sweep(now);
        let taken: Option<Vec<_>> = buckets
            .of(client)
            .into_iter()
            .map(|(net, multiple)| {
                let full_at = buckets.full_at.get(&net).map_or(now, |at| now.max(*at));
                let full_at = full_at + self.every / multiple;
                (full_at <= now + self.fill_time).then_some((net, full_at))
            })
            .collect();
        let is_taken = taken.is_some();
        buckets.full_at.extend(taken.into_iter().flatten());
        is_taken
    }
}

impl Buckets {
    /// The networks whose buckets a client takes from, each with its multiple of the limit.
    fn of(&self, client: IpAddr) -> Vec<(IpNet, u32)> {
        let own = networks(client);
        let is_known = own
            .first()
            .is_some_and(|(net, _)| self.full_at.contains_key(net));
        if is_known || self.full_at.len() < MAX_BUCKETS {
            own
        } else {
            vec![(IpNet::default(), 1)]
        }
    }

    /// Forgets full buckets. Without a sweep after a flood, newcomers would share one bucket for longer than needed.
    fn sweep(&mut self, now: Instant) {
        let is_full = self.full_at.len() >= MAX_BUCKETS;
        let interval = if is_full {
            FULL_SWEEP_EVERY
        } else {
            SWEEP_EVERY
        };
        let is_due = |at: Instant| now.saturating_duration_since(at) >= interval;
        if self.swept_at.is_none_or(is_due) {
            self.swept_at = Some(now);
            self.full_at.retain(|_, full_at| *full_at > now);
            self.full_at.shrink_to_fit();
        }
    }
}

/// The networks of a client that are limited, the smallest first, each with its multiple of the limit.
fn networks(client: IpAddr) -> Vec<(IpNet, u32)> {
    client_networks(client).into_iter().zip(MULTIPLES).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use axum::http::HeaderValue;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = [
            "10.0.0.0/8".parse().expect("a net"),
            "::1/128".parse().expect("a net"),
        ];
        for (peer, forwarded, expected) in [
            ("192.0.2.1", "", "192.0.2.1"),
            ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
            ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
            ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
            ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
            ("10.0.0.1", "1.1.1.1, rubbish", "10.0.0.1"),
            ("10.0.0.1", "\u{ff}, 198.51.100.7", "198.51.100.7"),
            ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
            ("::1", "::ffff:198.51.100.7", "198.51.100.7"),
            ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ] {
            let mut headers = HeaderMap::new();
            if !forwarded.is_empty() {
                let value = HeaderValue::from_bytes(forwarded.as_bytes()).expect("a value");
                headers.insert("x-forwarded-for", value);
            }
            let peer = Peer(SocketAddr::new(ip(peer), 1));
            assert_eq!(
                client(Some(peer), &headers, &trusted),
                ip(expected),
                "{forwarded}"
            );
        }
    }

    #[test]
    fn the_limit_is_for_one_household() {
        let limiter = ClientLimiter::new(2, Duration::from_hours(1));
        assert!(limiter.take(ip("2001:db8::1")));
        assert!(limiter.take(ip("2001:db8::2")));
        assert!(!limiter.take(ip("2001:db8::3")), "the same network");
        assert!(limiter.take(ip("2001:db8:0:1::1")), "another one");
        assert!(limiter.take(ip("192.0.2.1")));
    }

    #[test]
    fn a_client_gets_a_burst_and_then_a_token_an_interval() {
        let limiter = ClientLimiter::new(2, Duration::from_secs(10));
        let (client, start) = (ip("192.0.2.1"), Instant::now());
        let take = |after: u64| limiter.take_at(client, start + Duration::from_secs(after));
        let taken = [0, 0, 0, 9, 10, 10, 30, 30, 30].map(take);
        assert_eq!(
            taken,
            [true, true, false, false, true, false, true, true, false]
        );
    }

    #[test]
    fn large_networks_have_limits_that_no_part_of_them_can_use_up() {
        let limiter = ClientLimiter::new(2, Duration::from_hours(1));
        let now = Instant::now();
        // The nth /64 of a /48.
        let client = |n: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, n, 0, 0, 0, 1));
        let count = |clients: std::ops::RangeInclusive<u16>| {
            let attempts = clients.flat_map(|n| [n; 3]);
            attempts
                .filter(|n| limiter.take_at(client(*n), now))
                .count()
        };
        for _ in 0..1000 {
            limiter.take_at(client(0), now);
        }
        assert_eq!(count(1..=255), 4 * 2 - 2, "a /56, with the first client");
        assert!(limiter.take_at(client(256), now), "the next /56");
        assert_eq!(count(257..=u16::MAX), 16 * 2 - 4 * 2 - 1, "the /48");
        assert!(limiter.take_at(ip("2001:db8:2::1"), now), "another /48");
        // Several /48 use up no more than a small part of their /32.
        for n in 0x100..0x108 {
            let client = |m: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, n, m << 8, 0, 0, 0, 1));
            let taken = (0..64).filter(|m| limiter.take_at(client(*m), now));
            assert_eq!(taken.count(), 16 * 2, "a /48");
        }
        assert!(limiter.take_at(ip("2001:db8:3::1"), now), "the next /48");
        assert!(limiter.take_at(ip("192.0.2.1"), now));
        let buckets = limiter.buckets.lock().expect("not poisoned");
        let kept = buckets.full_at.len();
        assert!(kept < 1000, "refused clients are not kept: {kept}");
    }

    #[test]
    fn memory_is_bounded_for_any_number_of_clients() {
        let limiter = ClientLimiter::new(1, Duration::from_secs(2));
        let now = Instant::now();
        let client = |n: usize| {
            let n = u32::try_from(n).expect("a small number");
            IpAddr::V4(Ipv4Addr::from(n + 1))
        };
        for n in 0..MAX_BUCKETS + 1000 {
            limiter.take_at(client(n), now);
        }
        let tracked = || limiter.buckets.lock().expect("not poisoned").full_at.len();
        assert_eq!(tracked(), MAX_BUCKETS + 1);
        let newcomer = ip("203.0.113.200");
        assert!(!limiter.take_at(newcomer, now), "newcomers share one");
        // Clients have buckets of their own again after the flood.
        let later = now + Duration::from_secs(2);
        assert!(limiter.take_at(newcomer, later));
        assert!(limiter.take_at(ip("203.0.113.201"), later));
        assert_eq!(tracked(), 2);
    }
}
