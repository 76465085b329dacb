//! `/ServiceProviderConfig`, `/ResourceTypes`, `/Schemas` (RFC 7644 4): what this server can do. Only `GET`.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ScimError;
use super::paths_and_filters::USER;
use super::users::MAX_RESULTS;
use super::{BASE, answer, list_answer};

/// The schemas, each as a document: that of a user, and those of the three discovery documents (RFC 7643 8.7).
const SCHEMAS: [&str; 4] = [
    include_str!("schemas/user.json"),
    include_str!("schemas/service_provider_config.json"),
    include_str!("schemas/resource_type.json"),
    include_str!("schemas/schema.json"),
];

/// The schemas, with their places on this server.
pub(super) fn schemas() -> Vec<Value> {
    let parse = |text: &&str| {
        let mut schema: Value = serde_json::from_str(text).unwrap_or_default();
        let id = schema["id"].as_str().unwrap_or_default().to_owned();
        schema["meta"] = json!({
            "resourceType": "Schema",
            "location": format!("{BASE}/Schemas/{id}"),
        });
        schema
    };
    SCHEMAS.iter().map(parse).collect()
}

fn resource_type() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": "User",
        "name": "User",
        "description": "A person of the directory, who may write to the portals",
        "endpoint": "/Users",
        "schema": USER,
        "meta": {"resourceType": "ResourceType", "location": format!("{BASE}/ResourceTypes/User")},
    })
}

fn list(resources: &[Value]) -> Response {
    list_answer(resources.len(), 1, resources)
}

pub(super) async fn show_config() -> Response {
    answer(
        StatusCode::OK,
        &json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
            "patch": {"supported": true},
            "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
            "filter": {"supported": true, "maxResults": MAX_RESULTS},
            "changePassword": {"supported": false},
            "sort": {"supported": false},
            "etag": {"supported": true},
            "authenticationSchemes": [{
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "A token created by vestibule operators token NAME --scim",
                "primary": true,
            }],
            "meta": {
                "resourceType": "ServiceProviderConfig",
                "location": format!("{BASE}/ServiceProviderConfig"),
            },
        }),
    )
}

pub(super) async fn list_resource_types() -> Response {
    list(&[resource_type()])
}

pub(super) async fn show_resource_type(Path(id): Path<String>) -> Result<Response, ScimError> {
    if id == "User" {
        Ok(answer(StatusCode::OK, &resource_type()))
    } else {
        Err(ScimError::not_found("there is no such resource type"))
    }
}

pub(super) async fn list_schemas() -> Response {
    list(&schemas())
}

pub(super) async fn show_schema(Path(id): Path<String>) -> Result<Response, ScimError> {
    schemas()
        .iter()
        .find(|schema| {
            schema["id"]
                .as_str()
                .is_some_and(|own| own.eq_ignore_ascii_case(&id))
        })
        .map(|schema| answer(StatusCode::OK, schema))
        .ok_or_else(|| ScimError::not_found("there is no such schema"))
}
