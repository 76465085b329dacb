//! TLS to the server, with the library and the authorities that all other connections use.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, StreamOwned};

use crate::config::{PostgresServer, PostgresTls};
use crate::server_trust::{ServerTrust, system_authorities};
use crate::store::{Result, StoreError};

/// A TCP connection with TLS.
pub(super) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Begins TLS with the server of this name, which has agreed to it.
///
/// # Errors
/// Authorities that cannot be read, or a name that no certificate can have. The handshake takes place with the
/// first read or write.
pub(super) fn begin(server: &PostgresServer, host: &str, stream: TcpStream) -> Result<TlsStream> {
    let failed =
        |cause: &dyn std::fmt::Display| StoreError::Refused(format!("TLS to {host}: {cause}"));
    let name = ServerName::try_from(host.to_owned()).map_err(|cause| failed(&cause))?;
    let config = client_config(server).map_err(|cause| failed(&cause))?;
    let session = ClientConnection::new(Arc::new(config), name).map_err(|cause| failed(&cause))?;
    Ok(StreamOwned::new(session, stream))
}

/// True if a handshake failed because of an authority or a name, which only a change of the configuration can fix. An
/// expired certificate gets renewed, and a wrong clock gets set.
pub(super) fn is_refusal(error: &std::io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(
        cause,
        Some(Error::InvalidCertificate(
            CertificateError::UnknownIssuer
                // From another authority of the same name.
                | CertificateError::BadSignature
                | CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. }
        ))
    )
}

fn client_config(server: &PostgresServer) -> Result<ClientConfig, String> {
    let trust = match server.tls {
        PostgresTls::VerifyFull => ServerTrust::Name(authorities(server)?),
        PostgresTls::VerifyCa => ServerTrust::Issuer(authorities(server)?),
        PostgresTls::Require | PostgresTls::Disable => ServerTrust::Anything,
    };
    trust.client_config()
}

/// The authorities of the configured file, or those of the system.
fn authorities(server: &PostgresServer) -> Result<RootCertStore, String> {
    let Some(file) = &server.ca_file else {
        return Ok(system_authorities());
    };
    let mut roots = RootCertStore::empty();
    let shown = file.display();
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|cause| format!("ca_file {shown}: {cause}"))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|cause| format!("ca_file {shown}: {cause}"))?;
        roots
            .add(certificate)
            .map_err(|cause| format!("ca_file {shown}: {cause}"))?;
    }
    if roots.is_empty() {
        return Err(format!("ca_file {shown} has no certificate"));
    }
    Ok(roots)
}
