//! TLS: takes a certificate and a key as PEM, returns the configuration for STARTTLS.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Reason why a certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the certificate file cannot be read as PEM: {0}")]
    Certificate(rustls_pki_types::pem::Error),
    #[error("the certificate file contains no certificate")]
    NoCertificate,
    #[error("the key file cannot be read as PEM: {0}")]
    Key(rustls_pki_types::pem::Error),
    #[error("the certificate and the key do not match: {0}")]
    Unusable(#[from] rustls::Error),
}

/// Builds the server configuration from a certificate chain, the server's own first, and its key.
///
/// # Errors
/// The defect that makes them unusable.
pub fn server_config(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsError::Certificate)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["gate.corp.example".to_owned()])
            .expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_key_must_match_its_certificate() {
        let (certificate, key) = pair();
        assert!(server_config(certificate.as_bytes(), key.as_bytes()).is_ok());
        let (_, other) = pair();
        assert!(matches!(
            server_config(certificate.as_bytes(), other.as_bytes()),
            Err(TlsError::Unusable(_))
        ));
        assert!(matches!(
            server_config(b"", key.as_bytes()),
            Err(TlsError::NoCertificate)
        ));
        assert!(matches!(
            server_config(certificate.as_bytes(), b"no key"),
            Err(TlsError::Key(_))
        ));
    }
}
