//! In: the claims of a token whose signature is valid. Out: the person, if the token is for us, for this
//! attempt and within its validity period (OpenID Connect Core 1.0, 3.1.3.7).

use jiff::SignedDuration;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::SsoError;
use crate::config::Sso;
use crate::domain::{EmailAddress, Role, Timestamp};

/// Seconds by which the clocks of the provider and this machine may differ.
const SKEW: i64 = 60;

/// Maximum age of a token in seconds. Tokens are fetched directly from the provider, so the browser adds no delay.
const MAX_AGE: i64 = 10 * 60;

/// Maximum number of values of a claim, and of octets of one value.
const MAX_VALUES: usize = 500;
const MAX_LENGTH: usize = 255;

/// A person, as the provider vouches for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    pub issuer: String,
    /// The person's name at the issuer, which never changes (OpenID Connect Core 1.0, 2).
    pub subject: String,
    /// Names for the person, the preferred one first.
    pub names: Vec<String>,
    /// The address, only if the provider says that it is verified.
    pub verified_address: Option<EmailAddress>,
    /// Values of the groups claim.
    pub groups: Vec<String>,
    /// The highest role of the person's groups.
    pub role: Option<Role>,
    /// The time at which the provider authenticated the person; None if it does not say.
    pub authenticated_at: Option<Timestamp>,
}

