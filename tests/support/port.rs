//! Ports for programs that cannot report which one they chose.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A loopback port that no other process gets while this exists. A program that sets `SO_REUSEADDR`, as
/// servers do, can still listen on it, because the socket that reserves it never listens.
pub struct Port {
    pub address: SocketAddr,
    _held: TcpSocket,
}

impl Port {
    pub fn reserve() -> Self {
        let held = TcpSocket::new_v4().expect("a socket");
        held.set_reuseaddr(true).expect("an option");
        held.bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .expect("a port");
        Self {
            address: held.local_addr().expect("bound"),
            _held: held,
        }
    }
}
