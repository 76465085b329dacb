//! axe-core, which finds accessibility problems. `tests/run` fetches it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::browser::Browser;

/// Rules that are checked on the current page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Everything,
    /// Only the rules that depend on light or dark colours.
    Colours,
}

/// Source of axe-core, which must run first in every page.
pub fn source() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/axe/axe.min.js");
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; tests/run fetches it", path.display()))
}

/// Violations on the page, one line for each element.
pub async fn violations(browser: &Browser, asked: Asked) -> Vec<String> {
    let options = match asked {
        Asked::Everything => json!({
            "resultTypes": ["violations"],
            "rules": { "target-size": { "enabled": true } },
        }),
        Asked::Colours => json!({
            "resultTypes": ["violations"],
            "runOnly": ["color-contrast", "link-in-text-block"],
        }),
    };
    let script = "const done = arguments[arguments.length - 1];
        axe.run(document, arguments[0]).then(done, fault => done({ fault: String(fault) }));";
    let result = browser.run_on(script, vec![options]).await;
    assert!(result["fault"].is_null(), "axe: {}", result["fault"]);
    let found = result["violations"].as_array().expect("violations");
    found.iter().flat_map(lines).collect()
}

fn lines(violation: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes = violation["nodes"].as_array().expect("nodes");
    nodes
        .iter()
        .map(|node| {
            format!(
                "{}: {} {}",
                word(&violation["id"]),
                word(&node["html"]),
                word(&node["failureSummary"]).replace('\n', " ")
            )
        })
        .collect()
}
