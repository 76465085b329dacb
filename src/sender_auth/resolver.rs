//! The DNS resolver: servers, timeouts and cache size.

use std::net::SocketAddr;
use std::time::Duration;

use mail_auth::MessageAuthenticator;
use mail_auth::hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use mail_auth::hickory_resolver::system_conf::read_system_conf;

use super::CheckerError;

/// Number of cached answers. Each lives as long as its TTL says, at most a day.
const CACHED_ANSWERS: u64 = 8192;
const MAX_TTL: Duration = Duration::from_hours(24);
const MAX_NEGATIVE: Duration = Duration::from_mins(15);

/// Minimum time for which a negative answer is cached, even without a TTL for it. RFC 2308 5 would not cache
/// it then, and every message would query again.
const MIN_NEGATIVE: Duration = Duration::from_secs(30);

/// Maximum number of concurrent queries on one connection to a server.
const MAX_ACTIVE_QUERIES: usize = 2048;

/// Creates the resolver. `timeout` is that of one message; within it, an unanswered query is retried.
pub(super) fn resolver(
    servers: &[SocketAddr],
    timeout: Duration,
) -> Result<MessageAuthenticator, CheckerError> {
    let (config, mut options) = if servers.is_empty() {
        read_system_conf().map_err(|cause| CheckerError::System(cause.to_string()))?
    } else {
        let servers = servers.iter().copied().map(server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        (config, ResolverOpts::default())
    };
    options.timeout = (timeout / 3).max(Duration::from_millis(10));
    options.attempts = 1;
    options.edns0 = true;
    options.cache_size = CACHED_ANSWERS;
    options.positive_max_ttl = Some(MAX_TTL);
    options.negative_min_ttl = Some(MIN_NEGATIVE);
    options.negative_max_ttl = Some(MAX_NEGATIVE);
    options.max_active_requests = MAX_ACTIVE_QUERIES;
    // Names in this machine's hosts file are not what their domains publish.
    options.use_hosts_file = ResolveHosts::Never;
    MessageAuthenticator::new(config, options).map_err(|cause| {
        if rustls_native_certs::load_native_certs().certs.is_empty() {
            CheckerError::Authorities
        } else {
            CheckerError::Resolver(cause.to_string())
        }
    })
}

/// A name server that is queried over UDP, and over TCP if the answer is too long (RFC 7766 5).
fn server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}
