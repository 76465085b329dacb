//! `/operators`: the operators of these pages and the API. For admins.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;

use super::auth::PageCall;
use super::error::Error;
use super::form_fields::{Fields, FormFields, QueryFields};
use super::recent_sign_in::explain_refusal;
use super::{AppState, when};
use crate::domain::{OperatorName, Password, PasswordHash, Role, Timestamp, TokenScope};
use crate::operations::{
    add_operator, change_password, end_all_keys, end_token, remove_operator, reset_second_factor,
};
use crate::store::{NameReuse, StoreError};
use crate::web::page::WebPage;

pub(super) async fn list(
    call: PageCall,
    QueryFields(query): QueryFields,
) -> Result<WebPage, Error> {
    render(&call, &query, query.one("done"), None).await
}

/// Renders the page. `fields` has the entries of the form for another operator.
async fn render(
    call: &PageCall,
    fields: &Fields,
    done: Option<&str>,
    fault: Option<String>,
) -> Result<WebPage, Error> {
    let sign_in_again = call
        .operator
        .sign_in_again("/operators", fields, &["name", "role"]);
    let is_reused = match fields.one("name").map(OperatorName::parse) {
        Some(Ok(name)) => call.app.store().was_operator_removed(name).await?,
        _ => false,
    };
    let now = Timestamp::now();
    let operators = call.app.store().operators(now).await?;
    let tokens = call.app.store().tokens(None, now).await?;
    let rows: Vec<_> = operators
        .iter()
        .map(|row| {
            context! {
                name => row.name.as_str(),
                role => row.role.as_str(),
                sign_in => row.sign_in.as_str(),
                sessions => row.sessions,
                tokens => row.tokens,
                created_at => when(row.created_at),
                created_by => row.created_by.as_str(),
                is_me => row.name == call.operator.name,
            }
        })
        .collect();
    let tokens: Vec<_> = tokens
        .iter()
        .map(|token| {
            context! {
                id => token.id.as_str(),
                operator => token.operator.as_str(),
                role => token.role.as_str(),
                scope => token.scope.map(TokenScope::as_str),
                note => token.note.as_deref(),
                created_at => when(token.created_at),
                expires_at => when(token.expires_at),
            }
        })
        .collect();
    Ok(call.operator.page(
        "operators/operators.html",
        context! {
            rows => rows,
            tokens => tokens,
            roles => Role::ALL.iter().map(|role| role.as_str()).collect::<Vec<_>>(),
            done => done,
            fault => fault,
            name => fields.one("name"),
            role => fields.one("role"),
            is_reused => is_reused,
            sign_in_again => sign_in_again,
        },
    ))
}

pub(super) async fn act(call: PageCall, FormFields(form): FormFields) -> Result<Response, Error> {
    let (store, by) = (call.app.store(), call.operator.actor());
    let name = form.one("name").unwrap_or_default();
    let name = match OperatorName::parse(name) {
        Ok(name) => name,
        Err(error) => return refuse(&call, &form, format!("{name:?}: {error}.")).await,
    };
    // Ending access needs no recent sign-in: in an emergency it must be quick, and it gives nobody access.
    let gives_access = matches!(form.one("action"), Some("add" | "password" | "reset-totp"));
    if gives_access && !call.operator.has_recent_sign_in() {
        let page = render_refusal(&call, &form, explain_refusal()).await?;
        return Ok(page.with_status(StatusCode::FORBIDDEN).into_response());
    }
    let is_me = name == call.operator.name;
    let done = match form.one("action") {
        Some("add") => {
            let role = form.read("role", Role::from_name)?.unwrap_or(Role::Viewer);
            let password = match call.app.new_password(&form).await? {
                Ok(password) => password,
                Err(fault) => return refuse(&call, &form, fault).await,
            };
            let reuse = match form.one("same_person") {
                Some(_) => NameReuse::SamePerson,
                None => NameReuse::Refused,
            };
            match add_operator(store, name, role, password, reuse, by).await {
                Ok(()) => "added",
                Err(StoreError::NotAllowed(why)) => {
                    return refuse(&call, &form, format!("{why}.")).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Some("password" | "reset-totp") if is_me => {
            let fault =
                "Change your own password and second factor on your account page, which also \
                         asks for the current password."
                    .to_owned();
            return refuse(&call, &form, fault).await;
        }
        Some("password") => {
            let password = match call.app.new_password(&form).await? {
                Ok(password) => password,
                Err(fault) => return refuse(&call, &form, fault).await,
            };
            change_password(store, name, password, by).await?;
            "password"
        }
        Some("remove") if is_me => {
            let fault = "You cannot remove yourself; another admin can.".to_owned();
            return refuse(&call, &form, fault).await;
        }
        Some("remove") => {
            remove_operator(store, name, by).await?;
            "removed"
        }
        Some("reset-totp") => {
            reset_second_factor(store, name, by).await?;
            "reset"
        }
        Some("revoke") => {
            end_all_keys(store, name, by).await?;
            "revoked"
        }
        Some("end") => {
            let id = form.one("key").unwrap_or_default().to_owned();
            end_token(store, name, id, by).await?;
            "ended"
        }
        _ => return Err(Error::unknown_action()),
    };
    Ok(Redirect::to(&format!("/operators?done={done}")).into_response())
}

async fn refuse(call: &PageCall, form: &Fields, fault: String) -> Result<Response, Error> {
    let page = render_refusal(call, form, fault).await?;
    Ok(page
        .with_status(StatusCode::UNPROCESSABLE_ENTITY)
        .into_response())
}

/// Renders the page after a refused form. The form for another operator keeps its entries.
async fn render_refusal(call: &PageCall, form: &Fields, fault: String) -> Result<WebPage, Error> {
    let none = Fields::default();
    let is_new = form.one("action") == Some("add");
    render(call, if is_new { form } else { &none }, None, Some(fault)).await
}

impl AppState {
    /// Reads and hashes the new password of a form. The inner error is for the operator.
    pub(super) async fn new_password(
        &self,
        form: &Fields,
    ) -> Result<Result<PasswordHash, String>, Error> {
        match Password::new(form.exactly("password").unwrap_or_default()) {
            Ok(password) => Ok(Ok(self.hash(password).await?)),
            Err(error) => Ok(Err(format!("{error}."))),
        }
    }
}
