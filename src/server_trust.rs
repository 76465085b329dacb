//! TLS of a client. In: the requirements for the server's certificate. Out: a [`ClientConfig`].

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// Requirements for the certificate of a server.
#[derive(Debug)]
pub enum ServerTrust {
    /// From one of these authorities, for the server's name.
    Name(RootCertStore),
    /// From one of these authorities, for any name.
    Issuer(RootCertStore),
    /// None: the connection is encrypted, but the server is not authenticated.
    Anything,
}

impl ServerTrust {
    /// # Errors
    /// [`Self::Issuer`] without authorities, or TLS without usable algorithms: one line.
    pub fn client_config(self) -> Result<ClientConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|cause| cause.to_string())?;
        let authorities = match self {
            Self::Name(roots) => {
                return Ok(builder.with_root_certificates(roots).with_no_client_auth());
            }
            Self::Issuer(roots) => {
                let (roots, provider) = (Arc::new(roots), Arc::clone(&provider));
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
                Some(verifier.map_err(|cause| cause.to_string())?)
            }
            Self::Anything => None,
        };
        let verifier = AnyName {
            authorities,
            provider,
        };
        Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth())
    }
}

/// The certificate authorities of the system. Empty if there are none.
#[must_use]
pub fn system_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::sign::{CertifiedKey, SingleCertAndKey};
    use rustls::version::{TLS12, TLS13};
    use rustls::{ClientConnection, ServerConfig, ServerConnection, SupportedProtocolVersion};

    /// A certificate of `gate.corp.example`, which is its own authority, and its key.
    struct CertificateAndKey {
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    }

    impl CertificateAndKey {
        fn new() -> Self {
            let name = vec!["gate.corp.example".to_owned()];
            let made = rcgen::generate_simple_self_signed(name).expect("a certificate");
            let key = made.signing_key.serialize_der();
            Self {
                certificate: made.cert.der().clone(),
                key: PrivateKeyDer::try_from(key).expect("a key"),
            }
        }

        fn authorities(&self) -> RootCertStore {
            let mut roots = RootCertStore::empty();
            roots.add(self.certificate.clone()).expect("an authority");
            roots
        }
    }

    /// Connects to a server with this certificate and key, by a name.
    fn connect(
        trust: ServerTrust,
        name: &'static str,
        certificate: &CertificateAndKey,
        key: &CertificateAndKey,
        version: &'static SupportedProtocolVersion,
    ) -> Result<(), Error> {
        let provider = Arc::new(ring::default_provider());
        let key = ring::sign::any_supported_type(&key.key)?;
        let pair = CertifiedKey::new(vec![certificate.certificate.clone()], key);
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        let client = trust.client_config().expect("a configuration");
        let name = ServerName::try_from(name).expect("a name");
        let mut client = ClientConnection::new(Arc::new(client), name)?;
        let mut server = ServerConnection::new(Arc::new(server))?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut octets = Vec::new();
            client.write_tls(&mut octets).expect("a vector");
            let mut unread = &octets[..];
            while !unread.is_empty() {
                server.read_tls(&mut unread).expect("a slice");
                server.process_new_packets()?;
            }
            octets.clear();
            server.write_tls(&mut octets).expect("a vector");
            let mut unread = &octets[..];
            while !unread.is_empty() {
                client.read_tls(&mut unread).expect("a slice");
                client.process_new_packets()?;
            }
        }
        Ok(())
    }

    #[test]
    fn a_certificate_has_the_authority_and_the_name_that_are_required() {
        let (own, other) = (CertificateAndKey::new(), CertificateAndKey::new());
        let (name, alias) = ("gate.corp.example", "alias.example");
        for version in [&TLS12, &TLS13] {
            for (trust, server, is_trusted) in [
                (ServerTrust::Name(own.authorities()), name, true),
                (ServerTrust::Name(own.authorities()), alias, false),
                (ServerTrust::Name(other.authorities()), name, false),
                (ServerTrust::Issuer(own.authorities()), name, true),
                (ServerTrust::Issuer(own.authorities()), alias, true),
                (ServerTrust::Issuer(other.authorities()), name, false),
                (ServerTrust::Issuer(other.authorities()), alias, false),
                (ServerTrust::Anything, alias, true),
            ] {
                let which = format!("{trust:?} {server}");
                let connected = connect(trust, server, &own, &own, version);
                assert_eq!(connected.is_ok(), is_trusted, "{which}: {connected:?}");
            }
        }
        let nobody = ServerTrust::Issuer(RootCertStore::empty());
        assert!(nobody.client_config().is_err());
    }

    #[test]
    fn a_server_without_the_key_of_its_certificate_is_refused() {
        let (own, other) = (CertificateAndKey::new(), CertificateAndKey::new());
        for version in [&TLS12, &TLS13] {
            for trust in [
                ServerTrust::Name(own.authorities()),
                ServerTrust::Issuer(own.authorities()),
                ServerTrust::Anything,
            ] {
                let which = format!("{trust:?}");
                let connected = connect(trust, "gate.corp.example", &own, &other, version);
                assert!(connected.is_err(), "{which}");
            }
        }
    }
}
