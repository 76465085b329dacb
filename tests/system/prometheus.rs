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

/// Every query of the page, in its order.
fn documented_queries() -> Vec<&'static str> {
    let page = include_str!("../../docs/metrics.md");
    let block = page.split("```promql\n").nth(1).expect("the queries");
    let lines = block.split("```").next().unwrap_or_default().lines();
    lines.filter(|line| !line.starts_with('#')).collect()
}

/// Two nodes of one store and one node of another: gauges of a store count once for each store.
#[test]
fn gauges_of_a_shared_store_are_not_summed_twice() {
    let of = |metric: &str, instance: &str, labels: &str, values: &str| {
        let job = if instance == "c" {
            "other"
        } else {
            "vestibule"
        };
        serde_json::json!({
            "series": format!("{metric}{{job=\"{job}\",instance=\"{instance}\"{labels}}}"),
            "values": values,
        })
    };
    let mut series = Vec::new();
    for (instance, letters, octets, does) in [("a", 7, 100, 0), ("b", 7, 100, 1), ("c", 3, 50, 1)] {
        let held = ",portal=\"it\",state=\"held\"";
        let constant = |value: i32| format!("{value}x20");
        series.push(of("vestibule_requests", instance, held, &constant(letters)));
        series.push(of(
            "vestibule_letters_waiting",
            instance,
            "",
            &constant(letters),
        ));
        series.push(of(
            "vestibule_database_bytes",
            instance,
            "",
            &constant(octets),
        ));
        series.push(of(
            "vestibule_duty",
            instance,
            ",duty=\"housekeeping\"",
            &constant(does),
        ));
        // 6 messages a minute, each answered within 0.05 s.
        let labels = ",verdict=\"accepted\",reason=\"customer\"";
        series.push(of("vestibule_messages_total", instance, labels, "0+6x20"));
        for (bound, growth) in [("0.025", "0x20"), ("0.05", "0+6x20"), ("+Inf", "0+6x20")] {
            let bound = format!(",le=\"{bound}\"");
            series.push(of(
                "vestibule_accept_seconds_bucket",
                instance,
                &bound,
                growth,
            ));
        }
    }
    let jobs = |labels: &str, ours: f64, other: f64| {
        serde_json::json!([
            {"labels": format!("{{job=\"other\"{labels}}}"), "value": other},
            {"labels": format!("{{job=\"vestibule\"{labels}}}"), "value": ours},
        ])
    };
    let does = |instance: &str, job: &str| {
        let labels = format!("job=\"{job}\",instance=\"{instance}\",duty=\"housekeeping\"");
        serde_json::json!({"labels": format!("vestibule_duty{{{labels}}}"), "value": 1})
    };
    let expected = [
        jobs("", 0.2, 0.1),
        jobs("", 0.04875, 0.04875),
        jobs(",portal=\"it\",state=\"held\"", 7.0, 3.0),
        serde_json::json!([{"labels": "{}", "value": 10}]),
        jobs("", 100.0, 50.0),
        serde_json::json!([does("b", "vestibule"), does("c", "other")]),
    ];
    let queries = documented_queries();
    assert_eq!(queries.len(), expected.len(), "{queries:?}");
    let queries: Vec<_> = queries
        .iter()
        .zip(expected)
        .map(|(expr, samples)| {
            serde_json::json!({"expr": expr, "eval_time": "15m", "exp_samples": samples})
        })
        .collect();
    let alerts = concat!(env!("CARGO_MANIFEST_DIR"), "/config/prometheus-alerts.yml");
    let waits = serde_json::json!({"eval_time": "15m", "alertname": "VestibuleDutyWithoutNode"});
    let test = serde_json::json!({
        "rule_files": [alerts],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": series,
            "promql_expr_test": queries,
            "alert_rule_test": [waits],
        }],
    });
    let harness = Harness::at_rest(STANDARD);
    let file = harness.path("test.yml");
    std::fs::write(&file, test.to_string()).expect("a file");
    promtool(&["test", "rules", &file.display().to_string()], "");
}

#[test]
fn prometheus_accepts_the_metrics_and_the_alerts() {
    let harness = Harness::start(STANDARD);
    send(harness.smtp, "bob@partner.example", "accepted");
    let (_, answer) = http(harness.admin, "GET", "/metrics", &[]);
    let start = answer.find("# HELP").expect("metrics");
    promtool(&["check", "metrics"], &answer[start..]);
    let alerts = concat!(env!("CARGO_MANIFEST_DIR"), "/config/prometheus-alerts.yml");
    promtool(&["check", "rules", alerts], "");
}
