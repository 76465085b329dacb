//! Hook calls without an account: bounded, one for each dropped message, and deleted with their person.

use std::collections::BTreeSet;

use serde_json::Value;
use vestibule::access::AccessSettings;
use vestibule::domain::{DestinationName, EventPattern, OperatorName, Timestamp};
use vestibule::store::{DownDestination, Forgetting, HookCall, Settlement};

use super::harness::{Harness, address, mail, minutes, operator, settings, start};

fn hook() -> DestinationName {
    DestinationName::parse("siem").expect("a name")
}

pub async fn subscribe(harness: &Harness, events: &[&str]) {
    let patterns = events
        .iter()
        .map(|event| EventPattern::parse(event).expect(event));
    let hooks = vec![(hook(), patterns.collect())];
    let subscribed = harness.store.subscribe_hooks(hooks, "", start()).await;
    assert_eq!(subscribed.expect("subscribed"), []);
}

/// A store that takes no external mail.
async fn closed() -> Harness {
    let harness = Harness::open().await;
    let mut settings: AccessSettings = settings();
    settings.site.external.restrict_domains = true;
    let changed = harness
        .store
        .change_access(1, settings, operator("root"), start());
    changed.await.expect("changed");
    harness
}

async fn drop_mail(harness: &Harness, number: usize) {
    let id = format!("{number}@x");
    harness.accept(mail("eve@evil.example", &id, start())).await;
}

/// Claims up to `limit` due calls, with their payloads.
pub async fn claim(harness: &Harness, limit: usize, now: Timestamp) -> Vec<(HookCall, Value)> {
    let (lease, hook) = (minutes(10_000), hook());
    let round = harness
        .store
        .settle_and_claim_hook_calls(&hook, [], limit, lease, now);
    let runs = round.await.expect("claimed").runs;
    runs.into_iter()
        .flatten()
        .map(|call| {
            let payload = serde_json::from_str(&call.payload).expect("JSON");
            (call, payload)
        })
        .collect()
}

async fn settle(harness: &Harness, calls: &[(HookCall, Value)], settlement: Settlement) {
    let outcomes: Vec<_> = calls
        .iter()
        .map(|(call, _)| (call, settlement.clone(), start()))
        .collect();
    let hook = hook();
    let round = harness
        .store
        .settle_and_claim_hook_calls(&hook, outcomes, 0, start(), start());
    round.await.expect("settled");
}

async fn tell(harness: &Harness) {
    while harness.store.tell_dropped(start()).await.expect("told") {}
}

/// Number of calls that wait.
pub async fn waiting(harness: &Harness) -> u64 {
    let count = harness.store.hook_count(hook()).await;
    count.expect("read").waiting
}

#[tokio::test]
async fn a_flood_of_dropped_messages_fills_no_queue_and_loses_none() {
    let harness = closed().await;
    drop_mail(&harness, 0).await;
    subscribe(&harness, &["message.dropped"]).await;
    for number in 1..=230 {
        drop_mail(&harness, number).await;
    }
    let mut told = BTreeSet::new();
    let mut rounds = 0;
    loop {
        tell(&harness).await;
        assert!(waiting(&harness).await <= 100);
        harness.assert_sound().await;
        let calls = claim(&harness, 1000, start()).await;
        if calls.is_empty() {
            break;
        }
        for (call, payload) in &calls {
            assert_eq!(call.account, None);
            assert_eq!(payload["type"], "message.dropped");
            assert_eq!(payload["data"]["by"], "daemon");
            let message = &payload["data"]["message"];
            assert_eq!(message["sender"], "eve@evil.example");
            assert_eq!(message["reason"], "domain_not_allowed");
            assert_eq!(message["portal"], "it");
            assert!(told.insert(message["ledger"].to_string()));
        }
        settle(&harness, &calls, Settlement::Delivered).await;
        rounds += 1;
    }
    // The message from before the subscription is not reported.
    assert_eq!((told.len(), rounds), (230, 3));
    // The same subscription again reports nothing twice.
    subscribe(&harness, &["message.*"]).await;
    tell(&harness).await;
    assert_eq!(waiting(&harness).await, 0);
}

#[tokio::test]
async fn a_failed_call_is_due_again_by_itself() {
    let harness = closed().await;
    subscribe(&harness, &["message.dropped"]).await;
    drop_mail(&harness, 1).await;
    drop_mail(&harness, 2).await;
    tell(&harness).await;
    let calls = claim(&harness, 10, start()).await;
    assert_eq!(calls.len(), 2);
    settle(&harness, &calls[..1], Settlement::Unattempted).await;
    harness.assert_sound().await;
    let failed = Settlement::Failed {
        cause: "410".to_owned(),
    };
    settle(&harness, &calls[1..], failed).await;
    assert_eq!(claim(&harness, 10, start()).await.len(), 1);
    let retried = harness
        .store
        .retry_hook_calls(hook(), operator("root"), minutes(1))
        .await;
    assert_eq!(retried.expect("retried"), 1);
    harness.assert_sound().await;
    assert_eq!(claim(&harness, 10, minutes(1)).await.len(), 1);
}

