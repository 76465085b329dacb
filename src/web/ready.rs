//! Liveness and readiness, for whoever supervises the daemon.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::store::Store;

/// Anyone may ask, and asking means a transaction: an answer counts for this long.
const LASTS: Duration = Duration::from_secs(1);

/// How long the database may take. Longer than it waits for a lock of another process.
const PATIENCE: Duration = Duration::from_secs(8);

/// Whether all listeners are up, and whether the last canary came through. A clone is another handle on the same.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    listeners: Arc<AtomicBool>,
    canary: Arc<Mutex<Option<bool>>>,
}

impl Readiness {
    /// `true` once all are up, `false` when the drain begins.
    pub fn listeners_are_up(&self, up: bool) {
        self.listeners.store(up, Ordering::Release);
    }

    /// Whether the last canary arrived; None where none is sent.
    pub fn canary_arrived(&self, arrived: Option<bool>) {
        *self.canary() = arrived;
    }

    fn canary(&self) -> MutexGuard<'_, Option<bool>> {
        // A word is whole after any panic.
        self.canary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was found out last about the database, and when.
#[derive(Debug, Default)]
pub(super) struct Probe(tokio::sync::Mutex<Option<(Instant, bool)>>);

impl Probe {
    /// `200` or `503`, and what is wanting. Not why: that is for the log.
    pub async fn answer(&self, readiness: &Readiness, store: &Store) -> Response {
        let database = self.database(store).await;
        let listeners = readiness.listeners.load(Ordering::Acquire);
        let canary = *readiness.canary();
        let status = if database && listeners && canary != Some(false) {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let body = json!({
            "ready": status == StatusCode::OK,
            "database": database,
            "listeners": listeners,
            "canary": canary,
        });
        (status, Json(body)).into_response()
    }

    async fn database(&self, store: &Store) -> bool {
        let mut last = self.0.lock().await;
        match *last {
            Some((at, found)) if at.elapsed() < LASTS => found,
            _ => {
                // A disk that does not answer is none to rely on.
                let writable = tokio::time::timeout(PATIENCE, store.writable()).await;
                let found = matches!(writable, Ok(Ok(())));
                *last = Some((Instant::now(), found));
                found
            }
        }
    }
}
