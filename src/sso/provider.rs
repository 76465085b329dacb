//! The provider: its description (OpenID Connect Discovery 1.0, 4), its keys, and the exchange of a code.
//!
//! Description and keys are fetched when they are needed and kept for an hour. Keys are fetched again for a token
//! that an unknown key signed, at a bounded rate, and no fetch is repeated right after a failure. So a stranger at
//! the login cannot make us flood the provider.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

use super::cached_fetch::CachedFetch;
use super::claims::{Claims, SignedIn};
use super::error::SsoError;
use super::jwt::SignedToken;
use super::keys::KeySet;
use super::login_attempt::{Callback, LoginSecret};
use crate::config::{Config, Sso, is_secure};
use crate::domain::Timestamp;
use crate::outbound::fetch::{Authorization, Fetched, HttpFetcher};

/// Burst of fetches for unknown keys; then one a minute.
const UNKNOWN_KEYS: NonZeroU32 = match NonZeroU32::new(5) {
    Some(number) => number,
    None => NonZeroU32::MIN,
};

/// The provider of the current configuration.
#[derive(Default)]
pub struct SingleSignOn {
    provider: Mutex<Option<Arc<Provider>>>,
}

impl SingleSignOn {
    /// Returns the provider; `None` without `[sso]`. After a change of that section, everything about the
    /// provider is fetched again.
    #[must_use]
    pub fn provider(&self, config: &Config) -> Option<Arc<Provider>> {
        let sso = config.sso.as_ref()?;
        let mut kept = self.provider.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.as_ref() {
            Some(provider) if provider.sso == *sso => {}
            _ => *kept = Some(Arc::new(Provider::new(sso.clone()))),
        }
        kept.clone()
    }
}

/// One provider and what is known about it.
pub struct Provider {
    sso: Sso,
    fetcher: HttpFetcher,
    /// Locked during a fetch, so that concurrent sign-ins wait for the same answer.
    description: tokio::sync::Mutex<CachedFetch<Description>>,
    keys: tokio::sync::Mutex<CachedFetch<KeySet>>,
    unknown_keys: DefaultDirectRateLimiter,
}

/// The part of the description that is used.
#[derive(Debug, Deserialize)]
struct Description {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

impl Provider {
    #[must_use]
    pub fn new(sso: Sso) -> Self {
        let unknown = Quota::per_minute(NonZeroU32::MIN).allow_burst(UNKNOWN_KEYS);
        Self {
            sso,
            fetcher: HttpFetcher::default(),
            description: tokio::sync::Mutex::default(),
            keys: tokio::sync::Mutex::default(),
            unknown_keys: RateLimiter::direct(unknown),
        }
    }

    /// The address to send the browser to; the provider then redirects it to `return_to`. With `max_age`, in whole
    /// seconds, it must have authenticated the person within that time, or do so now (OpenID Connect Core 1.0,
    /// 3.1.2.1).
    ///
    /// # Errors
    /// `Provider`.
    pub async fn authorization_url(
        &self,
        secret: &LoginSecret,
        return_to: &str,
        max_age: Option<SignedDuration>,
    ) -> Result<String, SsoError> {
        let description = self.description().await?;
        let mut url = endpoint(&description.authorization_endpoint)?;
        let mut scope = "openid".to_owned();
        for more in self.sso.scopes.iter().filter(|more| *more != "openid") {
            scope.push(' ');
            scope.push_str(more);
        }
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.sso.client_id)
            .append_pair("redirect_uri", return_to)
            .append_pair("scope", &scope);
        if let Some(max_age) = max_age {
            let seconds = max_age.as_secs().to_string();
            url.query_pairs_mut().append_pair("max_age", &seconds);
        }
        secret.add_to(&mut url);
        Ok(url.into())
    }

