//! A daemon that starts with times in its database from a wrong clock.

use std::time::Duration;

use vestibule::config::Config;
use vestibule::domain::Timestamp;
use vestibule::store::Store;

use crate::support::arrival::arrival;
use crate::support::harness::{Harness, STANDARD, Signal, wait_for};

const DAY: Duration = Duration::from_hours(24);

/// A harness with mail that arrived at that time.
fn harness_with_mail_of(received_at: Timestamp) -> Harness {
    let harness = Harness::at_rest(STANDARD);
    std::fs::create_dir(harness.path("data")).expect("a folder");
    let config = Config::load(Some(&harness.path("vestibule.toml"))).expect("a configuration");
    let raw = "From: ann@corp.example\r\nMessage-ID: <1@corp.example>\r\n\r\nHelp!\r\n";
    let arrival = arrival(&config, "ann@corp.example", "it", raw, received_at);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(&config.database()).expect("a database");
        let seeded = store.seed_access(config.access.clone(), received_at).await;
        assert!(seeded.expect("settings"));
        store.accept(arrival).await.expect("accepted");
        store.close().await;
    });
    harness
}

fn state(harness: &Harness) -> String {
    let requests = harness.json(&["requests", "list"]);
    requests[0]["state"].as_str().expect("a state").to_owned()
}

#[test]
fn nothing_expires_by_a_clock_that_is_a_year_ahead() {
    let mut harness = harness_with_mail_of(Timestamp::now() - 365 * DAY);
    harness.restart();
    wait_for("the warning", || {
        harness
            .log()
            .contains("clock.jumped direction=ahead")
            .then_some(())
    });
    harness.signal(Signal::TERM);
    assert_eq!(harness.exit_status(), Some(0));
    assert_eq!(state(&harness), "held");
    assert!(
        !harness.log().contains("request.expired"),
        "{}",
        harness.log()
    );
}

#[test]
fn mail_continues_after_a_clock_was_set_back() {
    let mut harness = harness_with_mail_of(Timestamp::now() + 365 * DAY);
    harness.restart();
    wait_for("the warning", || {
        harness
            .log()
            .contains("clock.jumped direction=back")
            .then_some(())
    });
    // Its verification mail is due now, and not in a year.
    harness.link_for("ann@corp.example");
    assert_eq!(state(&harness), "held");
}
