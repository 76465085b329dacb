//! axe-core, which finds what a screen reader, a keyboard or a weak eye would stumble on. `tests/run`
//! fetches it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::browser::Browser;

/// What is asked of the page as it looks now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Everything,
    /// Nothing else depends on whether the system's colours are light or dark.
    Colours,
}

/// The script, to be run first in every page.
pub fn source() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/axe/axe.min.js");
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; tests/run fetches it", path.display()))
}

/// What is wrong with the page: a line for each element.
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
