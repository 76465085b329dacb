//! Tests of a store's file: those that concern SQLite only. `tests/postgres` runs all others.

use std::path::Path;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;
use vestibule::domain::Reason;
use vestibule::store::{Forgetting, Location, Store, StoreError, unused_octets_of};

use crate::store::forget::{SECRET, ann, forget, her_life, her_vacation, hers};
use crate::store::harness::{DAY, Harness, address, at, mail, operator, start};

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.db");
    let newer = rusqlite::Connection::open(&path).expect("a database");
    newer
        .pragma_update(None, "user_version", 99)
        .expect("a version");
    drop(newer);
    assert!(matches!(
        Store::open(&path),
        Err(StoreError::NewerSchema { found: 99, .. })
    ));
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = Store::open(&folder.path().join("none/vestibule.db")).expect_err("no folder");
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.db");
    std::fs::write(&path, [7; 8192]).expect("written");
    assert!(matches!(Store::open(&path), Err(StoreError::Damaged(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_is_busy_and_works_again_afterwards() {
    let harness = Harness::open().await;
    harness.store.writable().await.expect("writable");
    let other = rusqlite::Connection::open(harness.database.path()).expect("the database");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let refused = harness
        .store
        .accept(mail("ann@corp.example", "1@x", start()));
    assert!(matches!(refused.await, Err(StoreError::Busy(_))));
    other.execute_batch("ROLLBACK").expect("unlocked");
    let entry = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    assert_eq!(entry.reason, Reason::InternalAccountCreated);
}

/// Rewrites a closed file without incremental vacuum, as another program would.
fn rewrite(path: &Path) {
    let connection = rusqlite::Connection::open(path).expect("the database");
    connection
        .execute_batch("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM;")
        .expect("rewritten");
}

#[tokio::test]
async fn a_file_without_incremental_vacuum_is_not_reported_as_overwritten() {
    let harness = Harness::open().await;
    her_life(&harness).await;
    harness.store.close().await;
    let path = harness.database.path();
    rewrite(&path);
    let store = harness.again();
    let forgotten = forget(&store, false).await.expect("forgotten");
    assert!(!forgotten.overwritten);
    store.close().await;
    vestibule::store::compact(&path).expect("compacted");
    let again = forget(&harness.again(), false).await.expect("forgotten");
    assert!(again.overwritten);
    assert_eq!(harness.database.places_with(SECRET), [""; 0]);
}

/// The file keeps its free pages, so they show what was overwritten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_ends_does_not_keep_another_from_overwriting() {
    const MARK: &str = "marimba";
    let harness = Harness::open().await;
    for number in 0..30 {
        let mut long = her_vacation(number);
        // On pages that contain nothing else.
        long.raw.extend([b'x'; 10_000]);
        long.raw.extend(MARK.repeat(2000).into_bytes());
        harness.accept(long).await;
    }
    let bob = address("bob@corp.example");
    let mut his = mail(&bob.to_string(), "bob@x", start());
    his.facts.automatic = her_vacation(0).facts.automatic;
    harness.accept(his).await;
    harness.store.close().await;
    let path = harness.database.path();
    rewrite(&path);
    assert!(!harness.database.places_with(MARK).is_empty());

    let store = harness.again();
    let forgetting = |address| Forgetting {
        address,
        domain_too: false,
        by: operator("root"),
        now: at(DAY),
    };
    let mut other = None;
    let hers = store.forget_customer(forgetting(ann()), |_, _| {
        other.get_or_insert_with(|| {
            let his = store.forget_customer(forgetting(bob.clone()), |_, _| {});
            block_in_place(|| Handle::current().block_on(his))
        });
    });
    let hers = hers.await.expect("forgotten");
    assert_eq!((hers.entries, hers.overwritten), (30, false));
    let his = other.expect("a step").expect("forgotten");
    assert_eq!(his.entries, 1);
    store.close().await;
    // Moves the rest of the log into the file.
    rusqlite::Connection::open(&path)
        .and_then(|file| file.execute_batch("PRAGMA journal_mode = DELETE"))
        .expect("the database");
    assert_eq!(harness.database.places_with(MARK), [""; 0]);
}

#[tokio::test]
async fn expired_content_is_overwritten_by_compacting() {
    let harness = Harness::open().await;
    harness.accept(hers(0)).await;
    harness.store.close().await;
    let path = harness.database.path();
    let connection = rusqlite::Connection::open(&path).expect("the database");
    connection
        .execute_batch("PRAGMA auto_vacuum = NONE; VACUUM; DELETE FROM content;")
        .expect("as an old one would be");
    drop(connection);
    vestibule::store::compact(&path).expect("compacted");
    let connection = rusqlite::Connection::open(&path).expect("the database");
    let how: i64 = connection
        .query_row("PRAGMA auto_vacuum", [], |row| row.get(0))
        .expect("a number");
    assert_eq!(how, 2, "incremental");
    let raw = "Message-ID: <0.xylophone";
    assert_eq!(harness.database.places_with(raw), [""; 0]);
}

/// A burst of mail then finds room in the log.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_extended_while_nothing_is_written() {
    let harness = Harness::open().await;
    let accept = |id: &'static str| harness.accept(mail("ann@corp.example", id, start()));
    accept("1@x").await;
    let stop = CancellationToken::new();
    let extending = harness.store.clone().extend_log_in_idle_time(stop.clone());
    let extending = tokio::spawn(extending);
    let log = harness.database.folder.path().join("vestibule.db-wal");
    let length = || std::fs::metadata(&log).expect("a log").len();
    assert!(length() < 8 << 20, "{}", length());
    let is_long = async {
        while length() < 64 << 20 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_mins(1), is_long).await;
    waited.expect("the log is extended");
    stop.cancel();
    extending.await.expect("it ends");
    accept("2@x").await;
    harness.store.close().await;
    assert_eq!(harness.database.number("SELECT count(*) FROM request"), 2);
}

/// They count as free space while the disk is short of space.
#[tokio::test(flavor = "multi_thread")]
async fn unused_pages_are_counted_without_a_daemon() {
    let harness = Harness::open().await;
    let mut message = mail("bob@partner.example", "1@x", start());
    message.raw.resize(1 << 20, b'x');
    harness.accept(message).await;
    let path = harness.database.path();
    let unused = || block_in_place(|| unused_octets_of(&Location::from(&path)).expect("read"));
    let before = unused();
    let other = rusqlite::Connection::open(&path).expect("the database");
    other.execute_batch("DELETE FROM content").expect("deleted");
    assert!(unused() >= before + (1 << 19), "{before}, {}", unused());
    let missing = path.with_file_name("none.db");
    assert_eq!(unused_octets_of(&Location::from(&missing)).ok(), Some(0));
}

/// Even if the log is so long that a thread with a connection of its own copies it.
#[tokio::test(flavor = "multi_thread")]
async fn closing_the_store_deletes_the_log() {
    for messages in [1, 5] {
        let harness = Harness::open().await;
        for number in 0..messages {
            let (from, id) = (format!("p{number}@partner.example"), format!("{number}@x"));
            let mut message = mail(&from, &id, start());
            message.raw.resize(8 << 20, b'x');
            harness.accept(message).await;
        }
        let log = harness.database.folder.path().join("vestibule.db-wal");
        assert!(log.exists());
        harness.store.close().await;
        assert!(!log.exists(), "after {messages} messages");
    }
}
