//! A damaged row in the database of a running daemon: it is set aside and reported, and all other rows are
//! processed.

use crate::support::client::send;
use crate::support::harness::{DEADLINE, Harness, STANDARD, wait_for};

#[test]
fn a_damaged_request_fails_and_later_ones_are_delivered() {
    let harness = Harness::start(STANDARD);
    harness
        .command(&["deliveries", "pause", "desk"])
        .output()
        .expect("it runs");
    for marker in ["broken", "later"] {
        send(harness.smtp, "bob@partner.example", marker);
    }
    let database = harness.path("data").join("vestibule.db");
    let connection = rusqlite::Connection::open(database).expect("the database");
    connection.busy_timeout(DEADLINE).expect("an option");
    let changed = connection.execute(
        "UPDATE ledger SET facts = '{' WHERE n = (SELECT min(ledger) FROM request)",
        [],
    );
    assert_eq!(changed.expect("changed"), 1);
    harness
        .command(&["deliveries", "resume", "desk"])
        .output()
        .expect("it runs");
    let delivered = wait_for("the delivery", || {
        Some(harness.delivered()).filter(|delivered| !delivered.is_empty())
    });
    assert!(String::from_utf8_lossy(&delivered[0]).contains("later"));
    let failed = harness.json(&["requests", "list", "--state", "failed"]);
    let [failed] = failed.as_slice() else {
        panic!("{failed:?}");
    };
    let cause = failed["last_error"].as_str().expect("a cause");
    assert!(
        cause.contains("a row of the database is damaged"),
        "{cause}"
    );
    let id = failed["id"].as_str().expect("an id");
    let event = format!("request {id} was set aside as failed");
    wait_for("the event in the log", || {
        harness.log().contains(&event).then_some(())
    });
    let doctor = harness.command(&["doctor"]).output().expect("it runs");
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains(id), "{doctor}");
}
