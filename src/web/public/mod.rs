//! The pages for senders. They need no script, set no cookie except that of a sign-in at the organisation's
//! provider, and do not reveal whether an account exists, except to the holder of a link from the account's mail.

pub(super) mod assets;
mod home;
mod link_pages;
mod message;
mod resend;
mod sign_up;
mod sso;
mod verify;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum_extra::extract::Form;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

use super::language::{self, RequestedLanguage};
use super::limit;
use super::page::{HOME, NEW_LINK, PageError, WebPage};
use super::rate_limit::{self, ClientLimiter, Peer};
use super::ready::{self, Readiness};
use super::render::{CurrentSite, Renderer, SiteContext, render};
use super::same_origin::own_forms_only;
use crate::config::Config;
use crate::observe::events;
use crate::sso::SingleSignOn;
use crate::store::{Store, StoreError};
use crate::templates::Templates;

/// Maximum size of a form, in octets. The largest legitimate form names some thousand requests.
const MAX_BODY: usize = 64 * 1024;

/// Maximum background tasks. A form gets the same answer at once in every case, and its work is done after the
/// answer.
const MAX_BACKGROUND_TASKS: usize = 256;

/// Dependencies of the public pages.
#[derive(Debug)]
pub struct Public {
    pub config: watch::Receiver<Arc<Config>>,
    pub store: Store,
    pub templates: Arc<Templates>,
    pub readiness: Readiness,
    /// Tracks the background tasks, so that the drain waits for them.
    pub tasks: TaskTracker,
}

/// The state of the handlers.
struct AppState {
    parts: Public,
    /// Rate limit of forms that cause mail.
    forms: ClientLimiter,
    /// Rate limit of invalid links.
    guesses: ClientLimiter,
    background_slots: Arc<Semaphore>,
    renderer: Arc<Renderer>,
    sso: SingleSignOn,
}

/// Builds the router of the public pages.
pub fn public(parts: Public) -> Router {
    let renderer = Arc::new(Renderer {
        version: assets::version(&parts.templates),
        templates: Arc::clone(&parts.templates),
    });
    let config = parts.config.clone();
    let site: CurrentSite = Arc::new(move || SiteContext::of(&config.borrow()));
    let app = Arc::new(AppState {
        parts,
        forms: ClientLimiter::new(20, Duration::from_secs(6)),
        guesses: ClientLimiter::new(30, Duration::from_secs(2)),
        background_slots: Arc::new(Semaphore::new(MAX_BACKGROUND_TASKS)),
        renderer: Arc::clone(&renderer),
        sso: SingleSignOn::default(),
    });
    let router = routes()
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| {
            router.route(path, methods)
        })
        .fallback(async || PageError::NotFound)
        .method_not_allowed_fallback(async || StatusCode::METHOD_NOT_ALLOWED)
        .with_state(app)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(own_forms_only));
    limit(router, "web").layer(middleware::from_fn_with_state((renderer, site), render))
}

/// All routes, so that a test can check the headers of each.
fn routes() -> Vec<(&'static str, MethodRouter<Arc<AppState>>)> {
    vec![
        ("/", get(home::show)),
        ("/signup", get(sign_up::show).post(sign_up::submit)),
        ("/verify/{token}", get(verify::show).post(verify::submit)),
        // Variants of a link that mail programs produce.
        ("/verify/{token}/", get(verify::show).post(verify::submit)),
        ("/VERIFY/{token}", get(verify::show).post(verify::submit)),
        ("/sso/callback", get(sso::callback)),
        ("/resend", get(resend::show).post(resend::submit)),
        ("/message/{token}", get(message::show)),
        ("/assets/{name}", get(assets::show)),
        // Reports only that the process answers.
        ("/healthz", get(async || "ok\n")),
        ("/readyz", get(readyz)),
    ]
}

/// Paths that answer `GET`, so that a test can fetch every page.
pub fn public_paths() -> Vec<&'static str> {
    routes().into_iter().map(|(path, _)| path).collect()
}

async fn readyz(State(app): State<Arc<AppState>>) -> Response {
    ready::answer(&app.parts.readiness, &app.parts.store)
}

impl AppState {
    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.parts.config.borrow())
    }

    fn store(&self) -> &Store {
        &self.parts.store
    }

    /// Runs a task after the answer is sent, so that neither the answer nor its timing reveals the result.
    fn spawn_in_background(
        &self,
        task: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) -> Result<(), PageError> {
        let slot = Arc::clone(&self.background_slots)
            .try_acquire_owned()
            .map_err(|_| PageError::Busy)?;
        self.parts.tasks.spawn(async move {
            if let Err(error) = task.await {
                events::fault("web", &error);
            }
            drop(slot);
        });
        Ok(())
    }
}

/// The client's address, as far as trusted proxies report it.
struct Client(IpAddr);

impl FromRequestParts<Arc<AppState>> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<AppState>,
    ) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<Peer>().copied();
        let trusted = &app.config().http.trusted_proxies;
        Ok(Self(rate_limit::client(peer, &parts.headers, trusted)))
    }
}

/// A form in which a name may occur several times.
struct Fields<T>(T);

impl<T: DeserializeOwned> FromRequest<Arc<AppState>> for Fields<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<AppState>) -> Result<Self, Response> {
        let form = Form::<T>::from_request(request, app).await;
        form.map(|Form(fields)| Self(fields)).map_err(|rejection| {
            match rejection.into_response().status() {
                StatusCode::UNPROCESSABLE_ENTITY => PageError::Malformed.into_response(),
                other => WebPage::of_status(other).into_response(),
            }
        })
    }
}
