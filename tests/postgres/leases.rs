//! Leases: other nodes take over a claim when its lease ends; the same node's next process does so within a minute,
//! but not while a copy of the node may be at work.

use crate::nodes::{configuration, libfaketime, number};
use crate::store_harness::{accept, open_seeded};
use crate::support::client::send;
use crate::support::harness::{Harness, wait_for};
use crate::support::postgres::{Schema, server};

/// Attempts of the request that is claimed; 0 if none is.
fn attempts(schema: &Schema) -> i64 {
    let sql = "SELECT coalesce(max(attempts), 0) FROM request WHERE in_work = 1";
    number(schema, sql)
}

/// A node that has claimed a request, for a help desk that never answers, and the reply to the MTA.
fn start_with_a_claim(schema: &Schema) -> (Harness, String) {
    let hanging = configuration(&schema.url).replace(
        "type = \"maildir\"\npath = \"desk\"",
        "type = \"command\"\nprogram = \"/bin/sleep\"\nargs = [\"600\"]\ntimeout = \"10m\"",
    );
    let node = Harness::start(&hanging);
    for action in ["add", "verify"] {
        let done = node.run(&["customers", action, "bob@corp.example"]);
        assert_eq!(done.status, 0, "{}", done.err);
    }
    let reply = send(node.smtp, "bob@corp.example", "claimed");
    wait_for("a claim", || (attempts(schema) == 1).then_some(()));
    (node, reply)
}

#[test]
fn claims_of_a_killed_node_are_taken_over_when_their_lease_ends() {
    let schema = server().schema();
    let (mut doomed, reply) = start_with_a_claim(&schema);
    let claimed = "SELECT count(*) FROM request WHERE in_work = 1";

    // Another node that starts leaves the claim alone.
    let mut heir = Harness::start(&configuration(&schema.url));
    assert_eq!(number(&schema, claimed), 1);
    doomed.kill();
    heir.restart();
    assert_eq!(number(&schema, claimed), 1, "its lease has not ended");

    server().run(
        &schema.name,
        "UPDATE request SET due_at = 1 WHERE in_work = 1",
    );
    // The heir remembers when the lease was to end; after a restart it looks again.
    heir.restart();
    wait_for("the delivery by the other node", || {
        let all = heir.delivered();
        let texts = all.iter().map(|message| String::from_utf8_lossy(message));
        texts
            .into_iter()
            .find(|text| text.contains("The body of claimed."))?;
        Some(())
    });
    let id = reply.trim_end().rsplit(' ').next().expect("an id");
    let found = heir.json(&["explain", id]);
    assert_eq!(found.len(), 1, "the same id");
}

#[test]
fn a_killed_node_resumes_its_claims_once_no_copy_can_be_at_work() {
    let schema = server().schema();
    let (mut node, _) = start_with_a_claim(&schema);
    let seen = "SELECT coalesce(max(seen_at), 0) FROM node";
    wait_for("a record of the node", || {
        (number(&schema, seen) > 0).then_some(())
    });
    node.kill();
    let seen = number(&schema, seen);
    node.restart();
    // Its lease lasts eleven minutes, which is longer than this waits.
    wait_for("a second claim", || (attempts(&schema) == 2).then_some(()));
    let since = format!("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint - {seen}");
    let silence = number(&schema, &since);
    assert!(
        silence >= 30_000,
        "a copy may be at work: recorded {silence} ms before"
    );
}

/// The clock of the database says since when a node has been silent.
#[test]
fn a_copy_whose_clock_is_ahead_ends_no_lease() {
    let schema = server().schema();
    let (node, _) = start_with_a_claim(&schema);
    let mut copy = Harness::at_rest(&configuration(&schema.url));
    std::fs::create_dir_all(copy.path("data")).expect("a folder");
    std::fs::copy(node.path("data/node-id"), copy.path("data/node-id")).expect("a copy");
    let is_up = copy.restart_with(&[
        ("LD_PRELOAD", libfaketime().as_str()),
        ("FAKETIME", "+90"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    assert!(is_up, "{}", copy.log());
    // The copy looks at the leases when it starts, and records itself for the second time after that.
    wait_for("a report", || {
        let is_told = |node: &Harness| node.log().contains("its data_dir is a copy");
        (is_told(&node) && is_told(&copy)).then_some(())
    });
    assert_eq!(attempts(&schema), 1);
    let seen =
        "SELECT abs(seen_at - extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM node";
    assert!(
        number(&schema, seen) < 60_000,
        "by the clock of the database"
    );
}

/// The clocks are compared again in the transaction that claims: a node can have been suspended since it last looked.
#[test]
fn a_node_whose_clock_has_jumped_takes_over_no_lease() {
    let schema = server().schema();
    let (node, _) = start_with_a_claim(&schema);
    let mut other = Harness::at_rest(&configuration(&schema.url));
    let clock = other.path("clock");
    std::fs::write(&clock, "+0").expect("a file");
    let is_up = other.restart_with(&[
        ("LD_PRELOAD", libfaketime().as_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().expect("UTF-8")),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    assert!(is_up, "{}", other.log());
    // By this clock, the lease of eleven minutes has ended.
    std::fs::write(&clock, "+1200").expect("a file");
    // Wakes the worker of the other node, before that node writes anything itself.
    send(node.smtp, "bob@corp.example", "wakes");
    let offset = "SELECT coalesce(max(clock_offset), 0) FROM node";
    wait_for("a record of the jump", || {
        (number(&schema, offset) > 1_000_000).then_some(())
    });
    assert_eq!(attempts(&schema), 1);
}

/// A lease that a start ends would otherwise be due a millisecond late.
#[tokio::test]
async fn the_clock_of_a_database_on_this_machine_is_never_ahead() {
    let schema = server().schema();
    let store = open_seeded(&schema.url).await;
    for number in 0..50 {
        let accepted = accept(&store, "bob@corp.example", &format!("{number}@x")).await;
        accepted.expect("accepted");
        let offset = store.clock_offset();
        assert!(offset >= 0, "ahead by {} ms", -offset);
    }
}
