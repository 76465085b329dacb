//! Databases of every earlier schema, each made by a program of its time, are migrated and used.
//! `testdata/databases` tells how they were made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::client::{Smtp, http, message, send};
use crate::support::harness::{Harness, STANDARD, wait_for};

/// The stored databases by their schema.
fn stored() -> Vec<(u64, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/databases");
    let mut found: Vec<_> = fs::read_dir(folder)
        .expect("testdata/databases")
        .filter_map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name()?.to_str()?;
            let number = name.strip_prefix("schema-")?.strip_suffix(".sqlite")?;
            Some((number.parse().ok()?, path))
        })
        .collect();
    found.sort();
    found
}

fn harness_with(database: &Path) -> Harness {
    // The stored entries and accounts get older every day, so none may be deleted for its age.
    let harness = Harness::at_rest(&format!(
        "{STANDARD}\n[retention]\nledger = \"36500d\"\npending_accounts = \"36500d\"\n"
    ));
    fs::create_dir(harness.path("data")).expect("a folder");
    fs::copy(database, harness.path("data/vestibule.db")).expect("copied");
    harness
}

fn finding(harness: &Harness, check: &str) -> Value {
    let output = harness
        .command(&["doctor", "--offline", "--json"])
        .output()
        .expect("it runs");
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect(line))
        .find(|finding| finding["check"] == check)
        .unwrap_or_else(|| panic!("no finding of {check}"))
}

fn states(harness: &Harness) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    let mut states: Vec<_> = harness
        .json(&["requests", "list"])
        .iter()
        .map(|request| (word(&request["subject"]), word(&request["state"])))
        .collect();
    states.sort();
    states
}

/// The schema of this program.
fn newest() -> u64 {
    fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite/schema"))
        .expect("the steps")
        .count() as u64
}

/// The schema of the last release. Later migrations belong to the next one, and no program ever made a
/// database with a schema between two releases.
const RELEASED: u64 = 6;

#[test]
fn there_is_one_of_every_released_schema() {
    let stored: Vec<u64> = stored().into_iter().map(|(schema, _)| schema).collect();
    let released: Vec<u64> = (1..=RELEASED).collect();
    let (old, own) = stored.split_at(released.len().min(stored.len()));
    assert_eq!(old, released);
    // The newest schema may be stored already, before its release.
    assert!(own.is_empty() || own == [newest()], "{own:?}");
}

#[test]
fn an_old_database_is_migrated_and_used() {
    for (schema, file) in stored() {
        let mut harness = harness_with(&file);
        let found = finding(&harness, "database");
        if schema < newest() {
            assert_eq!(found["state"], "warning", "schema {schema}: {found}");
            let remedy = found["remedy"].as_str().unwrap_or_default();
            assert!(remedy.starts_with("make a backup"), "{remedy}");
            commands_leave_the_schema_alone(&harness, schema);
        }
        harness.restart();

        for check in ["database", "ledger"] {
            let found = finding(&harness, check);
            assert_eq!(found["state"], "ok", "schema {schema}: {found}");
        }
        let is = |subject: &str, state: &str| (format!("About {subject}"), state.to_owned());
        let mut expected = [
            is("delivered", "delivered"),
            is("discarded", "discarded"),
            is("held-1", "held"),
            is("held-2", "held"),
            is("waiting", "released"),
        ];
        assert_eq!(states(&harness), expected, "schema {schema}");

        let why = &harness.json(&["explain", "dropped@client.example"])[0];
        assert_eq!(why["reason"], "domain_not_allowed", "{why}");
        let repeats = harness.json(&["explain", "held-1@client.example"]);
        assert_eq!(repeats.len(), 2, "schema {schema}: {repeats:?}");
        // He has written before without verification, and the portal still accepts his mail.
        let bob = &harness.json(&["customers", "list", "--status", "active"])[0];
        assert_eq!(bob["let_in_by"], serde_json::json!(["it"]), "{bob}");
        let history = harness.json(&["access", "history"]);
        assert_eq!(history.len(), 2, "schema {schema}");

        // The old link still opens, and held requests are released.
        let token = fs::read_to_string(file.with_extension("link")).expect("a link");
        let link = format!("/verify/{}", token.trim());
        let (status, page) = http(harness.http, "GET", &link, &[]);
        assert!(status == 200 && page.contains("About held-2"), "{page}");
        let (status, page) = http(harness.http, "POST", &link, &[("action", "confirm")]);
        assert_eq!(status, 200, "{page}");
        harness.json(&["deliveries", "resume", "desk"]);
        for one in &mut expected {
            if one.1 != "discarded" {
                one.1 = "delivered".to_owned();
            }
        }
        wait_for("all deliveries", || {
            (states(&harness) == expected).then_some(())
        });

        // Known senders are still known, and new ones are new.
        send(harness.smtp, "ann@corp.example", "new-1");
        send(harness.smtp, "new@corp.example", "new-2");
        harness.link_for("new@corp.example");
        let ann = &harness.json(&["explain", "new-1@client.example"])[0];
        assert_eq!(ann["reason"], "account_active", "{ann}");
        assert_eq!(
            finding(&harness, "ledger")["state"],
            "ok",
            "schema {schema}"
        );
    }
}

