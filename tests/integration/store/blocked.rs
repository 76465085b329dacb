//! Blocking an account stops released requests that are not delivered yet, until it is unblocked or an operator
//! releases one; unblocking it owes the mail that held requests lack; and each delivered request tells how it was
//! verified.

use vestibule::domain::{RequestId, RequestState, VerificationMethod};
use vestibule::store::{Choice, Claim, NextWork, Settled, Settlement, VerificationOutcome};

use super::harness::{DAY, Harness, address, at, mail, minutes, operator, portal, start, to};

const BOB: &str = "bob@shop.example";
const ANN: &str = "ann@corp.example";

async fn block(harness: &Harness, blocked: bool, now: jiff::Timestamp) {
    let account = harness.store.customer(&address(BOB)).await.expect("read");
    let id = account.expect("there").id;
    let by = operator("root");
    if blocked {
        harness
            .store
            .block_customer(id, by, now)
            .await
            .expect("done");
    } else {
        let unblocked = harness.store.unblock_customer(id, by, now).await;
        unblocked.expect("done");
    }
}

async fn write(harness: &Harness, from: &str, id: &str, name: &str) -> RequestId {
    let mut arrival = mail(from, id, start());
    arrival.parts = vec![to(name)];
    let entry = harness.accept(arrival).await;
    entry.request.expect("a request")
}

#[tokio::test]
async fn waiting_requests_stop_and_resume_in_order_when_unblocked() {
    let harness = Harness::open().await;
    for (id, name) in [("1@x", "it"), ("2@x", "it"), ("3@x", "hr")] {
        write(&harness, BOB, id, name).await;
    }
    block(&harness, true, start()).await;
    harness.assert_sound().await;
    assert!(harness.claim(minutes(60)).await.is_empty());
    assert_eq!(
        harness.next_delivery(&[portal("it"), portal("hr")]).await,
        NextWork::Nothing
    );
    block(&harness, false, minutes(60)).await;
    harness.assert_sound().await;
    let claims = harness.claim(minutes(60)).await;
    let ids: Vec<_> = claims.iter().map(|c| c.message_id.as_deref()).collect();
    assert_eq!(ids, [Some("1@x"), Some("3@x")]);
    harness
        .settle(&claims[0], Settlement::Delivered, minutes(61))
        .await;
    let claims = harness.claim(minutes(61)).await;
    assert_eq!(claims[0].message_id.as_deref(), Some("2@x"));
}