/// The checked claims of an ID token.
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// Checks the claims that make a token valid for this attempt.
    pub(super) fn check(
        claims: Map<String, Value>,
        sso: &Sso,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Self, SsoError> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(sso.issuer.as_str()) {
            return Err(SsoError::Token("it is from another issuer"));
        }
        let audience = audience(&claims);
        if !audience.contains(&sso.client_id.as_str()) {
            return Err(SsoError::Token("it is for another audience"));
        }
        let authorized = claims.get("azp");
        let is_shared = audience.len() > 1;
        if (is_shared || authorized.is_some()) && text("azp") != Some(sso.client_id.as_str()) {
            return Err(SsoError::Token("it was issued to another client"));
        }
        let subject = text("sub").unwrap_or_default();
        if subject.is_empty() || subject.len() > MAX_LENGTH || subject.chars().any(char::is_control)
        {
            return Err(SsoError::Token("it has no usable subject"));
        }
        let now = now.as_second();
        let time = |name: &str| claims.get(name).and_then(seconds);
        match time("exp") {
            Some(end) if now < end.saturating_add(SKEW) => {}
            _ => return Err(SsoError::Token("it has expired")),
        }
        match time("iat") {
            Some(begin) if begin > now.saturating_add(SKEW) => {
                return Err(SsoError::Token("it was issued in the future"));
            }
            Some(begin) if begin >= now.saturating_sub(MAX_AGE + SKEW) => {}
            _ => return Err(SsoError::Token("it was issued too long ago")),
        }
        match claims.get("nbf") {
            None => {}
            Some(begin) if seconds(begin).is_some_and(|at| at <= now.saturating_add(SKEW)) => {}
            Some(_) => return Err(SsoError::Token("it is not valid yet")),
        }
        let given = text("nonce").unwrap_or_default();
        if !bool::from(given.as_bytes().ct_eq(nonce.as_bytes())) {
            return Err(SsoError::Token("it belongs to another attempt"));
        }
        Ok(Self(claims))
    }

    /// The time at which the provider authenticated the person (2, `auth_time`). None if it does not say, or names a
    /// time to come.
    fn authenticated_at(&self, now: Timestamp) -> Option<Timestamp> {
        let at = self.0.get("auth_time").and_then(seconds)?;
        let is_past = at <= now.as_second().saturating_add(SKEW);
        is_past.then(|| Timestamp::from_second(at).ok())?
    }

    /// Checks that the provider authenticated the person within this time, as it was asked to (3.1.2.1, `max_age`).
    pub(super) fn check_age(
        &self,
        max_age: SignedDuration,
        now: Timestamp,
    ) -> Result<(), SsoError> {
        let Some(at) = self.authenticated_at(now) else {
            return Err(SsoError::NotRecent(
                "it does not say when the person signed in (auth_time)",
            ));
        };
        if now.duration_since(at) > max_age + SignedDuration::from_secs(SKEW) {
            return Err(SsoError::NotRecent(
                "the person signed in too long ago (auth_time)",
            ));
        }
        Ok(())
    }

    pub(super) fn subject(&self) -> &str {
        self.text("sub").unwrap_or_default()
    }

    /// True if the token lacks a claim that we use: it may be available only from the userinfo endpoint (5.4).
    pub(super) fn lack_any(&self, sso: &Sso) -> bool {
        let is_absent = |path: &str| find(&self.0, path).is_none();
        is_absent("email")
            || is_absent("email_verified")
            || is_absent(&sso.role_claim)
            || is_absent(&sso.groups_claim)
    }

    /// Adds the claims of the userinfo endpoint. Those of the token, which is signed, take precedence; the
    /// answer must be about the same person (5.3.2), and only the token says when they signed in.
    pub(super) fn add(&mut self, more: Map<String, Value>) -> Result<(), SsoError> {
        if more.get("sub").and_then(Value::as_str) != Some(self.subject()) {
            return Err(SsoError::Token("userinfo describes another person"));
        }
        self.add_address(&more);
        for (name, value) in more {
            if !matches!(name.as_str(), "email" | "email_verified" | "auth_time") {
                self.0.entry(name).or_insert(value);
            }
        }
        Ok(())
    }

    /// Adds the address. `email_verified` applies only to the `email` of the same source.
    fn add_address(&mut self, more: &Map<String, Value>) {
        let copy = |own: &mut Map<String, Value>, name: &str| {
            own.remove(name);
            if let Some(value) = more.get(name) {
                own.insert(name.to_owned(), value.clone());
            }
        };
        let is_complete = self.0.contains_key("email") && self.0.contains_key("email_verified");
        let is_same = !self.0.contains_key("email") || self.0.get("email") == more.get("email");
        if !is_complete && is_same {
            copy(&mut self.0, "email");
            copy(&mut self.0, "email_verified");
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(super) fn person(&self, sso: &Sso, now: Timestamp) -> SignedIn {
        // Only the boolean counts: "false" is a text that many programs take for true.
        let is_verified = self.0.get("email_verified") == Some(&Value::Bool(true));
        let address = self.text("email").filter(|_| is_verified);
        let roles = values(&self.0, &sso.role_claim);
        let role = roles.iter().filter_map(|group| sso.roles.get(group));
        let local_part = self.text("email").and_then(|email| email.split('@').next());
        let names = [
            self.text("preferred_username"),
            local_part,
            self.text("name"),
        ];
        SignedIn {
            issuer: sso.issuer.clone(),
            subject: self.subject().to_owned(),
            names: names.into_iter().flatten().map(Into::into).collect(),
            verified_address: address.and_then(|text| EmailAddress::parse_customer(text).ok()),
            groups: values(&self.0, &sso.groups_claim),
            role: role.copied().max(),
            authenticated_at: self.authenticated_at(now),
        }
    }
}

/// The values of `aud` (RFC 7519 4.1.3): one string, or a list of strings.
fn audience(claims: &Map<String, Value>) -> Vec<&str> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all
            .iter()
            .map(|one| one.as_str().unwrap_or_default())
            .collect(),
        _ => Vec::new(),
    }
}

/// Seconds of a `NumericDate` (RFC 7519 2), which may have a fraction.
fn seconds(value: &Value) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates, as a bound should"
    )]
    let whole = |number: f64| number.floor() as i64;
    value.as_i64().or_else(|| value.as_f64().map(whole))
}

/// Finds a claim by its name, or else by its dotted path.
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

/// The values of a claim: one text, or a list of texts. Anything else in it is left out.
fn values(claims: &Map<String, Value>, path: &str) -> Vec<String> {
    let is_usable = |text: &&str| !text.trim().is_empty() && text.len() <= MAX_LENGTH;
    let one = |value: &Value| value.as_str().filter(is_usable).map(ToOwned::to_owned);
    match find(claims, path) {
        Some(Value::Array(all)) => all.iter().filter_map(one).take(MAX_VALUES).collect(),
        Some(value) => one(value).into_iter().collect(),
        None => Vec::new(),
    }
}
