//! Automatic mail that an operator accepts from an account: it counts while the account is active.

use vestibule::domain::{AccountId, Reason, Verdict, VerificationMethod};
use vestibule::mail::Evidence;
use vestibule::store::{Choice, Forgetting, StoreError};

use super::harness::{Harness, address, mail, operator, start};

/// Needs no verification.
const BOB: &str = "bob@shop.example";

const ANN: &str = "ann@corp.example";

/// Receives mail that a program wrote. Returns the verdict and the reason.
async fn report(harness: &Harness, from: &str, id: &str) -> (Verdict, Reason) {
    let mut arrival = mail(from, id, start());
    arrival.facts.automatic = Some(Evidence {
        field: "Auto-Submitted".to_owned(),
        value: "auto-generated".to_owned(),
    });
    let entry = harness.accept(arrival).await;
    (entry.verdict, entry.reason)
}

/// Receives ordinary mail, and returns the sender's account.
async fn account_of(harness: &Harness, from: &str, id: &str) -> AccountId {
    let entry = harness.accept(mail(from, id, start())).await;
    entry.account.expect("an account").0
}

async fn set(harness: &Harness, id: AccountId, accepts: bool) {
    let by = operator("root");
    let set = harness.store.set_automatic_mail(id, accepts, by, start());
    assert_eq!(set.await.expect("set").takes_automatic, accepts);
}

/// Details of the events about the setting, newest first.
async fn details(harness: &Harness, id: AccountId) -> Vec<String> {
    let history = harness.store.history_of(id, 100).await.expect("read");
    let events = history
        .into_iter()
        .filter(|event| event.event == "account.takes_automatic");
    events
        .map(|event| event.detail.expect("a detail"))
        .collect()
}

#[tokio::test]
async fn it_is_accepted_while_set_and_a_block_keeps_the_setting() {
    let harness = Harness::open().await;
    let bob = account_of(&harness, BOB, "1@x").await;
    let (accepted, dropped) = (
        (Verdict::Accepted, Reason::AccountActive),
        (Verdict::Dropped, Reason::Automatic),
    );
    assert_eq!(report(&harness, BOB, "2@x").await, dropped);
    let told = harness.store.newest_event().await.expect("read");
    set(&harness, bob, true).await;
    set(&harness, bob, true).await;
    assert_eq!(details(&harness, bob).await, ["on"]);
    let actions = harness.store.operator_events_since(told, 10).await;
    let actions = actions.expect("read");
    let actions: Vec<_> = actions
        .iter()
        .map(|action| (action.event.as_str(), action.detail.as_deref()))
        .collect();
    assert_eq!(actions, [("account.takes_automatic", Some("on"))]);
    assert_eq!(report(&harness, BOB, "3@x").await, accepted);

    let by = operator("root");
    let blocked = harness.store.block_customer(bob, by.clone(), start()).await;
    assert!(blocked.expect("blocked").takes_automatic);
    let verdict = report(&harness, BOB, "4@x").await;
    assert_eq!(verdict, (Verdict::Dropped, Reason::AccountBlocked));
    let unblocked = harness.store.unblock_customer(bob, by, start()).await;
    assert!(unblocked.expect("unblocked").takes_automatic);
    assert_eq!(report(&harness, BOB, "5@x").await, accepted);

    set(&harness, bob, false).await;
    set(&harness, bob, false).await;
    assert_eq!(report(&harness, BOB, "6@x").await, dropped);
    assert_eq!(details(&harness, bob).await, ["off", "on"]);
    // Another node sees the same.
    let other = harness.again().customer(&address(BOB)).await.expect("read");
    assert!(!other.expect("there").takes_automatic);
    harness.assert_sound().await;
}

#[tokio::test]
async fn automatic_mail_of_a_pending_account_is_dropped_whatever_the_setting() {
    let harness = Harness::open().await;
    let ann = account_of(&harness, ANN, "1@x").await;
    set(&harness, ann, true).await;
    let verdict = report(&harness, ANN, "2@x").await;
    assert_eq!(verdict, (Verdict::Dropped, Reason::Automatic));
    let method = VerificationMethod::Operator(operator("root"));
    let verified = harness
        .store
        .verify_account(method, Some(ann), Choice::All, start());
    verified.await.expect("verified");
    let verdict = report(&harness, ANN, "3@x").await;
    assert_eq!(verdict, (Verdict::Accepted, Reason::AccountActive));
}

#[tokio::test]
async fn it_ends_with_the_account() {
    let harness = Harness::open().await;
    let bob = account_of(&harness, BOB, "1@x").await;
    set(&harness, bob, true).await;
    let forgetting = Forgetting {
        address: address(BOB),
        domain_too: false,
        by: operator("root"),
        now: start(),
    };
    let forgotten = harness.store.forget_customer(forgetting, |_, _| {}).await;
    forgotten.expect("forgotten");
    let by = operator("root");
    let set = harness
        .store
        .set_automatic_mail(bob, true, by, start())
        .await;
    assert!(matches!(set, Err(StoreError::NotFound { .. })), "{set:?}");
    // Somebody new at that address has no such setting.
    account_of(&harness, BOB, "2@x").await;
    let verdict = report(&harness, BOB, "3@x").await;
    assert_eq!(verdict, (Verdict::Dropped, Reason::Automatic));
    harness.assert_sound().await;
}
