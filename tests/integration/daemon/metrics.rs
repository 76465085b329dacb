//! `/metrics` of the real daemon, and that the alerts and the dashboard query existing metrics.

use std::collections::BTreeSet;

use crate::support::client::{http, send};
use crate::support::harness::{Harness, STANDARD, Signal, wait_for};

const ALERTS: &str = include_str!("../../../config/prometheus-alerts.yml");
const DASHBOARD: &str = include_str!("../../../config/grafana-dashboard.json");

fn page(harness: &Harness) -> String {
    let (status, answer) = http(harness.admin, "GET", "/metrics", &[]);
    assert_eq!(status, 200, "{answer}");
    answer
}

#[test]
fn events_are_counted() {
    let harness = Harness::start(STANDARD);
    send(harness.smtp, "bob@partner.example", "accepted");
    send(harness.smtp, "ann@corp.example", "held");
    send(harness.smtp, "eve@stranger.example", "dropped");
    let expected = [
        "vestibule_messages_total{verdict=\"accepted\",reason=\"external_account_created\"} 1",
        "vestibule_messages_total{verdict=\"held\",reason=\"internal_account_created\"} 1",
        "vestibule_messages_total{verdict=\"dropped\",reason=\"domain_not_allowed\"} 1",
        "vestibule_events_total{event=\"verification.sent\"} 1",
        "vestibule_events_total{event=\"fault\"} 0",
        "vestibule_requests{portal=\"it\",state=\"held\"} 1",
        "vestibule_accept_seconds_count 3",
        "vestibule_commit_seconds_count 3",
        "vestibule_deliver_seconds_count 1",
        "vestibule_letters_waiting 0",
    ];
    wait_for("all to be counted", || {
        let page = page(&harness);
        expected
            .iter()
            .all(|line| page.lines().any(|own| own == *line))
            .then_some(())
    });
    // While the disk does not answer, the daemon is not ready.
    wait_for("the daemon to be ready", || {
        let (status, _) = http(harness.admin, "GET", "/readyz", &[]);
        (status == 200).then_some(())
    });
}

/// A daemon whose destination is down.
fn start_with_outage() -> Harness {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = listener.local_addr().expect("bound");
    drop(listener);
    let configuration = STANDARD.replace(
        "type = \"maildir\"\npath = \"desk\"",
        &format!("type = \"smtp\"\nurl = \"smtp://{closed}\""),
    );
    let harness = Harness::start(&configuration);
    for number in 1..=5 {
        let from = format!("bob{number}@partner.example");
        send(harness.smtp, &from, &format!("m{number}"));
    }
    wait_for("the outage", || {
        let queues = harness.json(&["deliveries", "list"]);
        (queues[0]["state"] == "down").then_some(())
    });
    harness
}

/// True once an outage was logged as ended.
fn is_logged_as_ended(harness: &Harness) -> bool {
    let count = "vestibule_events_total{event=\"destination.up\"} ";
    let page = page(harness);
    let number = page.lines().find_map(|line| line.strip_prefix(count));
    number.is_some_and(|number| number != "0")
}

#[test]
fn an_outage_that_an_operator_ends_is_logged_as_ended() {
    let harness = start_with_outage();
    wait_for("the event", || {
        harness.json(&["deliveries", "retry", "desk"]);
        is_logged_as_ended(&harness).then_some(())
    });
}

#[test]
fn an_outage_that_another_configuration_of_the_destination_ends_is_logged_as_ended() {
    let harness = start_with_outage();
    let file = harness.path("vestibule.toml");
    let configuration = std::fs::read_to_string(&file).expect("a file");
    let changed = configuration.replace("smtp://", "smtp+starttls://");
    std::fs::write(file, changed).expect("a file");
    harness.signal(Signal::HUP);
    wait_for("the event", || is_logged_as_ended(&harness).then_some(()));
}

/// Our metric names in a text, a histogram's without the suffix of its series.
fn names(text: &str) -> BTreeSet<String> {
    text.match_indices("vestibule_")
        .map(|(place, _)| {
            let name: String = text[place..]
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect();
            name.trim_end_matches("_bucket").to_owned()
        })
        .collect()
}

#[test]
fn alerts_and_dashboard_query_existing_metrics() {
    let harness = Harness::start(STANDARD);
    let there = names(&page(&harness));
    for (file, text) in [("alerts", ALERTS), ("dashboard", DASHBOARD)] {
        let asked = names(text);
        assert!(asked.len() > 3, "{file}: {asked:?}");
        let unknown: Vec<_> = asked.difference(&there).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}");
    }
}

/// Events that alerts wait for are counted.
#[test]
fn alerts_name_events_that_are_counted() {
    let harness = Harness::start(STANDARD);
    let page = page(&harness);
    let mut named = 0;
    for (place, start) in ALERTS.match_indices("event=\"") {
        let name: String = ALERTS[place + start.len()..]
            .chars()
            .take_while(|c| *c != '"')
            .collect();
        let counted = format!("vestibule_events_total{{event=\"{name}\"}} ");
        assert!(page.contains(&counted), "{name} is not counted");
        named += 1;
    }
    assert!(named >= 5, "{named}");
}
