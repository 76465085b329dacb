//! A plain-text SMTP stream on which every reply belongs to a command.
//!
//! lettre keeps its read-ahead across STARTTLS, so replies that an attacker appends to plain text would count
//! as the server's answers inside TLS (RFC 3207 6). This stream passes one reply (RFC 5321 4.2) for each
//! write of the client. Octets after its end are an error, not a reply that is kept for later. After the
//! positive reply to STARTTLS it passes everything, since TLS follows.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

const STARTTLS: &[u8] = b"STARTTLS";

/// The stream that lettre uses.
#[derive(Debug)]
pub(super) struct OneReplyPerCommand<S> {
    inner: S,
    phase: Phase,
    reply: Reply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Plain,
    /// STARTTLS was written and not answered yet.
    Upgrading,
    Encrypted,
}

/// State of the reply that is being read.
#[derive(Debug, Default)]
struct Reply {
    /// The first octets of the line: the code and what follows it.
    start: [u8; 4],
    /// Octets of the line so far, at most 4.
    length: usize,
    is_complete: bool,
}

impl Reply {
    /// Takes octets of a reply; false if some are left after its last line.
    fn take(&mut self, octets: &[u8]) -> bool {
        for octet in octets {
            if self.is_complete {
                return false;
            }
            if *octet == b'\n' {
                self.is_complete = self.length < 4 || self.start[3] != b'-';
                self.length = 0;
            } else if let Some(place) = self.start.get_mut(self.length) {
                *place = *octet;
                self.length += 1;
            }
        }
        true
    }

    fn is_positive(&self) -> bool {
        self.is_complete && self.start[0] == b'2'
    }
}

impl<S> OneReplyPerCommand<S> {
    pub(super) fn over(inner: S) -> Self {
        Self {
            inner,
            phase: Phase::Plain,
            reply: Reply::default(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for OneReplyPerCommand<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        if self.phase == Phase::Encrypted {
            return Poll::Ready(Ok(()));
        }
        if !self.reply.take(&buffer.filled()[before..]) {
            buffer.set_filled(before);
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the server sent data before TLS began",
            )));
        }
        if self.phase == Phase::Upgrading && self.reply.is_positive() {
            self.phase = Phase::Encrypted;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for OneReplyPerCommand<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.inner).poll_write(context, octets))?;
        if self.phase != Phase::Encrypted && written > 0 {
            self.reply = Reply::default();
            if octets.starts_with(STARTTLS) {
                self.phase = Phase::Upgrading;
            }
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl AsyncTokioStream for OneReplyPerCommand<TcpStream> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_ends_with_the_line_that_has_no_hyphen() {
        for (octets, whole) in [
            (&b"250 ok\r\n"[..], true),
            (b"250-one\r\n250-two\r\n250 three\r\n", true),
            (b"250\r\n", true),
            (b"2\n", true),
            (b"250-one\r\n", true),
            (b"250 ok\r\n250 more\r\n", false),
            (b"250-one\r\n250 two\r\n2", false),
            (b"220 go\r\n\r\n", false),
        ] {
            // However the octets are split.
            for cut in 0..octets.len() {
                let mut reply = Reply::default();
                let taken = reply.take(&octets[..cut]) && reply.take(&octets[cut..]);
                assert_eq!(taken, whole, "{octets:?} cut at {cut}");
            }
        }
    }
}
