//! Claims of several requests of one queue, which are attempted in order.

use vestibule::domain::DestinationName;
use vestibule::store::{
    Claim, ClaimRound, Delivery, NextWork, RunLimits, Settled, Settlement, Store, StoreError,
};

use super::harness::{Harness, mail, minutes, operator, portal, start};

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

/// Accepts this number of requests of one sender, and claims a run of up to `requests` of them.
async fn with_first_run(count: usize, requests: usize) -> (Harness, ClaimRound<Delivery>) {
    let harness = Harness::open().await;
    accept_of_bob(&harness, count).await;
    let first = settle_and_claim(&harness.store, Vec::new(), requests, start()).await;
    (harness, first)
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

/// The numbers of the attempts of the first run.
fn attempts(round: &ClaimRound<Delivery>) -> Vec<u32> {
    let run = round.runs[0].iter();
    run.map(|delivery| delivery.claim.attempt).collect()
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
    let (harness, first) = with_first_run(4, 4).await;
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
    assert_eq!(attempts(&again), [2, 1, 1]);
}

#[tokio::test]
async fn after_a_crash_a_run_is_claimed_again_in_order() {
    let (harness, lost) = with_first_run(3, 3).await;
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
    let (harness, lost) = with_first_run(3, 2).await;
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
    let (harness, first) = with_first_run(3, 3).await;
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
    assert_eq!(attempts(&again), [2, 2, 2]);
}

/// The rest of a run whose lease expired is not claimed beside the part that another worker took over.
#[tokio::test]
async fn a_run_whose_lease_expired_is_taken_over_in_parts() {
    let (harness, lost) = with_first_run(3, 3).await;
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
    let (harness, first) = with_first_run(4, 3).await;
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
    let (harness, first) = with_first_run(2, 1).await;
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
