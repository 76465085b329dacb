//! `backup` and `doctor`: a backup is complete or absent, and faults come with their remedies.

use std::os::unix::fs::{FileExt, MetadataExt, symlink};

use serde_json::Value;
use vestibule::store::Store;

use super::harness::{FAIL_REQUESTS, Harness};

/// Findings of `doctor` about the database, and the exit status.
fn doctor(harness: &Harness) -> (i32, Vec<Value>) {
    let ran = harness.run(&["doctor", "--offline", "--json"]);
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

/// Number of findings about the portal `it`.
fn count_of_portal(harness: &Harness) -> usize {
    let (_, findings) = doctor(harness);
    let of_portal = |found: &&Value| found["check"] == "portal.it";
    findings.iter().filter(of_portal).count()
}

#[test]
fn a_backup_is_the_whole_database_in_one_private_file() {
    let harness = Harness::new();
    let entry = harness.receive("ann@corp.example", "");
    let file = harness.path("copy.db").display().to_string();
    let copied = &harness.run(&["backup", &file, "--json"]).objects()[0];
    assert_eq!(copied["entries"], 1);
    assert_eq!(copied["violations"], serde_json::json!([]));
    let found = std::fs::metadata(&file).expect("the copy");
    assert_eq!(found.mode() & 0o777, 0o600);
    assert_eq!(copied["octets"], found.len());
    let beside = std::fs::read_dir(harness.path("")).expect("a folder");
    let names: Vec<_> = beside
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.to_string_lossy().starts_with("copy.db"))
        .collect();
    assert_eq!(names, ["copy.db"]);

    let store = Store::open(&harness.path("copy.db")).expect("a database");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let there = runtime.block_on(store.ledger_entry(entry.ledger));
    assert!(there.expect("it is read").is_some());
}

#[test]
fn only_the_daemon_creates_the_database() {
    let harness = Harness::new();
    std::fs::rename(harness.path("data"), harness.path("away")).expect("moved");
    std::fs::create_dir(harness.path("data")).expect("a folder");
    for command in [
        &["stats"][..],
        &["customers", "list"],
        &["access", "allow", "acme.example"],
    ] {
        let ran = harness.run(command);
        assert_eq!(ran.status, 1, "{command:?}");
        assert!(ran.err.contains("there is no database at"), "{}", ran.err);
        assert!(
            ran.err.contains("start vestibule serve once"),
            "{}",
            ran.err
        );
    }
    let left = std::fs::read_dir(harness.path("data")).expect("a folder");
    assert_eq!(left.count(), 0, "nothing was made");
}

#[test]
fn a_backup_overwrites_nothing() {
    let harness = Harness::new();
    let file = harness.write("precious", "what was there");
    let ran = harness.run(&["backup", &file]);
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("not overwritten"), "{}", ran.err);
    let kept = std::fs::read_to_string(file).expect("the file");
    assert_eq!(kept, "what was there");
}

#[test]
fn the_remains_of_an_interrupted_backup_are_named() {
    let harness = Harness::new();
    let remains = harness.write("copy.db.incomplete", "");
    let file = harness.path("copy.db").display().to_string();
    let ran = harness.run(&["backup", &file]);
    assert_eq!(ran.status, 1);
    let said = format!("{remains}: it is left over from a backup that was interrupted");
    assert!(ran.err.contains(&said), "{}", ran.err);
    std::fs::remove_file(remains).expect("removed");
    assert_eq!(harness.run(&["backup", &file]).status, 0);
}