#[tokio::test]
async fn an_attempt_in_progress_is_finished_and_not_retried() {
    let harness = Harness::open().await;
    let first = write(&harness, BOB, "1@x", "it").await;
    write(&harness, BOB, "2@x", "it").await;
    let claims = harness.claim(start()).await;
    block(&harness, true, start()).await;
    harness.assert_sound().await;
    let retry = Settlement::Retry {
        at: minutes(1),
        cause: "451".to_owned(),
    };
    harness.settle(&claims[0], retry, start()).await;
    harness.assert_sound().await;
    assert!(harness.claim(minutes(30)).await.is_empty());
    let request = harness.request(first).await;
    assert_eq!(request.state, RequestState::Released);
    assert!(
        request
            .last_error
            .is_some_and(|error| error.contains("blocked"))
    );
    block(&harness, false, minutes(30)).await;
    let claims = harness.claim(minutes(30)).await;
    assert_eq!(claims[0].request(), first);
    harness
        .settle(&claims[0], Settlement::Delivered, minutes(31))
        .await;
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_lost_lease_is_not_taken_over_while_blocked() {
    let harness = Harness::open().await;
    let first = write(&harness, BOB, "1@x", "it").await;
    harness.claim(start()).await;
    block(&harness, true, start()).await;
    assert!(harness.claim(minutes(30)).await.is_empty());
    assert_eq!(
        harness.next_delivery(&[portal("it")]).await,
        NextWork::Nothing,
        "no worker loops"
    );
    let restarted = harness.again();
    restarted.end_leases(minutes(30)).await.expect("a start");
    harness.assert_sound().await;
    assert!(harness.claim(minutes(31)).await.is_empty());
    block(&harness, false, minutes(40)).await;
    assert_eq!(harness.claim(minutes(40)).await[0].request(), first);
}

#[tokio::test]
async fn an_operator_can_release_one_request_of_a_blocked_account() {
    let harness = Harness::open().await;
    let from = "ann@corp.example";
    let one = write(&harness, from, "1@x", "it").await;
    let account = harness.store.customer(&address(from)).await.expect("read");
    let id = account.expect("there").id;
    let by = operator("root");
    let blocked = harness.store.block_customer(id, by.clone(), start()).await;
    blocked.expect("done");
    let released = harness.store.release_request(one, by, start()).await;
    released.expect("released");
    assert_eq!(harness.claim(start()).await[0].request(), one);
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_stopped_request_is_not_retried_but_released_alone() {
    let harness = Harness::open().await;
    let first = write(&harness, BOB, "1@x", "it").await;
    let second = write(&harness, BOB, "2@x", "it").await;
    block(&harness, true, start()).await;
    let by = || operator("root");
    let retried = harness.store.retry_request(second, by(), minutes(1)).await;
    let refusal = retried.expect_err("the account is blocked").to_string();
    assert!(refusal.contains("the account is blocked"), "{refusal}");
    assert!(harness.claim(minutes(1)).await.is_empty());

    let released = harness
        .store
        .release_request(second, by(), minutes(1))
        .await;
    let released = released.expect("released");
    assert!(!released.stopped);
    assert_eq!(released.last_error, None);
    harness.assert_sound().await;
    let claims = harness.claim(minutes(1)).await;
    let ids: Vec<_> = claims.iter().map(Claim::request).collect();
    assert_eq!(ids, [second]);
    assert_eq!(claims[0].released_by.as_deref(), Some("root"));
    harness
        .settle(&claims[0], Settlement::Delivered, minutes(2))
        .await;
    assert!(harness.claim(minutes(60)).await.is_empty());
    assert!(harness.request(first).await.stopped);
    harness.assert_sound().await;
    block(&harness, false, minutes(61)).await;
    assert_eq!(harness.claim(minutes(61)).await[0].request(), first);
}

#[tokio::test]
async fn a_failed_request_of_a_blocked_account_is_not_retried_but_released_alone() {
    let harness = Harness::open().await;
    let first = write(&harness, BOB, "1@x", "it").await;
    let second = write(&harness, BOB, "2@x", "it").await;
    for _ in [first, second] {
        let claims = harness.claim(start()).await;
        let failed = Settlement::Failed {
            cause: "550".to_owned(),
        };
        harness.settle(&claims[0], failed, start()).await;
    }
    let by = || operator("root");
    let release = |request: RequestId| harness.store.release_request(request, by(), minutes(1));
    let refusal = release(first).await.expect_err("retry it").to_string();
    assert!(
        refusal.contains("is failed and cannot be released"),
        "{refusal}"
    );

    block(&harness, true, start()).await;
    for request in [first, second] {
        let retried = harness.store.retry_request(request, by(), minutes(1)).await;
        let refusal = retried.expect_err("the account is blocked").to_string();
        assert!(refusal.contains("the account is blocked"), "{refusal}");
        assert!(harness.request(request).await.needs_unblocking());
    }
    assert!(harness.claim(minutes(1)).await.is_empty());

    let released = release(second).await.expect("released");
    assert!(!released.needs_unblocking());
    let claims = harness.claim(minutes(1)).await;
    let ids: Vec<_> = claims.iter().map(Claim::request).collect();
    assert_eq!(ids, [second]);
    assert_eq!(claims[0].released_by.as_deref(), Some("root"));
    harness.assert_sound().await;

    block(&harness, false, minutes(2)).await;
    let retried = harness.store.retry_request(first, by(), minutes(2)).await;
    retried.expect("retried");
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_stopped_request_is_not_released_while_it_is_being_delivered() {
    let harness = Harness::open().await;
    let first = write(&harness, BOB, "1@x", "it").await;
    let claims = harness.claim(start()).await;
    block(&harness, true, start()).await;
    let release = || {
        let by = operator("root");
        harness.store.release_request(first, by, minutes(1))
    };
    let refusal = release().await.expect_err("in progress").to_string();
    assert!(refusal.contains("being delivered"), "{refusal}");
    let retry = Settlement::Retry {
        at: minutes(2),
        cause: "451".to_owned(),
    };
    harness.settle(&claims[0], retry, minutes(1)).await;
    release().await.expect("released");
    assert_eq!(harness.claim(minutes(1)).await[0].request(), first);
    harness.assert_sound().await;
}

/// No other worker claims a stopped request, so the lease of a worker that died stays in its row.
#[tokio::test]
async fn a_stopped_request_whose_worker_died_is_the_operators_after_its_lease() {
    let harness = Harness::open().await;
    let first = write(&harness, BOB, "1@x", "it").await;
    let second = write(&harness, BOB, "2@x", "hr").await;
    let claims = harness.claim(start()).await;
    assert_eq!(claims.len(), 2);
    block(&harness, true, start()).await;
    let (by, store) = (|| operator("root"), &harness.store);
    let release = |now| store.release_request(first, by(), now);
    let discard = |now| store.discard_request(second, by(), now);
    for refused in [release(minutes(9)).await, discard(minutes(9)).await] {
        let refusal = refused.expect_err("in progress").to_string();
        assert!(refusal.contains("being delivered"), "{refusal}");
    }
    assert!(harness.claim(minutes(11)).await.is_empty());

    release(minutes(11)).await.expect("released");
    discard(minutes(11)).await.expect("discarded");
    harness.assert_sound().await;
    let again = harness.claim(minutes(11)).await;
    let ids: Vec<_> = again.iter().map(Claim::request).collect();
    assert_eq!(ids, [first]);
    for claim in &claims {
        let late = harness.settle(claim, Settlement::Delivered, minutes(12));
        assert_eq!(late.await, Settled::ClaimLost);
    }
    harness.assert_sound().await;
}

/// Blocks and unblocks the account of Ann, who is pending.
async fn block_ann(harness: &Harness, from: jiff::Timestamp, until: jiff::Timestamp) {
    let ann = harness.store.customer(&address(ANN)).await.expect("read");
    let (id, by) = (ann.expect("there").id, || operator("root"));
    let blocked = harness.store.block_customer(id, by(), from).await;
    blocked.expect("blocked");
    assert!(harness.verification_mail(from).await.is_none());
    let reminded = harness
        .store
        .owe_reminders(until, 3 * DAY, 7 * DAY, 10)
        .await;
    reminded.expect("a step");
    assert!(harness.verification_mail(until).await.is_none());
    let unblocked = harness.store.unblock_customer(id, by(), until).await;
    unblocked.expect("unblocked");
    harness.assert_sound().await;
}

/// The requests would otherwise expire, and the person would never have heard of them.
#[tokio::test]
async fn the_mail_that_a_block_cancelled_is_owed_again() {
    let harness = Harness::open().await;
    write(&harness, ANN, "1@x", "hr").await;
    block_ann(&harness, start(), minutes(1)).await;
    let (owed, link) = harness.verification_mail(minutes(1)).await.expect("owed");
    assert_eq!((owed.waiting, owed.portal), (1, Some(portal("hr"))));
    let method = VerificationMethod::Link(link);
    let verification = harness
        .store
        .verify_account(method, None, Choice::All, minutes(2))
        .await;
    let verification = verification.expect("verified");
    let is_verified = matches!(verification, VerificationOutcome::Verified { .. });
    assert!(is_verified, "{verification:?}");
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_reminder_that_a_block_prevented_is_owed_after_it_and_a_valid_link_is_enough() {
    let harness = Harness::open().await;
    write(&harness, ANN, "1@x", "it").await;
    harness.sent(start()).await;
    // The link of the first mail is valid.
    block_ann(&harness, at(DAY), at(2 * DAY)).await;
    assert!(harness.verification_mail(at(2 * DAY)).await.is_none());
    // It has expired, and the hold ends soon.
    block_ann(&harness, at(10 * DAY), at(12 * DAY)).await;
    harness.sent(at(12 * DAY)).await;
    // The link of the reminder is valid until the hold ends.
    block_ann(&harness, at(13 * DAY), at(13 * DAY)).await;
    assert!(harness.verification_mail(at(13 * DAY)).await.is_none());
}

/// A directory may do so every hour. The reminder is sent long before the hold ends, and its link expires earlier.
#[tokio::test]
async fn repeated_blocks_cause_no_mail_while_a_link_is_new() {
    let harness = Harness::open().await;
    write(&harness, ANN, "1@x", "it").await;
    harness.sent(start()).await;
    let reminded = harness
        .store
        .owe_reminders(at(4 * DAY), 10 * DAY, 7 * DAY, 10);
    assert_eq!(reminded.await.expect("a step").done, 1);
    harness.sent(at(4 * DAY)).await;
    block_ann(&harness, at(5 * DAY), at(5 * DAY)).await;
    assert!(harness.verification_mail(at(5 * DAY)).await.is_none());
    // More than half of the time of the link has passed.
    block_ann(&harness, at(8 * DAY), at(8 * DAY)).await;
    harness.sent(at(8 * DAY)).await;
}

#[tokio::test]
async fn unblocking_owes_no_mail_if_nothing_is_held() {
    let harness = Harness::open().await;
    let request = write(&harness, ANN, "1@x", "it").await;
    let discarded = harness
        .store
        .discard_request(request, operator("root"), start());
    discarded.await.expect("discarded");
    block_ann(&harness, start(), minutes(1)).await;
    assert!(harness.verification_mail(minutes(1)).await.is_none());
}

/// Each request carries its own verification to its destination, not that of another request.
#[tokio::test]
async fn each_request_says_how_it_was_verified_itself() {
    let harness = Harness::open().await;
    let from = "ann@corp.example";
    let mine = write(&harness, from, "1@x", "it").await;
    let left_out = write(&harness, from, "2@x", "it").await;
    let before = write(&harness, from, "3@x", "it").await;
    let by = || operator("carol");
    let released = harness
        .store
        .release_request(before, by(), minutes(1))
        .await;
    released.expect("released");
    let token = harness.sent(minutes(1)).await;
    let choice = Choice::Without(vec![left_out]);
    let verification = harness
        .store
        .verify_account(VerificationMethod::Link(token), None, choice, minutes(2))
        .await;
    verification.expect("verified");
    let released = harness
        .store
        .release_request(left_out, by(), minutes(3))
        .await;
    released.expect("released");
    let after = harness.accept(mail(from, "4@x", minutes(3))).await;
    let after = after.request.expect("a request");

    let mut found = Vec::new();
    let mut tried = false;
    while let [claim] = harness.claim(minutes(4)).await.as_slice() {
        // A retry does not change `released_by`.
        if claim.request() == mine && !tried {
            tried = true;
            let cause = "550".to_owned();
            harness
                .settle(claim, Settlement::Failed { cause }, minutes(4))
                .await;
            let by = operator("dave");
            let retried = harness.store.retry_request(mine, by, minutes(4)).await;
            retried.expect("again");
            continue;
        }
        let how = claim.verified.as_ref().map(|(how, _)| how.clone());
        found.push((claim.request(), how, claim.released_by.clone()));
        harness
            .settle(claim, Settlement::Delivered, minutes(4))
            .await;
    }
    let link = || Some("link".to_owned());
    let carol = || Some("carol".to_owned());
    found.sort_by_key(|(request, ..)| *request);
    let mut expected = vec![
        (mine, link(), None),
        (left_out, None, carol()),
        (before, None, carol()),
        (after, link(), None),
    ];
    expected.sort_by_key(|(request, ..)| *request);
    assert_eq!(found, expected);
}

#[tokio::test]
async fn requests_accepted_before_the_verification_are_not_verified_by_it() {
    let harness = Harness::open().await;
    let early = write(&harness, BOB, "1@x", "it").await;
    let account = harness.store.customer(&address(BOB)).await.expect("read");
    let method = VerificationMethod::Operator(operator("carol"));
    let id = Some(account.expect("there").id);
    let verification = harness
        .store
        .verify_account(method, id, Choice::All, minutes(1))
        .await;
    verification.expect("verified");
    let claims = harness.claim(minutes(2)).await;
    assert_eq!(claims[0].request(), early);
    assert_eq!(claims[0].verified, None);

    // Nor by a retry, which releases it again.
    let failed = Settlement::Failed {
        cause: "400".to_owned(),
    };
    harness.settle(&claims[0], failed, minutes(3)).await;
    let retried = harness
        .store
        .retry_request(early, operator("carol"), minutes(4));
    retried.await.expect("retried");
    let claims = harness.claim(minutes(5)).await;
    assert_eq!(claims[0].request(), early);
    assert_eq!(claims[0].verified, None);
}
