//! `GET, POST /login`, `POST /logout`: exchanges a password for a session. The answer to an unknown name is
//! the same as to a wrong password, and takes as long.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::SignedDuration;
use minijinja::context;
use tokio::sync::Semaphore;
use url::form_urlencoded;

use super::AppState;
use super::auth::PageCall;
use super::error::Error;
use super::failed_login_report::LoginFailure;
use super::form_fields::{Fields, FormFields, QueryFields};
use super::login_code;
use super::sso::sso_url;
use crate::domain::{OperatorName, Password, PasswordHash};
use crate::operations::{end_session, find_operator, log_in_with_password};
use crate::store::{PasswordOutcome, SignInWay, StoreError, StoredPassword};
use crate::web::page::WebPage;
use crate::web::rate_limit::{self, Peer};

/// Lifetime of a session: a working day.
pub(super) const SESSION: SignedDuration = SignedDuration::from_hours(12);

/// Maximum octets of the path of the page to continue to, which an attempt to sign in stores.
const MAX_PATH: usize = 4096;

pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    QueryFields(query): QueryFields,
) -> WebPage {
    form(&app, "", destination(&query), None)
}

/// The page to continue to: only a path of this site and of limited length, since anyone can craft such a link.
pub(super) fn destination(fields: &Fields) -> &str {
    let is_path = |to: &&str| {
        let rest = to.strip_prefix('/');
        rest.is_some_and(|rest| !rest.starts_with(['/', '\\']))
            && to.len() <= MAX_PATH
            && to.bytes().all(|byte| byte.is_ascii_graphic())
            && !to.contains('\\')
    };
    fields.one("to").filter(is_path).unwrap_or("/")
}

pub(super) async fn submit(
    State(app): State<Arc<AppState>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    FormFields(fields): FormFields,
) -> Result<Response, Error> {
    let name = fields.one("name").unwrap_or_default();
    let to = destination(&fields);
    let peer = peer.map(|Extension(peer)| peer);
    let client = rate_limit::client(peer, &headers, &app.config().http.trusted_proxies);
    if !app.limits.clients.take(client) {
        if app.failed_logins.reports_lockout(client) {
            let known = app.find_operator_name(name).await?;
            app.report_failed_login(client, known, LoginFailure::LockedOut)
                .await;
        }
        let later = "Too many attempts. Wait a minute and try again.";
        return Ok(form(&app, name, to, Some(later))
            .with_status(StatusCode::TOO_MANY_REQUESTS)
            .into_response());
    }
    let password = fields
        .exactly("password")
        .and_then(Password::for_comparison);
    if let (Ok(name), Some(password)) = (OperatorName::parse(name), password)
        && let Some(checked) = app.check_password(&name, password).await?
    {
        let (outcome, token) =
            log_in_with_password(app.store(), name, checked, to.to_owned(), SESSION).await?;
        match outcome {
            PasswordOutcome::SignedIn => {
                let mut response = Redirect::to(to).into_response();
                app.session_cookie(&headers)
                    .set(&token.reveal(), &mut response);
                return Ok(response);
            }
            PasswordOutcome::AwaitsCode => return Ok(login_code::ask(&app, &headers, &token)),
            // The password was changed, or the access revoked, meanwhile.
            PasswordOutcome::Outdated => {}
        }
    }
    let known = app.find_operator_name(name).await?;
    let failure = match known {
        Some(_) => LoginFailure::WrongPassword,
        None => LoginFailure::UnknownName,
    };
    app.report_failed_login(client, known, failure).await;
    Ok(
        form(&app, name, to, Some("The name or the password is wrong."))
            .with_status(StatusCode::UNAUTHORIZED)
            .into_response(),
    )
}

