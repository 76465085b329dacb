//! A signed token in compact form (RFC 7515 3.1, RFC 7519), and its signature.
//!
//! Only asymmetric algorithms exist here. A token cannot choose its key or its algorithm freely: the key must be
//! the provider's, and it must be of the kind that the algorithm takes (RFC 8725 3.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Map, Value};

use super::SsoError;

/// Maximum octets of a token.
const MAX_TOKEN: usize = 64 * 1024;

/// Algorithms of RFC 7518 3.1 and RFC 8037 3.1 with which a token may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// Finds an algorithm by its name. `none` and the symmetric algorithms are rejected.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    /// Parameters of an RSA algorithm; keys have 2048 to 8192 bits.
    fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::Es256 | Self::Es384 | Self::EdDsa => return None,
        })
    }
}

/// A public key of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// Modulus and exponent, big-endian.
    Rsa(Vec<u8>, Vec<u8>),
    /// An uncompressed point (SEC 1 2.3.3).
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// True if the key is of the algorithm's kind and the signature is valid.
    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let is_valid = |verifying: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(verifying, key)
                .verify(message, signature)
                .is_ok()
        };
        match (self, algorithm) {
            (Self::Rsa(n, e), algorithm) => algorithm.rsa().is_some_and(|parameters| {
                RsaPublicKeyComponents { n, e }
                    .verify(parameters, message, signature)
                    .is_ok()
            }),
            (Self::P256(point), Algorithm::Es256) => {
                is_valid(&signature::ECDSA_P256_SHA256_FIXED, point)
            }
            (Self::P384(point), Algorithm::Es384) => {
                is_valid(&signature::ECDSA_P384_SHA384_FIXED, point)
            }
            (Self::Ed25519(key), Algorithm::EdDsa) => is_valid(&signature::ED25519, key),
            _ => false,
        }
    }
}

/// A token whose signature is not verified yet, so that its claims are inaccessible.
pub(super) struct SignedToken<'a> {
    pub algorithm: Algorithm,
    /// Names the key.
    pub key_id: Option<String>,
    /// Header and payload as they were signed.
    message: &'a str,
    signature: Vec<u8>,
    payload: Map<String, Value>,
}

impl<'a> SignedToken<'a> {
    /// Parses a token, without verifying its signature.
    ///
    /// # Errors
    /// Not a token of three parts, an algorithm that is not allowed, or an extension that must be understood
    /// (RFC 7515 4.1.11).
    pub(super) fn parse(text: &'a str) -> Result<Self, SsoError> {
        const MALFORMED: SsoError = SsoError::Token("it is malformed");
        if text.len() > MAX_TOKEN {
            return Err(SsoError::Token("it is too large"));
        }
        let (message, signature) = text.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, payload) = message.split_once('.').ok_or(MALFORMED)?;
        if payload.contains('.') {
            return Err(SsoError::Token("it is encrypted or malformed"));
        }
        let header = object(header).ok_or(MALFORMED)?;
        let name = header.get("alg").and_then(Value::as_str);
        let algorithm = name.and_then(Algorithm::from_name);
        let algorithm = algorithm.ok_or(SsoError::Token("its algorithm is not allowed"))?;
        if header.contains_key("crit") {
            return Err(SsoError::Token("it requires an unknown extension"));
        }
        let kind = header.get("typ").and_then(Value::as_str);
        if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("JWT")) {
            return Err(SsoError::Token("it has another type"));
        }
        Ok(Self {
            algorithm,
            key_id: header.get("kid").and_then(Value::as_str).map(Into::into),
            message,
            signature: URL_SAFE_NO_PAD.decode(signature).map_err(|_| MALFORMED)?,
            payload: object(payload).ok_or(MALFORMED)?,
        })
    }

    /// Returns the claims if one of the keys has signed them.
    pub(super) fn verify<'k>(
        &self,
        mut keys: impl Iterator<Item = &'k PublicKey>,
    ) -> Option<&Map<String, Value>> {
        let message = self.message.as_bytes();
        keys.any(|key| key.verifies(self.algorithm, message, &self.signature))
            .then_some(&self.payload)
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let octets = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&octets).ok()
}
