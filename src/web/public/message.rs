//! `GET /message/{token}`: a raw message, for a program that holds the `raw_url` of a webhook.
//!
//! It is sent as an attachment, so that a browser saves the untrusted content instead of opening it. A forged
//! or expired link is answered 404.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::{AppState, Client, PageError, WebPage};
use crate::delivery::OriginalMessage;
use crate::domain::Timestamp;
use crate::web::attachment;

pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    Path(token): Path<String>,
    Client(client): Client,
) -> Result<Response, PageError> {
    let key = app.store().find_link_key().await?;
    let Some(ledger) = key.and_then(|key| key.verify(&token, Timestamp::now())) else {
        return if app.guesses.take(client) {
            Ok(WebPage::of_status(StatusCode::NOT_FOUND).into_response())
        } else {
            Err(PageError::TooMany)
        };
    };
    let hostname = app.config().hostname.clone();
    let Some(original) = OriginalMessage::open(ledger, app.store(), &hostname).await? else {
        return Ok(WebPage::of_status(StatusCode::GONE).into_response());
    };
    let body = Body::new(original.into_body());
    let disposition = format!("attachment; filename=\"{ledger}.eml\"");
    Ok(attachment(body, "message/rfc822", &disposition))
}
