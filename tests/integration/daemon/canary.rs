//! The message that the daemon sends to itself.

use std::fs;

use serde_json::Value;

use crate::support::client::http;
use crate::support::harness::{Harness, STANDARD, Signal, wait_for};

fn readiness(harness: &Harness) -> (u16, Value) {
    let (status, answer) = http(harness.admin, "GET", "/readyz", &[]);
    let body = answer.rsplit("\r\n\r\n").next().unwrap_or(&answer);
    let body = body.lines().last().expect("a body");
    (status, serde_json::from_str(body).expect(body))
}

fn wait_for_canary(harness: &Harness, arrived: bool, status: u16) {
    wait_for("the canary", || {
        let (found, ready) = readiness(harness);
        (ready["canary"] == Value::Bool(arrived) && found == status).then_some(())
    });
}

/// A harness with generous time limits, for a machine under load.
fn harness() -> Harness {
    Harness::start(&format!(
        "{STANDARD}\n[canary]\ninterval = \"1s\"\npatience = \"5m\"\n"
    ))
}

/// The log is written a moment after the event.
fn wait_for_line(harness: &Harness, words: &str) {
    wait_for(words, || harness.log().contains(words).then_some(()));
}

#[test]
fn it_passes_the_whole_pipeline_and_leaves_no_trace() {
    let harness = harness();
    wait_for_canary(&harness, true, 200);
    wait_for("the numbers of several", || {
        let (_, page) = http(harness.admin, "GET", "/metrics", &[]);
        let count = page
            .lines()
            .find_map(|line| line.strip_prefix("vestibule_canary_seconds_count "));
        assert!(page.contains("\nvestibule_canary_up 1\n"), "{page}");
        (count?.parse::<u32>().ok()? >= 2).then_some(())
    });
    let mut harness = harness;
    harness.signal(Signal::TERM);
    assert_eq!(harness.exit_status(), Some(0));
    assert!(harness.delivered().is_empty(), "the help desk heard of it");
    assert!(
        harness.verification_mails().is_empty(),
        "somebody was written to"
    );

    // The next start removes the remains of an unfinished canary.
    harness.restart();
    let (_, page) = http(harness.http, "GET", "/", &[]);
    assert!(
        page.contains("IT Help") && !page.to_lowercase().contains("canary"),
        "{page}"
    );
    wait_for("the removal of all traces", || {
        let is_gone = harness.json(&["customers", "list"]).is_empty()
            && harness.json(&["requests", "list"]).is_empty()
            && harness.files("data/canary/new").is_empty();
        is_gone.then_some(())
    });
}

#[test]
fn a_lost_canary_is_reported_until_one_arrives() {
    let harness = Harness::start_with(
        &format!("{STANDARD}\n[canary]\ninterval = \"1s\"\npatience = \"5s\"\n"),
        |folder| {
            // A file in place of the Maildir.
            fs::create_dir(folder.join("data")).expect("a folder");
            fs::write(folder.join("data/canary"), "in the way").expect("a file");
        },
    );
    wait_for_canary(&harness, false, 503);
    wait_for_line(&harness, "ERROR canary.failed cause=");
    let (_, page) = http(harness.admin, "GET", "/metrics", &[]);
    assert!(page.contains("\nvestibule_canary_up 0\n"), "{page}");
    fs::remove_file(harness.path("data/canary")).expect("removed");
    wait_for_canary(&harness, true, 200);
    wait_for_line(&harness, "INFO canary.recovered");
}

#[test]
fn its_portal_accepts_nothing_from_outside() {
    let harness = harness();
    let refused = crate::support::client::Smtp::connect(harness.smtp).and_then(|mut smtp| {
        let message = crate::support::client::message("eve@stranger.example", "m");
        smtp.send("eve@stranger.example", "canary@canary.invalid", &message)
    });
    assert!(refused.expect("a reply").starts_with("550"));
}
