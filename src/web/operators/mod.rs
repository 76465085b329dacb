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
mod failed_login_report;
mod find;
mod form_fields;
mod hooks;
mod import;
mod login;
mod login_code;
mod login_limits;
mod mail;
mod message;
mod message_html;
mod messages;
mod nodes;
mod operator_accounts;
mod overview;
mod own_account;
mod period;
mod plot;
mod qr;
mod requests;
mod save_as;
mod second_factor;
mod simulate;
mod sso;
mod try_address;
mod why;

#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;

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
use super::render::{CurrentSite, Renderer, SiteContext, render};
use crate::config::Config;
use crate::domain::{Role, Timestamp};
use crate::observe::events;
use crate::sso::SingleSignOn;
use crate::store::Store;
use crate::templates::{Moment, Templates};
use auth::{PageRoute, RequiredRole};
use failed_login_report::FailedLogins;
use login_limits::LoginLimits;
use sso::AttemptLimits;

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
    limits: LoginLimits,
    failed_logins: FailedLogins,
    hashing: Semaphore,
    sso: SingleSignOn,
    attempts: AttemptLimits,
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
    let site: CurrentSite = Arc::new(move || SiteContext::in_english(&config.borrow()));
    let app = Arc::new(AppState {
        parts,
        limits: LoginLimits::new(),
        failed_logins: FailedLogins::new(),
        hashing: Semaphore::new(MOST_HASHING),
        sso: SingleSignOn::default(),
        attempts: AttemptLimits::new(),
    });
    routes()
        .into_iter()
        .map(|route| route.guard(&app))
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
fn routes() -> Vec<PageRoute> {
    use RequiredRole::{Nothing, Session};
    use Role::{Admin, Agent, Viewer};
    vec![
        PageRoute::get("/assets/{name}", Nothing, asset),
        PageRoute::get("/login", Nothing, login::show),
        PageRoute::post("/login", Nothing, login::submit),
        PageRoute::post("/login/code", Nothing, login_code::submit),
        PageRoute::get("/login/sso", Nothing, sso::begin),
        PageRoute::get("/login/sso/callback", Nothing, sso::callback),
        PageRoute::post("/logout", Session(Viewer), login::logout),
        PageRoute::get("/", Session(Viewer), overview::show),
        PageRoute::get("/find", Session(Viewer), find::find),
        PageRoute::get("/find.csv", Session(Viewer), csv::found_messages),
        PageRoute::get("/access", Session(Viewer), access::show),
        PageRoute::post("/access", Session(Admin), access::submit),
        PageRoute::get("/access/export", Session(Viewer), access::export),
        PageRoute::get("/access/test", Session(Viewer), try_address::show),
        PageRoute::get("/customers", Session(Viewer), customers::list),
        PageRoute::get("/customers.csv", Session(Viewer), csv::customers),
        PageRoute::post("/customers", Session(Agent), customers::add),
        PageRoute::get("/customers/import", Session(Admin), import::show),
        PageRoute::post("/customers/import", Session(Admin), import::submit),
        PageRoute::get("/customers/{id}", Session(Viewer), customers::show),
        PageRoute::post("/customers/{id}", Session(Agent), customers::act),
        PageRoute::get("/customers/{id}/export", Session(Admin), customers::export),
        PageRoute::post("/customers/{id}/forget", Session(Admin), customers::forget),
        PageRoute::get("/requests", Session(Viewer), requests::list),
        PageRoute::get("/requests.csv", Session(Viewer), csv::requests),
        PageRoute::post("/requests", Session(Agent), requests::act),
        PageRoute::get("/messages", Session(Viewer), messages::find),
        PageRoute::get("/messages.csv", Session(Viewer), csv::messages),
        PageRoute::get("/messages/{id}", Session(Viewer), message::show),
        PageRoute::post("/messages/{id}", Session(Agent), message::act),
        PageRoute::get("/messages/{id}/html", Session(Viewer), message_html::show),
        PageRoute::get(
            "/messages/{id}/attachments/{place}",
            Session(Viewer),
            message::attachment,
        ),
        PageRoute::get("/messages/{id}/raw", Session(Viewer), message::raw),
        PageRoute::get("/dropped", Session(Viewer), dropped::list),
        PageRoute::get("/dropped.csv", Session(Viewer), csv::dropped_messages),
        PageRoute::post("/dropped", Session(Agent), dropped::recover),
        PageRoute::get("/dropped/allow", Session(Admin), allow::show),
        PageRoute::post("/dropped/allow", Session(Admin), allow::submit),
        PageRoute::get("/deliveries", Session(Viewer), deliveries::list),
        PageRoute::post("/deliveries", Session(Admin), deliveries::act),
        PageRoute::get("/hooks/{name}", Session(Viewer), hooks::show),
        PageRoute::get(
            "/hooks/{name}/failed.csv",
            Session(Viewer),
            csv::failed_calls,
        ),
        PageRoute::get("/mail", Session(Viewer), mail::list),
        PageRoute::get("/nodes", Session(Viewer), nodes::list),
        PageRoute::get("/mail.csv", Session(Viewer), csv::waiting_mail),
        PageRoute::get("/account", Session(Viewer), own_account::show),
        PageRoute::post("/account", Session(Viewer), own_account::act),
        PageRoute::post(
            "/account/second-factor",
            Session(Viewer),
            second_factor::act,
        ),
        PageRoute::get("/operators", Session(Admin), operator_accounts::list),
        PageRoute::post("/operators", Session(Admin), operator_accounts::act),
        PageRoute::get("/audit", Session(Viewer), audit::list),
        PageRoute::get("/audit.csv", Session(Viewer), csv::audit),
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