pub(super) async fn logout(call: PageCall, headers: HeaderMap) -> Result<Response, Error> {
    let sign_in = find_operator(call.app.store(), &call.operator.name)
        .await?
        .sign_in;
    end_session(call.app.store(), call.operator.key).await?;
    let elsewhere = match sign_in {
        SignInWay::Sso => call.app.provider_logout().await,
        SignInWay::Password | SignInWay::PasswordAndCode => None,
    };
    let mut response = match elsewhere {
        None => Redirect::to("/login").into_response(),
        // Not a redirect: the content security policy lets forms lead to our own pages only.
        Some(lead_to) => WebPage::new(
            "operators/lead_on.html",
            context! { title => "Logging out at the provider", lead_to => lead_to },
        )
        .into_response(),
    };
    call.app.session_cookie(&headers).remove(&mut response);
    Ok(response)
}

impl AppState {
    /// Finds the operator of that name.
    async fn find_operator_name(&self, name: &str) -> Result<Option<OperatorName>, Error> {
        let Ok(name) = OperatorName::parse(name) else {
            return Ok(None);
        };
        let found = self.store().password_of(name.clone()).await?;
        Ok(found.map(|_| name))
    }

    /// Hashes a new password, under the same limits as the check of a password.
    pub(super) async fn hash(&self, password: Password) -> Result<PasswordHash, Error> {
        let hash = run_hashing(&self.hashing, move || password.hash()).await?;
        hash.map_err(|error| Error::Store(StoreError::Other(error.to_string())))
    }

    /// Checks an operator's password and returns the stored one that it matches.
    async fn check_password(
        &self,
        name: &OperatorName,
        password: Password,
    ) -> Result<Option<StoredPassword>, Error> {
        let found = self.store().password_of(name.clone()).await?;
        run_hashing(&self.hashing, move || compare(&password, found)).await
    }

    /// True if the password is the operator's.
    pub(super) async fn recognise(
        &self,
        name: &OperatorName,
        password: Password,
    ) -> Result<bool, Error> {
        Ok(self.check_password(name, password).await?.is_some())
    }
}

/// Compares a password with the stored hash. It costs one hash, whether the name exists or not.
fn compare(password: &Password, found: Option<StoredPassword>) -> Option<StoredPassword> {
    // Operators who sign in at the provider have an empty hash.
    let Some(found) = found.filter(|found| !found.hash.as_str().is_empty()) else {
        let _ = password.hash();
        return None;
    };
    password.matches(&found.hash).then_some(found)
}

fn form(app: &AppState, name: &str, to: &str, fault: Option<&str>) -> WebPage {
    let config = app.config();
    let sso = sso_url(&config).map(|own| {
        let to: String = form_urlencoded::byte_serialize(to.as_bytes()).collect();
        format!("{own}/login/sso?to={to}")
    });
    WebPage::new(
        "operators/login.html",
        context! { name => name, to => to, fault => fault, sso => sso },
    )
}

/// Runs a password hash on a blocking thread. It takes time and memory, so few run concurrently. The slot belongs
/// to the work: a client that disconnects does not free it early.
async fn run_hashing<T: Send + 'static>(
    slots: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let busy = |cause: &dyn std::fmt::Display| Error::Store(StoreError::Busy(cause.to_string()));
    let slot = Arc::clone(slots).acquire_owned().await;
    let slot = slot.map_err(|error| busy(&error))?;
    let done = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        work()
    });
    done.await.map_err(|error| busy(&error))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_client_that_goes_away_frees_no_slot_of_hashing() {
        let slots = Arc::new(Semaphore::new(1));
        let (began, begins) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let of_client = Arc::clone(&slots);
        let client = tokio::spawn(async move {
            let work = move || {
                let _ = began.send(());
                let _ = ended.recv();
            };
            run_hashing(&of_client, work).await.is_ok()
        });
        let start = tokio::task::spawn_blocking(move || begins.recv()).await;
        start.expect("a thread").expect("it began");
        client.abort();
        assert!(client.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(slots.available_permits(), 0);
        drop(end);
        assert!(run_hashing(&slots, || ()).await.is_ok());
    }
}
