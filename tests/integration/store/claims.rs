//! Claims of single requests: leases, order, and at most one in progress for an account and portal.

use vestibule::domain::RequestState;
use vestibule::mail::AuthenticationResult;
use vestibule::store::{
    Claim, NextWork, Retried, SeenRequest, SeenState, Settled, Settlement, Store, StoreError, Topic,
};

use super::harness::{DAY, Harness, at, mail, minutes, operator, portal, start, to};
use crate::support::claims::claim_deliveries;

#[tokio::test]
async fn a_claim_holds_all_that_a_destination_needs() {
    let harness = Harness::open().await;
    let mut arrival = mail("bob@shop.example", "1@x", start());
    arrival.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
    let authentication = arrival.facts.authentication.clone();
    let entry = harness.accept(arrival).await;
    let claims = harness.claim(start()).await;
    assert_eq!(claims.len(), 1);
    let claim = &claims[0];
    assert_eq!(Some(claim.request()), entry.request);
    assert_eq!(claim.address.to_string(), "bob@shop.example");
    assert_eq!(claim.recipient, "it-help@corp.example");
    assert_eq!(claim.verified, None);
    assert_eq!(claim.released_by, None);
    assert_eq!(claim.attempt, 1);
    assert_eq!(claim.envelope.helo, "mta.corp.example");
    assert_eq!(claim.authentication, authentication);
}

#[tokio::test]
async fn requests_are_claimed_one_at_a_time_in_the_order_of_release() {
    let harness = Harness::open().await;
    for i in 0..3 {
        harness
            .accept(mail("bob@shop.example", &format!("{i}@x"), start()))
            .await;
    }
    harness
        .accept(mail("eve@shop.example", "e@x", start()))
        .await;
    let mut elsewhere = mail("bob@shop.example", "h@x", start());
    elsewhere.parts = vec![to("hr")];
    harness.accept(elsewhere).await;

    let first = harness.claim(start()).await;
    let ids: Vec<_> = first.iter().map(|c| c.message_id.as_deref()).collect();
    assert_eq!(ids, [Some("0@x"), Some("e@x"), Some("h@x")]);
    assert!(harness.claim(start()).await.is_empty());

    let retry = Settlement::Retry {
        at: minutes(5),
        cause: "451".to_owned(),
    };
    harness.settle(&first[0], retry, start()).await;
    assert!(
        harness.claim(minutes(4)).await.is_empty(),
        "none overtakes it"
    );
    let next = harness.next_delivery(&[portal("it")]).await;
    assert_eq!(next, NextWork::Due(minutes(5)));
    for expected in ["0@x", "1@x", "2@x"] {
        let claims = harness.claim(minutes(5)).await;
        assert_eq!(claims.len(), 1);
        assert_eq!(claims[0].message_id.as_deref(), Some(expected));
        harness
            .settle(&claims[0], Settlement::Delivered, minutes(5))
            .await;
    }
}

#[tokio::test]
async fn an_expired_lease_is_claimed_again_and_the_old_claim_is_void() {
    let harness = Harness::open().await;
    let entry = harness
        .accept(mail("bob@shop.example", "1@x", start()))
        .await;
    let lost = harness.claim(start()).await;
    assert!(harness.claim(minutes(9)).await.is_empty());
    let again = harness.claim(minutes(10)).await;
    assert_eq!(again[0].request(), lost[0].request());
    assert_eq!(again[0].attempt, 2);
    let failed = Settlement::Failed {
        cause: "late".to_owned(),
    };
    assert!(again[0].number() > lost[0].number());
    let settled = harness.settle(&lost[0], failed, minutes(11)).await;
    assert_eq!(settled, Settled::ClaimLost);
    let id = entry.request.expect("a request");
    let request = harness.request(id).await;
    assert_eq!(request.state, RequestState::Released);
    let settled = harness
        .settle(&again[0], Settlement::Delivered, minutes(11))
        .await;
    assert_eq!(settled, Settled::Recorded);
    let request = harness.request(id).await;
    assert_eq!(request.state, RequestState::Delivered);
    assert_eq!(request.attempts, 2);
}

