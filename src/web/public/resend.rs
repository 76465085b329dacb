//! `GET, POST /resend`: requests a new link, by address or with an expired link. The answer is the same
//! whether there is an account or not, and is sent before the account is looked up.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use minijinja::context;
use serde::Deserialize;

use super::{AppState, Client, Fields, HOME, PageError, RequestedLanguage, WebPage};
use crate::config::{Config, Portal};
use crate::domain::{Actor, EmailAddress, Timestamp, Token};

#[derive(Deserialize)]
pub(super) struct Resend {
    email: Option<String>,
    /// The token of an expired link.
    token: Option<String>,
}

pub(super) async fn show() -> WebPage {
    form("", None)
}

pub(super) async fn submit(
    State(app): State<Arc<AppState>>,
    Client(client): Client,
    Extension(asked): Extension<RequestedLanguage>,
    Fields(resend): Fields<Resend>,
) -> Result<WebPage, PageError> {
    if !app.forms.take(client) {
        return Err(PageError::TooMany);
    }
    let store = app.store().clone();
    let now = Timestamp::now();
    match (resend.token, resend.email) {
        (Some(token), _) => {
            let token = Token::parse_link(&token)
                .map_err(|_| PageError::InvalidLink)?
                .hash();
            app.spawn_in_background(async move {
                store
                    .renew_expired_link(token, Some(client), asked.wish(), now)
                    .await
            })?;
        }
        (None, Some(email)) => {
            let written = email.trim();
            let Ok(address) = EmailAddress::parse_customer(written) else {
                return Ok(
                    form(written, Some("sign_up.invalid")).with_status(StatusCode::BAD_REQUEST)
                );
            };
            app.spawn_in_background(async move {
                store
                    .renew_link_for(address, Actor::Person, Some(client), asked.wish(), now)
                    .await
            })?;
        }
        (None, None) => return Err(PageError::Malformed),
    }
    Ok(sent_page(&app.config()))
}

/// The answer. It promises no mail: that depends on the account, which this page does not reveal.
pub(super) fn sent_page(config: &Config) -> WebPage {
    let (no_mail, contact) = no_mail(config, None);
    let lines = [
        "resend.sent_lead",
        "resend.sent_hint",
        "resend.sent_refused",
        no_mail,
    ];
    WebPage::message("resend.sent", &lines)
        .with(context! { contact => contact, answers_form => true })
        .with_links(&[HOME])
}

/// The text for people who get no mail, with the contact of this portal or of the only one.
pub(super) fn no_mail(config: &Config, portal: Option<&Portal>) -> (&'static str, String) {
    let portal = match (portal, config.portals.as_slice()) {
        (None, [only]) => Some(only),
        (portal, _) => portal,
    };
    match config.contact(portal) {
        Some(contact) => ("resend.no_mail_contact", contact.to_owned()),
        None => ("resend.no_mail_nobody", String::new()),
    }
}

pub(super) fn form(email: &str, fault: Option<&str>) -> WebPage {
    WebPage::new("resend.html", context! { email => email, fault => fault })
}
