//! `POST /account/second-factor`: an operator adds a second factor to their password, makes new recovery codes,
//! or turns it off.

use axum::response::{IntoResponse, Redirect, Response};
use minijinja::{Value, context};

use super::AppState;
use super::auth::{CurrentOperator, PageCall};
use super::error::Error;
use super::form_fields::{Fields, FormFields};
use super::login_limits::{TOO_MANY_CODES, TOO_MANY_PASSWORDS};
use super::own_account::{refuse, render};
use super::qr::draw;
use crate::domain::{Password, SecondFactorCode};
use crate::operations::{
    add_second_factor, begin_second_factor, find_operator, renew_recovery_codes,
    turn_off_second_factor,
};
use crate::store::{SecondFactor, SignInWay};

/// Describes the second factor for the account page. A pending key is shown by [`act`] only, once.
pub(super) async fn describe(call: &PageCall) -> Result<Value, Error> {
    let store = call.app.store();
    if find_operator(store, &call.operator.name).await?.sign_in == SignInWay::Sso {
        return Ok(context! { state => "elsewhere" });
    }
    Ok(
        match store.second_factor_of(call.operator.name.clone()).await? {
            SecondFactor::Off => context! { state => "off" },
            SecondFactor::On { recovery_codes } => {
                context! { state => "on", recovery_codes => recovery_codes }
            }
            SecondFactor::Pending => context! { state => "pending" },
        },
    )
}

pub(super) async fn act(call: PageCall, FormFields(form): FormFields) -> Result<Response, Error> {
    let (store, by, name) = (
        call.app.store(),
        call.operator.actor(),
        call.operator.name.clone(),
    );
    let action = form.one("action").unwrap_or_default();
    let asks_password = matches!(action, "begin" | "confirm" | "off");
    if asks_password && let Some(fault) = call.app.password_fault(&call.operator, &form).await? {
        return refuse(&call, fault).await;
    }
    if action == "begin" {
        let key = begin_second_factor(store, name).await?;
        let uri = key.reveal_as_uri(&call.app.config().site.name, &call.operator.name);
        let new_key = context! {
            text => key.reveal(),
            picture => draw(&uri).map(Value::from_safe_string),
            uri => uri,
        };
        let page = render(&call, context! { new_key => new_key }).await?;
        return Ok(page.into_response());
    }
    if !call.app.limits.codes.take(&name) {
        return refuse(&call, TOO_MANY_CODES.to_owned()).await;
    }
    let wrong = || "This code is wrong or has already been used.".to_owned();
    let Some(code) = form.exactly("code").and_then(SecondFactorCode::parse) else {
        return refuse(&call, wrong()).await;
    };
    let codes = match action {
        "confirm" => add_second_factor(store, name, code, call.operator.key, by).await?,
        "renew" => renew_recovery_codes(store, name, code, by).await?,
        "off" => {
            if !turn_off_second_factor(store, name, code, by).await? {
                return refuse(&call, wrong()).await;
            }
            return Ok(Redirect::to("/account?done=factor-off").into_response());
        }
        _ => return Err(Error::unknown_action()),
    };
    match codes {
        Some(codes) => {
            let notice = context! { new_codes => codes };
            Ok(render(&call, notice).await?.into_response())
        }
        None => refuse(&call, wrong()).await,
    }
}

impl AppState {
    /// Checks the operator's own password in the field `current`. Attempts are limited, since somebody who has
    /// taken over a session must not guess it. Returns the error text; None for the right password.
    pub(super) async fn password_fault(
        &self,
        operator: &CurrentOperator,
        form: &Fields,
    ) -> Result<Option<String>, Error> {
        if !self.limits.passwords.take(&operator.name) {
            return Ok(Some(TOO_MANY_PASSWORDS.to_owned()));
        }
        let presented = form.exactly("current").and_then(Password::for_comparison);
        let is_right = match presented {
            Some(password) => self.recognise(&operator.name, password).await?,
            None => false,
        };
        Ok((!is_right).then(|| "The current password is wrong.".to_owned()))
    }
}