#[tokio::test]
async fn a_failed_request_can_be_retried_and_a_delivered_one_cannot() {
    let harness = Harness::open().await;
    let entry = harness
        .accept(mail("bob@shop.example", "1@x", start()))
        .await;
    let id = entry.request.expect("a request");
    let failed = Settlement::Failed {
        cause: "550".to_owned(),
    };
    harness
        .settle(&harness.claim(start()).await[0], failed, start())
        .await;
    harness
        .accept(mail("bob@shop.example", "2@x", start()))
        .await;
    let request = harness
        .store
        .retry_request(id, operator("root"), minutes(1));
    let retried = request.await.expect("tried");
    assert!(matches!(retried, Retried::Released(_)), "{retried:?}");
    let claims = harness.claim(minutes(1)).await;
    assert_eq!(claims[0].message_id.as_deref(), Some("2@x"), "in the queue");
    harness
        .settle(&claims[0], Settlement::Delivered, minutes(1))
        .await;
    let claims = harness.claim(minutes(1)).await;
    assert_eq!(claims[0].request(), id);
    harness
        .settle(&claims[0], Settlement::Delivered, minutes(1))
        .await;
    let again = harness
        .store
        .retry_request(id, operator("root"), minutes(2));
    assert!(matches!(again.await, Err(StoreError::NotAllowed(_))));
}

#[tokio::test]
async fn an_operator_releases_one_held_request() {
    let harness = Harness::open().await;
    let entry = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let id = entry.request.expect("a request");
    assert!(harness.claim(at(DAY)).await.is_empty(), "it is held");
    let release = operator("root");
    let released = harness.store.release_request(id, release.clone(), at(DAY));
    released.await.expect("released");
    let claims = harness.claim(at(DAY)).await;
    assert_eq!(claims[0].released_by.as_deref(), Some("root"));
    assert_eq!(claims[0].verified, None);
    let again = harness.store.release_request(id, release, at(DAY));
    assert!(matches!(again.await, Err(StoreError::NotAllowed(_))));
}

#[tokio::test]
async fn an_operator_acts_only_in_the_state_that_they_saw() {
    let harness = Harness::open().await;
    let entry = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let id = entry.request.expect("a request");
    let seen = |state| SeenRequest {
        id,
        state: Some(SeenState::Request(state)),
    };
    let discard = |state| {
        let by = operator("ada");
        harness.store.discard_request(seen(state), by, minutes(1))
    };
    let release = |state| {
        let by = operator("root");
        harness.store.release_request(seen(state), by, minutes(2))
    };
    let why = |refused: StoreError| refused.to_string();
    let refused = discard(RequestState::Released).await.map_err(why);
    let stale = refused.expect_err("it is held");
    assert!(stale.contains("is held now, and was released"), "{stale}");
    discard(RequestState::Held).await.expect("discarded");
    let refused = release(RequestState::Held).await.map_err(why);
    let stale = refused.expect_err("it is discarded");
    assert!(stale.contains("is discarded now, and was held"), "{stale}");
    let released = release(RequestState::Discarded).await.expect("released");
    assert_eq!(released.state, RequestState::Released);
}

#[tokio::test]
async fn waiting_for_a_change_misses_none() {
    let harness = Harness::open().await;
    let mut changes = harness.store.subscribe(Topic::Requests);
    harness
        .accept(mail("bob@shop.example", "1@x", start()))
        .await;
    changes.wait().await;
    let claims = harness.claim(start()).await;
    harness
        .settle(&claims[0], Settlement::Delivered, start())
        .await;
    changes.wait().await;

    let listening = harness.store.listen_for_others().expect("a socket");
    let listening = tokio::spawn(listening);
    changes.wait().await;
    let other_process = harness.again();
    let accepted = other_process.accept(mail("bob@shop.example", "2@x", start()));
    accepted.await.expect("accepted");
    changes.wait().await;
    assert_eq!(harness.claim(start()).await.len(), 1);
    listening.abort();
}

#[tokio::test]
async fn a_request_that_keeps_failing_lets_the_next_pass_after_five_attempts() {
    let harness = Harness::open().await;
    let mut ids = Vec::new();
    for id in ["1@x", "2@x"] {
        let entry = harness.accept(mail("bob@shop.example", id, start())).await;
        ids.push(entry.request.expect("a request"));
    }
    let retry = |at| Settlement::Retry {
        at,
        cause: "no".to_owned(),
    };
    let mut now = start();
    for attempt in 1..=5 {
        let claims = harness.claim(now).await;
        assert_eq!(claims.len(), 1, "attempt {attempt}");
        assert_eq!(claims[0].request(), ids[0], "attempt {attempt}");
        now += jiff::SignedDuration::from_mins(30);
        harness.settle(&claims[0], retry(now), now).await;
    }
    let shown = harness.store.request(ids[0]).await.expect("read");
    assert!(shown.expect("there").failing);
    let both = harness.claim(now).await;
    assert_eq!(both.len(), 2, "the next one is claimed too");

    // A request in progress cannot be discarded; a waiting one can.
    let discard = || harness.store.discard_request(ids[0], operator("root"), now);
    let refused = discard().await.expect_err("in progress").to_string();
    assert!(refused.contains("is being delivered"), "{refused}");
    for one in &both {
        let settlement = if one.request() == ids[0] {
            retry(now)
        } else {
            Settlement::Delivered
        };
        harness.settle(one, settlement, now).await;
    }
    let discarded = discard().await.expect("discarded");
    assert_eq!(discarded.state, RequestState::Discarded);
    assert!(harness.claim(now).await.is_empty());
    harness.assert_sound().await;
}

