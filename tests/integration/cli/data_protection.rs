//! `customers export` and `customers forget`, and `compact`.

use std::os::unix::fs::MetadataExt;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::harness::Harness;

fn filled_harness() -> Harness {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "Subject: Printer on fire\r\n");
    harness.send_mail();
    harness.receive("ann@corp.example", "Auto-Submitted: auto-replied\r\n");
    harness
}

#[test]
fn all_data_about_a_person_is_exported_with_private_permissions() {
    let harness = filled_harness();
    // Without a running daemon, a search fills its index.
    assert_eq!(harness.run(&["find", "fire"]).status, 0);
    let folder = harness.path("ann");
    let to = folder.display().to_string();
    let written = harness.run(&[
        "customers",
        "export",
        "Ann@corp.example",
        "--to",
        &to,
        "--json",
    ]);
    let written = &written.objects()[0];
    for (what, count) in [
        ("entries", 2),
        ("requests", 1),
        ("letters", 1),
        ("messages", 2),
    ] {
        assert_eq!(written[what], count, "{what}: {written}");
    }
    assert!(written["events"].as_u64().is_some_and(|count| count >= 2));
    assert_eq!(
        std::fs::metadata(&folder).expect("there").mode() & 0o777,
        0o700
    );
    let read = |name: &str| -> Value {
        let file = folder.join(name);
        let mode = std::fs::metadata(&file).expect(name).mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        serde_json::from_slice(&std::fs::read(file).expect(name)).expect(name)
    };
    assert_eq!(read("account.json")["address"], "ann@corp.example");
    assert_eq!(read("directory.json"), Value::Null);
    assert_eq!(read("requests.json")[0]["subject"], "Printer on fire");
    assert_eq!(read("letters.json")[0]["state"], "sent");
    assert_eq!(read("events.json")[0]["event"], "account.created");
    let words = read("words.json");
    for word in ["@corp.example", "ann@", "fire", "printer"] {
        let found = words.as_array().expect("words").contains(&word.into());
        assert!(found, "{word}: {words}");
    }
    let ledger = read("ledger.json")[1]["ledger"].clone();
    let message = format!("messages/{}.eml", ledger.as_str().expect("an id"));
    let message = std::fs::read_to_string(folder.join(message)).expect("the message");
    assert!(message.ends_with("\r\nHelp!\r\n"), "{message}");

    let again = harness.run(&["customers", "export", "ann@corp.example", "--to", &to]);
    assert_eq!(again.status, 1, "{}", again.err);
    assert!(again.err.contains("name another folder"), "{}", again.err);
    let second = harness.path("second").display().to_string();
    let counted = harness.run(&["customers", "export", "ann@corp.example", "--to", &second]);
    let numbers = "2 entries of the ledger, 1 request, 1 verification mail, ";
    assert!(counted.out.contains(numbers), "{}", counted.out);
    assert!(counted.out.ends_with(", 2 messages\n"), "{}", counted.out);
    let unknown = harness.run(&["customers", "export", "eve@corp.example", "--to", &to]);
    assert_eq!(unknown.status, 3, "{}", unknown.err);
}

#[test]
fn a_person_is_forgotten_once_and_for_all() {
    let harness = filled_harness();
    let asked = harness.run(&["customers", "forget", "ann@corp.example"]);
    assert_snapshot!("forget_asks", asked.shown());
    let still = harness.run(&["customers", "show", "ann@corp.example"]);
    assert_eq!(still.status, 0, "{}", still.err);
    let forgotten = harness.run(&["customers", "forget", "ann@corp.example", "--yes"]);
    let shown = forgotten.shown();
    let pseudonym = shown
        .split_whitespace()
        .find(|word| word.starts_with("forgotten-"))
        .expect("a pseudonym");
    assert!(pseudonym.ends_with("@corp.example"), "{pseudonym}");
    assert_snapshot!("forget", shown.replace(pseudonym, "(pseudonym)"));
    for command in [
        &["customers", "show", "ann@corp.example"][..],
        &["customers", "forget", "ann@corp.example", "--yes"],
        &["explain", "ann@corp.example"],
    ] {
        let ran = harness.run(command);
        assert_eq!(ran.status, 3, "{command:?}: {}{}", ran.out, ran.err);
    }
    let doctor = harness.run(&["doctor", "--offline", "--json"]);
    let ledger = doctor.out.lines().find(|line| line.contains("\"ledger\""));
    assert!(
        ledger.is_some_and(|line| line.contains("\"ok\"")),
        "{}",
        doctor.out
    );
}

