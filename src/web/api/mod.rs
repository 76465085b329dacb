//! The operators' JSON API, `/api/v1`: the operations of the command line, authenticated by a token.
//!
//! [`routes`] is the one table: what is served, by which role, and what the document says of it.
//! [`auth`] authenticates, [`input`] parses, [`output`] and [`problem`] answer; all of it is JSON, whatever
//! goes wrong. [`reference`] is the one page: the document for people.

mod access;
mod auth;
mod customers;
mod deliveries;
mod document;
mod dropped;
mod idempotency;
mod input;
mod ledger;
mod output;
mod problem;
mod reference;
mod requests;
mod route;
mod stats;
mod values;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use minijinja::context;
use minijinja::value::Serde;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use super::TIME_LIMIT;
use super::page::Page;
use super::rate_limit::ClientLimiter;
use super::render::HEADERS;
use crate::config::Config;
use crate::domain::{PortalName, Role};
use crate::observe::events;
use crate::operations::{CustomerAction, RequestAction};
use crate::store::Store;
use problem::{Kind, Problem};
use reference::Reference;
use route::Route;

/// Base path of the API.
const BASE: &str = "/api/v1";

/// Maximum size of a body, in octets. The largest bodies are lists of a thousand ids or domains.
const MOST_BODY: usize = 1024 * 1024;

/// State shared by the handlers.
struct AppState {
    config: watch::Receiver<Arc<Config>>,
    store: Store,
    /// Failed authentications, by client.
    failures: ClientLimiter,
    /// The `OpenAPI` document, built at the first request for it.
    document: OnceLock<Document>,
}

/// The document, and the same for the page that people read.
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
            Some(name) if self.config().portal(&name).is_none() => Err(Problem::refused(
                "portal",
                format_args!("there is no portal {name}"),
            )),
            name => Ok(name),
        }
    }
}

/// Builds the router of everything below `/api`. The listener serves it beside the operators' pages.
pub fn api_router(config: watch::Receiver<Arc<Config>>, store: Store) -> Router {
    let app = Arc::new(AppState {
        config,
        store,
        failures: ClientLimiter::new(60, Duration::from_secs(5)),
        document: OnceLock::new(),
    });
    let served = routes().into_iter().fold(Router::new(), |router, route| {
        router.route(&format!("/v1{}", route.path), route.handler)
    });
    let below = served
        .route("/v1/", get(show_reference))
        .route("/v1", get(async || Redirect::permanent("/api/v1/")))
        .fallback(async || Problem::bare(Kind::NotFound))
        .method_not_allowed_fallback(async || Problem::bare(Kind::Method))
        .with_state(app);
    Router::new()
        .nest("/api", below)
        .layer(TimeoutLayer::with_status_code(
            Kind::Timeout.status(),
            TIME_LIMIT,
        ))
        .layer(CatchPanicLayer::custom(|_| {
            events::fault("web.api", &"a handler panicked");
            Problem::bare(Kind::PageError).into_response()
        }))
        .layer(middleware::from_fn(finish))
}

/// The document as a page for people; as public as the document is.
async fn show_reference(State(app): State<Arc<AppState>>) -> Page {
    let reference = app.document().reference.clone();
    Page::new("operators/api_reference.html", context! { reference })
}

