//! In: a host and a port. Out: a connection to one of its addresses.
//!
//! RFC 5321 5.1: a client tries the addresses of a host in order, until one accepts. An address behind a firewall may
//! never answer, and so may all those of a family, typically IPv6. Another may accept connections and then not speak
//! SMTP, or fail in TLS: the next session tries the others first.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// Time limit of an address, while there are others. The system would wait for two minutes.
const ADDRESS_LIMIT: Duration = Duration::from_secs(5);

/// The addresses of one server, as far as a client has to remember them: those whose last session did not become
/// ready, the earliest first.
#[derive(Debug, Default)]
pub struct Addresses {
    unready: Mutex<Vec<SocketAddr>>,
}

/// A session that is not ready yet. If it is dropped before, its address is tried after the others from then on.
#[derive(Debug)]
pub struct Opening<'a> {
    addresses: &'a Addresses,
    connected_to: Option<SocketAddr>,
}

impl Addresses {
    /// Begins a session, which can have several connections, one after the other.
    pub fn begin(&self) -> Opening<'_> {
        Opening {
            addresses: self,
            connected_to: None,
        }
    }

    /// The order in which the addresses of the server are tried. Forgets those that it no longer has.
    fn order(&self, found: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let mut order = alternate(found);
        let mut unready = self.lock();
        unready.retain(|address| order.contains(address));
        // `None` comes first, and the sort is stable.
        order.sort_by_key(|address| unready.iter().position(|other| other == address));
        order
    }

    fn note(&self, address: SocketAddr, is_ready: bool) {
        let mut unready = self.lock();
        unready.retain(|other| *other != address);
        if !is_ready {
            unready.push(address);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.unready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses of sessions that did not become ready.
    #[cfg(test)]
    pub fn unready(&self) -> Vec<SocketAddr> {
        self.lock().clone()
    }
}

impl Opening<'_> {
    /// Connects to the first address that accepts. The caller limits the time as a whole.
    ///
    /// # Errors
    /// The name cannot be resolved, or the address refused; of several addresses, the text has the failure of each. The
    /// last of them is often one of a family that this machine has no route for, which alone would explain nothing.
    pub async fn connect(&mut self, host: &str, port: u16) -> io::Result<TcpStream> {
        let found = lookup_host((host, port)).await?.collect();
        self.connect_to(found).await
    }

    async fn connect_to(&mut self, found: Vec<SocketAddr>) -> io::Result<TcpStream> {
        let (address, stream) = connect_to_any(&self.addresses.order(found)).await?;
        self.connected_to = Some(address);
        Ok(stream)
    }

    /// The session is ready.
    pub fn succeed(mut self) {
        if let Some(address) = self.connected_to.take() {
            self.addresses.note(address, true);
        }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(address) = self.connected_to {
            self.addresses.note(address, false);
        }
    }
}

async fn connect_to_any(addresses: &[SocketAddr]) -> io::Result<(SocketAddr, TcpStream)> {
    let Some((last, others)) = addresses.split_last() else {
        return Err(io::Error::other("the host has no address"));
    };
    let mut failures = Vec::with_capacity(addresses.len());
    for address in others {
        let connecting = timeout(ADDRESS_LIMIT, TcpStream::connect(address));
        let failure = match connecting.await {
            Ok(Ok(stream)) => return Ok((*address, stream)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", ADDRESS_LIMIT.as_secs()),
        };
        failures.push(format!("{}: {failure}", address.ip()));
    }
    let connected = TcpStream::connect(last).await;
    connected.map(|stream| (*last, stream)).map_err(|error| {
        if failures.is_empty() {
            return error;
        }
        failures.push(format!("{}: {error}", last.ip()));
        io::Error::other(failures.join("; "))
    })
}

/// Alternates between the families of the addresses, beginning with that of the first one (RFC 8305 4).
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let count = addresses.len();
    let begins_with_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == begins_with_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::with_capacity(count);
    while order.len() < count {
        order.extend(first.next());
        order.extend(second.next());
    }
    order
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// A listener that answers no further connection, and the connections that fill its queue.
    fn silent_listener() -> (TcpListener, Vec<std::net::TcpStream>) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind((Ipv4Addr::LOCALHOST, 0).into())
            .expect("a port");
        let listener = socket.listen(1).expect("a listener");
        let address = listener.local_addr().expect("bound");
        let limit = Duration::from_millis(200);
        let mut waiting = Vec::new();
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, limit) {
            waiting.push(stream);
            assert!(waiting.len() < 100, "the queue does not fill");
        }
        (listener, waiting)
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_without_an_answer_leaves_time_for_the_next() {
        let (silent, _waiting) = silent_listener();
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let addresses = [&silent, &other].map(|listener| listener.local_addr().expect("bound"));
        let connecting = timeout(Duration::from_secs(30), connect_to_any(&addresses));
        let (address, _) = connecting.await.expect("in time").expect("connected");
        assert_eq!(address, addresses[1]);
    }

    /// An address that accepts connections may be that of a server that hangs.
    #[tokio::test]
    async fn an_address_without_a_ready_session_is_tried_after_the_others() {
        let mut listeners = Vec::new();
        for _ in 0..3 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
            listeners.push(listener.expect("a port"));
        }
        let all: Vec<_> = listeners
            .iter()
            .map(|listener| listener.local_addr().expect("bound"))
            .collect();
        let addresses = Addresses::default();
        for (expected, is_ready) in [
            (0, false),
            (1, false),
            (2, true),
            (2, false),
            // All failed: they take turns.
            (0, false),
            (1, true),
            (1, true),
        ] {
            let mut opening = addresses.begin();
            opening.connect_to(all.clone()).await.expect("connected");
            assert_eq!(opening.connected_to, Some(all[expected]));
            if is_ready {
                opening.succeed();
            }
        }
        // Only addresses that the server still has are remembered.
        assert_eq!(addresses.order(vec![all[0]]), [all[0]]);
        assert_eq!(addresses.unready(), [all[0]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_names_that_of_each_address() {
        let (silent, _waiting) = silent_listener();
        let silent = silent.local_addr().expect("bound");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let closed = listener.and_then(|listener| listener.local_addr());
        let closed = closed.expect("a port, closed again");
        let failure = connect_to_any(&[silent, closed]).await.expect_err("closed");
        assert!(
            failure
                .to_string()
                .starts_with("127.0.0.1: no answer within 5 s; 127.0.0.1: Connection refused"),
            "{failure}"
        );
        let failure = connect_to_any(&[closed]).await.expect_err("closed");
        assert_eq!(failure.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn the_families_of_addresses_alternate() {
        for (found, order) in [
            (
                "2001:db8::1 2001:db8::2 2001:db8::3 192.0.2.1",
                "2001:db8::1 192.0.2.1 2001:db8::2 2001:db8::3",
            ),
            (
                "192.0.2.1 2001:db8::1 2001:db8::2",
                "192.0.2.1 2001:db8::1 2001:db8::2",
            ),
            ("192.0.2.1 192.0.2.2", "192.0.2.1 192.0.2.2"),
            ("192.0.2.1", "192.0.2.1"),
        ] {
            let parse = |text: &str| -> Vec<SocketAddr> {
                let addresses = text.split(' ').map(|address| address.parse().expect("one"));
                addresses
                    .map(|address| SocketAddr::new(address, 25))
                    .collect()
            };
            assert_eq!(alternate(parse(found)), parse(order));
        }
        assert!(alternate(Vec::new()).is_empty());
    }
}
