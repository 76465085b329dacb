//! The directory's interface against a real database, and its pure parts.

mod groups;
mod patch;
mod tokens;
mod users;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, Request, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::domain::{Account, Actor, EmailAddress, Interface, TokenScope};
use crate::operations::{TokenRequest, make_token};
use crate::web::operators::tests::{Answer, Harness};

const ANN: &str = "ann@corp.example";

/// The account of this address.
async fn account(directory: &Directory, address: &str) -> Account {
    let address = EmailAddress::parse(address).expect("an address");
    let found = directory.harness.store.customer(&address).await;
    found.expect("read").expect("an account")
}

/// A user with the address [`ANN`].
fn ann() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "externalId": "0a21f0f2",
        "userName": "Ann@corp.example",
        "name": {"familyName": "Archer", "givenName": "Ann"},
        "emails": [{"primary": true, "type": "work", "value": ANN}],
        "active": true,
    })
}

/// A directory with its token.
struct Directory {
    harness: Harness,
    token: String,
}

impl Directory {
    async fn open() -> Self {
        let harness = Harness::open().await;
        let token = token(&harness, Role::Admin, Some(TokenScope::Scim)).await;
        Self { harness, token }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = request(&self.token, method, path, body);
        self.harness.send(request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// Creates a user and returns it.
    async fn create(&self, user: &Value) -> Value {
        let answer = self.send(Method::POST, "/Users", Some(user)).await;
        document(&answer, StatusCode::CREATED)
    }

    /// Patches a user with one operation and returns it.
    async fn patch(&self, id: &Value, operation: Value) -> Value {
        let path = format!("/Users/{}", id.as_str().expect("an id"));
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [operation],
        });
        let answer = self.send(Method::PATCH, &path, Some(&body)).await;
        document(&answer, StatusCode::OK)
    }
}

async fn token(harness: &Harness, role: Role, scope: Option<TokenScope>) -> String {
    let request = TokenRequest {
        operator: harness.operator(role).await,
        role,
        lifetime: SignedDuration::from_hours(1),
        scope,
        note: None,
    };
    let by = Actor::operator("root", Interface::CommandLine);
    let made = make_token(&harness.store, request, by).await;
    made.expect("made").token
}

fn request(token: &str, method: Method, path: &str, body: Option<&Value>) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/scim/v2{path}"))
        .header(AUTHORIZATION, format!("Bearer {token}"));
    if body.is_some() {
        request = request.header(CONTENT_TYPE, SCIM_JSON);
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    request.body(body).expect("a request")
}

/// Asserts the status of an answer and returns its document.
fn document(answer: &Answer, status: StatusCode) -> Value {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.headers[CONTENT_TYPE], SCIM_JSON);
    serde_json::from_str(&answer.body).expect("JSON")
}

/// Asserts that an answer is a SCIM error with this keyword.
fn is_error(answer: &Answer, status: StatusCode, kind: Option<&str>) -> Value {
    let error = document(answer, status);
    assert_eq!(
        error["schemas"],
        json!(["urn:ietf:params:scim:api:messages:2.0:Error"])
    );
    assert_eq!(error["status"], status.as_u16().to_string());
    assert_eq!(error["scimType"].as_str(), kind, "{error}");
    error
}

#[test]
fn a_database_out_of_reach_is_a_temporary_error() {
    let away = crate::store::StoreError::Away("no route".to_owned());
    let answer = ScimError::from(away).into_response();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}
