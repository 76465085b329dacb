//! `GET /login/sso`, `GET /login/sso/callback`: sign-in at the organisation's provider.
//!
//! The first sends the browser to the provider, the second takes it back and opens a session. Both are outside of
//! any session, so each is limited by client, and an attempt is bound to its browser.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use governor::{DefaultDirectRateLimiter, RateLimiter};
use minijinja::context;

use super::AppState;
use super::auth::visitor;
use super::error::Error;
use super::failed_login_report::LoginFailure;
use super::form_fields::QueryFields;
use super::login::{self, SESSION};
use super::recent_sign_in::PROVIDER_MAX_AGE;
use crate::operations::{SignInOutcome, begin_sign_in, sign_in_operator, take_attempt};
use crate::sso::{Callback, LoginSecret, Provider, SsoError};
use crate::store::AttemptPurpose;
use crate::web::cookie::SecretCookie;
use crate::web::page::WebPage;
use crate::web::rate_limit::{self, ClientLimiter, Peer, quota};

/// Attempts of one share, for all its clients together: a burst, and the interval after it. An attempt is a row for
/// ten minutes.
const ATTEMPTS: u32 = 100;
const ATTEMPT_EVERY: Duration = Duration::from_millis(400);

/// Limits of attempts. Attempts of all clients together take from two shares, one of them reserved for the first
/// attempts of each client: so a few clients that begin many attempts do not shut everybody else out.
pub(super) struct AttemptLimits {
    of_client: ClientLimiter,
    first_of_client: ClientLimiter,
    first_of_all: DefaultDirectRateLimiter,
    of_all: DefaultDirectRateLimiter,
}

impl AttemptLimits {
    pub(super) fn new() -> Self {
        let share = quota(ATTEMPTS, ATTEMPT_EVERY);
        Self {
            of_client: ClientLimiter::new(40, Duration::from_secs(3)),
            first_of_client: ClientLimiter::new(3, Duration::from_mins(3)),
            first_of_all: RateLimiter::direct(share),
            of_all: RateLimiter::direct(share),
        }
    }

    fn take(&self, client: std::net::IpAddr) -> bool {
        let is_first = || self.first_of_client.take(client) && self.first_of_all.check().is_ok();
        self.of_client.take(client) && (is_first() || self.of_all.check().is_ok())
    }
}

/// The provider, the address of these pages, and their cookie.
struct SsoLogin {
    provider: Arc<Provider>,
    own_url: String,
    cookie: SecretCookie,
}

impl SsoLogin {
    fn return_to(&self) -> String {
        format!("{}/login/sso/callback", self.own_url)
    }
}

impl AppState {
    /// The login at the provider. None if operators do not sign in there.
    fn sso_login(&self) -> Option<SsoLogin> {
        let config = self.config();
        let own_url = sso_url(&config)?.to_owned();
        Some(SsoLogin {
            provider: self.sso.provider(&config)?,
            cookie: SecretCookie::of_attempt("vestibule_sign_in", self.is_https()),
            own_url,
        })
    }

    /// The URL that ends the session at the provider. None if that is not possible.
    pub(super) async fn provider_logout(&self) -> Option<String> {
        let sso = self.sso_login()?;
        let return_to = format!("{}/login", sso.own_url);
        sso.provider.logout_url(&return_to).await.ok().flatten()
    }
}

/// The URL of the pages to which the provider leads back; None if operators do not sign in there.
pub(super) fn sso_url(config: &crate::config::Config) -> Option<&str> {
    let sso = config.sso.as_ref()?;
    config
        .http
        .admin_url
        .as_deref()
        .filter(|_| !sso.roles.is_empty())
}

pub(super) async fn begin(
    State(app): State<Arc<AppState>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    QueryFields(query): QueryFields,
) -> Result<Response, Error> {
    let sso = app.sso_login().ok_or(Error::NotFound("page"))?;
    let peer = peer.map(|Extension(peer)| peer);
    let client = rate_limit::client(peer, &headers, &app.config().http.trusted_proxies);
    if !app.attempts.take(client) {
        return Ok(too_many());
    }
    let to = login::destination(&query).to_owned();
    // Whoever signs in again during a session needs a recent sign-in.
    let visitor = visitor(&app, &headers).await?;
    let recent = visitor.is_some_and(|operator| !operator.has_recent_sign_in());
    let secret = begin_sign_in(app.store(), AttemptPurpose::Operator { to, recent }).await?;
    let url = sso
        .provider
        .authorization_url(
            &secret,
            &sso.return_to(),
            recent.then_some(PROVIDER_MAX_AGE),
        )
        .await;
    match url {
        Ok(url) => {
            let mut response = Redirect::to(&url).into_response();
            sso.cookie.set(&secret.reveal(), &mut response);
            Ok(response)
        }
        Err(error) => {
            let failure = LoginFailure::Provider(error.clone());
            app.report_failed_login(client, None, failure).await;
            Ok(explain(&error))
        }
    }
}

