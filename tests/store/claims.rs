//! Deliveries: leases, order, at most one in work for an account and portal.

use std::time::Duration;

use vestibule::domain::{Release, RequestState};
use vestibule::mail::AuthenticationResult;
use vestibule::store::{Claim, Settlement, StoreError, Topic};

use crate::house::{DAY, House, at, mail, portal, start, to};

fn minutes(count: u64) -> jiff::Timestamp {
    at(Duration::from_mins(count))
}

async fn claim(house: &House, now: jiff::Timestamp) -> Vec<Claim> {
    let lease = now + jiff::SignedDuration::from_mins(10);
    let portals = vec![portal("it"), portal("hr")];
    let claimed = house.store.claim_deliveries(portals, 10, lease, now).await;
    claimed.expect("a claim")
}

async fn settle(house: &House, claim: &Claim, settlement: Settlement, now: jiff::Timestamp) {
    let settled = house.store.settle_delivery(claim, settlement, now).await;
    settled.expect("settled");
}

#[tokio::test]
async fn a_claim_holds_all_that_a_destination_needs() {
    let house = House::open().await;
    let mut arrival = mail("bob@shop.example", "1@x", start());
    arrival.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
    let authentication = arrival.facts.authentication.clone();
    let entry = house.accept(arrival).await;
    let claims = claim(&house, start()).await;
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
async fn one_at_a_time_in_the_order_of_release() {
    let house = House::open().await;
    for i in 0..3 {
        house
            .accept(mail("bob@shop.example", &format!("{i}@x"), start()))
            .await;
    }
    house.accept(mail("eve@shop.example", "e@x", start())).await;
    let mut elsewhere = mail("bob@shop.example", "h@x", start());
    elsewhere.parts = vec![to("hr")];
    house.accept(elsewhere).await;

    let first = claim(&house, start()).await;
    let ids: Vec<_> = first.iter().map(|c| c.message_id.as_deref()).collect();
    assert_eq!(ids, [Some("0@x"), Some("e@x"), Some("h@x")]);
    assert!(claim(&house, start()).await.is_empty());

    let retry = Settlement::Retry {
        at: minutes(5),
        cause: "451".to_owned(),
    };
    settle(&house, &first[0], retry, start()).await;
    assert!(claim(&house, minutes(4)).await.is_empty(), "none overtakes");
    let next = house.store.next_delivery(vec![portal("it")]).await;
    assert_eq!(next.expect("read"), Some(minutes(5)));
    for expected in ["0@x", "1@x", "2@x"] {
        let claims = claim(&house, minutes(5)).await;
        assert_eq!(claims.len(), 1);
        assert_eq!(claims[0].message_id.as_deref(), Some(expected));
        settle(&house, &claims[0], Settlement::Delivered, minutes(5)).await;
    }
}

#[tokio::test]
async fn a_lease_that_ran_out_is_claimed_again_and_the_old_claim_is_void() {
    let house = House::open().await;
    let entry = house.accept(mail("bob@shop.example", "1@x", start())).await;
    let lost = claim(&house, start()).await;
    assert!(claim(&house, minutes(9)).await.is_empty());
    let again = claim(&house, minutes(10)).await;
    assert_eq!(again[0].request(), lost[0].request());
    assert_eq!(again[0].attempt, 2);
    let failed = Settlement::Failed {
        cause: "late".to_owned(),
    };
    settle(&house, &lost[0], failed, minutes(11)).await;
    let id = entry.request.expect("a request");
    let request = house.store.request(id).await.expect("read").expect("there");
    assert_eq!(request.state, RequestState::Released);
    settle(&house, &again[0], Settlement::Delivered, minutes(11)).await;
    let request = house.store.request(id).await.expect("read").expect("there");
    assert_eq!(request.state, RequestState::Delivered);
    assert_eq!(request.attempts, 2);
}

#[tokio::test]
async fn what_failed_can_be_retried_and_what_was_delivered_cannot() {
    let house = House::open().await;
    let entry = house.accept(mail("bob@shop.example", "1@x", start())).await;
    let id = entry.request.expect("a request");
    let failed = Settlement::Failed {
        cause: "550".to_owned(),
    };
    settle(&house, &claim(&house, start()).await[0], failed, start()).await;
    house.accept(mail("bob@shop.example", "2@x", start())).await;
    let request = house.store.retry_request(id, "root".to_owned(), minutes(1));
    assert_eq!(request.await.expect("tried").state, RequestState::Released);
    let claims = claim(&house, minutes(1)).await;
    assert_eq!(claims[0].message_id.as_deref(), Some("2@x"), "in the queue");
    settle(&house, &claims[0], Settlement::Delivered, minutes(1)).await;
    let claims = claim(&house, minutes(1)).await;
    assert_eq!(claims[0].request(), id);
    settle(&house, &claims[0], Settlement::Delivered, minutes(1)).await;
    let again = house.store.retry_request(id, "root".to_owned(), minutes(2));
    assert!(matches!(again.await, Err(StoreError::NotAllowed(_))));
}

#[tokio::test]
async fn an_operator_lets_one_held_request_go() {
    let house = House::open().await;
    let entry = house.accept(mail("ann@corp.example", "1@x", start())).await;
    let id = entry.request.expect("a request");
    assert!(claim(&house, at(DAY)).await.is_empty(), "it is held");
    let release = Release::Operator("root".to_owned());
    let released = house.store.release_request(id, release.clone(), at(DAY));
    released.await.expect("released");
    let claims = claim(&house, at(DAY)).await;
    assert_eq!(claims[0].released_by.as_deref(), Some("root"));
    assert_eq!(claims[0].verified, None);
    let again = house.store.release_request(id, release, at(DAY));
    assert!(matches!(again.await, Err(StoreError::NotAllowed(_))));
}

#[tokio::test]
async fn waiting_for_a_change_misses_none() {
    let house = House::open().await;
    let mut changes = house.store.subscribe(Topic::Requests);
    house.accept(mail("bob@shop.example", "1@x", start())).await;
    changes.wait().await;
    let claims = claim(&house, start()).await;
    settle(&house, &claims[0], Settlement::Delivered, start()).await;
    changes.wait().await;

    let listening = house.store.listen_for_others().expect("a socket");
    let listening = tokio::spawn(listening);
    changes.wait().await;
    let other_process = house.again();
    let accepted = other_process.accept(mail("bob@shop.example", "2@x", start()));
    accepted.await.expect("accepted");
    changes.wait().await;
    assert_eq!(claim(&house, start()).await.len(), 1);
    listening.abort();
}

#[tokio::test]
async fn one_that_keeps_failing_lets_the_next_pass_after_five_attempts() {
    let house = House::open().await;
    let mut ids = Vec::new();
    for id in ["1@x", "2@x"] {
        let entry = house.accept(mail("bob@shop.example", id, start())).await;
        ids.push(entry.request.expect("a request"));
    }
    let retry = |at| Settlement::Retry {
        at,
        cause: "no".to_owned(),
    };
    let mut now = start();
    for attempt in 1..=5 {
        let claims = claim(&house, now).await;
        assert_eq!(claims.len(), 1, "attempt {attempt}");
        assert_eq!(claims[0].request(), ids[0], "attempt {attempt}");
        now += jiff::SignedDuration::from_mins(30);
        settle(&house, &claims[0], retry(now), now).await;
    }
    let shown = house.store.request(ids[0]).await.expect("read");
    assert!(shown.expect("there").failing);
    let both = claim(&house, now).await;
    assert_eq!(both.len(), 2, "the next one goes beside it");

    // What is under way cannot be discarded; what waits can.
    let discard = || house.store.discard_request(ids[0], "root".to_owned(), now);
    let refused = discard().await.expect_err("under way").to_string();
    assert!(refused.contains("is being handed over"), "{refused}");
    for one in &both {
        let settlement = if one.request() == ids[0] {
            retry(now)
        } else {
            Settlement::Delivered
        };
        settle(&house, one, settlement, now).await;
    }
    let discarded = discard().await.expect("discarded");
    assert_eq!(discarded.state, RequestState::Discarded);
    assert!(claim(&house, now).await.is_empty());
    let violations = house.store.check_invariants().await.expect("checked");
    assert!(violations.is_empty(), "{violations:?}");
}
