//! `250` means on disk: what was acknowledged is there after SIGKILL. `tests/proof` does it at length.

use crate::client::send;
use crate::house::{House, STANDARD};

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
