//! Actors: the person or program behind a change, carried as a type from the page, the API or the command line
//! to the row.

use std::fmt;
use std::sync::Arc;

use super::TokenHash;
use super::keywords::keywords;

/// The interface through which an operator acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    CommandLine,
    Page,
    Api,
}

// The column `origin` has these words.
keywords!(Interface { CommandLine => "command line", Page => "page", Api => "api" });

/// The person or program that did something. `Display` gives the stored spelling: `operator:NAME`, `person`
/// or `daemon`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// An operator by name: that of their login, or of the system user at the command line.
    Operator {
        name: Arc<str>,
        origin: Interface,
        /// The operator's reason for the action, in their words.
        note: Option<Arc<str>>,
    },
    /// The owner of the address.
    Person,
    /// Vestibule itself: a decision about a message, expiry, retention.
    Daemon,
}

/// Prefix of the stored spelling of an operator.
const OPERATOR: &str = "operator:";

impl Actor {
    #[must_use]
    pub fn operator(name: &str, origin: Interface) -> Self {
        Self::Operator {
            name: name.into(),
            origin,
            note: None,
        }
    }

    /// The same operator with the reason for the action, which goes into the audit.
    #[must_use]
    pub fn with_note(self, reason: Option<&str>) -> Self {
        match self {
            Self::Operator { name, origin, .. } => Self::Operator {
                name,
                origin,
                note: reason.map(Into::into),
            },
            other => other,
        }
    }

    /// The operator's reason for the action.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        match self {
            Self::Operator { note, .. } => note.as_deref(),
            Self::Person | Self::Daemon => None,
        }
    }

    /// The interface that an operator used.
    #[must_use]
    pub fn origin(&self) -> Option<Interface> {
        match self {
            Self::Operator { origin, .. } => Some(*origin),
            Self::Person | Self::Daemon => None,
        }
    }

    /// The operator's name in a stored spelling; None for another actor.
    #[must_use]
    pub fn operator_name(stored: &str) -> Option<&str> {
        stored.strip_prefix(OPERATOR)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator { name, .. } => write!(f, "{OPERATOR}{name}"),
            Self::Person => f.write_str("person"),
            Self::Daemon => f.write_str("daemon"),
        }
    }
}

/// A verification: evidence that a person controls an address. On a verification, the store activates the
/// account and releases its held requests, exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerificationMethod {
    /// The person pressed the button on the page that the link opens.
    Link(TokenHash),
    /// The verification mail was answered from the account's own address.
    Reply(TokenHash),
    /// The person signed in at the organisation's provider, which vouches for the address, from the page that
    /// the link opens. Contains their groups in the directory.
    Sso(TokenHash, Vec<String>),
    /// An operator vouches for the address.
    Operator(Actor),
}

impl VerificationMethod {
    /// The stored spelling, in the column `verified_by`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Link(_) => "link".to_owned(),
            Self::Reply(_) => "reply".to_owned(),
            Self::Sso(..) => "sso".to_owned(),
            Self::Operator(actor) => actor.to_string(),
        }
    }

    /// The person, or the operator.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Link(_) | Self::Reply(_) | Self::Sso(..) => Actor::Person,
            Self::Operator(actor) => actor.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_operator_has_a_name_an_interface_and_a_note() {
        let olga = Actor::operator("olga", Interface::Page).with_note(Some("as asked"));
        assert_eq!(olga.to_string(), "operator:olga");
        assert_eq!(Actor::operator_name(&olga.to_string()), Some("olga"));
        assert_eq!(olga.origin(), Some(Interface::Page));
        assert_eq!(olga.note(), Some("as asked"));
        assert_eq!(olga.with_note(None).note(), None);
        for (actor, stored) in [(Actor::Person, "person"), (Actor::Daemon, "daemon")] {
            assert_eq!(actor.to_string(), stored);
            assert_eq!(Actor::operator_name(stored), None);
            let actor = actor.with_note(Some("as asked"));
            assert_eq!((actor.origin(), actor.note()), (None, None));
        }
    }
}
