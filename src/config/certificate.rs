//! The certificate chain and key of a listener: read, parsed and checked for a match.

use std::fmt::Display;
use std::path::Path;

use rustls::crypto::ring;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::SmtpTls;

/// An unusable certificate or key, with the file concerned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("{0}")]
    Certificate(String),
    #[error("{0}")]
    Key(String),
    /// Neither file is usable.
    #[error("{certificate}; {key}")]
    Both { certificate: String, key: String },
}

impl SmtpTls {
    /// Reads both files again, so that a renewed certificate is loaded.
    ///
    /// # Errors
    /// A file that cannot be read or is not PEM, and a key that does not match the certificate.
    pub fn load_certified_key(&self) -> Result<CertifiedKey, CertificateError> {
        let (chain, key) = match (read_chain(&self.certificate), read_key(&self.key)) {
            (Ok(chain), Ok(key)) => (chain, key),
            (Err(certificate), Ok(_)) => return Err(CertificateError::Certificate(certificate)),
            (Ok(_), Err(key)) => return Err(CertificateError::Key(key)),
            (Err(certificate), Err(key)) => {
                return Err(CertificateError::Both { certificate, key });
            }
        };
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|cause| {
            CertificateError::Key(match cause {
                rustls::Error::InconsistentKeys(_) => format!(
                    "{} is not the key of the certificate in {}",
                    self.key.display(),
                    self.certificate.display()
                ),
                other => format!("{}: {other}", self.key.display()),
            })
        })
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let file = open(path)?;
    let chain: Vec<_> = CertificateDer::pem_reader_iter(file)
        .collect::<Result<_, _>>()
        .map_err(|cause| unreadable(path, cause))?;
    if chain.is_empty() {
        return Err(format!(
            "{} has no certificate in it; it needs a PEM file with -----BEGIN CERTIFICATE-----",
            path.display()
        ));
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_reader(open(path)?).map_err(|cause| match cause {
        PemError::NoItemsFound => format!(
            "{} has no private key in it; it needs a PEM file with -----BEGIN PRIVATE KEY-----",
            path.display()
        ),
        other => unreadable(path, other),
    })
}

fn open(path: &Path) -> Result<std::io::BufReader<std::fs::File>, String> {
    let file = std::fs::File::open(path).map_err(|cause| unreadable(path, super::why(&cause)))?;
    Ok(std::io::BufReader::new(file))
}

fn unreadable(path: &Path, cause: impl Display) -> String {
    format!("{} cannot be read: {cause}", path.display())
}
