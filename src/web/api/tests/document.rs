//! The document is generated from the table and is complete.

use std::collections::BTreeSet;

use super::super::routes;
use super::*;

async fn document(harness: &Harness) -> Value {
    let answer = harness
        .send(request(&Method::GET, "/openapi.json", None, None))
        .await;
    object(&answer, StatusCode::OK)
}

#[tokio::test]
async fn it_has_every_route_and_no_other() {
    let harness = Harness::open().await;
    let document = document(&harness).await;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths");
    let described: BTreeSet<_> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let served: BTreeSet<_> = routes()
        .iter()
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(described, served);
}

#[tokio::test]
async fn every_operation_is_complete() {
    let harness = Harness::open().await;
    let document = document(&harness).await;
    let mut names = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let name = operation["operationId"].as_str().unwrap_or_default();
            assert!(
                !name.is_empty() && names.insert(name.to_owned()),
                "{path}: {name:?}"
            );
            assert!(
                !operation["summary"].as_str().unwrap_or_default().is_empty(),
                "{path}"
            );
            let tag = operation["tags"][0].as_str().unwrap_or_default();
            let tags = document["tags"].as_array().expect("tags");
            assert!(
                tags.iter().any(|known| known["name"] == tag),
                "{path}: {tag}"
            );
            let open = path == "/openapi.json";
            assert_eq!(
                operation["security"][0]["token"].is_array(),
                !open,
                "{path}"
            );
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.contains_key("200"), "{path}");
            let expected: &[&str] = match (open, method.as_str()) {
                (true, _) => &["500"],
                (_, "post") => &["400", "401", "409", "413", "422", "429", "503"],
                _ => &["400", "401", "429", "503"],
            };
            let needs_role = routes().into_iter().any(|route| {
                let is_this =
                    route.path == path && route.method.as_str().eq_ignore_ascii_case(method);
                is_this && route.required > Some(Role::Viewer)
            });
            assert_eq!(responses.contains_key("403"), needs_role, "{path}");
            for status in expected {
                let problem = &responses[*status]["content"]["application/problem+json"];
                assert!(problem["schema"]["$ref"].is_string(), "{path} {status}");
                let examples = problem["examples"].as_object().expect("examples");
                for example in examples.values() {
                    assert_eq!(example["value"]["status"].to_string(), *status, "{path}");
                }
            }
            if let Some(body) = operation.get("requestBody") {
                let schema = &body["content"]["application/json"]["schema"]["$ref"];
                let name = schema.as_str().and_then(|name| name.rsplit('/').next());
                let schema = &document["components"]["schemas"][name.expect("a name")];
                assert_eq!(schema["additionalProperties"], false, "{path}");
                assert!(schema["example"].is_object(), "{path}: no example");
            }
        }
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let harness = Harness::open().await;
    let document = document(&harness).await;
    let text = document.to_string();
    let mut found = 0;
    for (place, _) in text.match_indices("\"#/components/schemas/") {
        let rest = &text[place + "\"#/components/schemas/".len()..];
        let name = rest.split('"').next().unwrap_or_default();
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name}"
        );
        found += 1;
    }
    assert!(found > 100, "{found}");
}

/// Calls `look` with every schema in a value, with its place.
fn each_schema(
    value: &Value,
    place: &str,
    look: &mut impl FnMut(&str, &serde_json::Map<String, Value>),
) {
    match value {
        Value::Object(fields) => {
            look(place, fields);
            for (name, field) in fields {
                each_schema(field, &format!("{place}/{name}"), look);
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                each_schema(item, &format!("{place}/{number}"), look);
            }
        }
        _ => {}
    }
}

/// Client generators fail on tuples, and on unnamed objects in the variants of a schema.
#[tokio::test]
async fn no_schema_is_a_tuple_or_a_variant_without_a_name() {
    let harness = Harness::open().await;
    let document = document(&harness).await;
    let schemas = &document["components"]["schemas"];
    assert!(schemas["SenderUsable"]["properties"]["address"].is_object());
    let mut looked_at = 0;
    each_schema(&document["components"], "", &mut |place, schema| {
        looked_at += 1;
        assert!(!schema.contains_key("prefixItems"), "{place} is a tuple");
        if let Some(items) = schema.get("items") {
            assert!(items.is_object(), "{place}: {items}");
        }
        for variant in schema
            .get("oneOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            for (name, inner) in variant["properties"].as_object().into_iter().flatten() {
                assert!(inner["properties"].is_null(), "{place}: {name}");
            }
        }
    });
    assert!(looked_at > 500, "{looked_at}");
}

/// The page for people has every operation and schema, and each of its links leads to something on it.
#[tokio::test]
async fn the_reference_has_all_of_the_document() {
    let harness = Harness::open().await;
    let document = document(&harness).await;
    let answer = harness.send(request(&Method::GET, "/", None, None)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let page = &answer.body;
    assert!(page.contains("<title>API reference"), "{page}");
    assert!(!page.contains("<script"));
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let id = operation["operationId"].as_str().expect("an id");
            let heading = format!(
                "<h3 id=\"{id}\"><code>{} &#x2f;api&#x2f;v1{}</code></h3>",
                method.to_uppercase(),
                path.replace('/', "&#x2f;")
            );
            let plain = heading.replace("&#x2f;", "/");
            assert!(page.contains(&heading) || page.contains(&plain), "{plain}");
        }
    }
    for name in document["components"]["schemas"]
        .as_object()
        .expect("schemas")
        .keys()
    {
        assert!(
            page.contains(&format!("<h3 id=\"schema-{name}\">")),
            "{name}"
        );
    }
    let mut links = 0;
    for (place, start) in page.match_indices("href=\"#") {
        let target = page[place + start.len()..]
            .split('"')
            .next()
            .unwrap_or_default();
        assert!(page.contains(&format!(" id=\"{target}\"")), "{target}");
        links += 1;
    }
    assert!(links > 100, "{links}");
    let moved = harness.send(request(&Method::GET, "", None, None)).await;
    assert_eq!(moved.status, StatusCode::PERMANENT_REDIRECT);
}