/// Checks that commands do not migrate: a daemon of an older version may be running on the database.
fn commands_leave_the_schema_alone(harness: &Harness, schema: u64) {
    for arguments in [
        &["requests", "list"][..],
        &["access", "approve", "new.example"],
        &["compact"],
    ] {
        let output = harness.command(arguments).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(
            text.contains(&format!("has schema {schema}")) && text.contains("vestibule migrate"),
            "{arguments:?}: {text}"
        );
    }
}

#[test]
fn migrate_brings_the_schema_up_to_date_unless_a_daemon_runs() {
    let (schema, file) = stored().remove(0);
    let mut harness = harness_with(&file);
    let done = &harness.json(&["migrate"])[0];
    assert_eq!(done["schema_before"], schema, "{done}");
    assert_eq!(done["schema"], newest(), "{done}");
    assert_eq!(harness.json(&["requests", "list"]).len(), 5);
    harness.restart();
    let output = harness.command(&["migrate"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("stop it first"), "{text}");
}

#[test]
fn a_newer_database_is_refused_and_left_as_it_is() {
    let (_, file) = stored().pop().expect("a database");
    let harness = harness_with(&file);
    let path = harness.path("data/vestibule.db");
    let raised = rusqlite::Connection::open(&path)
        .and_then(|connection| connection.pragma_update(None, "user_version", 999));
    raised.expect("raised");
    let before = fs::read(&path).expect("the database");
    for arguments in [&["serve"][..], &["customers", "list"], &["compact"]] {
        let output: std::process::Output =
            Command::output(&mut harness.command(arguments)).expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("schema 999"), "{arguments:?}: {said}");
        assert!(
            said.contains("run a newer vestibule"),
            "{arguments:?}: {said}"
        );
    }
    let after = fs::read(&path).expect("the database");
    // Opening a database to read its schema may record in its header that it uses a write-ahead log.
    assert_eq!(before.len(), after.len());
    assert!(before[100..] == after[100..], "the pages are the same");
}

/// Addresses that earlier versions accepted, with their old key and the account's status.
const OLD_ADDRESSES: [(&str, &str, &str); 5] = [
    ("DÖRTE@corp.example", "dörte@corp.example", "active"),
    ("mar\u{212A}@corp.example", "mark@corp.example", "pending"),
    (
        "eve%evil.example@corp.example",
        "eve%evil.example@corp.example",
        "pending",
    ),
    (
        "evil.example!Eve@corp.example",
        "evil.example!eve@corp.example",
        "active",
    ),
    (
        "\"eve@evil.example\"@corp.example",
        "\"eve@evil.example\"@corp.example",
        "pending",
    ),
];

#[test]
fn claims_before_an_upgrade_are_due_after_it() {
    let (_, newest) = stored().pop().expect("a database");
    let harness = harness_with(&newest);
    add_old_addresses(&harness.path("data/vestibule.db"));
    let database = || rusqlite::Connection::open(harness.path("data/vestibule.db")).expect("it");
    let year_2200 = 7_258_118_400_000_i64;
    for sql in [
        "UPDATE request SET in_work = 1, attempts = 1, due_at = ? WHERE state = 'released'",
        "UPDATE letter SET state = 'claimed', claimed_at = 1, attempts = 1, due_at = ?
         WHERE state = 'waiting'",
    ] {
        let claimed = database().execute(sql, [year_2200]).expect("changed");
        assert!(claimed > 0, "{sql}");
    }
    let migrated = harness.command(&["migrate"]).status().expect("it runs");
    assert!(migrated.success());
    for left in [
        "SELECT count(*) FROM request WHERE in_work = 1 OR due_at > 5000000000000",
        "SELECT count(*) FROM letter WHERE state = 'claimed' OR due_at > 5000000000000",
    ] {
        let count: i64 = database()
            .query_row(left, [], |row| row.get(0))
            .expect("read");
        assert_eq!(count, 0, "{left}");
    }
    let found = finding(&harness, "ledger");
    assert_eq!(found["state"], "ok", "{found}");
    assert_eq!(mail_state(&harness, "old@corp.example"), "waiting");
}

