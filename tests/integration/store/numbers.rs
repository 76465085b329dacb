//! Row numbers are used once: a stale reference to a deleted row never finds another row.

use vestibule::domain::{RequestState, canary};
use vestibule::store::{Forgetting, MessageContent, Settlement, Store};

use super::harness::{DAY, Harness, address, at, mail, operator, portal, start, to};
use crate::support::claims::claim_deliveries;

async fn sing(harness: &Harness) {
    let mut song = mail("canary-1@canary.invalid", "1@x", start());
    song.parts = vec![to(canary::NAME)];
    harness.accept(song).await;
}

#[tokio::test]
async fn a_canary_that_is_forgotten_while_claimed_does_not_settle_a_later_entry() {
    let harness = Harness::open().await;
    sing(&harness).await;
    let portals = [portal(canary::NAME), portal("it")];
    let claim = async || {
        let claims = claim_deliveries(&harness.store, &portals, 1, at(DAY), start());
        claims.await.remove(0)
    };
    let held = claim().await;
    let (song, _) = content(&harness.store, held.ledger).await;
    harness.store.delete_canaries().await.expect("forgotten");

    let entry = harness
        .accept(mail("bob@shop.example", "2@x", start()))
        .await;
    let next = claim().await;
    assert_eq!(Some(next.request()), entry.request);
    harness.settle(&held, Settlement::Delivered, start()).await;
    let id = next.request();
    let request = harness.request(id).await;
    assert_eq!(request.state, RequestState::Released, "nobody delivered it");
    // Nor is its content read through the canary's handle.
    song.read(0, 10).await.expect_err("it is gone");

    harness.settle(&next, Settlement::Delivered, start()).await;
    let request = harness.request(id).await;
    assert_eq!(request.state, RequestState::Delivered);
}

async fn content(store: &Store, ledger: vestibule::domain::LedgerId) -> (MessageContent, Vec<u8>) {
    let found = store.content(ledger, 0).await.expect("read");
    found.expect("its content")
}

#[tokio::test]
async fn later_actions_of_operators_have_higher_numbers_after_a_person_is_forgotten() {
    let harness = Harness::open().await;
    let store = harness.store.clone();
    for person in ["bea@shop.example", "bob@shop.example"] {
        let added = store.add_customer(address(person), None, operator("root"), start());
        added.await.expect("added");
    }
    let told = store.newest_event().await.expect("read");
    let forgetting = Forgetting {
        address: address("bob@shop.example"),
        domain_too: false,
        by: operator("root"),
        now: at(DAY),
    };
    let forgotten = store.forget_customer(forgetting, |_, _| {}).await;
    forgotten.expect("forgotten");

    let actions = store.operator_events_since(told, 10).await.expect("read");
    let names: Vec<_> = actions
        .iter()
        .map(|action| (action.event.as_str(), action.origin.as_deref()))
        .collect();
    assert_eq!(names, [("account.forgotten", Some("command line"))]);
    let violations = store.check_invariants().await.expect("checked");
    assert!(violations.is_empty(), "{violations:?}");
}

#[tokio::test]
async fn a_row_number_below_an_earlier_one_is_found() {
    let harness = Harness::open().await;
    harness
        .accept(mail("bob@shop.example", "1@x", start()))
        .await;
    harness.database.run("UPDATE writer SET next_number = 1");
    let violations = harness.store.check_invariants().await.expect("checked");
    let places: Vec<_> = violations
        .iter()
        .map(|found| found.place.as_str())
        .collect();
    assert_eq!(places, ["account", "ledger", "event"], "{violations:?}");
}

#[tokio::test]
async fn processes_take_their_numbers_from_the_same_row() {
    let harness = Harness::open().await;
    let other = harness.again();
    let mut newest = 0;
    for round in 0..6 {
        let store = if round % 2 == 0 {
            &harness.store
        } else {
            &other
        };
        let person = format!("bob{round}@shop.example");
        let arrival = mail(&person, &format!("{round}@x"), start());
        store.accept(arrival).await.expect("accepted");
        let event = store.newest_event().await.expect("read");
        assert!(event > newest, "{event} after {newest}");
        newest = event;
    }
    let violations = other.check_invariants().await.expect("checked");
    assert!(violations.is_empty(), "{violations:?}");
}
