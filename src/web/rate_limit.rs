//! Rate limits by client. In: the connection's address and, from trusted proxies, the client that they
//! report. Memory is bounded, however many addresses send requests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;

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

/// Maximum clients that are tracked at one moment. Beyond that number, all clients share one bucket.
const MAX_CLIENTS: usize = 50_000;

/// Interval, in requests, at which clients with a full bucket are forgotten.
const SWEEP_AFTER: usize = 10_000;

/// Minimum interval between two sweeps because the maximum is reached.
const FULL_SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A quota: a burst of at least 1, then one per `every`, which is above zero.
pub(super) fn quota(burst: u32, every: Duration) -> Quota {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let steady = Quota::with_period(every).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    steady.allow_burst(burst)
}

/// A token bucket for each client: a burst, then one token per `every`.
pub(super) struct ClientLimiter {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    asked: AtomicUsize,
    /// Limit of the sweeps because the maximum is reached.
    full_sweeps: DefaultDirectRateLimiter,
}

impl ClientLimiter {
    /// `at_once` is at least 1, `every` above zero.
    pub fn new(at_once: u32, every: Duration) -> Self {
        Self {
            limiter: RateLimiter::keyed(quota(at_once, every)),
            asked: AtomicUsize::new(0),
            full_sweeps: RateLimiter::direct(quota(1, FULL_SWEEP_EVERY)),
        }
    }

    /// Takes a token from the client's bucket; false if it is empty.
    pub fn take(&self, client: IpAddr) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let is_full = || self.limiter.len() >= MAX_CLIENTS;
        // Without a sweep after a flood, a single client could keep the shared bucket empty for thousands of requests.
        if asked % SWEEP_AFTER == SWEEP_AFTER - 1 || (is_full() && self.full_sweeps.check().is_ok())
        {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        let key = if is_full() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            network(client)
        };
        self.limiter.check_key(&key).is_ok()
    }
}

/// The network of one household: an IPv4 address, or the /64 of an IPv6 address, within which anyone may take
/// as many addresses as they like.
pub(super) fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn memory_is_bounded_for_any_number_of_clients() {
        let limiter = ClientLimiter::new(1, Duration::from_hours(1));
        for n in 0..u32::try_from(MAX_CLIENTS).expect("a small number") + 1000 {
            limiter.take(IpAddr::V4(Ipv4Addr::from(n + 1)));
        }
        assert!(limiter.limiter.len() <= MAX_CLIENTS + 1);
        assert!(!limiter.take(ip("203.0.113.200")), "newcomers share one");
    }

    #[test]
    fn clients_have_their_own_buckets_again_after_a_flood() {
        let limiter = ClientLimiter::new(1, Duration::from_millis(1));
        for n in 0..u32::try_from(MAX_CLIENTS).expect("a small number") {
            let _ = limiter
                .limiter
                .check_key(&IpAddr::V4(Ipv4Addr::from(n + 1)));
        }
        assert_eq!(limiter.limiter.len(), MAX_CLIENTS);
        limiter.take(ip("203.0.113.200"));
        assert!(limiter.limiter.len() < MAX_CLIENTS);
    }
}
