//! Ports for programs that cannot be asked which one they took.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A port of loopback that nobody else is given as long as this lives, and that a program which sets
/// `SO_REUSEADDR`, as servers do, can listen on all the same: the socket that holds it never listens.
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
