//! The style sheet and the icon. Their URLs change with their content, so browsers may cache them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::AppState;
use crate::domain::to_hex;
use crate::templates::Templates;

pub(super) async fn show(State(app): State<Arc<AppState>>, Path(name): Path<String>) -> Response {
    answer(&app.renderer.templates, &name)
}

pub(in crate::web) fn answer(templates: &Templates, name: &str) -> Response {
    let kind = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    match templates.asset(name) {
        Some(content) => (
            [
                (CONTENT_TYPE, kind),
                (CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            content.to_owned(),
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A short hash of the content of all assets.
pub(in crate::web) fn version(templates: &Templates) -> String {
    let mut digest = Sha256::new();
    for (name, content) in templates.assets() {
        digest.update(name);
        digest.update(content);
    }
    to_hex(&digest.finalize()[..6])
}
