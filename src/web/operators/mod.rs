//! The operators' pages, which require a session. None needs a script.
//!
//! [`routes`] is their table, with the role that each requires; [`auth`] enforces it.

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
mod message_actions;
mod message_html;
mod messages;
mod nodes;
mod operator_accounts;
mod overview;
mod overview_plots;
mod own_account;
mod period;
mod plot;
mod qr;
mod recent_sign_in;
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
use axum::response::Response;
use minijinja::Value;
use tokio::sync::{Semaphore, watch};

use super::host::own_hosts_only;
use super::limit;
use super::public::assets;
use super::render::{CurrentSite, Renderer, SiteContext, render};
use super::same_origin::own_forms_only;
use crate::config::Config;
use crate::domain::{Role, Timestamp};
use crate::sso::SingleSignOn;
use crate::store::Store;
use crate::templates::{Moment, Templates};
use auth::PageRoute;
use failed_login_report::FailedLogins;
use login_limits::LoginLimits;
use sso::AttemptLimits;

/// Maximum size of a form, in octets. The largest forms are lists of domains.
const MAX_BODY: usize = 1024 * 1024;

/// Maximum size of a form of somebody without a session, in octets: a name, a password and the path to continue to.
/// Parsed, a form of short fields takes 40 times its size.
const MAX_OPEN_BODY: usize = 32 * 1024;

/// Maximum passwords that are hashed concurrently, at 19 MiB each.
const MAX_HASHING: usize = 2;

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
    hashing: Arc<Semaphore>,
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
        hashing: Arc::new(Semaphore::new(MAX_HASHING)),
        sso: SingleSignOn::default(),
        attempts: AttemptLimits::new(),
    });
    let router = routes()
        .into_iter()
        .map(|route| route.guard(&app))
        .fold(Router::new(), |router, (path, methods)| {
            router.route(path, methods)
        })
        .fallback(async || StatusCode::NOT_FOUND)
        .method_not_allowed_fallback(async || StatusCode::METHOD_NOT_ALLOWED)
        .with_state(app)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(own_forms_only))
        .merge(beside);
    limit(router, "web.operators")
        .layer(middleware::from_fn_with_state((renderer, site), render))
        .layer(middleware::from_fn_with_state(hosts, own_hosts_only))
}

/// A table of pages. A row has the method, the path, the required role and the handler.
macro_rules! pages {
    ($($method:ident $path:literal, $required:expr, $handler:expr;)+) => {
        vec![$(PageRoute::new(Method::$method, $path, $required, $handler)),+]
    };
}

/// All routes. A viewer reads, and manages their own account; an agent acts on customers, requests and dropped
/// messages; an admin does what concerns everyone: settings, imports, personal data, deliveries, operators.
fn routes() -> Vec<PageRoute> {
    use Role::{Admin, Agent, Viewer};
    pages! {
        GET "/assets/{name}", None, asset;
        GET "/login", None, login::show;
        POST "/login", None, login::submit;
        POST "/login/code", None, login_code::submit;
        GET "/login/sso", None, sso::begin;
        GET "/login/sso/callback", None, sso::callback;
        POST "/logout", Some(Viewer), login::logout;
        GET "/", Some(Viewer), overview::show;
        GET "/find", Some(Viewer), find::find;
        GET "/find.csv", Some(Viewer), csv::found_messages;
        GET "/access", Some(Viewer), access::show;
        POST "/access", Some(Admin), access::submit;
        GET "/access/export", Some(Viewer), access::export;
        GET "/access/test", Some(Viewer), try_address::show;
        GET "/customers", Some(Viewer), customers::list;
        GET "/customers.csv", Some(Viewer), csv::customers;
        POST "/customers", Some(Agent), customers::add;
        GET "/customers/import", Some(Admin), import::show;
        POST "/customers/import", Some(Admin), import::submit;
        GET "/customers/{id}", Some(Viewer), customers::show;
        POST "/customers/{id}", Some(Agent), customers::act;
        GET "/customers/{id}/export", Some(Admin), customers::export;
        POST "/customers/{id}/forget", Some(Admin), customers::forget;
        GET "/requests", Some(Viewer), requests::list;
        GET "/requests.csv", Some(Viewer), csv::requests;
        POST "/requests", Some(Agent), requests::act;
        GET "/messages", Some(Viewer), messages::find;
        GET "/messages.csv", Some(Viewer), csv::messages;
        GET "/messages/{id}", Some(Viewer), message::show;
        POST "/messages/{id}", Some(Agent), message_actions::act;
        GET "/messages/{id}/html", Some(Viewer), message_html::show;
        GET "/messages/{id}/attachments/{place}", Some(Viewer), message::attachment;
        GET "/messages/{id}/raw", Some(Viewer), message::raw;
        GET "/dropped", Some(Viewer), dropped::list;
        GET "/dropped.csv", Some(Viewer), csv::dropped_messages;
        POST "/dropped", Some(Agent), dropped::recover;
        GET "/dropped/allow", Some(Admin), allow::show;
        POST "/dropped/allow", Some(Admin), allow::submit;
        GET "/deliveries", Some(Viewer), deliveries::list;
        POST "/deliveries", Some(Admin), deliveries::act;
        GET "/hooks/{name}", Some(Viewer), hooks::show;
        GET "/hooks/{name}/failed.csv", Some(Viewer), csv::failed_calls;
        GET "/mail", Some(Viewer), mail::list;
        GET "/nodes", Some(Viewer), nodes::list;
        GET "/mail.csv", Some(Viewer), csv::waiting_mail;
        GET "/account", Some(Viewer), own_account::show;
        POST "/account", Some(Viewer), own_account::act;
        POST "/account/second-factor", Some(Viewer), second_factor::act;
        GET "/operators", Some(Admin), operator_accounts::list;
        POST "/operators", Some(Admin), operator_accounts::act;
        GET "/audit", Some(Viewer), audit::list;
        GET "/audit.csv", Some(Viewer), csv::audit;
    }
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
