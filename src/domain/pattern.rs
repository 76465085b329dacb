//! Patterns of the access settings: `example.com`, `*.example.com` or `ann@example.com`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::address::{AddressError, EmailAddress};
use super::domain_name::{Domain, DomainError};
use super::mailbox_key::{AddressDelimiters, MailboxKey};
use super::public_suffix;
use super::text_type::text_type;

/// `example.com` means that domain only; `*.example.com` any subdomain, not the domain itself;
/// `ann@example.com` one address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DomainPattern {
    Exactly(Domain),
    Below(Domain),
    Address(EmailAddress),
}

/// Reason why a text cannot be a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("{pattern:?}: {cause}; write example.com, or *.example.com for its subdomains")]
    Domain { pattern: String, cause: DomainError },
    #[error("{0:?}: a * is allowed only as the first label, as in *.example.com")]
    Wildcard(String),
    #[error("{0:?} is a public suffix, under which anyone can register; name the domains you mean")]
    PublicSuffix(String),
    #[error("{pattern:?}: {cause}; write an address such as ann@example.com")]
    Address {
        pattern: String,
        cause: AddressError,
    },
}

impl DomainPattern {
    /// Parses and validates a pattern. A leading `@`, as copied from an address, is removed.
    ///
    /// # Errors
    /// Not a domain or address, or a public suffix by the Public Suffix List (`co.uk`, `*.com`).
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::parse_denied(text)?;
        match &pattern {
            Self::Exactly(domain) | Self::Below(domain) if is_public_suffix(domain) => {
                Err(PatternError::PublicSuffix(text.to_owned()))
            }
            _ => Ok(pattern),
        }
    }

    /// Parses a pattern of the deny list, which accepts a public suffix: `*.top` denies everything below it.
    ///
    /// # Errors
    /// Not a domain or address.
    pub fn parse_denied(text: &str) -> Result<Self, PatternError> {
        let trimmed = text.trim();
        let trimmed = trimmed.strip_prefix('@').unwrap_or(trimmed);
        if trimmed.contains('@') {
            let address = EmailAddress::parse(trimmed);
            return address
                .map(Self::Address)
                .map_err(|cause| PatternError::Address {
                    pattern: text.to_owned(),
                    cause,
                });
        }
        let (name, below) = match trimmed.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (trimmed, false),
        };
        if name.contains('*') {
            return Err(PatternError::Wildcard(text.to_owned()));
        }
        let domain = Domain::parse_mapped(name).map_err(|cause| PatternError::Domain {
            pattern: text.to_owned(),
            cause,
        })?;
        Ok(if below {
            Self::Below(domain)
        } else {
            Self::Exactly(domain)
        })
    }

    /// True for an address that this pattern of an allow list covers: its domain, or exactly this address.
    #[must_use]
    pub fn matches(&self, address: &EmailAddress) -> bool {
        match self {
            Self::Exactly(own) => own == address.domain(),
            Self::Below(parent) => address.domain().is_below(parent),
            Self::Address(own) => own == address,
        }
    }

    /// True for an address that this pattern of the deny list covers. An address stands for its mailbox:
    /// `ann@example.com` denies `ann+news@example.com` too, and `ann@gmail.com` denies `a.nn@googlemail.com`;
    /// otherwise a denied sender could continue by adding a detail or a dot. A pattern with a detail, or with a
    /// subdomain that some providers give to each mailbox, denies exactly that address. Here a detail always begins
    /// with `+`, whatever delimiters the site configures, so that a wider notion of a mailbox never denies a
    /// colleague.
    #[must_use]
    pub fn denies(&self, address: &EmailAddress) -> bool {
        match self {
            Self::Address(own) => {
                own == address
                    || self
                        .denied_mailbox()
                        .is_some_and(|denied| denied == Self::mailbox(address))
            }
            _ => self.matches(address),
        }
    }

    /// The patterns that match an address: the address, its domain, and the subdomains of each domain above it.
    pub(super) fn all_for(address: &EmailAddress) -> impl Iterator<Item = Self> {
        let domain = address.domain();
        [
            Self::Address(address.clone()),
            Self::Exactly(domain.clone()),
        ]
        .into_iter()
        .chain(domain.parents().map(Self::Below))
    }

    /// The patterns that [cover](Self::covers) this one, itself first.
    pub(super) fn all_covering(&self) -> impl Iterator<Item = Self> {
        let domain = match self {
            Self::Address(address) => Some(Self::Exactly(address.domain().clone())),
            Self::Exactly(_) | Self::Below(_) => None,
        };
        let below = self.domain().parents().map(Self::Below);
        [Some(self.clone()), domain]
            .into_iter()
            .flatten()
            .chain(below)
    }

    /// The mailbox that this pattern of the deny list stands for.
    pub(super) fn denied_mailbox(&self) -> Option<MailboxKey> {
        match self {
            Self::Address(own) if !MailboxKey::has_detail(own) => Some(Self::mailbox(own)),
            _ => None,
        }
    }

    /// The mailbox by which the deny list compares an address.
    pub(super) fn mailbox(address: &EmailAddress) -> MailboxKey {
        MailboxKey::of(address, AddressDelimiters::PLUS)
    }

    /// True if `self` matches every address that `other` matches.
    #[must_use]
    pub fn covers(&self, other: &DomainPattern) -> bool {
        match (self, other) {
            (Self::Exactly(a), Self::Exactly(b)) => a == b,
            (Self::Below(parent), Self::Exactly(b)) => b.is_below(parent),
            (Self::Below(a), Self::Below(b)) => a == b || b.is_below(a),
            (_, Self::Address(address)) => self.matches(address),
            (Self::Exactly(_), Self::Below(_)) | (Self::Address(_), _) => false,
        }
    }

    /// The domain of the pattern without `*.`; for an address, its domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        match self {
            Self::Exactly(domain) | Self::Below(domain) => domain,
            Self::Address(address) => address.domain(),
        }
    }
}

