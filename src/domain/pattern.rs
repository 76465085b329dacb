//! A domain pattern of the access settings: `example.com` or `*.example.com`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::name::{Domain, DomainError};
use super::public_suffix;

/// `example.com` means that domain only; `*.example.com` any subdomain, not the domain itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DomainPattern {
    Exactly(Domain),
    Below(Domain),
}

/// Why a text cannot be a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("{pattern:?}: {cause}; write example.com, or *.example.com for its subdomains")]
    Domain { pattern: String, cause: DomainError },
    #[error("{0:?}: a * can only stand for all labels in front, as in *.example.com")]
    Wildcard(String),
    #[error("{0:?} is a public suffix, under which anyone can register; name the domains you mean")]
    PublicSuffix(String),
}

impl DomainPattern {
    /// Reads and checks a pattern. A leading `@`, as people copy it from addresses, is taken off.
    ///
    /// # Errors
    /// What is no domain, and what the Public Suffix List calls a public suffix (`co.uk`, `*.com`).
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let trimmed = text.trim();
        let trimmed = trimmed.strip_prefix('@').unwrap_or(trimmed);
        let (name, below) = match trimmed.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (trimmed, false),
        };
        if name.contains('*') {
            return Err(PatternError::Wildcard(text.to_owned()));
        }
        let domain = Domain::parse(name).map_err(|cause| PatternError::Domain {
            pattern: text.to_owned(),
            cause,
        })?;
        if is_public_suffix(&domain) {
            return Err(PatternError::PublicSuffix(text.to_owned()));
        }
        Ok(if below {
            Self::Below(domain)
        } else {
            Self::Exactly(domain)
        })
    }

    #[must_use]
    pub fn matches(&self, domain: &Domain) -> bool {
        match self {
            Self::Exactly(own) => own == domain,
            Self::Below(parent) => domain.is_below(parent),
        }
    }

    /// Whether every domain that `other` matches is matched by `self` too.
    #[must_use]
    pub fn covers(&self, other: &DomainPattern) -> bool {
        match (self, other) {
            (Self::Exactly(a), Self::Exactly(b)) => a == b,
            (Self::Exactly(_), Self::Below(_)) => false,
            (Self::Below(parent), Self::Exactly(b)) => b.is_below(parent),
            (Self::Below(a), Self::Below(b)) => a == b || b.is_below(a),
        }
    }

    /// The domain that the pattern names, without the `*.`.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        match self {
            Self::Exactly(domain) | Self::Below(domain) => domain,
        }
    }
}

/// Whether the whole name is a public suffix: listed as one, or a single label.
fn is_public_suffix(domain: &Domain) -> bool {
    public_suffix::suffix(domain.as_str()) == Some(domain.as_str())
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(domain) => write!(f, "{domain}"),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl FromStr for DomainPattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for DomainPattern {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<DomainPattern> for String {
    fn from(pattern: DomainPattern) -> Self {
        pattern.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> DomainPattern {
        DomainPattern::parse(text).expect(text)
    }

    #[test]
    fn matching_is_on_whole_labels() {
        for (written, domain, matched) in [
            ("example.com", "example.com", true),
            ("EXAMPLE.com.", "example.COM", true),
            ("example.com", "a.example.com", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "badexample.com", false),
            ("bücher.example", "xn--bcher-kva.example", true),
            ("@example.com", "example.com", true),
        ] {
            let domain = Domain::parse(domain).expect(domain);
            assert_eq!(
                pattern(written).matches(&domain),
                matched,
                "{written} {domain}"
            );
        }
    }

    #[test]
    fn public_suffixes_and_non_domains_are_refused() {
        for written in [
            "com",
            "co.uk",
            "*.com",
            "*.co.uk",
            "",
            "*",
            "*.",
            "a.*.com",
            "*a.com",
            "[192.0.2.1]",
            "exa mple.com",
            "ann@example.com",
            "192.0.2.1",
            "localhost",
        ] {
            assert!(DomainPattern::parse(written).is_err(), "{written:?}");
        }
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        for (wide, narrow, covers) in [
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "*.a.example.com", true),
            ("*.example.com", "*.example.com", true),
            ("*.example.com", "example.com", false),
            ("example.com", "example.com", true),
            ("example.com", "*.example.com", false),
        ] {
            assert_eq!(
                pattern(wide).covers(&pattern(narrow)),
                covers,
                "{wide} {narrow}"
            );
        }
    }
}
