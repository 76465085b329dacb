//! HTTP. Input is untrusted: the size of bodies and the time of requests are bounded, and every answer
//! carries the same set of headers.
//!
//! [`public`] serves the pages for senders, [`operators`] the pages for operators, [`api_router`] the API,
//! [`scim_router`] the directory's interface, and [`metrics_router`] monitoring; [`serve`] runs any router on a
//! listener.

mod api;
mod bearer;
mod connections;
mod cookie;
mod display;
mod host;
mod language;
mod metrics;
mod minimum_rate;
mod operators;
mod page;
mod public;
mod rate_limit;
mod ready;
mod render;
mod same_origin;
mod scim;
mod serve;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::observe::events;
use crate::store::StoreError;

pub use api::api_router;
pub use metrics::metrics_router;
pub use operators::{Operators, operators, operators_paths};
pub use public::{Public, public, public_paths};
pub use ready::{Readiness, starting_router};
pub use scim::scim_router;
pub use serve::serve;

/// Time limit from the head of a request to its answer, including a slowly sent body.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// True for a failure of the store that is answered `503`: the same request may succeed later.
fn is_unavailable(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Full(_)
            | StoreError::ServerFull(_)
            | StoreError::Busy(_)
            | StoreError::Away(_)
            | StoreError::Refused(_)
            | StoreError::ReadOnly(_)
            | StoreError::Closed
            | StoreError::WriterFailed(_)
    )
}

/// Bounds the time of requests, and answers 500 if a handler panics. `place` names the router in the log.
fn limit(router: Router, place: &'static str) -> Router {
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIME_LIMIT);
    let panics = CatchPanicLayer::custom(move |_| {
        events::fault(place, &"a handler panicked");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    });
    router.layer(timeout).layer(panics)
}

/// An answer that a browser saves instead of opening it.
fn attachment(body: impl Into<Body>, kind: &'static str, disposition: &str) -> Response {
    let disposition = HeaderValue::from_str(disposition);
    let disposition = disposition.unwrap_or(HeaderValue::from_static("attachment"));
    let kind = HeaderValue::from_static(kind);
    let headers = [(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, disposition)];
    (headers, body.into()).into_response()
}

/// True if a body has one of these types, whatever their parameters.
fn has_type(headers: &HeaderMap, types: &[&str]) -> bool {
    let written = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = written.and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| {
        let mut types = types.iter();
        types.any(|own| essence.trim().eq_ignore_ascii_case(own))
    })
}