#[test]
fn a_copy_of_a_damaged_database_is_not_kept() {
    let harness = Harness::new();
    for _ in 0..20 {
        harness.receive("ann@corp.example", "");
    }
    harness.tamper("PRAGMA wal_checkpoint(TRUNCATE)");
    let database = std::fs::File::options()
        .write(true)
        .open(harness.path("data/vestibule.db"))
        .expect("the database");
    let pages = database.metadata().expect("its size").len() / 4096;
    // Pages of rows, not of the schema: the database can still be opened and copied.
    for page in pages - 4..pages {
        database
            .write_all_at(&[0x55; 200], page * 4096)
            .expect("written");
    }
    let file = harness.path("copy.db");
    let ran = harness.run(&["backup", &file.display().to_string()]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    // The copy may be damaged although the database is not.
    let said = format!("{}: the copy was damaged, and was deleted", file.display());
    assert!(ran.err.contains(&said), "{}", ran.err);
    assert!(!file.exists());
    assert!(!harness.path("copy.db.incomplete").exists());
    let (status, findings) = doctor(&harness);
    assert_eq!(status, 1);
    assert_eq!(finding(&findings, "database")["state"], "problem");
}

#[test]
fn a_healthy_database_has_no_findings() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "");
    let (_, findings) = doctor(&harness);
    for check in ["data_dir", "database", "ledger", "clock"] {
        assert_eq!(finding(&findings, check)["state"], "ok", "{findings:?}");
    }
}

#[test]
fn missing_content_is_reported() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "");
    harness.tamper("DELETE FROM content");
    let (status, findings) = doctor(&harness);
    assert_eq!(status, 1);
    let ledger = finding(&findings, "ledger");
    assert_eq!(ledger["state"], "problem");
    let detail = ledger["detail"].as_str().expect("a text");
    assert!(detail.contains("content"), "{detail}");
}

#[test]
fn a_newer_schema_is_not_touched() {
    let harness = Harness::new();
    harness.tamper("PRAGMA user_version = 99");
    let (status, findings) = doctor(&harness);
    assert_eq!(status, 1);
    let database = finding(&findings, "database");
    let detail = database["detail"].as_str().expect("a text");
    assert!(detail.contains("schema 99"), "{detail}");
}

#[test]
fn requests_of_an_unknown_portal_are_reported() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "");
    harness.tamper(
        "UPDATE request SET portal = 'gone';
         INSERT INTO paused_destination VALUES ('helpdesk', 0, 'operator:carol')",
    );
    let (_, findings) = doctor(&harness);
    assert_eq!(finding(&findings, "portal.gone")["state"], "problem");
    assert_eq!(
        finding(&findings, "destination.helpdesk")["state"],
        "warning"
    );
}

#[test]
fn an_entry_from_the_future_is_a_warning_about_the_clock() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "");
    harness.tamper("UPDATE ledger SET received_at = received_at + 86400000");
    let (_, findings) = doctor(&harness);
    assert_eq!(finding(&findings, "clock")["state"], "warning");
}

