//! A second "This was not me", and refused messages of which a copy arrived.

use std::time::Duration;

use vestibule::domain::VerificationMethod;
use vestibule::store::{Arrival, Choice, Link, Refused, TakenBack, VerificationOutcome};

use super::harness::{DAY, Harness, address, at, operator};
use super::hold_quota::{id_of, real};
use super::refused_messages::{recover, refused};

#[tokio::test]
async fn a_second_objection_protects_what_the_first_one_refused() {
    let harness = Harness::open().await;
    let (held, beyond, _) = refused(&harness).await;
    let ann = address("ann@corp.example");
    let renewed = harness.store.renew_link(ann, operator("root"), at(5 * DAY));
    renewed.await.expect("owed");
    // The first link is valid for 7 days, this one for 12.
    let link = harness.sent(at(5 * DAY)).await;
    let objected = harness.store.refuse(link, 30 * DAY, at(6 * DAY)).await;
    assert!(
        matches!(&objected, Ok(Refused::Recorded { discarded, .. }) if discarded.is_empty()),
        "{objected:?}"
    );
    let looked = harness.store.look_at_link(link, at(8 * DAY)).await;
    let Ok(Link::Refused(refusal)) = looked else {
        panic!("{looked:?}");
    };
    assert_eq!(refusal.protected_until, Some(at(12 * DAY)));
    assert!(!refusal.restores, "{refusal:?}");

    let (first, by) = (id_of(&held[0]), operator("root"));
    let released = harness.store.release_request(first, by, at(8 * DAY)).await;
    let refusal = released.expect_err("the person's").to_string();
    assert!(refusal.contains("only they can undo that"), "{refusal}");
    for outcome in recover(&harness, &beyond, 8 * DAY).await {
        assert!(outcome.contains("only they can undo that"), "{outcome}");
    }
    harness
        .delete_expired_content(at(11 * DAY), Duration::ZERO)
        .await;
    harness.assert_sound().await;

    let undone = harness
        .store
        .take_back_refusal(link, 14 * DAY, at(11 * DAY))
        .await;
    let Ok(taken_back @ TakenBack::Restored { .. }) = undone else {
        panic!("{undone:?}");
    };
    assert!(!taken_back.has_restored(), "{taken_back:?}");
    let looked = harness.store.look_at_link(link, at(11 * DAY)).await;
    let Ok(Link::Open {
        requests, offers, ..
    }) = looked
    else {
        panic!("{looked:?}");
    };
    assert_eq!((requests.len(), offers.len()), (0, 4));
    assert!(offers.iter().all(|offer| offer.discarded), "{offers:?}");
    let choice = Choice::Picked {
        left_out: Vec::new(),
        ticked: vec![first, id_of(&beyond)],
    };
    let method = VerificationMethod::Link(link);
    let verified = harness
        .store
        .verify_account(method, None, choice, at(11 * DAY))
        .await;
    let Ok(VerificationOutcome::Verified { released, .. }) = verified else {
        panic!("{verified:?}");
    };
    assert_eq!(released.len(), 2, "{released:?}");
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_link_that_can_restore_messages_says_so() {
    let harness = Harness::open().await;
    let (_, _, link) = refused(&harness).await;
    let looked = harness.store.look_at_link(link, at(DAY)).await;
    assert!(
        matches!(&looked, Ok(Link::Refused(refusal)) if refusal.restores),
        "{looked:?}"
    );
}

#[tokio::test]
async fn a_refused_message_of_which_a_copy_was_accepted_is_not_offered() {
    let harness = Harness::open().await;
    let (held, beyond, link) = refused(&harness).await;
    let (account, _) = beyond.account.expect("an account");
    let method = VerificationMethod::Operator(operator("root"));
    let verified = harness
        .store
        .verify_account(method, Some(account), Choice::All, at(DAY));
    verified.await.expect("verified");
    let copy = Arrival {
        received_at: at(2 * DAY),
        ..real(0)
    };
    let copy = harness.accept(copy).await;
    assert!(copy.request.is_some(), "{copy:?}");

    let looked = harness.store.look_at_link(link, at(2 * DAY)).await;
    let Ok(Link::Verified { refused, .. }) = looked else {
        panic!("{looked:?}");
    };
    let original = id_of(&held[0]);
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(
        refused.iter().all(|offer| offer.request.id != original),
        "{refused:?}"
    );
    let still = harness.store.still_refused(account, at(2 * DAY)).await;
    let still = still.expect("read").expect("refused messages");
    assert_eq!(still.messages, 3);
}
