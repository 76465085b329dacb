//! Operators: who may look at the house and change it, and how they show who they are.

use std::fmt;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::account::names;

/// What an operator may do. Each role may do all that the ones before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Acts on customers, requests and what was dropped.
    Agent,
    /// Changes the settings.
    Admin,
}

names!(Role { Viewer => "viewer", Agent => "agent", Admin => "admin" });

/// A password that somebody typed. Neither `Debug` nor `Display` gives it away.
pub struct Password(SecretString);

/// What is stored of a password: argon2id with its salt and parameters, as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// Not a password to be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("a password has at least 15 characters, and this one {0}")]
    TooShort(usize),
    #[error("a password has at most 1024 octets")]
    TooLong,
    #[error("the password cannot be hashed: {0}")]
    Hashing(String),
}

impl Password {
    /// Characters; as NIST SP 800-63B asks of a password that stands alone, and with no rule about
    /// which characters they are.
    pub const SHORTEST: usize = 15;
    /// Octets, so that hashing one costs no more than another.
    pub const LONGEST: usize = 1024;

    /// A password to be set.
    ///
    /// # Errors
    /// Too short or too long a one.
    pub fn new(text: &str) -> Result<Self, PasswordError> {
        let length = text.chars().count();
        if length < Self::SHORTEST {
            return Err(PasswordError::TooShort(length));
        }
        Self::presented(text).ok_or(PasswordError::TooLong)
    }

    /// One that is only compared; whatever rule it was set under. None for what is too long to be one.
    #[must_use]
    pub fn presented(text: &str) -> Option<Self> {
        (text.len() <= Self::LONGEST).then(|| Self(text.into()))
    }

    /// Takes some 20 ms and 19 MiB, which is the point of it.
    ///
    /// # Errors
    /// Only when the operating system has no random numbers.
    pub fn hash(&self) -> Result<PasswordHash, PasswordError> {
        Argon2::default()
            .hash_password(self.0.expose_secret().as_bytes())
            .map(|hash| PasswordHash(hash.to_string()))
            .map_err(|error| PasswordError::Hashing(error.to_string()))
    }

    /// Whether this is the password of that hash; costs as much as hashing.
    #[must_use]
    pub fn matches(&self, hash: &PasswordHash) -> bool {
        Argon2::default()
            .verify_password(self.0.expose_secret().as_bytes(), hash.0.as_str())
            .is_ok()
    }
}

impl PasswordHash {
    /// As the database has it; a text that is no hash matches no password.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_own_hash_and_no_other() {
        let password = Password::new("correct horse battery").expect("long enough");
        let hash = password.hash().expect("a hash");
        assert!(hash.as_str().starts_with("$argon2id$"), "{}", hash.as_str());
        assert!(password.matches(&hash));
        let other = Password::presented("correct horse batterz").expect("short enough");
        assert!(!other.matches(&hash));
        assert_ne!(hash, password.hash().expect("another salt"));
        assert!(!password.matches(&PasswordHash::stored(String::new())));
    }

    #[test]
    fn what_can_be_set() {
        for (text, wrong) in [
            ("fourteen chars", Some(PasswordError::TooShort(14))),
            ("fifteen charact", None),
            ("äöüäöüäöüäöüäöü", None),
        ] {
            assert_eq!(Password::new(text).err(), wrong, "{text}");
        }
        assert_eq!(
            Password::new(&"x".repeat(1025)).err(),
            Some(PasswordError::TooLong)
        );
    }

    #[test]
    fn the_roles_are_in_order() {
        assert!(Role::Viewer < Role::Agent && Role::Agent < Role::Admin);
    }
}
