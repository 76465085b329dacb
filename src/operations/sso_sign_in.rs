//! Single sign-on with OpenID Connect, at the organisation's provider: attempts, and the role of a person who has
//! signed in there.

use jiff::SignedDuration;

use super::operators::generate;
use crate::config::Sso;
use crate::domain::{OperatorName, Role, Timestamp, Token, TokenHash};
use crate::sso::{LoginSecret, Provider, SignedIn, SsoError};
use crate::store::{AttemptPurpose, DirectoryIdentity, KeyKind, Result, Store, StoreError};

/// Lifetime of an attempt. A person may have to find their second factor.
const ATTEMPT: SignedDuration = SignedDuration::from_mins(10);

/// Maximum octets of a name, which leaves room for a number after it.
const MAX_NAME: usize = 56;

/// Asks the provider for its description and its keys. Returns the number of keys that may sign tokens.
///
/// # Errors
/// The provider does not answer, or its answer is wrong.
pub async fn probe_provider(sso: &Sso) -> Result<usize, SsoError> {
    Provider::new(sso.clone()).probe().await
}

/// Begins an attempt and returns its secret, for the browser's cookie.
pub async fn begin_sign_in(store: &Store, purpose: AttemptPurpose) -> Result<LoginSecret> {
    let token = Token::generate().map_err(|error| StoreError::Other(error.to_string()))?;
    let secret = LoginSecret::new(token);
    let now = Timestamp::now();
    store
        .begin_attempt(secret.hash(), purpose, now + ATTEMPT, now)
        .await?;
    Ok(secret)
}

/// Ends an attempt and returns its purpose. None if there is none, or if it has expired.
pub async fn take_attempt(store: &Store, hash: TokenHash) -> Result<Option<AttemptPurpose>> {
    store.take_attempt(hash, Timestamp::now()).await
}

/// Outcome of a sign-in of somebody whom the provider knows.
pub enum SignInOutcome {
    /// The session's key.
    SignedIn(OperatorName, Token),
    /// None of the person's groups has a role. Sessions and tokens of their operator have ended.
    NoRole(Option<OperatorName>),
}

/// Opens a session for a person who has a role. That becomes the role of their operator.
pub async fn sign_in_operator(
    store: &Store,
    person: SignedIn,
    lifetime: SignedDuration,
) -> Result<SignInOutcome> {
    let now = Timestamp::now();
    let identity = DirectoryIdentity {
        issuer: person.issuer,
        subject: person.subject,
    };
    let Some(role) = person.role else {
        let refused = store.refuse_from_directory(identity, now).await?;
        return Ok(SignInOutcome::NoRole(refused));
    };
    let base = person.names.iter().find_map(|name| name_from(name));
    let base = match base {
        Some(name) => name,
        None => OperatorName::parse("operator").map_err(|e| StoreError::Other(e.to_string()))?,
    };
    let (token, key) = generate(KeyKind::Session, Role::Admin, lifetime)?;
    let name = store
        .sign_in_from_directory(identity, base, role, key, person.authenticated_at, now)
        .await?;
    Ok(SignInOutcome::SignedIn(name, token))
}

/// Derives an operator's name from the name at the provider: without the domain of an address, and with `-` for
/// dots and spaces.
fn name_from(text: &str) -> Option<OperatorName> {
    let local_part = text.split('@').next().unwrap_or_default();
    let name: String = local_part
        .chars()
        .filter_map(|c| match c {
            '.' | ' ' => Some('-'),
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') => Some(c),
            _ => None,
        })
        .take(MAX_NAME)
        .collect();
    OperatorName::parse(name.trim_matches('-')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_provider_becomes_one_of_an_operator() {
        for (text, name) in [
            ("ann", Some("ann")),
            ("Ann.Lee@corp.example", Some("Ann-Lee")),
            ("ann lee", Some("ann-lee")),
            ("CORP\\ann", Some("CORPann")),
            ("../../ann", Some("ann")),
            ("@corp.example", None),
            ("安", None),
            ("", None),
        ] {
            let made = name_from(text);
            assert_eq!(made.as_ref().map(OperatorName::as_str), name, "{text}");
        }
        let long = name_from(&"x".repeat(100)).expect("a name");
        assert!(OperatorName::parse(&format!("{long}-9999")).is_ok());
    }
}
