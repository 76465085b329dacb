//! `backup` and `doctor`: a good copy or none, and faults found with what to do about them.

use std::os::unix::fs::{FileExt, MetadataExt};

use rusqlite::Connection;
use serde_json::Value;
use vestibule::store::Store;

use crate::house::House;

/// The database itself, for what no operation of ours would do to it.
fn tamper(house: &House, sql: &str) {
    let connection = Connection::open(house.path("data/vestibule.db")).expect("the database");
    connection.execute_batch(sql).expect("done");
}

/// What the doctor found of the inside of the database, and the exit status.
fn doctor(house: &House) -> (i32, Vec<Value>) {
    let ran = house.run(&["doctor", "--offline", "--json"]);
    let findings = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    (ran.status, findings)
}

fn finding<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    findings
        .iter()
        .find(|finding| finding["check"] == check)
        .unwrap_or_else(|| panic!("no finding of {check}: {findings:?}"))
}

#[test]
fn a_backup_is_the_whole_database_in_one_private_file() {
    let house = House::new();
    let entry = house.receive("ann@corp.example", "");
    let file = house.path("copy.db").display().to_string();
    let copied = &house.run(&["backup", &file, "--json"]).objects()[0];
    assert_eq!(copied["entries"], 1);
    assert_eq!(copied["violations"], serde_json::json!([]));
    let found = std::fs::metadata(&file).expect("the copy");
    assert_eq!(found.mode() & 0o777, 0o600);
    assert_eq!(copied["octets"], found.len());
    let beside = std::fs::read_dir(house.path("")).expect("a folder");
    let names: Vec<_> = beside
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.to_string_lossy().starts_with("copy.db"))
        .collect();
    assert_eq!(names, ["copy.db"]);

    let store = Store::open(&house.path("copy.db")).expect("a database");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let there = runtime.block_on(store.ledger_entry(entry.ledger));
    assert!(there.expect("it is read").is_some());
}

#[test]
fn only_the_daemon_makes_the_database() {
    let house = House::new();
    std::fs::rename(house.path("data"), house.path("away")).expect("moved");
    std::fs::create_dir(house.path("data")).expect("a folder");
    for command in [
        &["stats"][..],
        &["customers", "list"],
        &["access", "allow", "acme.example"],
    ] {
        let ran = house.run(command);
        assert_eq!(ran.status, 1, "{command:?}");
        assert!(ran.err.contains("there is no database at"), "{}", ran.err);
        assert!(
            ran.err.contains("start vestibule serve once"),
            "{}",
            ran.err
        );
    }
    let left = std::fs::read_dir(house.path("data")).expect("a folder");
    assert_eq!(left.count(), 0, "nothing was made");
}

#[test]
fn a_backup_overwrites_nothing() {
    let house = House::new();
    let file = house.write("precious", "what was there");
    let ran = house.run(&["backup", &file]);
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("not overwritten"), "{}", ran.err);
    let kept = std::fs::read_to_string(file).expect("the file");
    assert_eq!(kept, "what was there");
}

