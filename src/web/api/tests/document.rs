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
            let changes = method == "post" && path != "/access/simulate";
            assert_eq!(responses.contains_key("403"), changes, "{path}");
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