#[test]
fn a_run_that_did_not_overwrite_everything_is_completed_by_the_next() {
    let harness = filled_harness();
    let reader = rusqlite::Connection::open(harness.path("data/vestibule.db")).expect("opened");
    reader.execute_batch("BEGIN").expect("a transaction");
    let entries = reader.query_row("SELECT count(*) FROM ledger", [], |row| {
        row.get::<_, i64>(0)
    });
    assert_eq!(entries.expect("a snapshot"), 2);
    let forget = || harness.run(&["customers", "forget", "ann@corp.example", "--yes"]);
    let remains = || {
        let files = ["data/vestibule.db", "data/vestibule.db-wal"];
        files.iter().any(|name| {
            let octets = std::fs::read(harness.path(name)).expect(name);
            let subject = b"Printer on fire";
            octets.windows(subject.len()).any(|part| part == subject)
        })
    };
    let blocked = forget();
    assert_eq!(blocked.status, 1, "{}", blocked.err);
    assert!(
        blocked.err.contains("run this command again"),
        "{}",
        blocked.err
    );
    assert!(remains());
    drop(reader);
    let again = forget();
    assert_eq!(again.status, 3, "{}", again.err);
    assert!(!remains());
}

/// Only an earlier run can have left traces in the free pages.
#[test]
fn an_address_never_heard_of_is_not_found_in_a_file_that_keeps_its_free_pages() {
    let harness = filled_harness();
    harness.close();
    let file = rusqlite::Connection::open(harness.path("data/vestibule.db")).expect("opened");
    file.execute_batch(
        "PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM;
         CREATE TABLE filler AS SELECT zeroblob(100000) AS octets;
         DROP TABLE filler;",
    )
    .expect("as another program would leave it");
    let free = file.query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0));
    assert!(free.expect("a number") > 0);
    drop(file);
    let forget = |address| harness.run(&["customers", "forget", address, "--yes"]);

    let unknown = forget("eve@corp.example");
    assert_eq!(unknown.status, 3, "{}", unknown.err);
    let nothing = "there is no message or account of eve@corp.example";
    assert!(unknown.err.contains(nothing), "{}", unknown.err);

    for _ in 0..2 {
        let forgotten = forget("ann@corp.example");
        assert_eq!(forgotten.status, 1, "{}", forgotten.err);
        let remedy = "vestibule compact";
        assert!(forgotten.err.contains(remedy), "{}", forgotten.err);
    }
    let compacted = harness.run(&["compact"]);
    assert_eq!(compacted.status, 0, "{}", compacted.err);
    let again = forget("ann@corp.example");
    assert_eq!(again.status, 3, "{}", again.err);
}

#[test]
fn the_json_of_an_erasure_has_each_key_once() {
    let harness = filled_harness();
    let forgotten = harness.run(&["customers", "forget", "ann@corp.example", "--yes", "--json"]);
    let done = &forgotten.objects()[0];
    for (key, value) in [
        ("account", json!(true)),
        ("entries", json!(2)),
        ("contents", json!(2)),
        ("held", json!(1)),
        ("released", json!(0)),
        ("letters", json!(1)),
        ("delivered", json!([])),
        ("discarded", json!(1)),
        ("overwritten", json!(true)),
    ] {
        assert_eq!(done[key], value, "{key}: {done}");
    }
    for key in done.as_object().expect("an object").keys() {
        let times = forgotten.out.matches(&format!("\"{key}\":")).count();
        assert_eq!(times, 1, "{key}: {}", forgotten.out);
    }
}

#[test]
fn the_database_is_rewritten_while_it_is_not_in_use() {
    let harness = filled_harness();
    harness.close();
    let compacted = harness.run(&["compact", "--json"]);
    assert!(compacted.objects()[0]["octets"].as_u64().is_some());
    let lock = std::fs::File::open(harness.path("data/lock")).expect("the lock");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("locked");
    let refused = harness.run(&["compact"]);
    assert_eq!(refused.status, 1);
    assert!(refused.err.contains("stop it"), "{}", refused.err);
}

/// An address without an account may have had one that expired.
#[test]
fn systems_that_may_know_the_account_are_named() {
    let harness = filled_harness();
    harness.receive("bob@corp.example", "Auto-Submitted: auto-replied\r\n");
    let configuration = std::fs::read_to_string(harness.path("vestibule.toml")).expect("a file");
    let hook = "[[hook]]\nname = \"directory\"\nurl = \"https://directory.corp.example/\"\n\
                events = [\"account.*\"]\n";
    harness.write("vestibule.toml", &format!("{configuration}\n{hook}"));
    for (address, status) in [
        ("ann@corp.example", 0),
        ("bob@corp.example", 0),
        ("eve@corp.example", 3),
    ] {
        let ran = harness.run(&["customers", "forget", address, "--yes"]);
        let text = format!("{}{}", ran.out, ran.err);
        assert_eq!(ran.status, status, "{address}: {text}");
        let hook = "directory may have received events of the account";
        assert!(text.contains(hook), "{address}: {text}");
    }
}