pub(super) async fn callback(
    State(app): State<Arc<AppState>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    QueryFields(query): QueryFields,
) -> Result<Response, Error> {
    let sso = app.sso_login().ok_or(Error::NotFound("page"))?;
    let peer = peer.map(|Extension(peer)| peer);
    let client = rate_limit::client(peer, &headers, &app.config().http.trusted_proxies);
    if !app.attempts.of_client.take(client) {
        return Ok(too_many());
    }
    let Some(token) = sso.cookie.read(&headers) else {
        return Ok(explain(&SsoError::Foreign("the sign-in cookie is missing")));
    };
    let secret = LoginSecret::new(token);
    let answer = Callback::read(query.pairs().map(|(n, v)| (n.to_owned(), v.to_owned())));
    if !answer.belongs_to(&secret) {
        return Ok(explain(&SsoError::Foreign("another state")));
    }
    let finished = app.finish(&sso, &secret, answer, client, &headers).await;
    let mut response = finished?;
    sso.cookie.remove(&mut response);
    Ok(response)
}

fn too_many() -> Response {
    let text = "Too many attempts. Wait a minute and try again.";
    refuse(StatusCode::TOO_MANY_REQUESTS, text)
}

impl AppState {
    async fn finish(
        &self,
        sso: &SsoLogin,
        secret: &LoginSecret,
        answer: Callback,
        client: std::net::IpAddr,
        headers: &HeaderMap,
    ) -> Result<Response, Error> {
        let Some(AttemptPurpose::Operator { to, recent }) =
            take_attempt(self.store(), secret.hash()).await?
        else {
            return Ok(explain(&SsoError::Foreign("no such attempt")));
        };
        let return_to = sso.return_to();
        let max_age = recent.then_some(PROVIDER_MAX_AGE);
        let signed_in = sso
            .provider
            .sign_in(secret, answer, &return_to, max_age)
            .await;
        let person = match signed_in {
            Ok(person) => person,
            Err(error) => {
                let failure = LoginFailure::Provider(error.clone());
                self.report_failed_login(client, None, failure).await;
                return Ok(explain(&error));
            }
        };
        match sign_in_operator(self.store(), person, SESSION).await? {
            SignInOutcome::SignedIn(name, token) => {
                // A browser treats a redirect as part of the provider's navigation and would not send the session's
                // cookie, which is SameSite=Strict. A page of our own leads on instead.
                let page = WebPage::new(
                    "operators/lead_on.html",
                    context! { title => format!("Signed in as {name}"), lead_to => to },
                );
                let mut response = page.into_response();
                self.session_cookie(headers)
                    .set(&token.reveal(), &mut response);
                Ok(response)
            }
            SignInOutcome::NoRole(known) => {
                self.report_failed_login(client, known, LoginFailure::NoRole)
                    .await;
                let text = "The provider knows you, but none of your groups there has a role here, so \
                            you are not signed in. Ask your administrator to add you to such a group; \
                            [sso.roles] in the configuration names them.";
                Ok(refuse(StatusCode::FORBIDDEN, text))
            }
        }
    }
}

/// The page for an attempt that failed.
fn explain(error: &SsoError) -> Response {
    let (status, text) = match error {
        SsoError::Provider(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The provider is not available at the moment; details are in the log. Try again later, or \
             log in with a password if you have one.",
        ),
        SsoError::Refused(_) => (
            StatusCode::FORBIDDEN,
            "The provider did not sign you in, or you cancelled the sign-in. Try again, or ask the \
             provider's administrator.",
        ),
        SsoError::Foreign(_) => (
            StatusCode::BAD_REQUEST,
            "This sign-in did not start in this browser, has already been used, or is older than ten \
             minutes. Start again.",
        ),
        SsoError::Token(_) => (
            StatusCode::FORBIDDEN,
            "The provider's answer could not be verified; details are in the log. Ask your \
             administrator.",
        ),
        SsoError::NotRecent(_) => (
            StatusCode::FORBIDDEN,
            "The provider did not confirm that you signed in there recently, so your session goes on \
             as it was. Log out here and at the provider, and log in again. If that does not help, \
             ask your administrator; details are in the log.",
        ),
    };
    refuse(status, text)
}

fn refuse(status: StatusCode, text: &str) -> Response {
    WebPage::new("operators/not_signed_in.html", context! { text => text })
        .with_status(status)
        .into_response()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn clients_with_many_attempts_do_not_shut_others_out() {
        let limits = AttemptLimits::new();
        let client = |n: u32| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n));
        let all: Vec<_> = (0..20)
            .flat_map(|n| (0..50).map(move |_| client(n)))
            .map(|client| limits.take(client))
            .collect();
        assert!(all.iter().any(|taken| !taken), "there is a limit");
        for n in 100..110 {
            assert!(limits.take(client(n)), "a client that begins once");
        }
        // Many clients together are limited, too.
        let taken = (200..1000).filter(|n| limits.take(client(*n))).count();
        assert!(taken < 200, "{taken}");
    }
}
