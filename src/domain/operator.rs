//! Operators: their roles and passwords.

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::keywords::keywords;
use super::names::OperatorName;
use super::token::hidden_debug;

/// Permissions of an operator. Each role includes those before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Acts on customers, requests and dropped messages.
    Agent,
    /// Changes the settings.
    Admin,
}

keywords!(Role { Viewer => "viewer", Agent => "agent", Admin => "admin" });

/// Interface to which a token is limited, whatever its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// The interface of the directory: users only.
    Scim,
}

keywords!(TokenScope { Scim => "scim" });

impl OperatorName {
    /// The form in which names are compared for whether they may belong to different operators: somebody who reads
    /// the audit takes `Ann` for `ann`.
    #[must_use]
    pub fn comparison_key(&self) -> String {
        self.as_str().to_ascii_lowercase()
    }
}

/// A typed password. Neither `Debug` nor `Display` reveals it.
pub struct Password(SecretString);

/// The stored form of a password: argon2id with its salt and parameters, as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// Reason why a password cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("a password needs at least 15 characters, but this one has {0}")]
    TooShort(usize),
    #[error("a password may have at most 1024 octets")]
    TooLong,
    #[error("the password cannot be hashed: {0}")]
    Hashing(String),
}

impl Password {
    /// Minimum length in characters, as NIST SP 800-63B asks of a password without a second factor; it
    /// advises against rules about the kinds of characters.
    pub const MIN_LENGTH: usize = 15;
    /// Maximum length in octets, to bound the cost of hashing.
    pub const MAX_LENGTH: usize = 1024;

    /// Validates a new password.
    ///
    /// # Errors
    /// It is too short or too long.
    pub fn new(text: &str) -> Result<Self, PasswordError> {
        let length = text.chars().count();
        if length < Self::MIN_LENGTH {
            return Err(PasswordError::TooShort(length));
        }
        Self::for_comparison(text).ok_or(PasswordError::TooLong)
    }

    /// Wraps a password for comparison only, whatever rules applied when it was set. None if it is longer than
    /// any password.
    #[must_use]
    pub fn for_comparison(text: &str) -> Option<Self> {
        (text.len() <= Self::MAX_LENGTH).then(|| Self(text.into()))
    }

    /// Hashes the password; takes some 20 ms and 19 MiB by design.
    ///
    /// # Errors
    /// Only if the operating system has no random numbers.
    pub fn hash(&self) -> Result<PasswordHash, PasswordError> {
        Argon2::default()
            .hash_password(self.0.expose_secret().as_bytes())
            .map(|hash| PasswordHash(hash.to_string()))
            .map_err(|error| PasswordError::Hashing(error.to_string()))
    }

    /// True if this is the password of that hash; costs as much as hashing.
    #[must_use]
    pub fn matches(&self, hash: &PasswordHash) -> bool {
        Argon2::default()
            .verify_password(self.0.expose_secret().as_bytes(), hash.0.as_str())
            .is_ok()
    }
}

impl PasswordHash {
    /// Wraps the stored text; a text that is not a hash matches no password.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

hidden_debug!(PasswordHash);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_own_hash_and_no_other() {
        let password = Password::new("correct horse battery").expect("long enough");
        let hash = password.hash().expect("a hash");
        assert!(hash.as_str().starts_with("$argon2id$"), "{}", hash.as_str());
        assert!(password.matches(&hash));
        let other = Password::for_comparison("correct horse batterz").expect("short enough");
        assert!(!other.matches(&hash));
        assert_ne!(hash, password.hash().expect("another salt"));
        assert!(!password.matches(&PasswordHash::from_stored(String::new())));
    }

    #[test]
    fn passwords_that_can_be_set() {
        for (text, wrong) in [
            ("fourteen chars", Some(PasswordError::TooShort(14))),
            ("fifteen charact", None),
            ("äöüäöüäöüäöüäöü", None),
        ] {
            assert_eq!(Password::new(text).err(), wrong, "{text}");
        }
        assert_eq!(Password::new(&"x".repeat(1024)).err(), None);
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
