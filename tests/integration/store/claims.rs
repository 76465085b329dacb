//! Deliveries and hook calls: claims, leases, order, and at most one in progress for an account and portal.

use vestibule::domain::{DestinationName, EventPattern, RequestState};
use vestibule::mail::AuthenticationResult;
use vestibule::store::{
    Claim, ClaimRound, Delivery, HookCall, NextWork, Retried, RunLimits, Settled, Settlement,
    Store, StoreError, Topic,
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

/// Settles these and claims runs of up to `requests`.
async fn settle_and_claim(
    store: &Store,
    outcomes: Vec<(&Claim, Settlement)>,
    requests: usize,
    now: jiff::Timestamp,
) -> ClaimRound<Delivery> {
    round_within(store, outcomes, requests, u64::MAX, now).await
}

/// The same, with no further run after this many octets.
async fn round_within(
    store: &Store,
    outcomes: Vec<(&Claim, Settlement)>,
    requests: usize,
    octets: u64,
    now: jiff::Timestamp,
) -> ClaimRound<Delivery> {
    let limits = RunLimits {
        runs: 10,
        requests,
        octets,
    };
    let it = DestinationName::parse("it").expect("a name");
    let lease = now + jiff::SignedDuration::from_mins(10);
    let outcomes: Vec<_> = outcomes
        .into_iter()
        .map(|(claim, settlement)| (claim, settlement, now))
        .collect();
    let portals = [portal("it")];
    let round = store.settle_and_claim_deliveries(&it, &portals, outcomes, limits, lease, now);
    round.await.expect("a round")
}

/// The Message-IDs of each run.
fn ids(round: &ClaimRound<Delivery>) -> Vec<String> {
    let id = |delivery: &Delivery| {
        let id = delivery.claim.message_id.as_deref().expect("an id");
        id.trim_end_matches("@x").to_owned()
    };
    let runs = round.runs.iter();
    runs.map(|run| run.iter().map(id).collect::<Vec<_>>().join(" "))
        .collect()
}

fn retry_at(at: jiff::Timestamp) -> Settlement {
    let cause = "451".to_owned();
    Settlement::Retry { at, cause }
}

async fn accept_of_bob(harness: &Harness, count: usize) {
    for i in 1..=count {
        let id = format!("{i}@x");
        harness.accept(mail("bob@shop.example", &id, start())).await;
    }
}

#[tokio::test]
async fn a_run_is_claimed_in_order_and_settled_with_the_next_claim() {
    let harness = Harness::open().await;
    accept_of_bob(&harness, 5).await;
    harness
        .accept(mail("eve@shop.example", "e@x", start()))
        .await;
    let first = settle_and_claim(&harness.store, Vec::new(), 3, start()).await;
    assert_eq!(ids(&first), ["1 2 3", "e"]);
    let content = first.runs[0][0].content.as_ref().expect("read");
    let (_, beginning) = content.as_ref().expect("kept");
    assert!(!beginning.is_empty());
    harness.assert_sound().await;
    // The queue is in progress, so no one else can claim more of it.
    let none = settle_and_claim(&harness.store, Vec::new(), 3, start()).await;
    assert!(none.runs.is_empty());
    assert_eq!(none.next, NextWork::Due(minutes(10)));

    let done: Vec<_> = first.runs[0]
        .iter()
        .map(|delivery| (&delivery.claim, Settlement::Delivered))
        .collect();
    let second = settle_and_claim(&harness.store, done, 3, minutes(1)).await;
    assert_eq!(second.settled, [Settled::Recorded; 3]);
    assert_eq!(ids(&second), ["4 5"]);
    assert_eq!(second.runs[0][0].claim.attempt, 1);
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_round_adds_no_run_after_its_octets() {
    let harness = Harness::open().await;
    accept_of_bob(&harness, 3).await;
    for sender in ["eve", "joe"] {
        let (from, id) = (format!("{sender}@shop.example"), format!("{sender}@x"));
        harness.accept(mail(&from, &id, start())).await;
    }
    let first = round_within(&harness.store, Vec::new(), 2, 1, start()).await;
    assert_eq!(ids(&first), ["1 2"]);
    harness.assert_sound().await;
    // What did not fit is due as before.
    assert_eq!(first.next, NextWork::Due(start()));
    let size: u64 = first.runs[0].iter().map(|one| one.claim.size).sum();
    let done: Vec<_> = first.runs[0]
        .iter()
        .map(|one| (&one.claim, Settlement::Delivered))
        .collect();
    let second = round_within(&harness.store, done, 2, size / 2 + 1, minutes(1)).await;
    assert_eq!(ids(&second), ["eve", "joe"]);
    harness.assert_sound().await;
    let third = round_within(&harness.store, Vec::new(), 2, 1, minutes(1)).await;
    assert_eq!(ids(&third), ["3"]);
}

#[tokio::test]
async fn unattempted_requests_of_a_run_wait_behind_the_retried_one() {
    let harness = Harness::open().await;
    accept_of_bob(&harness, 4).await;
    let first = settle_and_claim(&harness.store, Vec::new(), 4, start()).await;
    let claims: Vec<_> = first.runs[0].iter().map(|one| &one.claim).collect();
    let outcomes = vec![
        (claims[0], Settlement::Delivered),
        (claims[1], retry_at(minutes(5))),
        (claims[2], Settlement::Unattempted),
        (claims[3], Settlement::Unattempted),
    ];
    let none = settle_and_claim(&harness.store, outcomes, 4, minutes(1)).await;
    assert!(none.runs.is_empty());
    assert_eq!(none.next, NextWork::Due(minutes(5)));
    harness.assert_sound().await;
    let again = settle_and_claim(&harness.store, Vec::new(), 4, minutes(5)).await;
    assert_eq!(ids(&again), ["2 3 4"]);
    let attempts: Vec<_> = again.runs[0].iter().map(|one| one.claim.attempt).collect();
    assert_eq!(attempts, [2, 1, 1]);
}

#[tokio::test]
async fn after_a_crash_a_run_is_claimed_again_in_order() {
    let harness = Harness::open().await;
    accept_of_bob(&harness, 3).await;
    let lost = settle_and_claim(&harness.store, Vec::new(), 3, start()).await;
    let again = harness.again();
    again.end_leases(minutes(1)).await.expect("a start");
    harness.assert_sound().await;
    // Only the head is due.
    let head = settle_and_claim(&again, Vec::new(), 1, minutes(1)).await;
    assert_eq!(ids(&head), ["1"]);
    assert_eq!(head.runs[0][0].claim.attempt, 2);
    let late = lost.runs[0]
        .iter()
        .map(|one| (&one.claim, Settlement::Delivered));
    let late = settle_and_claim(&harness.store, late.collect(), 0, minutes(2)).await;
    assert_eq!(late.settled, [Settled::ClaimLost; 3]);
    let done = vec![(&head.runs[0][0].claim, Settlement::Delivered)];
    let rest = settle_and_claim(&again, done, 3, minutes(2)).await;
    assert_eq!(ids(&rest), ["2 3"]);
}

#[tokio::test]
async fn a_run_whose_lease_expired_is_taken_over_as_a_whole() {
    let harness = Harness::open().await;
    accept_of_bob(&harness, 3).await;
    let lost = settle_and_claim(&harness.store, Vec::new(), 2, start()).await;
    let other = harness.store.clone().for_workers();
    let taken = settle_and_claim(&other, Vec::new(), 3, minutes(11)).await;
    assert_eq!(ids(&taken), ["1 2 3"]);
    let late = vec![(&lost.runs[0][1].claim, Settlement::Delivered)];
    let late = settle_and_claim(&harness.store, late, 0, minutes(12)).await;
    assert_eq!(late.settled, [Settled::ClaimLost]);
    harness.assert_sound().await;
}

/// A run that fails as a whole, as in a Maildir on a full disk: the later requests do not overtake the first,
/// whatever the times of their retries are.
#[tokio::test]
async fn retried_requests_stay_in_order() {
    let harness = Harness::open().await;
    accept_of_bob(&harness, 3).await;
    let first = settle_and_claim(&harness.store, Vec::new(), 3, start()).await;
    let claims: Vec<_> = first.runs[0].iter().map(|one| &one.claim).collect();
    let outcomes = vec![
        (claims[0], retry_at(minutes(7))),
        (claims[1], retry_at(minutes(5))),
        (claims[2], retry_at(minutes(6))),
    ];
    let none = settle_and_claim(&harness.store, outcomes, 3, minutes(1)).await;
    assert_eq!(none.next, NextWork::Due(minutes(7)));
    harness.assert_sound().await;
    assert!(
        settle_and_claim(&harness.store, Vec::new(), 3, minutes(6))
            .await
            .runs
            .is_empty()
    );
    let again = settle_and_claim(&harness.store, Vec::new(), 3, minutes(7)).await;
    assert_eq!(ids(&again), ["1 2 3"]);
    let attempts: Vec<_> = again.runs[0].iter().map(|one| one.claim.attempt).collect();
    assert_eq!(attempts, [2, 2, 2]);
}

/// The rest of a run whose lease expired is not claimed beside the part that another worker took over.
#[tokio::test]
async fn a_run_whose_lease_expired_is_taken_over_in_parts() {
    let harness = Harness::open().await;
    accept_of_bob(&harness, 3).await;
    let lost = settle_and_claim(&harness.store, Vec::new(), 3, start()).await;
    let other = harness.store.clone().for_workers();
    let head = settle_and_claim(&other, Vec::new(), 1, minutes(11)).await;
    assert_eq!(ids(&head), ["1"]);
    harness.assert_sound().await;
    assert!(
        settle_and_claim(&other, Vec::new(), 1, minutes(11))
            .await
            .runs
            .is_empty()
    );
    let late = lost.runs[0]
        .iter()
        .map(|one| (&one.claim, Settlement::Delivered));
    let late = settle_and_claim(&harness.store, late.collect(), 0, minutes(12)).await;
    assert_eq!(late.settled, [Settled::ClaimLost; 3]);
    let done = vec![(&head.runs[0][0].claim, Settlement::Delivered)];
    assert_eq!(
        ids(&settle_and_claim(&other, done, 3, minutes(13)).await),
        ["2 3"]
    );
}

#[tokio::test]
async fn a_member_of_a_run_changes_by_itself() {
    let harness = Harness::open().await;
    accept_of_bob(&harness, 4).await;
    let first = settle_and_claim(&harness.store, Vec::new(), 3, start()).await;
    let claims: Vec<_> = first.runs[0].iter().map(|one| &one.claim).collect();
    // In progress: like a single request, it cannot be discarded.
    let discarded = harness
        .store
        .discard_request(claims[2].request(), operator("ada"), start());
    let error = discarded.await.expect_err("in progress");
    assert!(matches!(error, StoreError::NotAllowed(_)), "{error}");
    // It can be discarded once it is returned without an attempt, while the first goes on.
    let early = vec![
        (claims[1], Settlement::Unattempted),
        (claims[2], Settlement::Unattempted),
    ];
    let none = settle_and_claim(&harness.store, early, 3, minutes(1)).await;
    assert!(none.runs.is_empty(), "the first continues");
    harness.assert_sound().await;
    let discarded = harness
        .store
        .discard_request(claims[2].request(), operator("ada"), minutes(1));
    discarded.await.expect("discarded");
    let done = vec![(claims[0], Settlement::Delivered)];
    let rest = settle_and_claim(&harness.store, done, 3, minutes(2)).await;
    assert_eq!(ids(&rest), ["2 4"]);
    // The account is blocked meanwhile: its unattempted request does not become due again.
    let bob = claims[0].account;
    let blocked = harness
        .store
        .block_customer(bob, operator("ada"), minutes(3));
    blocked.await.expect("blocked");
    let outcomes = vec![
        (&rest.runs[0][0].claim, Settlement::Delivered),
        (&rest.runs[0][1].claim, Settlement::Unattempted),
    ];
    let none = settle_and_claim(&harness.store, outcomes, 3, minutes(4)).await;
    assert_eq!(none.settled, [Settled::Recorded; 2]);
    assert_eq!((none.runs.len(), none.next), (0, NextWork::Nothing));
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_paused_destination_claims_nothing_and_still_settles() {
    let harness = Harness::open().await;
    accept_of_bob(&harness, 2).await;
    let first = settle_and_claim(&harness.store, Vec::new(), 1, start()).await;
    let it = DestinationName::parse("it").expect("a name");
    let paused = harness
        .store
        .pause_destination(it, true, operator("ada"), start());
    paused.await.expect("paused");
    let done = vec![(&first.runs[0][0].claim, Settlement::Delivered)];
    let none = settle_and_claim(&harness.store, done, 3, minutes(1)).await;
    assert_eq!(none.settled, [Settled::Recorded]);
    assert_eq!((none.runs.len(), none.next), (0, NextWork::Paused));
}

#[tokio::test]
async fn hook_calls_are_claimed_in_the_same_way() {
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
