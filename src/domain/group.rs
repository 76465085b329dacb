//! Groups of accounts, by name. A help desk may grant access by them, so a name cannot pretend to be two.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::invisible::is_visible;
use super::text_type::text_type;

/// Name of a group: 1 to 255 octets of visible characters and single spaces, without a comma or semicolon,
/// which separate groups in header fields and files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(String);

/// Not the name of a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the name of a group; use 1 to 255 octets of visible characters without a comma or \
     semicolon"
)]
pub struct GroupNameError(pub String);

impl GroupName {
    /// Maximum length in octets.
    pub const MAX_LENGTH: usize = 255;
    /// Maximum number of groups of one account.
    pub const MAX_PER_ACCOUNT: usize = 100;

    /// Parses a name. Spaces around it are removed.
    ///
    /// # Errors
    /// It is empty, too long, or has a character that separates groups or that people cannot see.
    pub fn parse(text: &str) -> Result<Self, GroupNameError> {
        let name = text.trim();
        let is_good = (1..=Self::MAX_LENGTH).contains(&name.len())
            && !name.contains([',', ';'])
            && name
                .split(' ')
                .all(|word| !word.is_empty() && is_visible(word));
        if is_good {
            Ok(Self(name.to_owned()))
        } else {
            Err(GroupNameError(
                text.chars().take(Self::MAX_LENGTH).collect(),
            ))
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

text_type!(GroupName, GroupNameError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_visible_and_cannot_look_like_two() {
        for (text, name) in [
            ("staff", Some("staff")),
            (" Domain Users ", Some("Domain Users")),
            ("Büro \"Süd\"", Some("Büro \"Süd\"")),
            ("", None),
            ("  ", None),
            ("a,b", None),
            ("a;b", None),
            ("a  b", None),
            ("a\r\nX-Vestibule-Account: internal", None),
            ("a\tb", None),
            ("staff\u{200b}", None),
            ("\u{202e}nimda", None),
            ("a\u{a0}b", None),
        ] {
            let parsed = GroupName::parse(text).ok();
            assert_eq!(parsed.as_ref().map(GroupName::as_str), name, "{text:?}");
        }
        assert!(GroupName::parse(&"x".repeat(255)).is_ok());
        assert!(GroupName::parse(&"x".repeat(256)).is_err());
    }
}
