//! Verification of an address by the organisation's own sign-in: the form of `/verify/{token}` with the action
//! `sso`, and `GET /sso/callback`.
//!
//! It is offered for addresses of the configured domains only. An attempt belongs to one link and one browser,
//! and it verifies the address of the link's account, if the provider says that the person has that address.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use minijinja::context;
use url::form_urlencoded;

use super::link_pages::{
    expired_page_without_token, list_released, page_after_verification, page_if_verified_before,
    refusal_page_without_token,
};
use super::{AppState, Client, PageError, WebPage};
use crate::config::Config;
use crate::domain::{EmailAddress, Timestamp, Token, TokenHash, VerificationMethod};
use crate::observe::events;
use crate::operations::{WaitingCauses, begin_sign_in, take_attempt};
use crate::sso::{Callback, LoginSecret, Provider, SignedIn, SsoError};
use crate::store::{AttemptPurpose, Choice, Link, VerificationOutcome, WaitingRequest};
use crate::verification::confirm;
use crate::web::cookie::SecretCookie;

/// True if a sign-in can verify this address.
pub(super) fn is_offered(config: &Config, address: &EmailAddress) -> bool {
    config
        .sso
        .as_ref()
        .is_some_and(|sso| sso.domains.contains(address.domain()))
}

fn return_to(config: &Config) -> String {
    format!("{}/sso/callback", config.http.public_url)
}

fn cookie(config: &Config) -> SecretCookie {
    let is_secure = config.http.public_url.starts_with("https://");
    SecretCookie::of_attempt("vestibule_verification", is_secure)
}

/// A page that says why nothing was verified, and that the link still works.
fn refuse(status: StatusCode, why: &str) -> WebPage {
    WebPage::message("sso.failed", &[why, "sso.use_link"]).with_status(status)
}

fn explain(error: &SsoError) -> WebPage {
    events::sso_failed(error);
    match error {
        SsoError::Provider(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "sso.unavailable"),
        SsoError::Refused(_) | SsoError::Token(_) | SsoError::NotRecent(_) => {
            refuse(StatusCode::FORBIDDEN, "sso.not_confirmed")
        }
        SsoError::Foreign(_) => refuse(StatusCode::BAD_REQUEST, "sso.begin_again"),
    }
}

impl AppState {
    fn provider(&self, config: &Config) -> Result<Arc<Provider>, PageError> {
        self.sso.provider(config).ok_or(PageError::InvalidLink)
    }

    /// Sends the holder of an open link to the provider, through a page of our own: the content security policy
    /// lets forms lead to our own pages only.
    pub(super) async fn begin_sso(
        &self,
        token: &Token,
        address: &EmailAddress,
        choice: Choice,
        client: std::net::IpAddr,
    ) -> Result<Response, PageError> {
        let config = self.config();
        if !is_offered(&config, address) {
            return Err(PageError::Malformed);
        }
        if !self.forms.take(client) {
            return Err(PageError::TooMany);
        }
        let purpose = AttemptPurpose::Verification {
            token: token.hash(),
            choice,
        };
        let provider = self.provider(&config)?;
        let secret = begin_sign_in(self.store(), purpose).await?;
        let url = provider
            .authorization_url(&secret, &return_to(&config), None)
            .await;
        let url = match url {
            Ok(url) => url,
            Err(error) => return Ok(explain(&error).into_response()),
        };
        let page = WebPage::new("lead_on.html", context! { lead_to => url });
        let mut response = page.into_response();
        cookie(&config).set(&secret.reveal(), &mut response);
        Ok(response)
    }

    async fn finish_sso(
        &self,
        config: &Config,
        secret: &LoginSecret,
        callback: Callback,
    ) -> Result<WebPage, PageError> {
        let attempt = take_attempt(self.store(), secret.hash()).await?;
        let Some(AttemptPurpose::Verification { token, choice }) = attempt else {
            return Ok(refuse(StatusCode::BAD_REQUEST, "sso.begin_again"));
        };
        let provider = self.provider(config)?;
        let person = provider
            .sign_in(secret, callback, &return_to(config), None)
            .await;
        let page = match person {
            Ok(person) => self.verify_by_sso(config, token, choice, person).await?,
            Err(error) => explain(&error),
        };
        let remembered = self.store().find_chosen_language(token).await?;
        Ok(WebPage { remembered, ..page })
    }

    /// Verifies the address of the link, if it is the person's.
    async fn verify_by_sso(
        &self,
        config: &Config,
        token: TokenHash,
        choice: Choice,
        person: SignedIn,
    ) -> Result<WebPage, PageError> {
        let now = Timestamp::now();
        let link = self.store().look_at_link(token, now).await?;
        let (address, known, portal): (_, Vec<WaitingRequest>, _) = match link {
            Link::Open {
                address,
                requests,
                offers,
                ..
            } => {
                let offered = offers.into_iter().map(|offer| offer.request);
                (address, requests.into_iter().chain(offered).collect(), None)
            }
            Link::Verified {
                address,
                portal,
                refused,
                ..
            } => {
                let refused = refused.into_iter().map(|offer| offer.request);
                (address, refused.collect(), portal)
            }
            Link::Refused(refusal) => return Ok(refusal_page_without_token(config, refusal)),
            Link::Expired => return Ok(expired_page_without_token()),
            Link::Unknown => return Err(PageError::InvalidLink),
        };
        if !is_offered(config, &address) || person.verified_address.as_ref() != Some(&address) {
            events::sso_failed(&"the provider does not confirm that the address is the person's");
            return Ok(refuse(StatusCode::FORBIDDEN, "sso.not_confirmed"));
        }
        let denied = self.is_denied(&address).await?;
        let method = VerificationMethod::Sso(token, person.groups);
        let verification = confirm::confirm(self.store(), method, choice, now).await?;
        let causes = WaitingCauses::read(self.store(), config).await?;
        let page = match verification {
            VerificationOutcome::Verified {
                address,
                released,
                discarded,
                ..
            } => page_after_verification(&causes, &address, &known, &released, discarded.len()),
            VerificationOutcome::AlreadyVerified {
                address, released, ..
            } => page_if_verified_before(config, &address, portal.as_ref())
                .with(list_released(&causes, &known, &released)),
            VerificationOutcome::Expired => return Ok(expired_page_without_token()),
            VerificationOutcome::Unknown => return Err(PageError::InvalidLink),
        };
        Ok(page.with(context! { denied => denied }))
    }
}

pub(super) async fn callback(
    State(app): State<Arc<AppState>>,
    Client(client): Client,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    if !app.guesses.take(client) {
        return Err(PageError::TooMany);
    }
    let config = app.config();
    let Some(token) = cookie(&config).read(&headers) else {
        return Ok(refuse(StatusCode::BAD_REQUEST, "sso.begin_again").into_response());
    };
    let query = query.unwrap_or_default();
    let pairs = form_urlencoded::parse(query.as_bytes());
    let callback = Callback::read(pairs.map(|(name, value)| (name.into(), value.into())));
    let secret = LoginSecret::new(token);
    if !callback.belongs_to(&secret) {
        return Ok(refuse(StatusCode::BAD_REQUEST, "sso.begin_again").into_response());
    }
    let page = app.finish_sso(&config, &secret, callback).await?;
    let mut response = page.into_response();
    cookie(&config).remove(&mut response);
    Ok(response)
}
