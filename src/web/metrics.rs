//! Monitoring endpoints of the operators' listener: `/metrics`, `/healthz`, `/readyz`. They hold numbers only
//! and need no login: everyone who can reach the listener may read them.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::ready::{self, Readiness};
use crate::observe::{events, metrics};
use crate::operations::{count_nodes, list_nodes};
use crate::store::{Duty, Store, StoreError};

/// The text exposition format of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

struct AppState {
    store: Store,
    readiness: Readiness,
}

/// Builds the router of the monitoring endpoints. The listener serves it beside the operators' pages.
pub fn metrics_router(store: Store, readiness: Readiness) -> Router {
    let app = Arc::new(AppState { store, readiness });
    Router::new()
        .route("/metrics", get(show))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state(app)
}

async fn show(State(app): State<Arc<AppState>>) -> Response {
    match measure(&app.store).await {
        Ok(page) => ([(CONTENT_TYPE, TEXT)], page).into_response(),
        Err(error) => {
            events::fault("web.metrics", &error);
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

async fn measure(store: &Store) -> Result<String, StoreError> {
    let lengths = store.queue_lengths().await?;
    let nodes = list_nodes(store).await?;
    let own = nodes.iter().find(|node| node.id == store.node_id());
    let does = |duty: Duty| own.is_some_and(|own| own.duties.contains(&duty.as_str()));
    let gauges = metrics::NodeGauges {
        nodes: count_nodes(&nodes),
        duties: Duty::ALL
            .iter()
            .map(|duty| (duty.as_str(), does(*duty)))
            .collect(),
        clock_offset: store.clock_offset(),
        free_space: store.free_space(),
    };
    Ok(metrics::write(&lengths, &gauges))
}

async fn readyz(State(app): State<Arc<AppState>>) -> Response {
    ready::answer(&app.readiness, &app.store)
}
