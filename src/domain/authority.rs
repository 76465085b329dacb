//! Who may let a held request go, as types: without one of these, nothing reaches a destination.

use serde::{Deserialize, Serialize};

use super::TokenHash;

/// Who did something, for the audit and the account's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by", content = "name")]
pub enum Actor {
    /// Somebody at the command line, by their system user.
    Operator(String),
    /// Vestibule itself: expiry, retention, the decision about a message.
    Daemon,
    /// The person whose address it is.
    Person,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Operator(name) => write!(f, "operator:{name}"),
            Self::Daemon => f.write_str("daemon"),
            Self::Person => f.write_str("person"),
        }
    }
}

/// The proof that a person controls an address. Handing one to the store activates the account and
/// releases its held requests, exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The button behind the link was pressed.
    Link(TokenHash),
    /// The verification mail was answered from the account's own address.
    Reply(TokenHash),
    /// An operator vouches for the address.
    Operator(String),
}

impl Proof {
    /// What `verified_by` says of it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Link(_) => "link".to_owned(),
            Self::Reply(_) => "reply".to_owned(),
            Self::Operator(name) => format!("operator:{name}"),
        }
    }
}

/// Why one request may go to its destination although its account has not been proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// An operator let this one request through.
    Operator(String),
}
