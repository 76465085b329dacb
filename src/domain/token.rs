//! Secrets: 256 random bits for a verification link or a session, 128 for a reply address.
//!
//! In links and addresses they are base32 (RFC 4648 6) in lower case, since mail programs change the case of
//! both. Links sent by version 0.1 had base64url, and stay valid.
//!
//! The token itself exists only in the mail and in the person's browser. The database and the logs get its
//! SHA-256, and [`Token`] has neither `Debug` nor `Display`, so that it cannot leak by accident.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A new or presented token. Only [`Token::reveal`] and [`Token::reveal_for_link`] show it.
pub struct Token([u8; 32]);

/// The secret in the reply address of a verification mail. Shorter than that of a link, so that the local
/// part stays within 64 octets (RFC 5321 4.5.3.1.1).
pub struct ReplyToken([u8; 16]);

/// The stored form of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenHash([u8; 32]);

/// Reason why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("not a token")]
    Malformed,
    #[error("the operating system returned no random bytes: {0}")]
    NoEntropy(String),
}

/// Shows only the name of a secret type.
macro_rules! hidden_debug {
    ($type:ident) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($type), "(…)"))
            }
        }
    };
}
pub(super) use hidden_debug;

/// Random octets.
///
/// # Errors
/// Only if the operating system has no random numbers.
pub(super) fn random<const N: usize>() -> Result<[u8; N], TokenError> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map_err(|e| TokenError::NoEntropy(e.to_string()))?;
    Ok(octets)
}

impl Token {
    /// Creates a new one.
    ///
    /// # Errors
    /// Only if the operating system has no random numbers.
    pub fn generate() -> Result<Self, TokenError> {
        random().map(Self)
    }

    /// Parses the 43 characters of unpadded base64url (RFC 4648 5).
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

    /// Parses the last part of a link as mail programs leave it: in any letter case, and followed by characters
    /// that were taken for a part of it. Accepts the base64url of older links, too.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse_link(text: &str) -> Result<Self, TokenError> {
        let is_of_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let text = text.trim().trim_end_matches(|c| !is_of_token(c));
        let word = text.trim_end_matches(['-', '_']);
        if let Some(bytes) = base32_decode(word) {
            return Ok(Self(bytes));
        }
        match (text.get(..43), text.get(43..)) {
            (Some(token), Some(rest)) if rest.chars().all(|c| c == '-' || c == '_') => {
                Self::parse(token)
            }
            _ => Err(TokenError::Malformed),
        }
    }

    /// The 52 characters for a link. Put them into the mail only.
    #[must_use]
    pub fn reveal_for_link(&self) -> String {
        base32_encode(&self.0)
    }

    /// The text for a cookie, an API or a form. Put it nowhere else.
    #[must_use]
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0).into())
    }
}

impl ReplyToken {
    /// Creates a new one.
    ///
    /// # Errors
    /// Only if the operating system has no random numbers.
    pub fn generate() -> Result<Self, TokenError> {
        random().map(Self)
    }

    /// Parses the 26 characters of an address, in any letter case.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        base32_decode(text).map(Self).ok_or(TokenError::Malformed)
    }

    /// The text for the address. Put it into the mail only.
    #[must_use]
    pub fn reveal(&self) -> String {
        base32_encode(&self.0)
    }

    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0).into())
    }
}

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Encodes octets as base32 (RFC 4648 6) without padding, in lower case.
pub(super) fn base32_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(BASE32[(bits >> count & 31) as usize]));
        }
    }
    if count > 0 {
        text.push(char::from(BASE32[(bits << (5 - count) & 31) as usize]));
    }
    text
}

/// Decodes exactly `N` bytes from their canonical base32, in any letter case.
pub(super) fn base32_decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != (N * 8).div_ceil(5) {
        return None;
    }
    let mut bytes = Vec::with_capacity(N);
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.bytes().map(|c| c.to_ascii_lowercase()) {
        let value = match c {
            b'a'..=b'z' => c - b'a',
            b'2'..=b'7' => c - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    if bits & ((1 << count) - 1) != 0 {
        return None;
    }
    bytes.try_into().ok()
}

impl TokenHash {
    #[must_use]
    pub fn from_stored(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

hidden_debug!(TokenHash);

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

    #[test]
    fn a_link_survives_mail_programs() {
        let token = Token::generate().expect("random bytes");
        for text in [token.reveal_for_link(), token.reveal()] {
            for after in [
                "", "=", ".", ">", "/", ")", "%", "\u{a0}", ").", "_", ">.", "**", "'\"", "\r\n",
            ] {
                let read = Token::parse_link(&format!("{text}{after}"));
                assert!(
                    read.is_ok_and(|read| read.hash() == token.hash()),
                    "{after:?}"
                );
            }
            for other in [
                format!("{text}a"),
                format!("x{text}"),
                text[1..].to_owned(),
                format!("{text}.a"),
            ] {
                assert!(Token::parse_link(&other).is_err());
            }
        }
        let loud = token.reveal_for_link().to_uppercase();
        assert_eq!(loud.len(), 52);
        assert!(Token::parse_link(&loud).is_ok_and(|read| read.hash() == token.hash()));
    }

    #[test]
    fn a_reply_token_is_not_a_link() {
        let token = ReplyToken::generate().expect("random bytes");
        let text = token.reveal();
        assert_eq!(text.len(), 26);
        for text in [text.clone(), text.to_uppercase()] {
            assert!(ReplyToken::parse(&text).is_ok_and(|read| read.hash() == token.hash()));
            assert!(Token::parse_link(&text).is_err());
        }
        assert_eq!(base32_encode(b"foobar"), "mzxw6ytboi");
        assert_eq!(base32_decode::<6>("MZXW6YTBOI"), Some(*b"foobar"));
        assert_eq!(base32_decode::<6>("mzxw6ytboj"), None, "bits left over");
    }

    /// Each bit is set in about half of the tokens: a deviation of nine times the standard deviation does not
    /// happen.
    #[test]
    fn every_bit_of_a_token_is_random() {
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