#[test]
fn a_database_that_is_mounted_alone_is_not_used() {
    let harness = Harness::new();
    harness.close();
    let database = harness.path("data/vestibule.db");
    std::fs::rename(&database, harness.path("away.db")).expect("moved");
    // No test may mount a file, but this is a mount everywhere.
    symlink("/proc", &database).expect("a link");
    let copy = harness.path("copy.db").display().to_string();
    for command in [
        &["customers", "list"][..],
        &["backup", &copy],
        &["compact"],
        &["migrate"],
        &["transfer", "--undo"],
    ] {
        let ran = harness.run(command);
        assert_eq!(ran.status, 1, "{command:?}: {}", ran.err);
        assert!(
            ran.err.contains("mounted without its folder"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn a_file_that_keeps_its_unused_pages_is_a_warning() {
    let harness = Harness::new();
    harness.close();
    harness.tamper("PRAGMA auto_vacuum = NONE; VACUUM;");
    let (_, findings) = doctor(&harness);
    let database = finding(&findings, "database");
    assert_eq!(database["state"], "warning", "{database}");
    let remedy = database["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains("vestibule compact"), "{remedy}");
    harness.run(&["compact", "--json"]).objects();
    let (_, findings) = doctor(&harness);
    assert_eq!(finding(&findings, "database")["state"], "ok");
}

#[test]
fn the_remedies_for_failed_requests_work() {
    let harness = Harness::new();
    harness.receive("ann@partner.example", "");
    harness.receive("bob@partner.example", "");
    harness.tamper(FAIL_REQUESTS);
    harness.tamper("DELETE FROM content WHERE ledger = (SELECT min(ledger) FROM request)");
    assert_eq!(count_of_portal(&harness), 2);
    let ran = harness.run(&["requests", "retry", "--all-failed", "--portal", "it"]);
    assert!(ran.err.contains("has expired"), "{}", ran.err);
    assert_eq!(count_of_portal(&harness), 1);
    let failed = harness.run(&["requests", "list", "--state", "failed", "--json"]);
    let failed = failed.objects();
    assert_eq!(failed.len(), 1);
    let id = failed[0]["id"].as_str().expect("an id");
    let ran = harness.run(&["requests", "discard", id]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(count_of_portal(&harness), 0);
}

#[test]
fn the_remedy_for_failed_copies_ends() {
    let harness = Harness::new();
    let first = harness.receive_copy("ann@partner.example");
    harness.tamper(FAIL_REQUESTS);
    let copy = harness.receive_copy("ann@partner.example");
    harness.tamper(&format!("{FAIL_REQUESTS} WHERE state = 'released'"));
    let ran = harness.run(&["requests", "retry", "--all-failed", "--portal", "it"]);
    assert_eq!(ran.out, format!("{first} is released\n"), "{}", ran.err);
    let (_, findings) = doctor(&harness);
    let remedy = finding(&findings, "portal.it")["remedy"].to_string();
    assert!(remedy.contains("vestibule requests discard ID"), "{remedy}");
    let ran = harness.run(&["requests", "discard", &copy]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(count_of_portal(&harness), 0);
}

/// Possible findings about the database, each with its remedy.
#[test]
fn every_finding_says_what_to_do() {
    const FAILED_EMPTY: &str = "UPDATE request SET state = 'failed', settled_at = 1, due_at = NULL;
        DELETE FROM content";
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
            "request that needs content",
            "make a backup and report it",
        ),
        (
            ORPHAN,
            "ledger",
            "problem",
            "every foreign key",
            "make a backup and report it",
        ),
        (
            OFTEN,
            "ledger",
            "problem",
            "counts of entries by day",
            "make a backup and report it",
        ),
        (
            FAIL_REQUESTS,
            "portal.it",
            "warning",
            "given up",
            "vestibule requests retry --all-failed --portal it",
        ),
        (
            FAILED_EMPTY,
            "portal.it",
            "warning",
            "their content has expired",
            "vestibule requests discard ID",
        ),
        (
            "UPDATE letter SET state = 'refused', settled_at = 1, due_at = NULL",
            "verification mail",
            "warning",
            "given up for 1 account",
            "vestibule customers mail --state refused",
        ),
        (
            "UPDATE request SET portal = 'gone'",
            "portal.gone",
            "problem",
            "not in the configuration",
            "restore it",
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
            "the newest entry is dated",
            "timedatectl",
        ),
        (
            "PRAGMA user_version = 99",
            "database",
            "problem",
            "schema 99",
            "install the version of vestibule",
        ),
    ] {
        let harness = Harness::new();
        // Only a person whose address is not verified is sent a verification mail.
        harness.receive(
            match check {
                "verification mail" => "ann@corp.example",
                _ => "bob@partner.example",
            },
            "",
        );
        harness.tamper(sql);
        let (status, findings) = doctor(&harness);
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
fn without_a_database_the_doctor_names_its_creator() {
    let harness = Harness::new();
    harness.close();
    std::fs::remove_dir_all(harness.path("data")).expect("removed");
    let (_, findings) = doctor(&harness);
    let remedy = finding(&findings, "database")["remedy"].clone();
    assert_eq!(remedy, "the first start of the daemon creates it");
}

#[test]
fn a_backup_into_a_missing_folder_says_how_to_create_it() {
    let harness = Harness::new();
    let file = harness.path("backups/copy.db").display().to_string();
    let ran = harness.run(&["backup", &file]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    let folder = harness.path("backups").display().to_string();
    for said in [
        format!("the folder {folder} does not exist"),
        format!("install -d -m 0700 {folder}"),
    ] {
        assert!(ran.err.contains(&said), "{}", ran.err);
    }
    std::fs::create_dir(&folder).expect("a folder");
    harness.receive("ann@corp.example", "");
    let ran = harness.run(&["backup", &file]);
    assert!(ran.out.contains("1 entry of the ledger"), "{}", ran.out);
}
