//! Domain names in ASCII form, the one form in which they are compared.
//!
//! Takes a name as written, in Unicode or ASCII, with or without a trailing dot. Returns lower-case labels by
//! UTS 46 (RFC 5890 A-labels) without a trailing dot.

use std::fmt;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};

use super::invisible::{is_nfkc, is_visible};
use super::text_type::text_type;

/// A domain name: lower case, A-labels, no trailing dot, at most 253 octets (RFC 1035 2.3.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

const MAX_ASCII: usize = 255;
/// Each character takes at most four octets and leaves at least one in the ASCII form.
const MAX_UNICODE: usize = 4 * MAX_ASCII;

/// Reason why a text is not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    #[error("the domain is empty")]
    Empty,
    #[error("{0} is an address literal, not a domain")]
    Literal(String),
    #[error("{0:?} is not a domain name")]
    Invalid(String),
    #[error(
        "{0:?} contains characters that are invisible or equivalent to others; write the domain as it is \
         registered"
    )]
    Mapped(String),
    #[error("the domain is longer than 255 octets (RFC 5321 4.5.3.1.2)")]
    TooLong,
}

impl Domain {
    /// Parses a domain as a person or a program wrote it. UTS 46 may only change it in letter case and
    /// between U-label and A-label, so that every program finds the same domain in it.
    ///
    /// # Errors
    /// Names that UTS 46 or the length rules of RFC 1035 refuse, address literals (RFC 5321 4.1.3), and names
    /// with invisible characters or with characters that UTS 46 replaces.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let domain = Self::parse_mapped(text)?;
        if domain.is_written_as(text.strip_suffix('.').unwrap_or(text)) {
            Ok(domain)
        } else {
            Err(DomainError::Mapped(text.to_owned()))
        }
    }

    /// Parses a domain from an operator or from the database, mapped by UTS 46.
    ///
    /// # Errors
    /// Names that UTS 46 or the length rules of RFC 1035 refuse, and address literals.
    pub(crate) fn parse_mapped(text: &str) -> Result<Self, DomainError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(DomainError::Empty);
        }
        if name.starts_with('[') && name.len() <= MAX_ASCII {
            return Err(DomainError::Literal(text.to_owned()));
        }
        if name.len() > MAX_UNICODE || name.starts_with('[') {
            return Err(DomainError::TooLong);
        }
        let ascii = Uts46::new()
            .to_ascii(
                name.as_bytes(),
                AsciiDenyList::STD3,
                // Hyphens in third and fourth place are in use (r3---sn….example).
                Hyphens::CheckFirstLast,
                DnsLength::Verify,
            )
            .map_err(|_| DomainError::Invalid(text.to_owned()))?;
        // A top-level domain is never all digits (RFC 3696 2): this is an IPv4 address or nothing.
        let top = ascii.rsplit('.').next().unwrap_or_default();
        if top.bytes().all(|b| b.is_ascii_digit()) {
            return Err(DomainError::Invalid(text.to_owned()));
        }
        Ok(Self(ascii.into_owned()))
    }

    /// True if `name` differs from this domain only in letter case and the form of its labels.
    fn is_written_as(&self, name: &str) -> bool {
        if name.is_ascii() && !self.labels().any(|label| label.starts_with("xn--")) {
            return true;
        }
        let unicode = self.to_unicode();
        if !is_visible(&unicode) || !is_visible(name) || !is_nfkc(name) {
            return false;
        }
        let mut written = name.split('.');
        let mut labels = self.labels().zip(unicode.split('.'));
        written
            .by_ref()
            .zip(labels.by_ref())
            .all(|(label, (ascii, unicode))| {
                label.eq_ignore_ascii_case(ascii)
                    || label
                        .chars()
                        .flat_map(char::to_lowercase)
                        .eq(unicode.chars())
            })
            && name.split('.').count() == self.labels().count()
    }

    /// The ASCII form, for comparing, storing and sending.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form for people to read; labels that are unsafe to show stay A-labels.
    #[must_use]
    pub fn to_unicode(&self) -> String {
        let (text, result) = Uts46::new().to_unicode(
            self.0.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
        );
        if result.is_ok() {
            text.into_owned()
        } else {
            self.0.clone()
        }
    }

    /// True if the text can be a name in DNS, even if not that of a host: with underscores, for example.
    #[must_use]
    pub fn is_dns_name(text: &str) -> bool {
        let none_denied = AsciiDenyList::EMPTY;
        text.len() <= MAX_UNICODE
            && Uts46::new()
                .to_ascii(
                    text.as_bytes(),
                    none_denied,
                    Hyphens::CheckFirstLast,
                    DnsLength::Verify,
                )
                .is_ok()
    }

    /// True for a single label, such as `localhost`, which means a different machine on each host (RFC 7085).
    #[must_use]
    pub fn is_dotless(&self) -> bool {
        !self.0.contains('.')
    }

    /// The labels from left to right.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// True if `self` is below `parent`, by whole labels; a domain is not below itself.
    #[must_use]
    pub fn is_below(&self, parent: &Domain) -> bool {
        self.0
            .strip_suffix(parent.as_str())
            .is_some_and(|rest| rest.ends_with('.'))
    }

    /// The names that it [is below](Self::is_below), the nearest first.
    pub(super) fn parents(&self) -> impl Iterator<Item = Self> {
        let dots = self.0.match_indices('.');
        dots.map(|(at, _)| Self(self.0[at + 1..].to_owned()))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// The stored form is ASCII.
text_type!(Domain, DomainError, parse_mapped);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_for_every_way_of_writing() {
        for (written, ascii) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("BÜCHER.Example", "xn--bcher-kva.example"),
            ("XN--Bcher-KVA.example", "xn--bcher-kva.example"),
            ("straße.example", "xn--strae-oqa.example"),
            ("例子.广告", "xn--fsqu00a.xn--4rr70v"),
            ("localhost", "localhost"),
            ("r3---sn.example", "r3---sn.example"),
        ] {
            assert_eq!(
                Domain::parse(written).map(String::from).as_deref(),
                Ok(ascii),
                "{written}"
            );
        }
    }

    #[test]
    fn a_text_that_is_not_a_domain_is_refused() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = format!("[{}]", "a".repeat(255));
        for written in [
            "",
            ".",
            "a..b",
            ".example.com",
            "[192.0.2.1]",
            "192.0.2.1",
            "corp.123",
            "under_score.example",
            "exa mple.com",
            "-a.example",
            "a-.example",
            "example.com..",
            &long,
            &longer,
            "xn--a.example",
        ] {
            assert!(Domain::parse(written).is_err(), "{written}");
        }
    }

    #[test]
    fn a_domain_that_the_mapping_changes_is_refused() {
        for written in [
            "cor\u{AD}p.example",
            "cor\u{200B}p.example",
            "cor\u{2060}p.example",
            "cor\u{FEFF}p.example",
            "cor\u{FE0F}p.example",
            "cor\u{180B}p.example",
            "ｃｏｒｐ.example",
            "corp\u{3002}example",
            "corp\u{FF0E}example",
            "corp\u{FF61}example",
            "\u{212A}orp.example",
            "\u{212B}rp.example",
            "o\u{FB03}ce.example",
            "bu\u{308}cher.example",
            "corp\u{2024}example",
            "ｘn--bcher-kva.example",
            "क्\u{200D}ष.example",
        ] {
            assert!(Domain::parse(written).is_err(), "{written:?}");
        }
        let joined = Domain::parse_mapped("क्\u{200D}ष.example").expect("a domain");
        assert!(Domain::parse(joined.as_str()).is_err(), "{joined}");
    }

    #[test]
    fn below_means_whole_labels() {
        let parent = Domain::parse("example.com").expect("a domain");
        for (name, below) in [
            ("a.example.com", true),
            ("a.b.example.com", true),
            ("example.com", false),
            ("badexample.com", false),
            ("example.com.evil.example", false),
        ] {
            assert_eq!(Domain::parse(name).expect(name).is_below(&parent), below);
        }
    }
}
