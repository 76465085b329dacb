//! `POST /login/code`: the second step of a login, for operators with a second factor.
//!
//! The page of this step appears only after the right password, so somebody who does not know the password learns
//! nothing from it. Wrong codes are limited by client, as passwords are, and by operator: whoever has the
//! password may come from many addresses.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;

use super::AppState;
use super::error::Error;
use super::failed_login_report::LoginFailure;
use super::form_fields::FormFields;
use super::login::SESSION;
use super::login_limits::TOO_MANY_CODES;
use crate::domain::{SecondFactorCode, Token};
use crate::operations::log_in_with_code;
use crate::store::CodeOutcome;
use crate::web::cookie::SecretCookie;
use crate::web::page::WebPage;
use crate::web::rate_limit::{self, Peer};

fn cookie(app: &AppState, headers: &HeaderMap) -> SecretCookie {
    SecretCookie::of_attempt("vestibule_code", app.is_secure(headers))
}

/// Asks for the code after the right password.
pub(super) fn ask(app: &AppState, headers: &HeaderMap, attempt: &Token) -> Response {
    let mut response = form(None).into_response();
    cookie(app, headers).set(&attempt.reveal(), &mut response);
    response
}

pub(super) async fn submit(
    State(app): State<Arc<AppState>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    FormFields(fields): FormFields,
) -> Result<Response, Error> {
    let peer = peer.map(|Extension(peer)| peer);
    let client = rate_limit::client(peer, &headers, &app.config().http.trusted_proxies);
    let cookie = cookie(&app, &headers);
    let Some(token) = cookie.read(&headers) else {
        return Ok(Redirect::to("/login").into_response());
    };
    let now = crate::domain::Timestamp::now();
    let Some(name) = app.store().awaited_operator(token.hash(), now).await? else {
        let mut response = Redirect::to("/login").into_response();
        cookie.remove(&mut response);
        return Ok(response);
    };
    if !app.limits.clients.take(client) || !app.limits.codes.take(&name) {
        if app.failed_logins.reports_lockout(client) {
            app.report_failed_login(client, Some(name), LoginFailure::LockedOut)
                .await;
        }
        return Ok(form(Some(TOO_MANY_CODES))
            .with_status(StatusCode::TOO_MANY_REQUESTS)
            .into_response());
    }
    let code = fields.exactly("code").and_then(SecondFactorCode::parse);
    let (outcome, session) = log_in_with_code(app.store(), token.hash(), code, SESSION).await?;
    let mut response = match outcome {
        CodeOutcome::SignedIn(_, to) => {
            let mut response = Redirect::to(&to).into_response();
            app.session_cookie(&headers)
                .set(&session.reveal(), &mut response);
            response
        }
        CodeOutcome::Wrong(name) => {
            app.report_failed_login(client, Some(name), LoginFailure::WrongCode)
                .await;
            let fault = "This code is wrong or has already been used.";
            let page = form(Some(fault)).with_status(StatusCode::UNAUTHORIZED);
            return Ok(page.into_response());
        }
        CodeOutcome::NoAttempt => Redirect::to("/login").into_response(),
    };
    cookie.remove(&mut response);
    Ok(response)
}

fn form(fault: Option<&str>) -> WebPage {
    WebPage::new("operators/login_code.html", context! { fault => fault })
}
