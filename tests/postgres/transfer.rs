//! A store that moves between the engines arrives unchanged, and its old place is closed.

use vestibule::domain::Timestamp;
use vestibule::store::{
    Location, RequestFilter, Store, StoreError, Transferred, backup, transfer, undo_transfer,
};

use crate::database::Database;
use crate::store::forget::{her_life, hers};
use crate::store::harness::{Harness, mail, start};
use crate::support::harness::wait_for;

async fn move_to(from: &Location, to: &Location) -> Result<Transferred, StoreError> {
    let (from, to) = (from.clone(), to.clone());
    let moved = tokio::task::spawn_blocking(move || {
        let mut last = (0, 0);
        let moved = transfer(&from, &to, Timestamp::now(), |done, all| {
            assert!(
                done >= last.0 && done <= all,
                "{done} of {all} after {last:?}"
            );
            last = (done, all);
        });
        assert!(
            moved.is_err() || (last.0 == last.1 && last.0 > 100),
            "{last:?}"
        );
        moved
    });
    moved.await.expect("a thread")
}

async fn assert_sound(store: &Store) {
    let violations = store.check_invariants().await.expect("checked");
    assert!(violations.is_empty(), "{violations:?}");
}

#[tokio::test]
async fn a_store_moves_to_a_file_and_back_and_the_old_location_accepts_nothing() {
    let harness = Harness::open().await;
    let entries = her_life(&harness).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = Location::from(&folder.path().join("vestibule.db"));
    let here = harness.database.location();

    let there = move_to(&here, &file).await.expect("moved");
    // A daemon that still runs there accepts nothing more.
    let late = harness.store.accept(hers(7)).await;
    assert!(matches!(late, Err(StoreError::ReadOnly(_))), "{late:?}");
    let refused = Store::open(&here).expect_err("the old location");
    assert!(refused.to_string().contains("vestibule.db"), "{refused}");
    assert!(refused.to_string().contains("--undo"), "{refused}");

    let store = Store::open(&file).expect("the file");
    assert_sound(&store).await;
    for entry in &entries {
        let raw = store.raw(entry.ledger).await.expect("read");
        let before = harness.store.raw(entry.ledger).await.expect("read");
        assert_eq!(raw, before);
    }
    let requests = store.requests(RequestFilter::default()).await;
    let before = harness.store.requests(RequestFilter::default()).await;
    let ids = |found: Vec<vestibule::store::Request>| -> Vec<_> {
        found.into_iter().map(|one| (one.id, one.state)).collect()
    };
    assert_eq!(
        ids(requests.expect("read").rows),
        ids(before.expect("read").rows)
    );
    // Numbers continue after those that are used.
    let new = store
        .accept(mail("new@corp.example", "new@x", start()))
        .await;
    new.expect("accepted");
    assert_sound(&store).await;
    store.close().await;

    let database = Database::new();
    let next = database.location();
    let back = move_to(&file, &next).await.expect("moved back");
    assert_eq!(back.tables, there.tables);
    assert!(back.rows > there.rows);
    let store = Store::open(&next).expect("the new location");
    assert_sound(&store).await;
    harness.store.close().await;
}

#[tokio::test]
async fn a_transfer_is_repeated_or_undone_and_overwrites_no_store() {
    let harness = Harness::open().await;
    her_life(&harness).await;
    let here = harness.database.location();
    let folder = tempfile::tempdir().expect("a folder");
    let file = Location::from(&folder.path().join("vestibule.db"));
    assert_eq!(undo_transfer(&here).expect("read"), None);

    // The target has a store already.
    let other = Harness::open().await;
    let taken = other.database.location();
    let refused = move_to(&here, &taken).await.expect_err("a store is there");
    assert!(
        refused.to_string().contains("already contains a store"),
        "{refused}"
    );
    harness.accept(hers(7)).await;

    // The copy is not complete: a row is missing, as after a crash.
    let first = move_to(&here, &file).await.expect("moved");
    let path = folder.path().join("vestibule.db");
    let connection = rusqlite::Connection::open(&path).expect("the file");
    connection
        .execute_batch(
            "DELETE FROM event;
             INSERT INTO moved (n, role, place, at) VALUES (1, 'target', 'the other', 0)",
        )
        .expect("damaged");
    drop(connection);
    let refused = Store::open(&file).expect_err("not complete");
    assert!(refused.to_string().contains("repeat"), "{refused}");
    let again = move_to(&here, &file).await.expect("repeated");
    assert_eq!(again, first);
    let store = Store::open(&file).expect("complete");
    assert_sound(&store).await;
    store.close().await;

    // The old place is opened again.
    let there = undo_transfer(&here).expect("undone");
    assert!(there.is_some_and(|place| place.contains("vestibule.db")));
    let store = Store::open(&here).expect("open again");
    let taken = store.accept(mail("new@corp.example", "new@x", start()));
    taken.await.expect("accepted");
    assert_sound(&store).await;
}

/// A copy leaves its transaction idle for as long as the other database is written and compared, which takes minutes
/// for a large store.
#[tokio::test]
async fn a_backup_outlasts_the_timeout_for_idle_transactions() {
    let harness = Harness::open().await;
    her_life(&harness).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (harness.database.location(), folder.path().join("backup.db"));
    let idles = "SELECT count(*) FROM pg_stat_activity
         WHERE application_name = 'vestibule ' || current_schema()
             AND state = 'idle in transaction' AND clock_timestamp() - state_change > '11 s'";
    let mut has_idled = false;
    let copied = backup(&from, &to, |_, _| {
        if !has_idled {
            wait_for("a copy that has idled for long", || {
                (harness.database.number(idles) == 1).then_some(())
            });
            has_idled = true;
        }
    });
    let found = copied.expect("copied");
    assert!(found.violations.is_empty(), "{:?}", found.violations);
}

#[tokio::test]
async fn a_backup_is_a_file_that_opens_everywhere_and_the_store_keeps_running() {
    let harness = Harness::open().await;
    let entries = her_life(&harness).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("backup.db");
    let (from, to) = (harness.database.location(), file.clone());
    let copied = tokio::task::spawn_blocking(move || backup(&from, &to, |_, _| {}));
    let found = copied.await.expect("a thread").expect("copied");
    assert!(found.violations.is_empty(), "{:?}", found.violations);
    assert!(found.entries > 20);
    harness.accept(hers(7)).await;

    let names: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["backup.db"], "one file");
    let store = Store::open(&file).expect("the copy");
    let raw = store.raw(entries[0].ledger).await.expect("read");
    assert_eq!(
        raw,
        harness.store.raw(entries[0].ledger).await.expect("read")
    );
    assert_sound(&store).await;
}
