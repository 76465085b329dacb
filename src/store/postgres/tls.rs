//! TLS to the server, with the library and the authorities that all other connections use.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, StreamOwned,
};

use crate::config::{PostgresServer, PostgresTls};
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
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|cause| cause.to_string())?;
    let mode = match server.tls {
        PostgresTls::VerifyFull => {
            let roots = Arc::new(authorities(server)?);
            return Ok(builder.with_root_certificates(roots).with_no_client_auth());
        }
        PostgresTls::VerifyCa => {
            let roots = Arc::new(authorities(server)?);
            let verifier =
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
            Some(verifier.build().map_err(|cause| cause.to_string())?)
        }
        PostgresTls::Require | PostgresTls::Disable => None,
    };
    let verifier = AnyName {
        authorities: mode,
        provider,
    };
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// The authorities of the configured file, or those of the system.
fn authorities(server: &PostgresServer) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = &server.ca_file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
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

/// Accepts a certificate for any name: from these authorities, or from any issuer if there are none.
#[derive(Debug)]
struct AnyName {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authorities) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        // The chain is verified before the name.
        match authorities.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
