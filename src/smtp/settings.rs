//! What the configuration says about the SMTP side. Checked by whoever fills it in.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::domain::Domain;

/// The settings of one moment. A connection keeps those with which it began.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Greets, and introduces our replies to EHLO.
    pub hostname: Domain,
    /// Who may talk to us.
    pub trusted_peers: Vec<IpNet>,
    /// Octets, as RFC 1870 counts them: without dot-stuffing and the final dot.
    pub max_message_size: u64,
    /// Octets of a message before its first empty line.
    pub max_header_size: u64,
    pub max_connections: usize,
    pub max_recipients: usize,
    /// How many 4xx and 5xx replies a client may collect between two messages.
    pub max_errors: usize,
    /// Within it, a whole command must have come, and a client must take our replies.
    pub command_timeout: Duration,
    /// The longest silence within a message.
    pub data_timeout: Duration,
    /// How long a whole message may take.
    pub message_timeout: Duration,
    /// Octets of all messages that are on their way in at one moment, and of reading them. One message of
    /// the greatest size fits even where this says less. Read when the listener starts.
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

impl Settings {
    /// The defaults of the documentation, for a host of this name; only loopback is trusted.
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

    /// Whether this peer may talk to us. An IPv4 peer on an IPv6 socket is an IPv4 peer.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_peers.iter().any(|net| net.contains(&peer))
    }
}
