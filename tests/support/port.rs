//! Ports for programs that cannot report which one they chose.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::io::{Errno, Result};
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};

/// A loopback port, of TCP and of UDP, that no other process gets while this exists. A program that sets
/// `SO_REUSEADDR`, as servers do, can still listen on it, because the sockets that reserve it never listen.
///
/// The sockets are bound to all addresses: a port that is free at 127.0.0.1 may be in use by a connection at
/// another address, and then no program can listen on it at all addresses.
pub struct Port {
    pub address: SocketAddr,
    _held: [OwnedFd; 2],
}

impl Port {
    pub fn reserve() -> Self {
        loop {
            let (tcp, port) = hold(SocketType::STREAM, 0).expect("a port of TCP");
            match hold(SocketType::DGRAM, port) {
                Ok((udp, _)) => {
                    return Self {
                        address: SocketAddr::from(([127, 0, 0, 1], port)),
                        _held: [tcp, udp],
                    };
                }
                // Another process has this port in UDP.
                Err(Errno::ADDRINUSE) => {}
                Err(error) => panic!("a port of UDP: {error}"),
            }
        }
    }
}

/// Binds a socket to a port at all addresses, or to any port if it is 0.
fn hold(kind: SocketType, port: u16) -> Result<(OwnedFd, u16)> {
    let socket = socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None)?;
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))?;
    let bound = SocketAddrV4::try_from(getsockname(&socket)?)?;
    Ok((socket, bound.port()))
}
