//! Names of portals, destinations and operators.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::text_type::text_type;

/// The text is not a name. A name has 1 to 64 letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name; use 1 to 64 letters, digits, - or _")]
pub struct NameError(pub String);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses a name.
            ///
            /// # Errors
            /// Anything but 1 to 64 ASCII letters, digits, `-` and `_`.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
                if text.is_empty() || text.len() > 64 || !text.bytes().all(good) {
                    return Err(NameError(text.to_owned()));
                }
                Ok(Self(text.into()))
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        text_type!($name, NameError);
    };
}

name!(
    /// Names a portal: one service that takes requests.
    PortalName
);
name!(
    /// Names a destination: the place where a portal's released requests go.
    DestinationName
);
name!(
    /// Names an operator, for the login and the audit.
    OperatorName
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_64_letters_digits_hyphens_and_underscores() {
        let (longest, longer) = ("x".repeat(64), "x".repeat(65));
        for name in ["a", "A-z_9", &longest] {
            let parsed = PortalName::parse(name);
            assert_eq!(parsed.expect(name).as_str(), name);
        }
        for text in ["", "a b", "a.b", "a/b", "a\n", "ä", &longer] {
            assert!(PortalName::parse(text).is_err(), "{text:?}");
        }
    }
}
