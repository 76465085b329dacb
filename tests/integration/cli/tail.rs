//! `tail`: earlier messages, then new ones, as selected by the filters.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use super::harness::Harness;

/// A running `tail`, until the end of the test.
struct Tail {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Tail {
    fn of(harness: &Harness, arguments: &[&str]) -> Self {
        let mut process = harness
            .command(&["tail", "--json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, lines }
    }

    fn next(&mut self) -> Value {
        let line = self.lines.next().expect("a line").expect("UTF-8");
        serde_json::from_str(&line).expect("an object")
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn earlier_entries_are_followed_by_new_ones() {
    let harness = Harness::new();
    harness.receive("eve@stranger.example", "");
    let before = harness.receive("bob@partner.example", "");
    let mut tail = Tail::of(&harness, &["--lines", "1"]);
    assert_eq!(tail.next()["ledger"], before.ledger.to_string());
    for from in [
        "ann@corp.example",
        "eve@stranger.example",
        "bob@partner.example",
    ] {
        let entry = harness.receive(from, "");
        let shown = tail.next();
        assert_eq!(shown["ledger"], entry.ledger.to_string());
        assert_eq!(shown["sender"], from);
        assert_eq!(shown["verdict"], entry.verdict.as_str());
    }
}

#[test]
fn the_filters_select_matching_entries() {
    let harness = Harness::new();
    let before = harness.receive("eve@stranger.example", "");
    let mut tail = Tail::of(&harness, &["--verdict", "dropped", "--portal", "it"]);
    assert_eq!(tail.next()["ledger"], before.ledger.to_string());
    harness.receive("ann@corp.example", "");
    let entry = harness.receive("mallory@stranger.example", "");
    assert_eq!(tail.next()["ledger"], entry.ledger.to_string());
}

#[test]
fn a_portal_that_was_removed_can_be_named() {
    let harness = Harness::new();
    let before = harness.receive("ann@corp.example", "");
    harness.rename_portal("it", "computers");
    let mut tail = Tail::of(&harness, &["--portal", "it"]);
    assert_eq!(tail.next()["ledger"], before.ledger.to_string());
}

/// An entry may be committed after one that arrived later, if the later one was parsed faster.
#[test]
fn entries_that_were_committed_late_are_shown() {
    let harness = Harness::new();
    let ahead = harness.receive("eve@stranger.example", "");
    harness.tamper("UPDATE ledger SET received_at = received_at + 60000");
    let mut tail = Tail::of(&harness, &["--lines", "1"]);
    assert_eq!(tail.next()["ledger"], ahead.ledger.to_string());
    for from in ["ann@corp.example", "bob@partner.example"] {
        let overtaken = harness.receive(from, "");
        assert_eq!(tail.next()["ledger"], overtaken.ledger.to_string());
    }
}
