//! The stream to one endpoint: a socket of this machine, TCP, or TLS over TCP. Connecting, each read and each write
//! have a timeout.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::connection::CONNECTING;
use super::endpoints::PostgresEndpoint;
use super::tls::{self, TlsStream};
use crate::config::{PostgresHost, PostgresServer, PostgresTls};
use crate::store::{Result, StoreError};

/// Idle time after which TCP sends two keepalive probes, and milliseconds for which sent octets may remain
/// unacknowledged. A host that has vanished is noticed within 10 s.
const KEEPALIVE: Duration = Duration::from_secs(5);
const UNACKNOWLEDGED: u32 = 10_000;

/// A stream whose reads and writes have a timeout.
pub(super) enum Stream {
    Socket(UnixStream),
    Tcp(TcpStream),
    Tls(Box<TlsStream>),
}

trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

impl Stream {
    /// Connects to an endpoint of a host. Reads and writes wait for `timeout`.
    ///
    /// # Errors
    /// `Away`; `Refused` if TLS cannot be used as configured.
    pub(super) fn connect(
        server: &PostgresServer,
        host: &PostgresHost,
        endpoint: &PostgresEndpoint,
        timeout: Duration,
    ) -> Result<Self> {
        let away = |cause: io::Error| StoreError::Away(format!("{host}: {cause}"));
        let (name, address) = match endpoint {
            PostgresEndpoint::Socket(path) => {
                let stream = connect_to_socket(path, CONNECTING).map_err(away)?;
                let stream = Self::Socket(stream);
                stream.set_timeout(timeout).map_err(away)?;
                return Ok(stream);
            }
            PostgresEndpoint::Tcp { name, address } => (name.as_str(), address),
        };
        let tcp = TcpStream::connect_timeout(address, CONNECTING).map_err(away)?;
        prepare(&tcp).map_err(away)?;
        let mut stream = Self::Tcp(tcp);
        stream.set_timeout(timeout).map_err(away)?;
        if server.tls == PostgresTls::Disable {
            return Ok(stream);
        }
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        stream.write_all(&request).map_err(away)?;
        // One octet and no more: anything that an attacker injects before the handshake must not count after it.
        let mut answer = [0; 1];
        stream.read_exact(&mut answer).map_err(away)?;
        match (answer, stream) {
            ([b'S'], Self::Tcp(tcp)) => Ok(Self::Tls(Box::new(tls::begin(server, name, tcp)?))),
            ([b'N'], _) => Err(StoreError::Refused(format!(
                "{host}: the server does not support TLS; set ssl = on there, or sslmode=disable here"
            ))),
            // A server without memory for another process sends an error at once.
            _ => Err(StoreError::Away(format!(
                "{host}: the server accepts no connections"
            ))),
        }
    }

    fn io(&mut self) -> &mut dyn ReadWrite {
        match self {
            Self::Socket(stream) => stream,
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream,
        }
    }

    /// Sets the time that a read or a write may take.
    pub(super) fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        let timeout = Some(timeout);
        match self {
            Self::Socket(stream) => {
                stream.set_read_timeout(timeout)?;
                stream.set_write_timeout(timeout)
            }
            Self::Tcp(stream) => set_timeout_of(stream, timeout),
            Self::Tls(stream) => set_timeout_of(stream.get_ref(), timeout),
        }
    }
}

fn set_timeout_of(stream: &TcpStream, timeout: Option<Duration>) -> io::Result<()> {
    stream.set_read_timeout(timeout)?;
    stream.set_write_timeout(timeout)
}

/// Connects to a socket of this machine. Without a timeout, connecting to a server that has stopped accepting would
/// block forever.
fn connect_to_socket(path: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(timeout))?;
    net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(2))?;
    sockopt::set_tcp_keepcnt(stream, 2)?;
    sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED)?;
    Ok(())
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io().read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.io().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.io().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn connecting_to_a_socket_that_is_not_accepting_times_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let flags = SocketFlags::CLOEXEC;
        let server = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let server = server.expect("a socket");
        let address = SocketAddrUnix::new(&path).expect("an address");
        net::bind(&server, &address).expect("bound");
        net::listen(&server, 0).expect("listening");

        let timeout = Duration::from_millis(50);
        let begin = Instant::now();
        let mut waiting = Vec::new();
        let refused = loop {
            match connect_to_socket(&path, timeout) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
            assert!(waiting.len() < 10, "its queue is never full");
        };
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        assert!(begin.elapsed() < Duration::from_mins(1), "{refused}");
    }
}