#[tokio::test]
async fn a_forgotten_person_is_in_no_call() {
    let harness = closed().await;
    subscribe(&harness, &["message.dropped"]).await;
    drop_mail(&harness, 1).await;
    tell(&harness).await;
    assert_eq!(waiting(&harness).await, 1);
    let forgetting = Forgetting {
        address: address("eve@evil.example"),
        domain_too: false,
        by: operator("root"),
        now: start(),
    };
    let forgotten = harness.store.forget_customer(forgetting, |_, _| {}).await;
    forgotten.expect("forgotten");
    assert_eq!(waiting(&harness).await, 0);
}

#[tokio::test]
async fn a_destination_is_reported_once_as_down_and_once_as_up() {
    let harness = Harness::open().await;
    subscribe(&harness, &["destination.*"]).await;
    let name = DestinationName::parse("help-desk").expect("a name");
    let down = |name: &DestinationName| DownDestination {
        name: name.clone(),
        since: start(),
        next_try_at: minutes(1),
        last_error: "see https://evil.example".to_owned(),
        is_requested: false,
    };
    for name in [&name, &name, &hook()] {
        harness.store.record_down(down(name)).await.expect("done");
    }
    // Two nodes may remove the record of a destination, and only one of them logs the end of the outage.
    for is_end in [true, false] {
        let up = harness.store.record_up(name.clone(), minutes(2)).await;
        assert_eq!(up.expect("done"), is_end);
    }
    let calls = claim(&harness, 10, minutes(2)).await;
    let told: Vec<_> = calls
        .iter()
        .map(|(_, payload)| {
            (
                payload["type"].as_str(),
                payload["data"]["destination"]["name"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Some("destination.down"), Some("help-desk")),
            (Some("destination.up"), Some("help-desk")),
        ],
        "the hook is not notified of itself"
    );
    assert!(!calls[0].0.payload.contains("evil"));
}

#[tokio::test]
async fn a_pause_that_a_destination_asked_for_is_not_reported() {
    let harness = Harness::open().await;
    subscribe(&harness, &["destination.*"]).await;
    let name = DestinationName::parse("help-desk").expect("a name");
    let record = async |is_requested, minute| {
        let down = DownDestination {
            name: name.clone(),
            since: minutes(minute),
            next_try_at: minutes(minute + 1),
            last_error: "429".to_owned(),
            is_requested,
        };
        harness.store.record_down(down).await.expect("recorded");
        let recorded = harness.store.down_destinations().await.expect("read");
        assert_eq!(recorded.len(), 1);
        (recorded[0].is_requested, recorded[0].since)
    };
    assert_eq!(record(true, 0).await, (true, minutes(0)));
    assert_eq!(record(true, 1).await, (true, minutes(0)));
    let up = harness.store.record_up(name.clone(), minutes(2)).await;
    assert!(!up.expect("done"), "no outage ended");
    assert_eq!(waiting(&harness).await, 0);

    assert_eq!(record(true, 3).await, (true, minutes(3)));
    assert_eq!(record(false, 4).await, (false, minutes(4)));
    assert_eq!(waiting(&harness).await, 1, "it is down");
    assert_eq!(record(false, 5).await, (false, minutes(4)));
    // The pause of another node does not end the outage.
    assert_eq!(record(true, 6).await, (false, minutes(4)));
    assert_eq!(record(false, 7).await, (false, minutes(4)));
    assert_eq!(waiting(&harness).await, 1);
    let up = harness.store.record_up(name.clone(), minutes(8)).await;
    up.expect("done");
    assert_eq!(waiting(&harness).await, 2, "and up again");
    assert_eq!(record(true, 9).await, (true, minutes(9)));
    assert_eq!(waiting(&harness).await, 2);
}

#[tokio::test]
async fn failed_logins_beyond_the_bound_are_counted() {
    let harness = Harness::open().await;
    subscribe(&harness, &["operator.login_failed"]).await;
    let fail = async |name: Option<&str>| {
        let name = name.map(|name| OperatorName::parse(name).expect("a name"));
        let cause = "wrong password, from 192.0.2.1".to_owned();
        let recorded = harness
            .store
            .record_failed_login(name, cause, start())
            .await;
        recorded.expect("recorded");
    };
    fail(Some("ann")).await;
    fail(None).await;
    for _ in 2..130 {
        fail(None).await;
    }
    let calls = claim(&harness, 1000, start()).await;
    assert_eq!(calls.len(), 100);
    let login = |number: usize| &calls[number].1["data"]["login"];
    assert_eq!(login(0)["operator"], "ann");
    assert_eq!(login(0)["cause"], "wrong password, from 192.0.2.1");
    assert_eq!(login(1)["operator"], Value::Null);
    settle(&harness, &calls, Settlement::Delivered).await;
    fail(None).await;
    fail(None).await;
    let calls = claim(&harness, 10, start()).await;
    assert_eq!(calls[0].1["data"]["left_out"], 30);
    assert_eq!(calls[1].1["data"]["left_out"], Value::Null);
}
