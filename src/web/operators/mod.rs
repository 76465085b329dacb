//! The operators' pages, which require a session. None needs a script.
//!
//! [`routes`] is the table of them with the role that each requires; [`auth`] enforces it.

mod access;
mod access_form;
mod allow;
mod audit;
mod auth;
mod authentication_badge;
mod csv;
mod customers;
mod deliveries;
mod dropped;
mod error;
mod failed_login;
mod form_fields;
mod hooks;
mod login;
mod mail;
mod message;
mod message_html;
mod messages;
mod operator_accounts;
mod overview;
mod own_account;
mod plot;
mod requests;
mod simulate;
mod why;

#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{Method, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use minijinja::Value;
use tokio::sync::{Semaphore, watch};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use super::TIME_LIMIT;
use super::csrf::own_forms_only;
use super::host::own_hosts_only;
use super::public::assets;
use super::rate_limit::ClientLimiter;
use super::render::{CurrentSite, Renderer, Site, render};
use crate::config::Config;
use crate::domain::{Role, Timestamp};
use crate::observe::events;
use crate::store::Store;
use crate::templates::{Moment, Templates};
use auth::{RequiredRole, Route};
use failed_login::FailedLogins;

/// Maximum size of a form, in octets. The largest forms are lists of domains.
const MOST_BODY: usize = 1024 * 1024;

/// Passwords that are hashed at the same time, at 19 MiB each.
const MOST_HASHING: usize = 2;

/// Dependencies of the operators' pages.
#[derive(Debug)]
pub struct Operators {
    pub config: watch::Receiver<Arc<Config>>,
    pub store: Store,
    pub templates: Arc<Templates>,
    /// Router that is served on the same listener and does its own authentication.
    pub beside: Option<Router>,
}

/// The state of the handlers.
struct AppState {
    parts: Operators,
    logins: ClientLimiter,
    failed_logins: FailedLogins,
    hashing: Semaphore,
}

impl AppState {
    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.parts.config.borrow())
    }

    fn store(&self) -> &Store {
        &self.parts.store
    }
}

/// Builds the router of the operators' pages.
pub fn operators(mut parts: Operators) -> Router {
    let beside = parts.beside.take().unwrap_or_default();
    let renderer = Arc::new(Renderer {
        version: assets::version(&parts.templates),
        templates: Arc::clone(&parts.templates),
    });
    let config = parts.config.clone();
    let hosts = parts.config.clone();
    let site: CurrentSite = Arc::new(move || Site::in_english(&config.borrow()));
    let app = Arc::new(AppState {
        parts,
        logins: ClientLimiter::new(10, Duration::from_secs(10)),
        failed_logins: FailedLogins::new(),
        hashing: Semaphore::new(MOST_HASHING),
    });
    routes()
        .into_iter()
        .map(|route| route.guarded(&app))
        .fold(Router::new(), |router, (path, methods)| {
            router.route(path, methods)
        })
        .fallback(async || StatusCode::NOT_FOUND)
        .method_not_allowed_fallback(async || StatusCode::METHOD_NOT_ALLOWED)
        .with_state(app)
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(middleware::from_fn(own_forms_only))
        .merge(beside)
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            TIME_LIMIT,
        ))
        .layer(CatchPanicLayer::custom(|_| {
            events::fault("web.operators", &"a handler panicked");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }))
        .layer(middleware::from_fn_with_state((renderer, site), render))
        .layer(middleware::from_fn_with_state(hosts, own_hosts_only))
}

/// All routes. Reading requires a viewer; acting on customers, requests and dropped messages an agent;
/// changing settings an admin.
fn routes() -> Vec<Route> {
    use RequiredRole::{Nothing, Session};
    use Role::{Admin, Agent, Viewer};
    vec![
        Route::get("/assets/{name}", Nothing, asset),
        Route::get("/login", Nothing, login::show),
        Route::post("/login", Nothing, login::submit),
        Route::post("/logout", Session(Viewer), login::logout),
        Route::get("/", Session(Viewer), overview::show),
        Route::get("/access", Session(Viewer), access::show),
        Route::post("/access", Session(Admin), access::submit),
        Route::get("/access/export", Session(Viewer), access::export),
        Route::get("/customers", Session(Viewer), customers::list),
        Route::get("/customers.csv", Session(Viewer), csv::customers),
        Route::post("/customers", Session(Agent), customers::add),
        Route::get("/customers/{id}", Session(Viewer), customers::show),
        Route::post("/customers/{id}", Session(Agent), customers::act),
        Route::get("/customers/{id}/export", Session(Admin), customers::export),
        Route::post("/customers/{id}/forget", Session(Admin), customers::forget),
        Route::get("/requests", Session(Viewer), requests::list),
        Route::get("/requests.csv", Session(Viewer), csv::requests),
        Route::post("/requests", Session(Agent), requests::act),
        Route::get("/messages", Session(Viewer), messages::find),
        Route::get("/messages.csv", Session(Viewer), csv::messages),
        Route::get("/messages/{id}", Session(Viewer), message::show),
        Route::post("/messages/{id}", Session(Agent), message::act),
        Route::get("/messages/{id}/html", Session(Viewer), message_html::show),
        Route::get(
            "/messages/{id}/attachments/{place}",
            Session(Viewer),
            message::attachment,
        ),
        Route::get("/messages/{id}/raw", Session(Viewer), message::raw),
        Route::get("/dropped", Session(Viewer), dropped::list),
        Route::get("/dropped.csv", Session(Viewer), csv::dropped),
        Route::post("/dropped", Session(Agent), dropped::recover),
        Route::get("/dropped/allow", Session(Admin), allow::show),
        Route::post("/dropped/allow", Session(Admin), allow::submit),
        Route::get("/deliveries", Session(Viewer), deliveries::list),
        Route::post("/deliveries", Session(Admin), deliveries::act),
        Route::get("/hooks/{name}", Session(Viewer), hooks::show),
        Route::get("/mail", Session(Viewer), mail::list),
        Route::get("/account", Session(Viewer), own_account::show),
        Route::post("/account", Session(Viewer), own_account::act),
        Route::get("/operators", Session(Admin), operator_accounts::list),
        Route::post("/operators", Session(Admin), operator_accounts::act),
        Route::get("/audit", Session(Viewer), audit::list),
        Route::get("/audit.csv", Session(Viewer), csv::audit),
    ]
}

/// Paths that answer `GET`, so that a test can fetch every page.
pub fn operators_paths() -> Vec<&'static str> {
    routes()
        .into_iter()
        .filter(|route| route.method == Method::GET)
        .map(|route| route.path)
        .collect()
}

async fn asset(State(app): State<Arc<AppState>>, Path(name): Path<String>) -> Response {
    assets::answer(&app.parts.templates, &name)
}

/// A time as these pages show it: in the time zone of the site, with the zone's name.
fn when(at: Timestamp) -> Value {
    Moment(at).value()
}
