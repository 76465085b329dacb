//! Claims of hook calls.

use vestibule::domain::{DestinationName, EventPattern};
use vestibule::store::{HookCall, Settled, Settlement};

use super::harness::{Harness, mail, minutes, start};

#[tokio::test]
async fn only_the_last_claim_of_a_hook_call_settles_it() {
    let harness = Harness::open().await;
    let hook = DestinationName::parse("directory").expect("a name");
    let patterns = vec![EventPattern::parse("account.*").expect("a pattern")];
    let subscribed = harness
        .store
        .subscribe_hooks(vec![(hook.clone(), patterns)], "", start());
    subscribed.await.expect("subscribed");
    for from in ["bob@shop.example", "eve@shop.example"] {
        harness.accept(mail(from, from, start())).await;
    }
    let workers = harness.store.clone().for_workers();
    let claim = async |now| {
        let lease = now + jiff::SignedDuration::from_mins(10);
        let round = workers.settle_and_claim_hook_calls(&hook, [], 1, lease, now);
        let mut runs = round.await.expect("a claim").runs.into_iter().flatten();
        runs.next()
    };
    let settle = async |call: &HookCall, settlement| {
        let (store, now) = (&harness.store, minutes(20));
        let round =
            store.settle_and_claim_hook_calls(&hook, [(call, settlement, now)], 0, now, now);
        round.await.expect("settled").settled[0]
    };
    let first = claim(start()).await.expect("a call");
    let lost = claim(start()).await.expect("another");
    let given = workers.give_back_hook_calls(first.number(), start());
    given.await.expect("given back");
    let again = claim(start()).await.expect("the same");
    assert_eq!(again.id, lost.id);
    assert_eq!(
        settle(&lost, Settlement::Delivered).await,
        Settled::ClaimLost
    );
    assert_eq!(
        settle(&again, Settlement::Delivered).await,
        Settled::Recorded
    );
    // The lease of the first expires.
    let taken_over = claim(minutes(10)).await.expect("the first");
    assert_eq!(taken_over.id, first.id);
    assert!(taken_over.number() > again.number());
    let late = Settlement::Failed {
        cause: "late".to_owned(),
    };
    assert_eq!(settle(&first, late).await, Settled::ClaimLost);
    assert_eq!(
        settle(&taken_over, Settlement::Delivered).await,
        Settled::Recorded
    );
    assert!(claim(minutes(30)).await.is_none());
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_hook_restored_during_removal_makes_its_remaining_calls() {
    let harness = Harness::open().await;
    let hook = DestinationName::parse("directory").expect("a name");
    let patterns = vec![EventPattern::parse("request.*").expect("a pattern")];
    let configured = vec![(hook.clone(), patterns)];
    let subscribe = async |hooks| {
        let subscribed = harness.store.subscribe_hooks(hooks, "", start());
        subscribed.await.expect("subscribed")
    };
    subscribe(configured.clone()).await;
    for i in 0..2 {
        harness
            .accept(mail("bob@shop.example", &format!("{i}@x"), start()))
            .await;
    }
    assert_eq!(subscribe(Vec::new()).await, std::slice::from_ref(&hook));
    let removed = harness.store.remove_hook(hook.clone(), 1);
    assert_eq!(removed.await.expect("removed"), 1);
    subscribe(configured).await;
    harness.assert_sound().await;
    let calls = harness
        .store
        .settle_and_claim_hook_calls(&hook, [], 10, minutes(10), start())
        .await;
    assert_eq!(
        calls.expect("a claim").runs.len(),
        1,
        "the first of the remaining ones"
    );
}
