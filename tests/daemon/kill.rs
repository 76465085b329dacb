//! `250` means on disk: what was acknowledged is there after SIGKILL. `tests/proof` does it at length.

use crate::client::send;
use crate::house::{House, STANDARD};

#[test]
fn a_panic_of_the_writer_ends_the_process_with_an_error() {
    let mut house = House::at_rest(STANDARD);
    // At the start there is more than one commit, so this is between two of them.
    let ended_early = !house.restart_with(&[("VESTIBULE_FAILPOINT", "panic-answered:2")]);
    if !ended_early {
        assert_eq!(house.exit_status(), Some(1));
    }
    let log = house.log();
    assert!(log.contains("the writer of the database ended"), "{log}");
    house.restart();
    send(house.smtp, "ann@corp.example", "after");
    assert_eq!(house.json(&["requests", "list"]).len(), 1);
}

#[test]
fn a_message_survives_a_kill_the_moment_after_its_250() {
    let mut house = House::start(STANDARD);
    send(house.smtp, "ann@corp.example", "survivor");
    house.kill();
    house.restart();
    let requests = house.json(&["requests", "list"]);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["message_id"], "survivor@client.example");
    // The letter is not waited for: one that was on its way at the kill may have been sent, and is
    // sent again only after its lease and within the limits.
}
