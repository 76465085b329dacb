//! The secret in a verification link: 256 bits from the operating system.
//!
//! The token itself exists in the mail and in the person's browser only. The database and the logs
//! see its SHA-256, and [`Token`] has neither `Debug` nor `Display`, so that it cannot slip out.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// A fresh or presented token. Only [`Token::reveal`] gives it away.
pub struct Token([u8; 32]);

/// What is stored of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

/// Not the text of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("not a token")]
    Malformed,
    #[error("the operating system gave no random bytes: {0}")]
    NoEntropy(String),
}

impl Token {
    /// Makes a new one.
    ///
    /// # Errors
    /// Only when the operating system has no random numbers.
    pub fn generate() -> Result<Self, TokenError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|e| TokenError::NoEntropy(e.to_string()))?;
        Ok(Self(bytes))
    }

    /// Reads the 43 characters of unpadded base64url (RFC 4648 5) of a link.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let mut bytes = [0; 32];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(32) if text.len() == 43 => Ok(Self(bytes)),
            _ => Err(TokenError::Malformed),
        }
    }

    /// The text for the link. Goes into the mail or the page, nowhere else.
    #[must_use]
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0).into())
    }
}

impl TokenHash {
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_link() {
        let token = Token::generate().expect("random bytes");
        let text = token.reveal();
        assert_eq!(text.len(), 43);
        let again = Token::parse(&text).unwrap_or_else(|e| panic!("its own text: {e}"));
        assert_eq!(again.hash(), token.hash());
    }

    /// Each bit is set in half of the tokens, more or less: nine times the standard deviation off does
    /// not happen.
    #[test]
    fn every_bit_of_a_token_is_thrown_anew() {
        let mut set = [0; 256];
        for _ in 0..1000 {
            let Token(bytes) = Token::generate().expect("random bytes");
            for (bit, count) in set.iter_mut().enumerate() {
                *count += u32::from(bytes[bit / 8] >> (bit % 8) & 1);
            }
        }
        assert!(
            set.iter().all(|count| (358..=642).contains(count)),
            "{set:?}"
        );
    }

    #[test]
    fn everything_else_is_malformed() {
        let token = Token::generate().expect("random bytes").reveal();
        for text in [
            "",
            "x",
            &token[..42],
            &format!("{token}A"),
            &format!("{token}="),
            "é",
        ] {
            assert!(Token::parse(text).is_err(), "{text:?}");
        }
    }
}
