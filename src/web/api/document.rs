//! The `OpenAPI` document, generated from the table of routes and the types of their handlers.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};
use utoipa::openapi::response::{Response as ResponseDoc, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::server::ServerBuilder;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, OpenApiBuilder, Paths, Ref};

use super::api_route::ApiRoute;
use super::problem::{PROBLEM_JSON, Problem, ProblemBody, ProblemKind};
use super::{BASE, input};
use crate::domain::Role;

const TOKEN: &str = "token";

const DESCRIPTION: &str = "\
The operators' interface to Vestibule, for programs. Every request except the one for this document needs a \
token (`vestibule operators token NAME`) with a role: a viewer reads, an agent acts on customers, requests \
and dropped messages, an admin changes the settings. Lists are paginated; `next` is the cursor of the next \
page. Errors are RFC 9457 problems with a stable `type`.";

const TAGS: [(&str, &str); 14] = [
    ("access", "Access settings: who may write to a portal"),
    ("customers", "Accounts of people who write to a portal"),
    ("requests", "Messages on their way to a help desk"),
    ("dropped", "Dropped messages and their recovery"),
    (
        "ledger",
        "Every received message, with its verdict and reason",
    ),
    (
        "explain",
        "The verdict on a message, rule by rule, and its later events",
    ),
    ("find", "Search for messages"),
    ("deliveries", "Destinations, hooks and their queues"),
    (
        "mail",
        "Verification mail that waits to be sent or was given up",
    ),
    ("nodes", "The daemons that share the database"),
    ("operators", "Operators, their sessions and tokens"),
    ("stats", "Counts of messages and requests"),
    ("audit", "The audit log of operators' actions"),
    ("openapi", "This document"),
];

/// Builds the document.
pub(super) fn build(routes: &[ApiRoute]) -> Value {
    let mut schemas = input::Schemas::new();
    input::schema_ref::<ProblemBody>(&mut schemas);
    let mut paths = Paths::new();
    for route in routes {
        let mut types = route.types();
        schemas.append(&mut types.schemas);
        let operation = route.operation(types);
        paths.add_path_operation(route.path, vec![route.http_method()], operation);
    }
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token created by `vestibule operators token NAME`"))
        .build();
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(TOKEN, SecurityScheme::Http(token))
        .build();
    let info = InfoBuilder::new()
        .title("Vestibule")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(
            LicenseBuilder::new()
                .name("MIT OR Apache-2.0")
                .identifier(Some("MIT OR Apache-2.0"))
                .build(),
        ))
        .build();
    let tags = TAGS.map(|(name, description)| {
        TagBuilder::new()
            .name(name)
            .description(Some(description))
            .build()
    });
    let document = OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url(BASE).build()]))
        .tags(Some(tags))
        .paths(paths)
        .components(Some(components))
        .build();
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    name_variants(&mut document);
    document
}

/// Makes a named schema, such as `SenderUsable`, of each inline object in the variants of a schema. Client
/// generators have no name for an inline object, or give two of them the same name.
fn name_variants(document: &mut Value) {
    let Some(schemas) = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let mut named = Map::new();
    for (name, schema) in schemas.iter_mut() {
        let variants = schema.get_mut("oneOf").and_then(Value::as_array_mut);
        for variant in variants.into_iter().flatten() {
            let Some(properties) = variant.get_mut("properties") else {
                continue;
            };
            for (property, inner) in properties.as_object_mut().into_iter().flatten() {
                if inner.get("properties").is_some() {
                    let own = format!("{name}{}", in_camel_case(property));
                    let reference = json!(Ref::from_schema_name(own.as_str()));
                    named.insert(own, std::mem::replace(inner, reference));
                }
            }
        }
    }
    schemas.append(&mut named);
}

/// `portal_unknown` as `PortalUnknown`.
fn in_camel_case(name: &str) -> String {
    name.split('_')
        .flat_map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            [first.to_ascii_uppercase(), rest.to_owned()]
        })
        .collect()
}

pub(super) fn answer(document: &Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], document.clone()).into_response()
}

pub(super) fn response() -> (StatusCode, ResponseDoc) {
    let object = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Object));
    let content = ContentBuilder::new().schema(Some(object)).build();
    let response = ResponseBuilder::new()
        .description("OpenAPI 3.1")
        .content("application/json", content);
    (StatusCode::OK, response.build())
}

pub(super) fn security(required: Option<Role>) -> Vec<SecurityRequirement> {
    match required {
        None => vec![SecurityRequirement::default()],
        Some(role) => vec![SecurityRequirement::new(TOKEN, [role.as_str()])],
    }
}

/// Problem responses by status, each with an example of every kind.
pub(super) fn problems(kinds: &[ProblemKind]) -> Vec<(String, ResponseDoc)> {
    let mut by_status: BTreeMap<u16, Vec<ProblemKind>> = BTreeMap::new();
    for kind in kinds {
        let same = by_status.entry(kind.status().as_u16()).or_default();
        if !same.contains(kind) {
            same.push(*kind);
        }
    }
    by_status
        .into_iter()
        .map(|(status, kinds)| (status.to_string(), problem(&kinds)))
        .collect()
}

fn problem(kinds: &[ProblemKind]) -> ResponseDoc {
    let titles: Vec<_> = kinds.iter().map(|kind| kind.words().2).collect();
    let examples = kinds.iter().map(|kind| {
        let example = ExampleBuilder::new()
            .summary(kind.words().2)
            .value(Some(json!(Problem::bare(*kind).body())));
        (kind.words().1, example.build())
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(ProblemBody::name())))
        .examples_from_iter(examples)
        .build();
    ResponseBuilder::new()
        .description(titles.join("; or: "))
        .content(PROBLEM_JSON, content)
        .build()
}
