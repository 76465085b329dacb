//! The operators' JSON API, `/api/v1`: the operations of the command line, authenticated by a token.
//!
//! [`routes`] is the table of everything that is served, with the required role and the text for the document;
//! [`api_route`] is one row of it. [`auth`] authenticates, [`input`] parses, [`output`] and [`problem`] answer; all
//! of it is JSON, errors included. [`reference`] is the only page: the document for people.

mod access;
mod api_route;
mod auth;
mod customers;
mod deliveries;
mod document;
mod dropped;
mod find;
mod idempotency;
mod import;
mod input;
mod ledger;
mod mail;
mod nodes;
mod operators;
mod output;
mod person;
mod problem;
mod reference;
mod requests;
mod routes;
mod setting_values;
mod stats;
mod values;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use minijinja::context;
use minijinja::value::Serde;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::bearer::BearerGate;
use super::limit;
use super::page::WebPage;
use super::render::set_common_headers;
use crate::config::Config;
use crate::domain::PortalName;
use crate::operations::is_former_portal;
use crate::store::Store;
use problem::{Problem, ProblemKind};
use reference::Reference;
#[cfg(test)]
pub(super) use routes::route_names;
use routes::routes;

/// Base path of the API.
const BASE: &str = "/api/v1";

/// Maximum size of a body, in octets. The largest bodies are lists of a thousand ids or domains.
const MAX_BODY: usize = 1024 * 1024;

/// State shared by the handlers.
struct AppState {
    config: watch::Receiver<Arc<Config>>,
    store: Store,
    bearer: BearerGate,
    /// Tracks the work of requests with a key, so that the drain waits for it.
    tasks: TaskTracker,
    /// The `OpenAPI` document, built at the first request for it.
    document: OnceLock<Document>,
}

/// The document as JSON, and as data for the page that people read.
struct Document {
    json: Bytes,
    reference: minijinja::Value,
}

impl AppState {
    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    fn document(&self) -> &Document {
        self.document.get_or_init(|| {
            let document = document::build(&routes());
            Document {
                json: Bytes::from(document.to_string()),
                reference: minijinja::Value::from(Serde(Reference::of(&document))),
            }
        })
    }

    /// Finds the portal that a request names.
    fn portal(&self, name: Option<PortalName>) -> Result<Option<PortalName>, Problem> {
        match name {
            Some(name) if self.config().public_portal(&name).is_none() => Err(Problem::of_field(
                "portal",
                format_args!("there is no portal {name}"),
            )),
            name => Ok(name),
        }
    }

    /// Finds the portal by which a list is filtered: also one that the configuration does not have any more.
    async fn listed_portal(&self, name: Option<PortalName>) -> Result<Option<PortalName>, Problem> {
        let config = self.config();
        if let Some(former) = &name
            && is_former_portal(&self.store, &config, former).await?
        {
            return Ok(name);
        }
        self.portal(name)
    }
}

/// Builds the router of everything below `/api`. The listener serves it beside the operators' pages.
pub fn api_router(
    config: watch::Receiver<Arc<Config>>,
    store: Store,
    tasks: TaskTracker,
) -> Router {
    let app = Arc::new(AppState {
        config,
        store,
        bearer: BearerGate::new(),
        tasks,
        document: OnceLock::new(),
    });
    let served = routes().into_iter().fold(Router::new(), |router, route| {
        router.route(&format!("/v1{}", route.path), route.handler)
    });
    let below = served
        .route("/v1/", get(show_reference))
        .route("/v1", get(async || Redirect::permanent("/api/v1/")))
        .fallback(async || Problem::bare(ProblemKind::NotFound))
        .method_not_allowed_fallback(async || Problem::bare(ProblemKind::Method))
        .with_state(app);
    limit(Router::new().nest("/api", below), "web.api").layer(middleware::from_fn(finish))
}

/// The document as a page for people; as public as the document is.
async fn show_reference(State(app): State<Arc<AppState>>) -> WebPage {
    let reference = app.document().reference.clone();
    WebPage::new("operators/api_reference.html", context! { reference })
}

/// The outermost layer: turns error statuses without a body into problems and sets the common response
/// headers.
async fn finish(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    let request = response.headers().get(CONTENT_TYPE);
    if failed && request.is_none_or(|kind| kind.as_bytes() != problem::PROBLEM_JSON.as_bytes()) {
        let kept = std::mem::take(response.headers_mut());
        response = Problem::bare(ProblemKind::of_status(status)).into_response();
        for (name, value) in &kept {
            if name != CONTENT_LENGTH && name != CONTENT_TYPE {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
    }
    let headers = response.headers_mut();
    set_common_headers(headers);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