    /// The address that ends the session at the provider (RP-Initiated Logout 1.0, 2) and leads back to
    /// `return_to`. `None` if the provider has none.
    ///
    /// # Errors
    /// `Provider`.
    pub async fn logout_url(&self, return_to: &str) -> Result<Option<String>, SsoError> {
        let description = self.description().await?;
        let Some(address) = &description.end_session_endpoint else {
            return Ok(None);
        };
        let mut url = endpoint(address)?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.sso.client_id)
            .append_pair("post_logout_redirect_uri", return_to);
        Ok(Some(url.into()))
    }

    /// Exchanges the code of an answer for the person. `return_to` and `max_age` are those of the request.
    ///
    /// # Errors
    /// Any of them; then nobody is signed in.
    pub async fn sign_in(
        &self,
        secret: &LoginSecret,
        callback: Callback,
        return_to: &str,
        max_age: Option<SignedDuration>,
    ) -> Result<SignedIn, SsoError> {
        let description = self.description().await?;
        let names_issuer = description.authorization_response_iss_parameter_supported;
        let code = callback.check(secret, &self.sso.issuer, names_issuer)?;
        let tokens = self
            .exchange(&description, secret, &code, return_to)
            .await?;
        let token = SignedToken::parse(&tokens.id_token)?;
        let claims = self.verify(&description, &token).await?;
        let now = Timestamp::now();
        let mut claims = Claims::check(claims, &self.sso, &secret.nonce(), now)?;
        if let Some(max_age) = max_age {
            claims.check_age(max_age, now)?;
        }
        if let (true, Some(address), Some(access)) = (
            claims.lack_any(&self.sso),
            &description.userinfo_endpoint,
            tokens.access_token,
        ) {
            claims.add(self.userinfo(address, &access.into()).await?)?;
        }
        Ok(claims.person(&self.sso, now))
    }

    /// Fetches the description and the keys, as a sign-in does, without signing anybody in. Returns the number of
    /// keys that may sign tokens.
    ///
    /// # Errors
    /// `Provider`, also without such a key.
    pub async fn probe(&self) -> Result<usize, SsoError> {
        let description = self.description().await?;
        match self.fetch_keys(&description).await?.len() {
            0 => Err(SsoError::of_provider(
                "its keys",
                "none for RSA, P-256, P-384 or Ed25519 signatures",
            )),
            keys => Ok(keys),
        }
    }

    async fn description(&self) -> Result<Arc<Description>, SsoError> {
        let mut kept = self.description.lock().await;
        match kept.fresh() {
            Some(description) => Ok(description),
            None => kept.renew(self.describe()).await,
        }
    }

    async fn describe(&self) -> Result<Description, SsoError> {
        let issuer = self.sso.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let body = self.fetch("description", &url, Authorization::None).await?;
        let description: Description = serde_json::from_slice(&body)
            .map_err(|error| SsoError::of_provider("its description", error))?;
        if description.issuer != self.sso.issuer {
            let said = &description.issuer;
            return Err(SsoError::of_provider(
                "its description names another issuer",
                format_args!("{said:?}; sso.issuer must be exactly this"),
            ));
        }
        for address in [
            Some(&description.authorization_endpoint),
            Some(&description.token_endpoint),
            Some(&description.jwks_uri),
            description.userinfo_endpoint.as_ref(),
            description.end_session_endpoint.as_ref(),
        ] {
            address.map(|address| endpoint(address)).transpose()?;
        }
        Ok(description)
    }

    /// Returns the claims of the token if a key of the provider has signed it. The keys are fetched again if none of
    /// those that are kept has.
    async fn verify(
        &self,
        description: &Description,
        token: &SignedToken<'_>,
    ) -> Result<Map<String, Value>, SsoError> {
        const UNSIGNED: SsoError = SsoError::Token("it is not signed with a key of the provider");
        let mut kept = self.keys.lock().await;
        if let Some(keys) = kept.fresh() {
            if let Some(claims) = keys.verify(token) {
                return Ok(claims.clone());
            }
            if self.unknown_keys.check().is_err() {
                return Err(UNSIGNED);
            }
        }
        let keys = kept.renew(self.fetch_keys(description)).await?;
        keys.verify(token).cloned().ok_or(UNSIGNED)
    }

    async fn fetch_keys(&self, description: &Description) -> Result<KeySet, SsoError> {
        let url = &description.jwks_uri;
        let body = self.fetch("keys", url, Authorization::None).await?;
        KeySet::parse(&body).map_err(|error| SsoError::of_provider("its keys", error))
    }

    async fn exchange(
        &self,
        description: &Description,
        secret: &LoginSecret,
        code: &str,
        return_to: &str,
    ) -> Result<Tokens, SsoError> {
        let methods = &description.token_endpoint_auth_methods_supported;
        let takes = |method: &str| {
            let methods = methods.as_deref();
            methods.is_some_and(|all| all.iter().any(|one| one == method))
        };
        let in_form = takes("client_secret_post") && !takes("client_secret_basic");
        let client_secret = self.sso.client_secret.expose_secret();
        let verifier = secret.verifier();
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", return_to),
            ("code_verifier", &verifier),
        ];
        if in_form {
            fields.push(("client_id", &self.sso.client_id));
            fields.push(("client_secret", client_secret));
        }
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        // RFC 6749 2.3.1: both are encoded before they are put together.
        let encode =
            |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
        let (user, password) = (
            encode(&self.sso.client_id),
            SecretString::from(encode(client_secret)),
        );
        let login = if in_form {
            Authorization::None
        } else {
            Authorization::Basic(&user, &password)
        };
        let answer = self
            .fetcher
            .post_form(&description.token_endpoint, form, login)
            .await
            .map_err(|error| SsoError::of_provider("its token endpoint", error))?;
        if answer.status != 200 {
            return Err(SsoError::of_provider(
                "its token endpoint",
                complaint(&answer),
            ));
        }
        // The cause must not repeat the body, which holds the tokens.
        serde_json::from_slice(&answer.body)
            .map_err(|_| SsoError::of_provider("its token endpoint", "no ID token in the answer"))
    }

    async fn userinfo(
        &self,
        address: &str,
        access: &SecretString,
    ) -> Result<Map<String, Value>, SsoError> {
        let login = Authorization::Bearer(access);
        let body = self.fetch("userinfo endpoint", address, login).await?;
        serde_json::from_slice(&body)
            .map_err(|_| SsoError::of_provider("its userinfo endpoint", "the answer is not JSON"))
    }

    async fn fetch(
        &self,
        what: &str,
        url: &str,
        login: Authorization<'_>,
    ) -> Result<Vec<u8>, SsoError> {
        let answer = self.fetcher.get(url, login).await;
        let answer =
            answer.map_err(|error| SsoError::of_provider(&format!("its {what}"), error))?;
        if answer.status == 200 {
            Ok(answer.body)
        } else {
            let cause = complaint(&answer);
            Err(SsoError::of_provider(&format!("its {what}"), cause))
        }
    }
}

/// The status and the error code of an answer (RFC 6749 5.2).
fn complaint(answer: &Fetched) -> String {
    #[derive(Deserialize)]
    struct Complaint {
        error: String,
    }
    let status = answer.status;
    match serde_json::from_slice::<Complaint>(&answer.body) {
        Ok(said) => format!("HTTP {status}, {}", said.error),
        Err(_) => format!("HTTP {status}"),
    }
}

/// Parses an address of the provider. It must be secure, because codes and secrets are sent to it.
fn endpoint(text: &str) -> Result<Url, SsoError> {
    let url = Url::parse(text).ok().filter(is_secure);
    url.ok_or_else(|| SsoError::of_provider("an endpoint is not https", format_args!("{text:?}")))
}
