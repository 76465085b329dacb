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
mod tests {
    use super::*;

    #[test]
    fn valid_addresses_have_one_spelling() {
        for (written, shown) in [
            ("Ann@Corp.Example", "Ann@corp.example"),
            ("a+b@corp.example.", "a+b@corp.example"),
            ("a..b@docomo.example", "\"a..b\"@docomo.example"),
            ("\".a.\"@docomo.example", "\".a.\"@docomo.example"),
            ("\"ann\"@corp.example", "ann@corp.example"),
            ("\"a\\n\\n\"@corp.example", "ann@corp.example"),
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
            "eve%evil.example@corp.example",
            "evil.example!eve@corp.example",
            "\"eve@evil.example\"@corp.example",
            "\"eve\\%evil.example\"@corp.example",
            "\"a b\"@corp.example",
            "\"\"@corp.example",
            "..@corp.example",
            "mar\u{212A}@corp.example",
            "a\u{AD}b@corp.example",
            "a\u{200D}b@corp.example",
            "a\u{2060}b@corp.example",
            "a\u{3164}b@corp.example",
            "a\u{FE0F}@corp.example",
            "a\u{E0061}@corp.example",
            "a\u{34F}b@corp.example",
            "a\u{FFF9}b@corp.example",
            "a\u{2800}b@corp.example",
            "a\u{FFFC}b@corp.example",
            "a\u{E000}b@corp.example",
            "a\u{378}b@corp.example",
            "a\u{A0}b@corp.example",
            "a\u{3000}b@corp.example",
            "e\u{301}@corp.example",
            "ａnn@corp.example",
            "ann@cor\u{AD}p.example",
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
    fn the_detail_is_removed() {
        let address = EmailAddress::parse("it-help+42@corp.example").expect("an address");
        assert_eq!(address.detail(), Some("42"));
        assert_eq!(address.without_detail().to_string(), "it-help@corp.example");
        for (address, detail, without) in [
            ("ann@corp.example", None, "ann@corp.example"),
            ("a+b+c@corp.example", Some("b+c"), "a@corp.example"),
            (
                "\"a..b+x\"@corp.example",
                Some("x"),
                "\"a..b\"@corp.example",
            ),
            // Nothing remains that can be a mailbox.
            ("+x@corp.example", Some("x"), "+x@corp.example"),
            ("\".+x\"@corp.example", Some("x"), "\".+x\"@corp.example"),
        ] {
            let parsed = EmailAddress::parse(address).expect(address);
            assert_eq!(parsed.detail(), detail, "{address}");
            assert_eq!(parsed.without_detail().to_string(), without, "{address}");
        }
    }

    #[test]
    fn an_address_has_the_lengths_of_the_rfc() {
        let label = "d".repeat(63);
        let domain = |last: usize| format!("{label}.{label}.{}.example", "d".repeat(last));
        let local = |length: usize| "a".repeat(length);
        let quoted = |length: usize| format!("\"..{}\"", "a".repeat(length - 4));
        for (local, domain, wrong) in [
            (local(64), "corp.example".to_owned(), None),
            (
                local(65),
                "corp.example".to_owned(),
                Some(AddressError::LocalPartTooLong),
            ),
            (quoted(64), "corp.example".to_owned(), None),
            (
                quoted(65),
                "corp.example".to_owned(),
                Some(AddressError::LocalPartTooLong),
            ),
            // The domain has 189 octets, and then 190.
            (local(64), domain(53), None),
            (local(64), domain(54), Some(AddressError::TooLong)),
        ] {
            let parsed = EmailAddress::from_parts(&local, &domain);
            assert_eq!(parsed.err(), wrong, "{local}@{domain}");
        }
    }

    #[test]
    fn only_ascii_is_folded() {
        let key = |text: &str| EmailAddress::parse(text).expect(text).key();
        assert_eq!(key("\"Ann\"@Corp.Example"), key("ann@corp.example"));
        assert_ne!(key("DÖRTE@corp.example"), key("dörte@corp.example"));
    }

    #[test]
    fn old_stored_addresses_are_shown_and_not_usable() {
        for text in [
            "\"eve@evil.example\"@corp.example",
            "eve%evil.example@corp.example",
            "mar\u{212A}@corp.example",
        ] {
            let stored = EmailAddress::parse_stored(text).expect(text);
            assert!(!stored.is_usable() && stored.to_string() == text, "{text}");
        }
        let usable = EmailAddress::parse_stored("\"a..b\"@corp.example").expect("an address");
        assert!(usable.is_usable());
        for (text, wrong) in [
            ("ann", AddressError::NoDomain),
            ("@corp.example", AddressError::NoLocalPart),
        ] {
            assert_eq!(EmailAddress::parse_stored(text), Err(wrong), "{text}");
        }
    }

    #[test]
    fn a_customer_has_a_full_domain() {
        for text in ["root@localhost", "ann@x.", "ann@corp.example."] {
            assert!(EmailAddress::parse_customer(text).is_err(), "{text}");
        }
        assert!(EmailAddress::parse_customer("ann@corp.example").is_ok());
    }

    #[test]
    fn an_address_is_never_taken_for_an_option() {
        let address = EmailAddress::parse("-oQ/tmp@evil.example").expect("an address");
        assert_eq!(address.as_argument(), "\"-oQ/tmp\"@evil.example");
        assert_eq!(EmailAddress::parse(&address.as_argument()), Ok(address));
        let ordinary = EmailAddress::parse("ann@corp.example").expect("an address");
        assert_eq!(ordinary.as_argument(), "ann@corp.example");
    }
}
