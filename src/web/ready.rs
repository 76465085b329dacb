//! Liveness and readiness, for supervisors of the daemon.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::render::set_common_headers;
use crate::store::Store;

/// State of the listeners and of the last canary. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    listeners: Arc<AtomicBool>,
    canary: Arc<Mutex<Option<bool>>>,
}

impl Readiness {
    /// Records whether all listeners are up: `true` once they are, `false` when the drain begins.
    pub fn listeners_are_up(&self, up: bool) {
        self.listeners.store(up, Ordering::Release);
    }

    /// Records the result of the last canary; `None` if canaries are not sent.
    pub fn canary_arrived(&self, arrived: Option<bool>) {
        *self.canary() = arrived;
    }

    fn canary(&self) -> MutexGuard<'_, Option<bool>> {
        // The value is valid even after a panic.
        self.canary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers `200` or `503`, with the state of each part. The cause is in the log only. Anyone may ask, so the answer
/// comes from memory.
pub(super) fn answer(readiness: &Readiness, store: &Store) -> Response {
    show(
        store.is_writable(),
        readiness.listeners.load(Ordering::Acquire),
        store.is_clock_right(),
        *readiness.canary(),
    )
}

/// Builds the router of a daemon whose store is not open yet.
pub fn starting_router() -> Router {
    let not_yet = async || {
        let text = "The service is starting. Try again in a minute.\n";
        (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "30")], text)
    };
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async || show(false, false, true, None)))
        .fallback(not_yet)
        .layer(map_response(async |mut response: Response| {
            set_common_headers(response.headers_mut());
            response
        }))
}

fn show(database: bool, listeners: bool, clock: bool, canary: Option<bool>) -> Response {
    let status = if database && listeners && clock && canary != Some(false) {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({
        "ready": status == StatusCode::OK,
        "database": database,
        "listeners": listeners,
        "clock": clock,
        "canary": canary,
    });
    (status, Json(body)).into_response()
}