/// All routes. Reading requires a viewer; acting on customers, requests and dropped messages an agent;
/// changing settings an admin.
fn routes() -> Vec<Route> {
    use Role::{Admin, Agent, Viewer};
    vec![
        Route::document("/openapi.json").called("readDocument", "This document"),
        Route::get("/access", Viewer, access::show)
            .called(
                "showAccess",
                "Show what is in force, and where each value comes from",
            )
            .may(&[Kind::NotFound]),
        Route::get("/access/history", Viewer, access::history)
            .called("listRevisions", "List the revisions, newest first"),
        Route::get("/access/diff", Viewer, access::diff)
            .called(
                "compareRevisions",
                "Show what differs between two revisions",
            )
            .may(&[Kind::NotFound]),
        Route::get("/access/test", Viewer, access::test).called(
            "testAddress",
            "Tell what would become of ordinary mail from an address",
        ),
        Route::post("/access/simulate", Viewer, access::simulate)
            .called(
                "simulateAccess",
                "Tell what a draft would have changed for the mail of the last days",
            )
            .explained(
                "Each message is decided again with the account that its sender had when it came. Nothing \
                 is changed.",
            ),
        Route::post("/access/set", Admin, access::set)
            .called("setAccess", "Change settings")
            .may(&[Kind::SettingsChanged]),
        Route::post("/access/approve", Admin, access::approve)
            .called("approveDomains", "Add approved domains")
            .explained("Their senders become internal customers.")
            .may(&[Kind::SettingsChanged]),
        Route::post("/access/allow", Admin, access::allow)
            .called("allowDomains", "Add domains to the allow list")
            .explained("Their senders may become external customers.")
            .may(&[Kind::SettingsChanged]),
        Route::post("/access/deny", Admin, access::deny)
            .called("denySenders", "Add domains and addresses to the deny list")
            .explained("Their mail is never taken, whoever has an account. A dry run tells which accounts that stops.")
            .may(&[Kind::SettingsChanged]),
        Route::post("/access/remove", Admin, access::remove)
            .called("removeDomains", "Take domains and addresses off all lists")
            .may(&[Kind::SettingsChanged]),
        Route::get("/customers", Viewer, customers::list)
            .called("listCustomers", "List accounts, by address"),
        Route::post("/customers", Agent, customers::create)
            .called(
                "createCustomer",
                "Make an account, as far as the access settings allow it",
            )
            .explained("The address gets a verification mail, unless the access settings let its mail pass without a proof.")
            .may(&[Kind::AccessSettings]),
        Route::get("/customers/{customer}", Viewer, customers::show)
            .called("showCustomer", "Show one account"),
        Route::post(
            "/customers/{customer}/verify",
            Agent,
            customers::act(CustomerAction::Verify),
        )
        .called("verifyCustomer", "Vouch for an address")
        .explained("The account becomes active and its held requests are released.")
        .may(&[Kind::NotPossible]),
        Route::post(
            "/customers/{customer}/block",
            Agent,
            customers::act(CustomerAction::Block),
        )
        .called(
            "blockCustomer",
            "Shut an account out: its mail is dropped from now on",
        ),
        Route::post(
            "/customers/{customer}/unblock",
            Agent,
            customers::act(CustomerAction::Unblock),
        )
        .called("unblockCustomer", "Let a blocked account in again"),
        Route::post(
            "/customers/{customer}/resend",
            Agent,
            customers::act(CustomerAction::Resend),
        )
        .called(
            "resendVerification",
            "Send the verification mail again, within the limits",
        )
        .may(&[Kind::NotPossible]),
        Route::get("/requests", Viewer, requests::list)
            .called("listRequests", "List requests, newest first"),
        Route::post(
            "/requests/release",
            Agent,
            requests::act_on_many(RequestAction::Release),
        )
        .called(
            "releaseRequests",
            "Let many go without a proof of the address",
        ),
        Route::post(
            "/requests/discard",
            Agent,
            requests::act_on_many(RequestAction::Discard),
        )
        .called("discardRequests", "Throw many away"),
        Route::post("/requests/retry", Agent, requests::retry_many)
            .called("retryRequests", "Try to deliver many again, at once"),
        Route::get("/requests/{request}", Viewer, requests::show)
            .called("showRequest", "Show one request"),
        Route::get("/requests/{request}/raw", Viewer, requests::raw)
            .called("readRequest", "The message as it came"),
        Route::post(
            "/requests/{request}/release",
            Agent,
            requests::act(RequestAction::Release),
        )
        .called("releaseRequest", "Let it go without a proof of the address")
        .may(&[Kind::NotPossible]),
        Route::post(
            "/requests/{request}/discard",
            Agent,
            requests::act(RequestAction::Discard),
        )
        .called("discardRequest", "Discard a held, released or failed request")
        .may(&[Kind::NotPossible]),
        Route::post(
            "/requests/{request}/retry",
            Agent,
            requests::act(RequestAction::Retry),
        )
        .called("retryRequest", "Try to deliver it again, at once")
        .may(&[Kind::NotPossible]),
        Route::get("/dropped", Viewer, dropped::list)
            .called("listDropped", "List dropped messages, newest first"),
        Route::get("/dropped/domains", Viewer, dropped::domains)
            .called(
                "rankDropped",
                "Rank the domains that the access settings kept out",
            )
            .explained("Each with the nearest one that may."),
        Route::post("/dropped/recover", Agent, dropped::recover_many)
            .called("recoverMany", "Decide many again by the settings of now, or release them")
            .explained("With `force`, the entries named are released as they are."),
        Route::post("/dropped/{ledger}/recover", Agent, dropped::recover)
            .called("recoverOne", "Decide one again by the settings of now, or release it")
            .explained("With `force`, it is released as it is, whatever the reason.")
            .may(&[Kind::NotPossible]),
        Route::get("/ledger", Viewer, ledger::list)
            .called("listLedger", "List what was taken, newest first, with why"),
        Route::get("/ledger/{ledger}", Viewer, ledger::show).called(
            "explainEntry",
            "Tell why, rule by rule, and all that happened since",
        ),
        Route::get("/ledger/{ledger}/raw", Viewer, ledger::raw)
            .called("readEntry", "The message as it came"),
        Route::get("/explain", Viewer, ledger::explain).called(
            "explain",
            "The same for a ledger id, a Message-ID or an address",
        ),
        Route::get("/deliveries", Viewer, deliveries::list).called(
            "listDeliveries",
            "List destinations and what waits for each",
        ),
        Route::post(
            "/deliveries/{destination}/pause",
            Admin,
            deliveries::pause(true),
        )
        .called("pauseDelivery", "Hand nothing over for now; requests wait"),
        Route::post(
            "/deliveries/{destination}/resume",
            Admin,
            deliveries::pause(false),
        )
        .called("resumeDelivery", "Go on with a paused destination"),
        Route::post("/deliveries/{destination}/retry", Admin, deliveries::retry)
            .called(
                "retryDelivery",
                "Try at once all that waits for a destination, and all that failed",
            )
            .explained("A destination that is down is tried at once, too."),
        Route::get("/stats", Viewer, stats::show)
            .called("countMessages", "Count messages and requests"),
        Route::get("/audit", Viewer, stats::audit)
            .called("listAudit", "List what operators did, newest first"),
    ]
}

/// Every route with its method, for a comparison with the pages and the command line.
#[cfg(test)]
pub(super) fn route_names() -> Vec<String> {
    let routes = routes().into_iter();
    routes
        .map(|route| format!("{} {}", route.method, route.path))
        .collect()
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
        response = Problem::bare(Kind::of_status(status)).into_response();
        for (name, value) in &kept {
            if name != CONTENT_LENGTH && name != CONTENT_TYPE {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
    }
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
