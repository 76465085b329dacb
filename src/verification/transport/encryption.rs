//! Encryption of connections on which lettre speaks SMTP: by STARTTLS (RFC 3207), which is lettre's own, or from the
//! start (RFC 8314 3.3).
//!
//! lettre would also connect and encrypt from the start, but then each address of the server gets the whole time, so
//! that some are never tried.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::{AsyncTokioStream, TlsParameters};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::TransportError;
use crate::config::{SmtpSecurity, SmtpServer};
use crate::outbound::tls;

/// Encryption of the connections to a server.
pub(super) enum Encryption {
    None,
    /// From the start.
    Implicit(ImplicitTls),
    StartTls(TlsParameters),
    /// By STARTTLS if the server offers it and it succeeds.
    Opportunistic(TlsParameters),
}

impl Encryption {
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn of(server: &SmtpServer) -> Result<Self, TransportError> {
        let parameters = || {
            let verify = server.verifies_certificate();
            TlsParameters::builder(server.host.clone())
                .dangerous_accept_invalid_certs(!verify)
                .dangerous_accept_invalid_hostnames(!verify)
                .build()
                .map_err(|error| TransportError(error.to_string()))
        };
        Ok(match server.security {
            SmtpSecurity::None => Self::None,
            SmtpSecurity::Tls => Self::Implicit(ImplicitTls::new(server)?),
            SmtpSecurity::StartTls => Self::StartTls(parameters()?),
            SmtpSecurity::Opportunistic => Self::Opportunistic(parameters()?),
        })
    }
}

/// TLS from the start, for the connections to one server.
pub(super) struct ImplicitTls {
    connector: TlsConnector,
    host: String,
}

impl ImplicitTls {
    fn new(server: &SmtpServer) -> Result<Self, TransportError> {
        let config = tls::client(server.verifies_certificate());
        let config = config.map_err(|cause| TransportError(cause.text))?;
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            host: server.host.clone(),
        })
    }

    pub(super) async fn encrypt(&self, stream: TcpStream) -> io::Result<EncryptedStream> {
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        let stream = self.connector.connect(name, stream).await?;
        Ok(EncryptedStream(stream))
    }
}

/// The stream that lettre uses.
#[derive(Debug)]
pub(super) struct EncryptedStream(TlsStream<TcpStream>);

impl AsyncRead for EncryptedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for EncryptedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl AsyncTokioStream for EncryptedStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().0.peer_addr()
    }
}
