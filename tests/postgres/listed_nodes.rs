//! Reports about nodes that share a store: in the list, by `check`, and in the metrics.

use serde_json::Value;

use crate::nodes::configuration;
use crate::support::client::http;
use crate::support::harness::{Harness, Signal, wait_for};
use crate::support::postgres::server;

/// Value of a series on the page of metrics.
fn gauge(node: &Harness, series: &str) -> Option<String> {
    let (_, page) = http(node.admin, "GET", "/metrics", &[]);
    let line = page.lines().find_map(|line| line.strip_prefix(series));
    line.map(|value| value.trim().to_owned())
}

#[test]
fn nodes_with_different_configurations_are_reported_everywhere() {
    let schema = server().schema();
    let first = Harness::start(&configuration(&schema.url));
    let changed = configuration(&schema.url).replacen("title = \"", "title = \"Another ", 1);
    assert_ne!(changed, configuration(&schema.url));
    let second = Harness::start(&changed);
    let duties = |listed: &[Value]| {
        let duties = listed
            .iter()
            .flat_map(|node| node["duties"].as_array().expect("a list"));
        duties.filter(|duty| *duty == "operator_log").count()
    };
    let listed = wait_for("both nodes in the list, one with the duty", || {
        let listed = first.json(&["nodes", "list"]);
        (listed.len() == 2 && duties(&listed) > 0).then_some(listed)
    });
    for node in &listed {
        let differs = node["differs"].as_array().expect("a list");
        assert!(differs.contains(&"portal".into()), "{node}");
        assert!(!differs.contains(&"verification".into()), "{node}");
        assert_eq!(node["present"], true, "{node}");
    }
    assert_eq!(duties(&listed), 1, "{listed:?}");

    // `check` compares its configuration with those of the running nodes: its own node has the same, the other does
    // not.
    let found = first.command(&["check", "--json"]).output();
    let found = String::from_utf8(found.expect("it runs").stdout).expect("UTF-8");
    let differing = "its configuration differs from this one in portal";
    assert_eq!(found.matches(differing).count(), 1, "{found}");

    // Both export the same number of nodes, and one of them each duty.
    for node in [&first, &second] {
        assert_eq!(gauge(node, "vestibule_nodes ").as_deref(), Some("2"));
        assert_eq!(
            gauge(node, "vestibule_nodes_differing ").as_deref(),
            Some("2")
        );
    }
    let does = |node: &&Harness| {
        let series = "vestibule_duty{duty=\"operator_log\"} ";
        gauge(node, series).as_deref() == Some("1")
    };
    wait_for("one node with the duty", || {
        let holders = [&first, &second].iter().filter(|node| does(node)).count();
        (holders == 1).then_some(())
    });

    // With the same settings everywhere, nothing is left to report.
    std::fs::copy(first.path("vestibule.toml"), second.path("vestibule.toml")).expect("a copy");
    second.signal(Signal::HUP);
    wait_for("equal configurations", || {
        (gauge(&first, "vestibule_nodes_differing ").as_deref() == Some("0")).then_some(())
    });
}
