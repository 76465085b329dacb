//! A backup of the running daemon, and the restore procedure of `docs/backup.md`.

use std::fs;

use crate::support::client::send;
use crate::support::harness::{Harness, STANDARD};

#[test]
fn a_backup_of_a_running_system_is_restored() {
    let mut harness = Harness::start(STANDARD);
    send(harness.smtp, "ann@corp.example", "before");
    let copied = &harness.json(&["backup", "copy.db"])[0];
    assert_eq!(copied["entries"], 1);
    send(harness.smtp, "ann@corp.example", "after");

    harness.kill();
    fs::remove_dir_all(harness.path("data")).expect("the disk is lost");
    fs::create_dir(harness.path("data")).expect("a new one");
    fs::copy(harness.path("copy.db"), harness.path("data/vestibule.db")).expect("copied");
    harness.restart();

    let requests = harness.json(&["requests", "list"]);
    let ids: Vec<_> = requests
        .iter()
        .map(|request| &request["message_id"])
        .collect();
    assert_eq!(ids, ["before@client.example"]);
    send(harness.smtp, "ann@corp.example", "again");
    let findings = harness.json(&["doctor", "--offline"]);
    let ledger = findings.iter().find(|finding| finding["check"] == "ledger");
    assert_eq!(ledger.expect("a finding")["state"], "ok");
}
