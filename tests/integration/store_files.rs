//! Tests of a store's file: those that concern SQLite only. `tests/postgres` runs all others.

use vestibule::domain::Reason;
use vestibule::store::{Store, StoreError};

use crate::store::forget::{SECRET, forget, her_life, hers};
use crate::store::harness::{Harness, mail, start};

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

#[tokio::test]
async fn a_file_without_incremental_vacuum_is_not_reported_as_overwritten() {
    let harness = Harness::open().await;
    her_life(&harness).await;
    harness.store.close().await;
    let path = harness.database.path();
    let connection = rusqlite::Connection::open(&path).expect("the database");
    connection
        .execute_batch("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM;")
        .expect("as another program would rewrite it");
    drop(connection);
    let store = harness.again();
    let forgotten = forget(&store, false).await.expect("forgotten");
    assert!(!forgotten.overwritten);
    store.close().await;
    vestibule::store::compact(&path).expect("compacted");
    let again = forget(&harness.again(), false).await.expect("forgotten");
    assert!(again.overwritten);
    assert_eq!(harness.database.places_with(SECRET), [""; 0]);
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