/// Adds an account for each to a database of the last release, with a verification mail that is due.
fn add_old_addresses(database: &Path) {
    let connection = rusqlite::Connection::open(database).expect("a database");
    let usable = ("old@corp.example", "old@corp.example", "pending");
    for (n, (address, key, status)) in (100..).zip(OLD_ADDRESSES.into_iter().chain([usable])) {
        let verified_at = (status == "active").then_some(1);
        connection
            .execute(
                "INSERT INTO account (n, id, key, address, domain, kind, status, proof_needed,
                     verified_by, verified_at, groups, created_at, created_by)
                 VALUES (?1, randomblob(16), ?2, ?3, 'corp.example', 'internal', ?4, 1,
                     iif(?5, 'link', NULL), ?5, '[]', 1, 'mail')",
                rusqlite::params![n, key, address, status, verified_at],
            )
            .expect("an account");
        connection
            .execute(
                "INSERT INTO letter (id, account, kind, cause, state, created_at, due_at)
                 VALUES (randomblob(16), ?1, 'verification', 'sign_up', 'waiting', 1, 1)",
                [n],
            )
            .expect("a letter");
    }
}

/// The state of the verification mail to an account.
fn mail_state(harness: &Harness, address: &str) -> String {
    rusqlite::Connection::open(harness.path("data/vestibule.db"))
        .expect("a database")
        .query_row(
            "SELECT l.state FROM letter AS l JOIN account AS a ON a.n = l.account
             WHERE a.address = ?",
            [address],
            |row| row.get(0),
        )
        .expect("a letter")
}

#[test]
fn addresses_of_earlier_versions_are_shown_and_get_no_mail() {
    let (_, file) = stored().pop().expect("a database");
    let mut harness = harness_with(&file);
    add_old_addresses(&harness.path("data/vestibule.db"));
    harness.restart();

    let address_of = |account: &Value| account["address"].as_str().unwrap_or_default().to_owned();
    let listed: Vec<String> = harness
        .json(&["customers", "list"])
        .iter()
        .map(address_of)
        .collect();
    for (n, (address, ..)) in OLD_ADDRESSES.iter().enumerate() {
        assert!(
            listed.iter().any(|one| one == address),
            "{address} in {listed:?}"
        );
        let shown = &harness.json(&["customers", "show", address])[0];
        assert_eq!(address_of(shown), *address);
        let folder = harness.path(&format!("export-{n}")).display().to_string();
        let written = &harness.json(&["customers", "export", address, "--to", &folder])[0];
        assert_eq!(written["letters"], 1, "{written}");
    }
    for address in ["eve%evil.example@corp.example", "mar\u{212A}@corp.example"] {
        let output = harness.command(&["customers", "resend", address]).output();
        let output = output.expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && text.contains("no mail is sent"),
            "{text}"
        );
    }

    // The account is found by its stored address.
    let written = message("DÖRTE@corp.example", "upper");
    let reply = Smtp::connect(harness.smtp).and_then(|mut client| {
        client.send("bounces@client.example", "it-help@corp.example", &written)
    });
    assert!(reply.expect("an answer").starts_with("250"));
    let why = &harness.json(&["explain", "upper@client.example"])[0];
    assert_eq!(why["reason"], "account_active", "{why}");
    // The address that had this key is now another person's, who gets their own link.
    send(harness.smtp, "mark@corp.example", "mark");
    let why = &harness.json(&["explain", "mark@client.example"])[0];
    assert_eq!(why["reason"], "internal_account_created", "{why}");
    harness.link_for("mark@corp.example");

    for (address, ..) in OLD_ADDRESSES {
        let state = wait_for("the end of a letter", || {
            Some(mail_state(&harness, address)).filter(|state| state != "waiting")
        });
        assert_eq!(state, "cancelled", "{address}");
    }
    // The same mail is sent to an address that is usable.
    harness.link_for("old@corp.example");
    let receiver = |verification_mail: &String| {
        let to = verification_mail
            .lines()
            .find_map(|line| line.strip_prefix("To: "));
        to.expect("a receiver").to_owned()
    };
    for to in harness.verification_mails().iter().map(receiver) {
        let is_usable = ["ann", "mark", "old"].map(|name| format!("{name}@corp.example"));
        assert!(is_usable.contains(&to), "{to}");
    }
    assert_eq!(finding(&harness, "ledger")["state"], "ok");
}
