//! `GET, POST /signup`. The access rules are public, the existence of an account is not: the answer depends on the
//! address and the settings alone, and the account is handled after the answer.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use minijinja::context;
use serde::Deserialize;

use super::resend::no_mail;
use super::{AppState, Client, Fields, HOME, NEW_LINK, PageError, RequestedLanguage, WebPage};
use crate::access::decide_newcomer;
use crate::config::{Config, Portal};
use crate::domain::{AccountOrigin, EmailAddress, Timestamp};
use crate::mail::is_program;
use crate::observe::events;
use crate::store::Added;
use crate::web::page::portal_choices;

#[derive(Deserialize)]
pub(super) struct SignUpForm {
    portal: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct SignUp {
    email: String,
    portal: Option<String>,
}

pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    wanted: Result<Query<SignUpForm>, QueryRejection>,
) -> WebPage {
    let portal = wanted.ok().and_then(|Query(wanted)| wanted.portal);
    form(&app.config(), portal.as_deref(), "", None)
}

pub(super) async fn submit(
    State(app): State<Arc<AppState>>,
    Client(client): Client,
    Extension(asked): Extension<RequestedLanguage>,
    Fields(form_data): Fields<SignUp>,
) -> Result<Response, PageError> {
    if !app.forms.take(client) {
        return Err(PageError::TooMany);
    }
    let config = app.config();
    let wanted = form_data.portal.as_deref();
    let written = form_data.email.trim();
    let refused = |fault| {
        Ok(form(&config, wanted, written, Some(fault))
            .with_status(StatusCode::BAD_REQUEST)
            .into_response())
    };
    let Ok(address) = EmailAddress::parse_customer(written) else {
        return refused("sign_up.invalid");
    };
    if config.is_ours(&address) {
        return refused("sign_up.ours");
    }
    if is_program(address.local()) {
        return refused("sign_up.program");
    }
    let portal = find_portal(&config, wanted);
    let settings = app.store().access().await?.settings;
    let settings = settings.effective(portal.map(|portal| &portal.name));
    let may = portal.or(config.portals.first()).is_some_and(|portal| {
        let decision = decide_newcomer(&address, &portal.name, &settings);
        decision.consequence.new_account().is_some()
    });
    let answer = if may {
        sent_page(&config, &address, portal)
    } else {
        closed_page(&config, &address, portal)
    };
    let store = app.store().clone();
    let name = portal.map(|portal| portal.name.clone());
    app.spawn_in_background(async move {
        let added = store
            .sign_up(address, name, client, asked.wish(), Timestamp::now())
            .await?;
        if let Added::Created(account) = added {
            let origin = AccountOrigin::SignUp;
            events::account_created(account.id, &account.address, account.kind, origin);
        }
        Ok(())
    })?;
    Ok(answer.into_response())
}

/// The named portal, or the only one.
fn find_portal<'a>(config: &'a Config, wanted: Option<&str>) -> Option<&'a Portal> {
    match (config.portals.as_slice(), wanted) {
        ([only], _) => Some(only),
        (portals, Some(wanted)) => portals.iter().find(|portal| portal.name.as_str() == wanted),
        (_, None) => None,
    }
}

pub(super) fn form(
    config: &Config,
    wanted: Option<&str>,
    email: &str,
    fault: Option<&str>,
) -> WebPage {
    WebPage::new(
        "signup.html",
        context! {
            portals => portal_choices(config),
            portal => wanted.unwrap_or_default(),
            kept_portal => wanted.unwrap_or_default(),
            email => email,
            fault => fault,
        },
    )
}

/// The answer. It promises no mail: that depends on the account, which this page does not reveal.
pub(super) fn sent_page(
    config: &Config,
    address: &EmailAddress,
    portal: Option<&Portal>,
) -> WebPage {
    let (no_mail, contact) = no_mail(config, portal);
    let lines = [
        "sign_up.sent_lead",
        "sign_up.sent_hint",
        "resend.sent_refused",
        no_mail,
    ];
    WebPage::message("sign_up.sent", &lines)
        .with(context! {
            address => address.to_string(),
            contact => contact,
            answers_form => true,
        })
        .with_links(&[NEW_LINK])
}

/// The answer for a domain that may not sign up. Names the portal, or the site, that is closed to it.
pub(super) fn closed_page(
    config: &Config,
    address: &EmailAddress,
    portal: Option<&Portal>,
) -> WebPage {
    let contact = config.contact(portal);
    let lines: &[&str] = match contact {
        Some(_) => &["sign_up.closed_lead", "sign_up.closed_contact"],
        None => &["sign_up.closed_lead"],
    };
    WebPage::message("sign_up.closed", lines)
        .with(context! {
            portal => portal.map_or(&config.site.name, |portal| &portal.title).as_str(),
            domain => address.domain().to_unicode(),
            contact => contact.unwrap_or_default(),
            answers_form => true,
        })
        .with_links(&[("/signup", "action.back"), HOME])
        .with_status(StatusCode::FORBIDDEN)
}
