//! Email addresses that an account can have.
//!
//! Takes the `addr-spec` (RFC 5322 3.4.1, RFC 6532) from `mail::sender` or an operator; returns a local part
//! and a [`Domain`]. Does not parse header fields.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::domain_name::{Domain, DomainError};
use super::invisible::{is_nfkc, is_visible};
use super::text_type::text_type;

/// A mailbox at a domain. Two addresses belong to the same account if their [`key`](Self::key)s are equal: the
/// domain's ASCII form and the local part without regard to the case of ASCII letters.
///
/// The local part consists of `atext` (RFC 5322 3.2.3, RFC 6532 3.2) and dots in any place, without `%` and
/// `!`: an MTA routes `eve%evil.example@corp.example` and `evil.example!eve@corp.example` to evil.example. It
/// contains no invisible character and none that NFKC changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress {
    /// In wire format: quoted if its dots require it.
    local: String,
    domain: Domain,
}

/// Maximum number of octets of a local part (RFC 5321 4.5.3.1.1).
const MAX_LOCAL_PART: usize = 64;

/// Maximum number of octets of an address: a path has 256 with its angle brackets (RFC 5321 4.5.3.1.3).
const MAX_LENGTH: usize = 254;

/// Reason why a text is not a usable address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("an address needs one @ between a local part and a domain")]
    NoDomain,
    #[error("the part before the @ is empty")]
    NoLocalPart,
    #[error(
        "{0:?} is not allowed before the @; use letters, digits, dots and any of #$&'*+-/=?^_`{{|}}~"
    )]
    LocalPart(String),
    #[error("the part before the @ is longer than 64 octets (RFC 5321 4.5.3.1.1)")]
    LocalPartTooLong,
    #[error("the address is longer than 254 octets (RFC 5321 4.5.3.1.3)")]
    TooLong,
    #[error("the domain is not fully qualified (RFC 5321 2.3.5)")]
    NotQualified,
    #[error("the domain ends with a dot, which RFC 5321 4.1.2 does not allow")]
    TrailingDot,
    #[error(transparent)]
    Domain(#[from] DomainError),
}

impl EmailAddress {
    /// Reads a bare `local@domain`, without display name, comment or angle brackets.
    ///
    /// # Errors
    /// Anything that is not exactly one addr-spec with a domain name.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoDomain)?;
        Self::from_parts(local, domain)
    }

    /// Parses the address of a sender: its domain is fully qualified, as From requires.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and a domain of one label or with a trailing dot.
    pub fn parse_customer(text: &str) -> Result<Self, AddressError> {
        let address = Self::parse(text)?;
        if address.domain.is_dotless() {
            return Err(AddressError::NotQualified);
        }
        if text.ends_with('.') {
            return Err(AddressError::TrailingDot);
        }
        Ok(address)
    }

    /// Parses an address from the database, or from an operator's search in it. Earlier versions accepted
    /// addresses that are no longer usable. They are shown, and [`is_usable`](Self::is_usable) keeps mail
    /// from being sent to them.
    ///
    /// # Errors
    /// A text without an `@` or without a domain after it.
    pub fn parse_stored(text: &str) -> Result<Self, AddressError> {
        Self::parse(text).or_else(|_| {
            let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoDomain)?;
            if local.is_empty() {
                return Err(AddressError::NoLocalPart);
            }
            Ok(Self {
                local: local.to_owned(),
                domain: Domain::parse_mapped(domain)?,
            })
        })
    }

    /// True if mail may be sent to it: all addresses except some old ones from the database.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        Self::from_parts(&self.local, self.domain.as_str()).is_ok()
    }

    /// Parses an address that is split at its `@`; a quoted local part includes its quotes.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_parts(local: &str, domain: &str) -> Result<Self, AddressError> {
        if local.is_empty() {
            return Err(AddressError::NoLocalPart);
        }
        // An escape takes two octets for one of the address.
        if local.len() > 2 * MAX_LOCAL_PART {
            return Err(AddressError::LocalPartTooLong);
        }
        let content = content(local)
            .filter(|content| is_local_part(content))
            .ok_or_else(|| AddressError::LocalPart(local.to_owned()))?;
        let local = quoted_if_needed(&content);
        if local.len() > MAX_LOCAL_PART {
            return Err(AddressError::LocalPartTooLong);
        }
        let domain = Domain::parse(domain)?;
        if local.len() + 1 + domain.as_str().len() > MAX_LENGTH {
            return Err(AddressError::TooLong);
        }
        Ok(Self { local, domain })
    }

    /// The part before the `@`; quoted only if its dots require it, since `"ann"` and `ann` are one mailbox
    /// (RFC 5321 4.1.2).
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Key that identifies the account: local part with its ASCII letters in lower case, domain in ASCII.
    /// Other letters stay unchanged, because Unicode lower-casing turns some of them into ASCII.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}@{}", self.local.to_ascii_lowercase(), self.domain)
    }

    /// The same mailbox without its subaddress (RFC 5233): `it+42@…` becomes `it@…`.
    #[must_use]
    pub fn without_detail(&self) -> Self {
        let local = match self.unquote().split_once('+') {
            Some((user, _)) if !user.is_empty() && is_local_part(user) => quoted_if_needed(user),
            _ => self.local.clone(),
        };
        Self {
            local,
            domain: self.domain.clone(),
        }
    }

    /// The part after the first `+` of the local part, if there is one (RFC 5233).
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.unquote().split_once('+').map(|(_, detail)| detail)
    }

    /// The same mailbox in a form that a program cannot take for an option: `"-x"@corp.example`.
    #[must_use]
    pub fn as_argument(&self) -> String {
        if self.local.starts_with('-') {
            format!("\"{}\"@{}", self.local, self.domain)
        } else {
            self.to_string()
        }
    }

    pub(super) fn unquote(&self) -> &str {
        let inner = self.local.strip_prefix('"');
        inner
            .and_then(|inner| inner.strip_suffix('"'))
            .unwrap_or(&self.local)
    }
}

/// The content of a local part: itself, or the text within its quotes (RFC 5321 4.1.2).
fn content(local: &str) -> Option<Cow<'_, str>> {
    if !local.starts_with('"') {
        return Some(local.into());
    }
    let inner = local.strip_prefix('"')?.strip_suffix('"')?;
    let mut content = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        content.push(match c {
            // Only ASCII may follow a backslash (RFC 6531 3.3).
            '\\' => chars.next().filter(char::is_ascii)?,
            '"' => return None,
            c => c,
        });
    }
    Some(content.into())
}

/// True for `atext` and dots without `%` and `!`, with at least one character that is not a dot.
fn is_local_part(content: &str) -> bool {
    let can_stand =
        |c: char| c.is_ascii_alphanumeric() || "#$&'*+-/=?^_`{|}~.".contains(c) || !c.is_ascii();
    content.chars().all(can_stand)
        && content.contains(|c| c != '.')
        && is_nfkc(content)
        && is_visible(content)
}

/// Quotes a local part with a dot at either end or next to another, as RFC 5321 4.1.2 requires.
fn quoted_if_needed(content: &str) -> String {
    if content.split('.').any(str::is_empty) {
        format!("\"{content}\"")
    } else {
        content.to_owned()
    }
}

impl PartialEq for EmailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.domain == other.domain && self.local.eq_ignore_ascii_case(&other.local)
    }
}

impl Eq for EmailAddress {}

// Equal addresses have equal keys.
impl std::hash::Hash for EmailAddress {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

text_type!(EmailAddress, AddressError);

#[cfg(test)]
mod tests;
