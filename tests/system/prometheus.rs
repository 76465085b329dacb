//! Prometheus checks the metrics, the alerts and the queries of the dashboard.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::client::{http, send};
use crate::support::harness::{Harness, STANDARD};

const DASHBOARD: &str = include_str!("../../config/grafana-dashboard.json");

/// Every `"expr"` of the dashboard.
fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "expr" => found.push(text.to_owned()),
                    _ => expressions(value, found),
                }
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                expressions(item, found);
            }
        }
        _ => {}
    }
}

/// Grafana itself is not run; Prometheus checks the queries.
#[test]
fn prometheus_understands_the_dashboard() {
    let dashboard = serde_json::from_str(DASHBOARD).expect("the dashboard is JSON");
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    assert!(found.len() > 10, "{found:?}");
    let rules: Vec<_> = found
        .iter()
        .enumerate()
        .map(|(place, text)| {
            let expr = text.replace("$__rate_interval", "5m");
            serde_json::json!({"record": format!("panel:{place}"), "expr": expr})
        })
        .collect();
    // JSON is valid YAML.
    let rules = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]});
    let harness = Harness::at_rest(STANDARD);
    let file = harness.path("rules.yml");
    std::fs::write(&file, rules.to_string()).expect("a file");
    promtool(&["check", "rules", &file.display().to_string()], "");
}

/// Runs `promtool` on its input; it must report nothing.
fn promtool(arguments: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: tests/run installs prometheus");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(input.as_bytes()).expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn prometheus_takes_the_metrics_and_the_alerts() {
    let harness = Harness::start(STANDARD);
    send(harness.smtp, "bob@partner.example", "accepted");
    let (_, answer) = http(harness.admin, "GET", "/metrics", &[]);
    let start = answer.find("# HELP").expect("metrics");
    promtool(&["check", "metrics"], &answer[start..]);
    let alerts = concat!(env!("CARGO_MANIFEST_DIR"), "/config/prometheus-alerts.yml");
    promtool(&["check", "rules", alerts], "");
}