#[test]
fn of_a_damaged_database_no_copy_is_kept() {
    let house = House::new();
    for _ in 0..20 {
        house.receive("ann@corp.example", "");
    }
    tamper(&house, "PRAGMA wal_checkpoint(TRUNCATE)");
    let database = std::fs::File::options()
        .write(true)
        .open(house.path("data/vestibule.db"))
        .expect("the database");
    let pages = database.metadata().expect("its size").len() / 4096;
    for page in 1..pages {
        database
            .write_all_at(&[0x55; 200], page * 4096)
            .expect("written");
    }
    let file = house.path("copy.db");
    let ran = house.run(&["backup", &file.display().to_string()]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    assert!(ran.err.contains("damaged"), "{}", ran.err);
    assert!(!file.exists());
    assert!(!house.path("copy.db.incomplete").exists());
    let (status, findings) = doctor(&house);
    assert_eq!(status, 1);
    assert_eq!(finding(&findings, "database")["state"], "problem");
}

#[test]
fn a_healthy_house_is_said_to_be_so() {
    let house = House::new();
    house.receive("ann@corp.example", "");
    let (_, findings) = doctor(&house);
    for check in ["data_dir", "database", "ledger", "clock"] {
        assert_eq!(finding(&findings, check)["state"], "ok", "{findings:?}");
    }
}

#[test]
fn content_that_is_gone_is_missed() {
    let house = House::new();
    house.receive("ann@corp.example", "");
    tamper(&house, "DELETE FROM content");
    let (status, findings) = doctor(&house);
    assert_eq!(status, 1);
    let ledger = finding(&findings, "ledger");
    assert_eq!(ledger["state"], "problem");
    let detail = ledger["detail"].as_str().expect("a text");
    assert!(detail.contains("content"), "{detail}");
}

#[test]
fn a_newer_schema_is_not_touched() {
    let house = House::new();
    tamper(&house, "PRAGMA user_version = 99");
    let (status, findings) = doctor(&house);
    assert_eq!(status, 1);
    let database = finding(&findings, "database");
    let detail = database["detail"].as_str().expect("a text");
    assert!(detail.contains("schema 99"), "{detail}");
}

#[test]
fn requests_that_nothing_will_fetch_are_named() {
    let house = House::new();
    house.receive("ann@corp.example", "");
    tamper(
        &house,
        "UPDATE request SET portal = 'gone';
         INSERT INTO paused_destination VALUES ('helpdesk', 0, 'operator:carol')",
    );
    let (_, findings) = doctor(&house);
    assert_eq!(finding(&findings, "portal.gone")["state"], "problem");
    assert_eq!(
        finding(&findings, "destination.helpdesk")["state"],
        "warning"
    );
}

#[test]
fn an_entry_from_the_future_puts_the_clock_in_doubt() {
    let house = House::new();
    house.receive("ann@corp.example", "");
    tamper(
        &house,
        "UPDATE ledger SET received_at = received_at + 86400000",
    );
    let (_, findings) = doctor(&house);
    assert_eq!(finding(&findings, "clock")["state"], "warning");
}

#[test]
fn a_file_that_keeps_its_unused_pages_is_to_be_compacted() {
    let house = House::new();
    house.close();
    tamper(&house, "PRAGMA auto_vacuum = NONE; VACUUM;");
    let (_, findings) = doctor(&house);
    let database = finding(&findings, "database");
    assert_eq!(database["state"], "warning", "{database}");
    let remedy = database["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains("vestibule compact"), "{remedy}");
    house.run(&["compact", "--json"]).objects();
    let (_, findings) = doctor(&house);
    assert_eq!(finding(&findings, "database")["state"], "ok");
}

/// What may be found inside the database, each with what to do about it.
#[test]
fn every_finding_says_what_to_do() {
    const FAILED: &str = "UPDATE request SET state = 'failed', settled_at = 1, due_at = NULL";
    const ORPHAN: &str = "PRAGMA foreign_keys = OFF;
        INSERT INTO content (ledger, raw) VALUES (999, x'00')";
    const PAUSED: &str = "INSERT INTO paused_destination VALUES ('helpdesk', 0, 'operator:carol')";
    const AHEAD: &str = "UPDATE ledger SET received_at = received_at + 86400000";
    const OFTEN: &str = "UPDATE day_count SET messages = messages + 1";
    for (sql, check, state, detail, remedy) in [
        (
            "DELETE FROM content",
            "ledger",
            "problem",
            "content of a request",
            "make a backup and report it",
        ),
        (
            ORPHAN,
            "ledger",
            "problem",
            "what a row refers to",
            "make a backup and report it",
        ),
        (
            OFTEN,
            "ledger",
            "problem",
            "counted by day",
            "make a backup and report it",
        ),
        (
            FAILED,
            "portal.it",
            "warning",
            "given up",
            "vestibule requests list --state failed",
        ),
        (
            "UPDATE request SET portal = 'gone'",
            "portal.gone",
            "problem",
            "not in the configuration",
            "put it back",
        ),
        (
            PAUSED,
            "destination.helpdesk",
            "warning",
            "it is paused",
            "vestibule deliveries resume helpdesk",
        ),
        (
            AHEAD,
            "clock",
            "warning",
            "the newest entry is of",
            "timedatectl",
        ),
        (
            "PRAGMA user_version = 99",
            "database",
            "problem",
            "schema 99",
            "install the vestibule",
        ),
    ] {
        let house = House::new();
        house.receive("bob@partner.example", "");
        tamper(&house, sql);
        let (status, findings) = doctor(&house);
        let found = finding(&findings, check);
        assert_eq!(found["state"], state, "{sql}: {found}");
        for (key, text) in [("detail", detail), ("remedy", remedy)] {
            let said = found[key].as_str().unwrap_or_default();
            assert!(said.contains(text), "{sql}: {found}");
        }
        if state == "problem" {
            assert_eq!(status, 1, "{sql}");
        }
    }
}

#[test]
fn where_there_is_no_database_yet_the_doctor_says_who_makes_it() {
    let house = House::new();
    house.close();
    std::fs::remove_dir_all(house.path("data")).expect("removed");
    let (_, findings) = doctor(&house);
    let remedy = finding(&findings, "database")["remedy"].clone();
    assert_eq!(remedy, "the first start of the daemon makes it");
}

#[test]
fn a_backup_into_a_folder_that_is_not_there_says_how_to_make_it() {
    let house = House::new();
    let file = house.path("backups/copy.db").display().to_string();
    let ran = house.run(&["backup", &file]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    let folder = house.path("backups").display().to_string();
    for said in [
        format!("there is no folder {folder}"),
        format!("install -d -m 0700 {folder}"),
    ] {
        assert!(ran.err.contains(&said), "{}", ran.err);
    }
    std::fs::create_dir(&folder).expect("a folder");
    house.receive("ann@corp.example", "");
    let ran = house.run(&["backup", &file]);
    assert!(ran.out.contains("1 entry of the ledger"), "{}", ran.out);
}