/// Claims up to `limit` requests for a set of workers.
async fn claim_for(workers: &Store, limit: usize, now: jiff::Timestamp) -> Vec<Claim> {
    let lease = now + jiff::SignedDuration::from_mins(10);
    claim_deliveries(workers, &[portal("it")], limit, lease, now).await
}

#[tokio::test]
async fn a_claim_from_before_a_retry_settles_nothing_although_the_attempts_restart() {
    let harness = Harness::open().await;
    let entry = harness
        .accept(mail("bob@shop.example", "1@x", start()))
        .await;
    let id = entry.request.expect("a request");
    let first = harness.claim(start()).await.remove(0);
    let failed = Settlement::Failed {
        cause: "550".to_owned(),
    };
    harness.settle(&first, failed, start()).await;
    let retried = harness
        .store
        .retry_request(id, operator("root"), minutes(1));
    retried.await.expect("tried again");
    let second = harness.claim(minutes(1)).await.remove(0);
    assert_eq!((first.attempt, second.attempt), (1, 1));

    // The first is returned once more: its settlement was recorded, but the result was lost.
    let settled = harness
        .settle(&first, Settlement::Delivered, minutes(1))
        .await;
    assert_eq!(settled, Settled::ClaimLost);
    let request = harness.request(id).await;
    assert_eq!(request.state, RequestState::Released);
    let settled = harness
        .settle(&second, Settlement::Delivered, minutes(1))
        .await;
    assert_eq!(settled, Settled::Recorded);
}

#[tokio::test]
async fn a_failed_claim_is_given_back_and_nothing_else_is() {
    let harness = Harness::open().await;
    for i in 0..3 {
        let from = format!("bob{i}@shop.example");
        harness
            .accept(mail(&from, &format!("{i}@x"), start()))
            .await;
    }
    // Workers from before and after a reload.
    let old = harness.store.clone().for_workers();
    let new = harness.store.clone().for_workers();
    let under_way = claim_for(&old, 1, start()).await.remove(0);
    let kept = claim_for(&new, 1, start()).await.remove(0);
    // This claim was recorded, but its workers were told that it failed.
    let lost = claim_for(&new, 1, start()).await.remove(0);
    assert!(claim_for(&new, 1, start()).await.is_empty());

    let given = new.give_back_deliveries(kept.number(), start());
    given.await.expect("given back");
    harness.assert_sound().await;
    let again = claim_for(&new, 3, start()).await;
    let [again] = &again[..] else {
        panic!("{again:?}");
    };
    assert_eq!(again.request(), lost.request());
    let settled = harness.settle(&lost, Settlement::Delivered, start()).await;
    assert_eq!(settled, Settled::ClaimLost);
    for claim in [&under_way, &kept, again] {
        let settled = harness.settle(claim, Settlement::Delivered, start()).await;
        assert_eq!(settled, Settled::Recorded);
    }
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_start_ends_claims_of_earlier_processes_only() {
    let harness = Harness::open().await;
    for from in ["bob@shop.example", "eve@shop.example"] {
        harness.accept(mail(from, from, start())).await;
    }
    let gone = claim_for(&harness.store, 1, start()).await.remove(0);
    let restarted = harness.again();
    let workers = restarted.clone().for_workers();
    let now = claim_for(&workers, 1, start()).await.remove(0);
    restarted.end_leases(start()).await.expect("a start");
    harness.assert_sound().await;
    let again = claim_for(&workers, 3, start()).await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].request(), gone.request());
    for (claim, settled) in [
        (&gone, Settled::ClaimLost),
        (&now, Settled::Recorded),
        (&again[0], Settled::Recorded),
    ] {
        let found = harness.settle(claim, Settlement::Delivered, start()).await;
        assert_eq!(found, settled);
    }
}
