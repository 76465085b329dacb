//! The API against a real database: authentication, the effect of each route, and agreement with the
//! document.

mod access;
mod auth;
mod automatic_mail;
mod document;
mod dropped;
mod idempotency;
mod own_addresses;
mod people;
mod routes;
mod waiting_causes;

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, Request, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::domain::{Actor, Interface, Role, Timestamp, Token};
use crate::store::{KeyKind, OperatorKey, TokenTerms};
use crate::web::api::AppState;
use crate::web::bearer::BearerGate;
use crate::web::operators::tests::{Answer, Harness, asked_at_once};

/// The state of the handlers, without their routes.
fn state_of(harness: &Harness) -> Arc<AppState> {
    let (_, config) = watch::channel(Arc::clone(&harness.config));
    Arc::new(AppState {
        config,
        store: harness.store.clone(),
        bearer: BearerGate::new(),
        tasks: TaskTracker::new(),
        document: OnceLock::new(),
    })
}

/// A token of an operator of this role, valid for an hour.
async fn token(harness: &Harness, role: Role) -> String {
    key(
        harness,
        role,
        role,
        KeyKind::Token,
        SignedDuration::from_hours(1),
    )
    .await
}

/// A key of this kind with the role `own`, valid for this time, of an operator with the role `operators`.
async fn key(
    harness: &Harness,
    operators: Role,
    own: Role,
    kind: KeyKind,
    valid: SignedDuration,
) -> String {
    let name = harness.operator(operators).await;
    let token = Token::generate().unwrap_or_else(|error| panic!("{error}"));
    let now = Timestamp::now();
    let key = OperatorKey {
        hash: token.hash(),
        kind,
        role: own,
        expires_at: now + valid,
    };
    let made = harness.store.make_key(
        name,
        key,
        TokenTerms::default(),
        Actor::operator("root", Interface::CommandLine),
        now,
    );
    made.await.expect("made");
    token.reveal()
}

fn request(
    method: &Method,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"));
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    request.body(body).expect("a request")
}

async fn get(harness: &Harness, token: &str, path: &str) -> Answer {
    harness
        .send(request(&Method::GET, path, Some(token), None))
        .await
}

async fn post(harness: &Harness, token: &str, path: &str, body: Value) -> Answer {
    let body = (!body.is_null()).then_some(body);
    harness
        .send(request(&Method::POST, path, Some(token), body.as_ref()))
        .await
}

/// Asserts the status of an answer and returns its JSON.
fn object(answer: &Answer, status: StatusCode) -> Value {
    assert_eq!(answer.status, status, "{}", answer.body);
    serde_json::from_str(&answer.body).expect("JSON")
}

/// Asserts that an answer is a problem of this kind.
fn is_problem(answer: &Answer, status: StatusCode, kind: &str, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.body);
    assert_eq!(
        answer.headers[CONTENT_TYPE], "application/problem+json",
        "{what}"
    );
    let problem = object(answer, status);
    assert_eq!(
        problem["type"],
        format!("urn:vestibule:problem:{kind}"),
        "{what}"
    );
    assert_eq!(problem["status"], status.as_u16(), "{what}");
}
