//! Settings of the SMTP server. Whoever creates them validates them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::domain::Domain;

/// A snapshot of the settings. A connection keeps the one with which it began.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Name in the greeting and in replies to EHLO.
    pub hostname: Domain,
    /// Networks whose clients may connect.
    pub trusted_peers: Vec<IpNet>,
    /// In octets as RFC 1870 counts them: without dot-stuffing and the final dot.
    pub max_message_size: u64,
    /// Octets of a message before its first empty line.
    pub max_header_size: u64,
    pub max_connections: usize,
    pub max_recipients: usize,
    /// Number of 4xx and 5xx replies that a client may get between two messages.
    pub max_errors: usize,
    /// Time for a complete command to arrive, and for a client to read our replies.
    pub command_timeout: Duration,
    /// Longest silence within a message.
    pub data_timeout: Duration,
    /// Time for a complete message.
    pub message_timeout: Duration,
    /// Octets for all messages in transfer and for parsing them. One message of the maximum size fits even if
    /// this is less. Read when the listener starts.
    pub memory_budget: u64,
    pub tls: Option<Tls>,
}

/// STARTTLS.
#[derive(Debug, Clone)]
pub struct Tls {
    pub config: Arc<rustls::ServerConfig>,
    /// MAIL is refused before STARTTLS.
    pub required: bool,
}

impl ServerSettings {
    /// Default settings for this hostname; only loopback is trusted.
    #[must_use]
    pub fn new(hostname: Domain) -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            hostname,
            trusted_peers: ["127.0.0.0/8", "::1/128"]
                .into_iter()
                .filter_map(|net| net.parse().ok())
                .collect(),
            max_message_size: 25 * MIB,
            max_header_size: MIB / 4,
            max_connections: 1000,
            max_recipients: 100,
            max_errors: 20,
            // RFC 5321 4.5.3.2: five minutes for a command, three for a block of data.
            command_timeout: Duration::from_mins(5),
            data_timeout: Duration::from_mins(3),
            message_timeout: Duration::from_mins(30),
            memory_budget: 256 * MIB,
            tls: None,
        }
    }

    /// True if this peer may connect. An IPv4 peer on an IPv6 socket counts as an IPv4 peer.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_peers.iter().any(|net| net.contains(&peer))
    }
}
