//! `/account`: an operator's own password, sessions and API tokens.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::SignedDuration;
use minijinja::{Value, context};

use super::auth::PageCall;
use super::error::Error;
use super::form_fields::{Fields, FormFields, QueryFields};
use super::recent_sign_in::explain_refusal;
use super::second_factor::describe;
use super::when;
use crate::domain::{Role, Timestamp, TokenScope};
use crate::operations::{NewToken, TokenRequest, change_password, end_token, make_token};
use crate::store::IssuedToken;
use crate::web::display::one_line;
use crate::web::page::WebPage;

/// Lifetimes that the form offers, in days.
const LIFETIMES: [i64; 4] = [7, 30, 90, 365];
const DEFAULT_LIFETIME: i64 = 90;

pub(super) async fn show(
    call: PageCall,
    QueryFields(query): QueryFields,
) -> Result<WebPage, Error> {
    let notice = context! { done => query.one("done"), ..describe_form(&call, &query) };
    render(&call, notice).await
}

/// Describes the form for a token: its entries, and the login that leads back to them if the sign-in is not recent.
fn describe_form(call: &PageCall, fields: &Fields) -> Value {
    let names = ["purpose", "role", "days"];
    let days = fields.one("days").and_then(|text| text.parse().ok());
    context! {
        purpose => fields.one("purpose"),
        role => fields.one("role"),
        days => days.unwrap_or(DEFAULT_LIFETIME),
        sign_in_again => call.operator.sign_in_again("/account", fields, &names),
    }
}

pub(super) async fn render(call: &PageCall, notice: Value) -> Result<WebPage, Error> {
    let now = Timestamp::now();
    let sessions = call
        .app
        .store()
        .sessions(call.operator.name.clone(), now)
        .await?;
    let tokens = call
        .app
        .store()
        .tokens(Some(call.operator.name.clone()), now)
        .await?;
    let own = IssuedToken::id_of(&call.operator.key);
    let row = |key: &IssuedToken| {
        context! {
            id => key.id.as_str(),
            role => key.role.as_str(),
            scope => key.scope.map(TokenScope::as_str),
            note => key.note.as_deref(),
            created_at => when(key.created_at),
            expires_at => when(key.expires_at),
            is_this => key.id == own,
        }
    };
    let roles = Role::ALL.iter().filter(|role| **role <= call.operator.role);
    let page = call.operator.page(
        "operators/account.html",
        context! {
            sessions => sessions.iter().map(row).collect::<Vec<_>>(),
            tokens => tokens.iter().map(row).collect::<Vec<_>>(),
            roles => roles.map(|role| role.as_str()).collect::<Vec<_>>(),
            lifetimes => LIFETIMES.to_vec(),
            done => (),
            fault => (),
            token => (),
            made => (),
            new_codes => (),
            new_key => (),
            factor => describe(call).await?,
            ..describe_form(call, &Fields::default())
        },
    );
    Ok(page.with(notice))
}

pub(super) async fn act(call: PageCall, FormFields(form): FormFields) -> Result<Response, Error> {
    let (store, by, name) = (
        call.app.store(),
        call.operator.actor(),
        call.operator.name.clone(),
    );
    match form.one("action") {
        Some("password") => {
            if let Some(fault) = call.app.password_fault(&call.operator, &form).await? {
                return refuse(&call, fault).await;
            }
            let password = match call.app.new_password(&form).await? {
                Ok(password) => password,
                Err(fault) => return refuse(&call, fault).await,
            };
            change_password(store, name, password, by).await?;
            // All sessions have ended, including this one.
            Ok(Redirect::to("/login").into_response())
        }
        Some("token") if !call.operator.has_recent_sign_in() => {
            let notice = context! { fault => explain_refusal(), ..describe_form(&call, &form) };
            let page = render(&call, notice).await?;
            Ok(page.with_status(StatusCode::FORBIDDEN).into_response())
        }
        Some("token") => {
            let days = form.read("days", |text| text.parse().ok())?;
            let days = days.unwrap_or(DEFAULT_LIFETIME);
            if !LIFETIMES.contains(&days) {
                return Err(Error::Malformed(
                    "The number of days is not one of those offered.".to_owned(),
                ));
            }
            let scope = form.one("role").and_then(TokenScope::from_name);
            let role = match scope {
                Some(TokenScope::Scim) => Role::Admin,
                None => form.read("role", Role::from_name)?.unwrap_or(Role::Viewer),
            };
            let request = TokenRequest {
                operator: name,
                role,
                scope,
                lifetime: SignedDuration::from_hours(24 * days),
                note: form
                    .one("purpose")
                    .map(one_line)
                    .filter(|note| !note.is_empty()),
            };
            let NewToken { issued, token } = make_token(store, request, by).await?;
            let notice = context! { token => token, made => issued.id };
            Ok(render(&call, notice).await?.into_response())
        }
        Some("end") => {
            let id = form.one("key").unwrap_or_default().to_owned();
            end_token(store, name, id, by).await?;
            Ok(Redirect::to("/account?done=ended").into_response())
        }
        _ => Err(Error::unknown_action()),
    }
}

pub(super) async fn refuse(call: &PageCall, fault: String) -> Result<Response, Error> {
    let page = render(call, context! { fault => fault }).await?;
    Ok(page
        .with_status(StatusCode::UNPROCESSABLE_ENTITY)
        .into_response())
}
