//! SCIM 2.0 (RFC 7643, RFC 7644), `/scim/v2`: the interface by which a directory maintains accounts.
//!
//! In: requests with a token of an admin, or with one that opens nothing else. Out: users and the documents
//! that describe them, or an error in SCIM's form. The directory sees the users that it made, and no other
//! customer. [`paths_and_filters`] and [`patch`] are pure; [`user`] translates between SCIM's representation and the
//! store's; [`discovery`] has the documents.

mod discovery;
mod error;
mod patch;
mod paths_and_filters;
mod projection;
mod user;
mod users;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::bearer::{BearerGate, TokenHolder};
use super::rate_limit::Peer;
use super::render::set_common_headers;
use super::{has_type, limit};
use crate::config::Config;
use crate::domain::Role;
use crate::store::Store;
use error::ScimError;

/// Base path of the interface.
const BASE: &str = "/scim/v2";

/// Maximum size of a body, in octets. A user has some kilobytes.
const MAX_BODY: usize = 64 * 1024;

const SCIM_JSON: &str = "application/scim+json";

/// State shared by the handlers.
struct ScimState {
    config: watch::Receiver<Arc<Config>>,
    store: Store,
    bearer: BearerGate,
}

impl ScimState {
    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }
}

/// Builds the router of everything below `/scim/v2`, which is served beside the operators' pages.
pub fn scim_router(config: watch::Receiver<Arc<Config>>, store: Store) -> Router {
    let state = Arc::new(ScimState {
        config,
        store,
        bearer: BearerGate::new(),
    });
    let below = Router::new()
        .route("/ServiceProviderConfig", get(discovery::show_config))
        .route("/ResourceTypes", get(discovery::list_resource_types))
        .route("/ResourceTypes/{id}", get(discovery::show_resource_type))
        .route("/Schemas", get(discovery::list_schemas))
        .route("/Schemas/{id}", get(discovery::show_schema))
        .route("/Users", get(users::list).post(users::create))
        .route("/Users/.search", axum::routing::post(users::search))
        .route("/.search", axum::routing::post(users::search))
        .route(
            "/Users/{id}",
            get(users::show)
                .put(users::replace)
                .patch(users::patch)
                .delete(users::remove),
        )
        .fallback(async || ScimError::not_found("there is no such endpoint"))
        .method_not_allowed_fallback(async || ScimError::of_status(StatusCode::METHOD_NOT_ALLOWED))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), admit))
        .with_state(state);
    limit(Router::new().nest(BASE, below), "web.scim").layer(middleware::from_fn(finish))
}

/// Admits requests with a valid token.
async fn admit(State(state): State<Arc<ScimState>>, request: Request, next: Next) -> Response {
    match state.admit(request).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

impl ScimState {
    /// Adds the holder of the token to the request, whose body is read before.
    async fn admit(&self, request: Request) -> Result<Request, ScimError> {
        let peer = request.extensions().get::<Peer>().copied();
        let mut holder = self.find_holder(request.headers(), peer).await?;
        let (parts, body) = request.into_parts();
        let body = read_octets(body).await?;
        if parts.method != Method::GET {
            // The body may arrive slowly, and the token may be revoked meanwhile.
            holder = self.find_holder(&parts.headers, peer).await?;
        }
        let mut request = Request::from_parts(parts, Body::from(body));
        request.extensions_mut().insert(holder);
        Ok(request)
    }

    /// The holder of the token: it is an admin's, or the directory's own.
    async fn find_holder(
        &self,
        headers: &HeaderMap,
        peer: Option<Peer>,
    ) -> Result<TokenHolder, ScimError> {
        let config = self.config();
        let holder = self.bearer.admit(&self.store, &config, headers, peer);
        let holder = holder.await?;
        if holder.role < Role::Admin {
            let role = holder.role;
            let detail = format!("this needs the token of an admin; the token has the role {role}");
            return Err(ScimError::new(StatusCode::FORBIDDEN, None, detail));
        }
        Ok(holder)
    }
}

/// The outermost layer: turns error statuses without a body into SCIM errors and sets the common response
/// headers.
async fn finish(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    if failed && response.headers().get(CONTENT_TYPE) != Some(&HeaderValue::from_static(SCIM_JSON))
    {
        response = ScimError::of_status(status).into_response();
    }
    let headers = response.headers_mut();
    set_common_headers(headers);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Writes a SCIM document.
fn answer(status: StatusCode, document: &Value) -> Response {
    (status, [(CONTENT_TYPE, SCIM_JSON)], document.to_string()).into_response()
}

/// Writes a list, or a page of one that begins at `start`.
fn list_answer(total: impl Serialize, start: impl Serialize, resources: &[Value]) -> Response {
    answer(
        StatusCode::OK,
        &json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": total,
            "startIndex": start,
            "itemsPerPage": resources.len(),
            "Resources": resources,
        }),
    )
}

/// Reads a body, within bounds.
async fn read_octets(body: Body) -> Result<Bytes, ScimError> {
    to_bytes(body, MAX_BODY).await.map_err(|_| {
        ScimError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            None,
            format!("a body can have at most {MAX_BODY} octets"),
        )
    })
}

/// Reads the JSON object of a body.
async fn read_body(request: Request) -> Result<Value, ScimError> {
    if !has_type(request.headers(), &[SCIM_JSON, "application/json"]) {
        return Err(ScimError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            None,
            format!("send Content-Type: {SCIM_JSON}"),
        ));
    }
    let body = read_octets(request.into_body()).await?;
    let value: Value = serde_json::from_slice(&body)
        .map_err(|error| ScimError::syntax(format!("the body: {error}")))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(ScimError::syntax("the body is not a JSON object"))
    }
}
