//! Access settings as revisions, the version of the schema, and temporary failures.

use vestibule::domain::Reason;
use vestibule::operations::list_revisions;
use vestibule::store::{Page, StoreError};

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
    // The default page has rows, as that of every other list.
    let listed = list_revisions(&harness.store, Page::default()).await;
    let listed = listed.expect("read");
    let numbers: Vec<_> = listed.rows.iter().map(|entry| entry.revision).collect();
    assert_eq!((numbers, listed.next), (vec![2, 1], None));
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
