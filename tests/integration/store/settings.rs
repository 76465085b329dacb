//! Access settings as revisions, the version of the schema, and temporary failures.

use vestibule::domain::Reason;
use vestibule::store::{Store, StoreError};

use super::harness::{Harness, mail, operator, settings, start};

#[tokio::test]
async fn a_change_needs_the_revision_it_was_made_from() {
    let harness = Harness::open().await;
    let change = |base| {
        let mut changed = settings();
        changed.site.internal.enabled = false;
        let by = operator("root");
        harness.store.change_access(base, changed, by, start())
    };
    assert_eq!(change(1).await.expect("changed").number, 2);
    assert!(matches!(
        change(1).await,
        Err(StoreError::Conflict {
            expected: 1,
            found: 2
        })
    ));
    let history = harness.store.access_history(10).await.expect("read");
    let numbers: Vec<_> = history.iter().map(|revision| revision.number).collect();
    assert_eq!(numbers, [2, 1]);
    assert!(
        !harness
            .store
            .seed_access(settings(), start())
            .await
            .expect("read")
    );
    let first = harness
        .store
        .revision(1)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(*first.settings, settings());
}

#[tokio::test]
async fn the_next_message_is_decided_by_settings_of_another_process() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let mut changed = settings();
    changed.site.internal.enabled = false;
    changed.site.external.allow_portal_only_accounts = false;
    let other_process = harness.again();
    let by = operator("root");
    let changed = other_process.change_access(1, changed, by, start());
    changed.await.expect("changed");
    let entry = harness
        .accept(mail("bea@corp.example", "2@x", start()))
        .await;
    assert_eq!(entry.reason, Reason::ExternalAccountsDisabled);
    let entry = harness
        .store
        .ledger_entry(entry.ledger)
        .await
        .expect("read");
    assert_eq!(entry.expect("there").revision, 2);
}

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
    let other = rusqlite::Connection::open(harness.folder.path().join("vestibule.db"));
    let other = other.expect("open");
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