/// True if the whole name is a public suffix: listed as one, or a single label.
fn is_public_suffix(domain: &Domain) -> bool {
    public_suffix::suffix(domain.as_str()) == Some(domain.as_str())
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(domain) => write!(f, "{domain}"),
            Self::Below(domain) => write!(f, "*.{domain}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

text_type!(DomainPattern, PatternError);

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
            let address = EmailAddress::parse(&format!("ann@{domain}")).expect(domain);
            assert_eq!(
                pattern(written).matches(&address),
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
            "ann@",
            "a b@example.com",
            "*@example.com@",
            "ann@*.example.com",
            "192.0.2.1",
            "localhost",
        ] {
            assert!(DomainPattern::parse(written).is_err(), "{written:?}");
        }
    }

    #[test]
    fn an_address_pattern_admits_the_exact_address_and_denies_its_mailbox() {
        for (written, address, lets_in, denies) in [
            ("ann@example.com", "ANN@Example.com", true, true),
            ("ann@example.com", "ann+news@example.com", false, true),
            ("ann+news@example.com", "ann@example.com", false, false),
            ("ann+news@example.com", "ann+news@example.com", true, true),
            ("ann@example.com", "anna@example.com", false, false),
            ("ann@example.com", "a.nn@example.com", false, false),
            ("ann@gmail.com", "A.nn+x@googlemail.com", false, true),
            ("a.nn@googlemail.com", "ann@gmail.com", false, true),
            ("ann+x@gmail.com", "ann@gmail.com", false, false),
            ("ann@fastmail.com", "x@ann.fastmail.com", false, true),
            ("x@ann.fastmail.com", "ann@fastmail.com", false, false),
            ("x@ann.fastmail.com", "y@ann.fastmail.com", false, false),
            ("x@ann.fastmail.com", "x@ann.fastmail.com", true, true),
            ("ann@example.com", "ann@sub.example.com", false, false),
            (
                "ann@bücher.example",
                "ann@xn--bcher-kva.example",
                true,
                true,
            ),
            ("example.com", "ann+1@example.com", true, true),
            ("*.com", "ann@example.com", true, true),
            ("com", "ann@example.com", false, false),
        ] {
            let pattern = DomainPattern::parse_denied(written).expect(written);
            let address = EmailAddress::parse(address).expect(address);
            assert_eq!(pattern.matches(&address), lets_in, "{written} {address}");
            assert_eq!(pattern.denies(&address), denies, "{written} {address}");
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
            ("example.com", "ann@example.com", true),
            ("*.example.com", "ann@a.example.com", true),
            ("*.example.com", "ann@example.com", false),
            ("ann@example.com", "Ann@EXAMPLE.com", true),
            ("ann@example.com", "bob@example.com", false),
            ("ann@example.com", "example.com", false),
        ] {
            assert_eq!(
                pattern(wide).covers(&pattern(narrow)),
                covers,
                "{wide} {narrow}"
            );
        }
    }
}
