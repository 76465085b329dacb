//! The signature of a webhook's body, as Standard Webhooks defines it.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Header field of the signature.
pub const FIELD: &str = "webhook-signature";

/// An unfinished signature: HMAC-SHA256 of id, time and body. The body is added in pieces.
pub struct Signature(Hmac<Sha256>);

impl Signature {
    /// Begins a signature; `None` if the secret is not base64; the prefix `whsec_` is optional.
    pub fn begin(secret: &SecretString, id: &str, seconds: i64) -> Option<Self> {
        let secret = secret.expose_secret().trim();
        let key = STANDARD
            .decode(secret.strip_prefix("whsec_").unwrap_or(secret))
            .ok()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(format!("{id}.{seconds}.").as_bytes());
        Some(Self(mac))
    }

    pub fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The value of [`FIELD`].
    pub fn end(self) -> String {
        format!("v1,{}", STANDARD.encode(self.0.finalize().into_bytes()))
    }
}

/// The signature of a whole body: `v1,` and the HMAC-SHA256 of id, time and body.
///
/// `None` if the secret is not base64.
#[must_use]
pub fn sign(secret: &SecretString, id: &str, seconds: i64, body: &[u8]) -> Option<String> {
    let mut signature = Signature::begin(secret, id, seconds)?;
    signature.add(body);
    Some(signature.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_others_compute() {
        // Computed with the hmac module of Python.
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(
            sign(
                &secret,
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                br#"{"test": 2432232314}"#
            ),
            Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned())
        );
    }

    #[test]
    fn an_invalid_key_signs_nothing() {
        assert_eq!(
            sign(&SecretString::from("whsec_not base64!"), "id", 0, b""),
            None
        );
    }
}
