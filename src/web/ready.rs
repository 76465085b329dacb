//! Liveness and readiness, for supervisors of the daemon.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::store::Store;

/// State of the listeners and of the last canary. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    listeners: Arc<AtomicBool>,
    canary: Arc<Mutex<Option<bool>>>,
}

impl Readiness {
    /// Set to `true` once all listeners are up, and to `false` when the drain begins.
    pub fn listeners_are_up(&self, up: bool) {
        self.listeners.store(up, Ordering::Release);
    }

    /// Result of the last canary; `None` if canaries are not sent.
    pub fn canary_arrived(&self, arrived: Option<bool>) {
        *self.canary() = arrived;
    }

    fn canary(&self) -> MutexGuard<'_, Option<bool>> {
        // The value is valid even after a panic.
        self.canary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `200` or `503`, with the parts that are missing. The reason goes to the log only. Anyone may ask, so the
/// answer comes from memory.
pub(super) fn answer(readiness: &Readiness, store: &Store) -> Response {
    let database = store.is_writable();
    let listeners = readiness.listeners.load(Ordering::Acquire);
    let canary = *readiness.canary();
    let clock = store.is_clock_right();
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
