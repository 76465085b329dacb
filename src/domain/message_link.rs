//! Links to a raw message, for programs that need more than its JSON: `ID.EXPIRY.MAC`.
//!
//! The ID is that of the ledger entry, EXPIRY is in seconds since 1970, and MAC is the unpadded base64url of
//! HMAC-SHA-256 over everything before it. So a link names its message and its expiry, and only the owner of
//! the key can create one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::token::{hidden_debug, random};
use super::{LedgerId, Timestamp, TokenError};

/// Longer than any valid link.
const MAX_LENGTH: usize = 128;

/// Key that signs links to messages. Never shown.
#[derive(Clone)]
pub struct LinkKey([u8; 32]);

hidden_debug!(LinkKey);

impl LinkKey {
    /// Creates a random key.
    ///
    /// # Errors
    /// Only if the operating system has no random numbers.
    pub fn generate() -> Result<Self, TokenError> {
        random().map(Self)
    }

    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Last part of a link to the message of an entry, valid until `expires_at`.
    #[must_use]
    pub fn sign(&self, ledger: LedgerId, expires_at: Timestamp) -> String {
        let signed = format!("{ledger}.{}", expires_at.as_second());
        let mac = self.mac(&signed).map(|mac| mac.finalize().into_bytes());
        let mac = mac.map(|octets| URL_SAFE_NO_PAD.encode(octets));
        format!("{signed}.{}", mac.unwrap_or_default())
    }

    /// Returns the entry of a valid link; None for a link that was not made with this key or has expired.
    /// Compares in constant time.
    #[must_use]
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<LedgerId> {
        if token.len() > MAX_LENGTH {
            return None;
        }
        let (signed, mac) = token.rsplit_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        self.mac(signed)?.verify_slice(&mac).ok()?;
        let (ledger, expires_at) = signed.split_once('.')?;
        let expires_at: i64 = expires_at.parse().ok()?;
        (now.as_second() < expires_at)
            .then(|| ledger.parse().ok())
            .flatten()
    }

    /// Never None: HMAC takes keys of any length (RFC 2104 2).
    fn mac(&self, signed: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(b"vestibule message ");
        mac.update(signed.as_bytes());
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_one_message_until_it_expires() {
        let key = LinkKey::generate().expect("random bytes");
        let ledger = LedgerId::new();
        let second = |second| Timestamp::from_second(second).expect("a time");
        let token = key.sign(ledger, second(1000));
        assert_eq!(key.verify(&token, second(999)), Some(ledger));
        assert_eq!(key.verify(&token, second(1000)), None, "expired");
        let other = LinkKey::generate().expect("random bytes");
        assert_eq!(other.verify(&token, second(999)), None, "another key");
        let mac = token.rsplit_once('.').expect("three parts").1;
        for changed in [
            format!("{ledger}.9999999999.{mac}"),
            format!("{}.1000.{mac}", LedgerId::new()),
            format!("{ledger}.1000."),
            format!("{ledger}.1000"),
            format!("{token}A"),
            format!("{token}."),
            token.to_lowercase(),
            token[..token.len() - 1].to_owned(),
            "x".repeat(10_000),
            String::new(),
        ] {
            assert_eq!(key.verify(&changed, second(999)), None, "{changed}");
        }
        // Changing any octet invalidates the link.
        for place in 0..token.len() {
            for octet in [b'0', b'1', b'A', b'b', b'.', b'-'] {
                let mut changed = token.clone().into_bytes();
                if changed[place] == octet {
                    continue;
                }
                changed[place] = octet;
                let changed = String::from_utf8(changed).expect("ASCII");
                assert_eq!(key.verify(&changed, second(999)), None, "{changed}");
            }
        }
        assert_eq!(format!("{key:?}"), "LinkKey(…)");
    }
}
