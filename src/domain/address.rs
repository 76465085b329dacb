//! An email address that an account can have.
//!
//! In: the `addr-spec` (RFC 5322 3.4.1, RFC 6532) that `mail::sender` or an operator gave.
//! Out: a local part and a [`Domain`]. Reading header fields is not done here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::name::{Domain, DomainError};

/// A mailbox at a domain. Two addresses are the same account when their [`key`](Self::key)s are
/// equal: the domain's ASCII form and the local part without regard to case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress {
    local: String,
    domain: Domain,
}

/// Why a text is no usable address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("an address needs one @ between a local part and a domain")]
    NoDomain,
    #[error("the part before the @ is empty")]
    NoLocalPart,
    #[error("{0:?} cannot stand before the @")]
    LocalPart(String),
    #[error("the part before the @ is longer than 64 octets (RFC 5321 4.5.3.1.1)")]
    LocalPartTooLong,
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

    /// The same from the two sides of the `@`; a quoted local part comes with its quotes.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_parts(local: &str, domain: &str) -> Result<Self, AddressError> {
        if local.is_empty() {
            return Err(AddressError::NoLocalPart);
        }
        if local.len() > 64 {
            return Err(AddressError::LocalPartTooLong);
        }
        let local = if is_dot_atom(local) {
            local.to_owned()
        } else {
            let content = quoted_content(local);
            requoted(&content.ok_or_else(|| AddressError::LocalPart(local.to_owned()))?)
        };
        Ok(Self {
            local,
            domain: Domain::parse(domain)?,
        })
    }

    /// The part before the `@`; quoted only where it must be, since `"ann"` and `ann` are one
    /// mailbox (RFC 5321 4.1.2).
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// What tells accounts apart: local part in lower case, domain in ASCII.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}@{}", self.local.to_lowercase(), self.domain)
    }

    /// The same mailbox without its subaddress (RFC 5233): `it+42@…` becomes `it@…`.
    #[must_use]
    pub fn without_detail(&self) -> Self {
        let user = match self.local.split_once('+') {
            Some((user, _)) if !user.is_empty() && !self.local.starts_with('"') => user,
            _ => &self.local,
        };
        Self {
            local: user.to_owned(),
            domain: self.domain.clone(),
        }
    }

    /// What follows the first `+` of the local part, if there is one (RFC 5233).
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.local.split_once('+').map(|(_, detail)| detail)
    }
}

/// RFC 5322 3.2.3 `dot-atom-text`, with the UTF-8 of RFC 6532 3.2.
fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| {
        !atom.is_empty()
            && atom.chars().all(|c| {
                c.is_ascii_alphanumeric()
                    || "!#$%&'*+-/=?^_`{|}~".contains(c)
                    || (!c.is_ascii() && is_visible(c) && !c.is_whitespace())
            })
    })
}

/// What people can see, and what does not turn around the text beside it.
fn is_visible(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// What an RFC 5321 4.1.2 `Quoted-string` stands for: printable characters, `"` and `\` only behind
/// a `\`, and nothing but ASCII behind one (RFC 6531 3.3).
fn quoted_content(local: &str) -> Option<String> {
    let inner = local.strip_prefix('"')?.strip_suffix('"')?;
    let mut content = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => chars.next().filter(char::is_ascii)?,
            '"' => return None,
            c => c,
        };
        if !is_visible(c) {
            return None;
        }
        content.push(c);
    }
    Some(content)
}

fn requoted(content: &str) -> String {
    if is_dot_atom(content) {
        return content.to_owned();
    }
    let mut local = String::with_capacity(content.len() + 2);
    local.push('"');
    for c in content.chars() {
        if matches!(c, '"' | '\\') {
            local.push('\\');
        }
        local.push(c);
    }
    local.push('"');
    local
}

impl PartialEq for EmailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for EmailAddress {}

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

impl FromStr for EmailAddress {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses_have_one_way_of_writing() {
        for (written, shown) in [
            ("Ann@Corp.Example", "Ann@corp.example"),
            ("a+b@corp.example.", "a+b@corp.example"),
            ("\"a b\"@corp.example", "\"a b\"@corp.example"),
            ("\"a@b\"@corp.example", "\"a@b\"@corp.example"),
            ("\"ann\"@corp.example", "ann@corp.example"),
            ("\"a\\n\\n\"@corp.example", "ann@corp.example"),
            ("\"a\\\"\\ b\"@corp.example", "\"a\\\" b\"@corp.example"),
            ("\"\"@corp.example", "\"\"@corp.example"),
            ("dörte@bücher.example", "dörte@xn--bcher-kva.example"),
        ] {
            assert_eq!(
                EmailAddress::parse(written).expect(written).to_string(),
                shown
            );
        }
    }

    #[test]
    fn bad_addresses_are_refused() {
        for written in [
            "",
            "ann",
            "@corp.example",
            "ann@",
            "a b@corp.example",
            "a..b@corp.example",
            ".a@corp.example",
            "a.@corp.example",
            "a@b@corp.example",
            "\"a\"b@corp.example",
            "\"@corp.example",
            "\"a\\\"@corp.example",
            "\"a\\é\"@corp.example",
            "a\u{202e}b@corp.example",
            "a\u{200b}b@corp.example",
            "ann@[192.0.2.1]",
            "ann@corp.example\r\nBcc: x@y.example",
            "<ann@corp.example>",
            "a\u{0}@corp.example",
        ] {
            assert!(EmailAddress::parse(written).is_err(), "{written:?}");
        }
    }

    #[test]
    fn case_does_not_make_another_account() {
        let one = EmailAddress::parse("Ann@CORP.example").expect("an address");
        let two = EmailAddress::parse("ann@corp.example").expect("an address");
        assert_eq!(one, two);
    }

    #[test]
    fn the_detail_is_taken_off() {
        let address = EmailAddress::parse("it-help+42@corp.example").expect("an address");
        assert_eq!(address.detail(), Some("42"));
        assert_eq!(address.without_detail().to_string(), "it-help@corp.example");
    }
}
