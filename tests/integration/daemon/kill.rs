//! `250` means on disk: acknowledged messages survive SIGKILL. `tests/system/proof` tests it at length.

use crate::support::client::send;
use crate::support::harness::{Harness, STANDARD};

#[test]
fn a_panic_of_the_writer_ends_the_process_with_an_error() {
    let mut harness = Harness::at_rest(STANDARD);
    // The start commits more than once, so this panic comes between two commits.
    let ended_early = !harness.restart_with(&[("VESTIBULE_FAILPOINT", "panic-answered:2")]);
    if !ended_early {
        assert_eq!(harness.exit_status(), Some(1));
    }
    let log = harness.log();
    assert!(log.contains("the database writer thread panicked"), "{log}");
    harness.restart();
    send(harness.smtp, "ann@corp.example", "after");
    assert_eq!(harness.json(&["requests", "list"]).len(), 1);
}

#[test]
fn a_message_survives_a_kill_the_moment_after_its_250() {
    let mut harness = Harness::start(STANDARD);
    send(harness.smtp, "ann@corp.example", "survivor");
    harness.kill();
    harness.restart();
    let requests = harness.json(&["requests", "list"]);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["message_id"], "survivor@client.example");
    // The verification mail is not awaited: one in flight at the kill may have been sent, and is resent only after
    // its lease expires and within the limits.
}
