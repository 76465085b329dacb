//! A backup of the running daemon, and what `docs/backup.md` says to do with it.

use std::fs;

use crate::client::send;
use crate::house::{House, STANDARD};

#[test]
fn a_backup_of_a_running_system_is_restored() {
    let mut house = House::start(STANDARD);
    send(house.smtp, "ann@corp.example", "before");
    let copied = &house.json(&["backup", "copy.db"])[0];
    assert_eq!(copied["entries"], 1);
    send(house.smtp, "ann@corp.example", "after");

    house.kill();
    fs::remove_dir_all(house.path("data")).expect("the disk is lost");
    fs::create_dir(house.path("data")).expect("a new one");
    fs::copy(house.path("copy.db"), house.path("data/vestibule.db")).expect("copied");
    house.restart();

    let requests = house.json(&["requests", "list"]);
    let ids: Vec<_> = requests
        .iter()
        .map(|request| &request["message_id"])
        .collect();
    assert_eq!(ids, ["before@client.example"]);
    send(house.smtp, "ann@corp.example", "again");
    let findings = house.json(&["doctor", "--offline"]);
    let ledger = findings.iter().find(|finding| finding["check"] == "ledger");
    assert_eq!(ledger.expect("a finding")["state"], "ok");
}
