//! Messages that the person refused with "This was not me", held ones and those that the hold quota dropped: nobody
//! else can release them until the link has expired.

use std::time::Duration;

use vestibule::domain::{Reason, RequestState, TokenHash, VerificationMethod};
use vestibule::store::{
    Arrival, ArrivalOutcome, Choice, Link, Refused, TakenBack, Terms, VerificationOutcome,
};

use super::dropped::TERMS;
use super::harness::{DAY, Harness, address, at, operator, start};
use super::hold_quota::{QUOTA, forged, id_of, offers, real};

/// Three held messages that their domain vouches for, a fourth that the quota dropped, and the link that refused all
/// of them and outlasts their hold time.
pub(super) async fn refused(harness: &Harness) -> (Vec<ArrivalOutcome>, ArrivalOutcome, TokenHash) {
    let message = |number| Arrival {
        hold_for: 2 * DAY,
        keep_dropped: DAY,
        ..real(number)
    };
    let mut held = Vec::new();
    for number in 0..3 {
        held.push(harness.accept(message(number)).await);
    }
    let token = harness.sent(start()).await;
    let beyond = harness.accept(message(3)).await;
    assert_eq!(beyond.reason, Reason::HoldQuota);
    let refused = harness.store.refuse(token, 30 * DAY, start()).await;
    let Ok(Refused::Recorded { discarded, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(discarded.len(), 3);
    harness.assert_sound().await;
    (held, beyond, token)
}

pub(super) async fn recover(
    harness: &Harness,
    entry: &ArrivalOutcome,
    after: Duration,
) -> [String; 2] {
    let terms = Terms {
        quota: QUOTA,
        ..TERMS
    };
    let by = || operator("root");
    let decided = harness.store.recover(entry.ledger, terms, by(), at(after));
    let decided = format!("{:?}", decided.await);
    let forced = harness
        .store
        .release_dropped(entry.ledger, None, None, by(), at(after));
    [decided, format!("{:?}", forced.await)]
}

#[tokio::test]
async fn an_operator_cannot_release_an_offer_that_the_person_refused() {
    let harness = Harness::open().await;
    let (held, beyond, token) = refused(&harness).await;
    for outcome in recover(&harness, &beyond, DAY).await {
        assert!(outcome.contains("only they can undo that"), "{outcome}");
    }
    let (account, _) = beyond.account.expect("an account");
    let method = VerificationMethod::Operator(operator("root"));
    let verified = harness
        .store
        .verify_account(method, Some(account), Choice::All, at(DAY));
    let Ok(VerificationOutcome::Verified { released, .. }) = verified.await else {
        panic!("not verified");
    };
    assert!(released.is_empty(), "{released:?}");
    for outcome in recover(&harness, &beyond, DAY).await {
        assert!(outcome.contains("can release it from"), "{outcome}");
    }
    let still = harness.store.still_refused(account, at(DAY)).await;
    let still = still.expect("read").expect("refused messages");
    assert_eq!((still.messages, still.until), (4, at(7 * DAY)));

    // The link offers all of them, and releases what the person selects, once.
    let shown = async || match harness.store.look_at_link(token, at(DAY)).await {
        Ok(Link::Verified { refused, .. }) => refused,
        other => panic!("{other:?}"),
    };
    let offered = shown().await;
    assert_eq!(offered.len(), 4);
    assert!(
        offered
            .iter()
            .all(|offer| offer.discarded && !offer.authenticated),
        "{offered:?}"
    );
    let press = async |choice: Choice| {
        let method = VerificationMethod::Link(token);
        let verified = harness
            .store
            .verify_account(method, None, choice, at(DAY))
            .await;
        match verified {
            Ok(VerificationOutcome::AlreadyVerified { released, .. }) => released.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(press(Choice::All).await, 0);
    let ticked = Choice::Picked {
        left_out: Vec::new(),
        ticked: vec![id_of(&beyond), id_of(&held[0])],
    };
    assert_eq!(press(ticked.clone()).await, 2);
    assert_eq!(press(ticked).await, 0);
    for entry in [&beyond, &held[0]] {
        let request = harness.request(id_of(entry)).await;
        assert_eq!(request.state, RequestState::Released);
    }
    assert_eq!(shown().await.len(), 2);
    harness.assert_sound().await;

    // What they left is an operator's again once the link has expired.
    let expired = harness.store.look_at_link(token, at(7 * DAY)).await;
    assert!(
        matches!(&expired, Ok(Link::Verified { refused, .. }) if refused.is_empty()),
        "{expired:?}"
    );
    let by = operator("root");
    let release = harness
        .store
        .release_request(id_of(&held[1]), by, at(7 * DAY));
    release.await.expect("released");
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_yes_does_not_release_an_offer_that_the_person_refused() {
    let harness = Harness::open().await;
    let (_, beyond, old) = refused(&harness).await;
    let address = address("ann@corp.example");
    let renewed = harness.store.renew_link(address, operator("root"), at(DAY));
    renewed.await.expect("owed");
    let token = harness.sent(at(DAY)).await;
    let shown = match harness.store.look_at_link(token, at(DAY)).await {
        Ok(Link::Open { offers, .. }) => offers,
        other => panic!("{other:?}"),
    };
    assert_eq!(shown.len(), 4);
    assert!(shown.iter().all(|offer| offer.discarded), "{shown:?}");
    let method = VerificationMethod::Reply(token);
    let verified = harness
        .store
        .verify_account(method, None, Choice::All, at(DAY));
    let Ok(VerificationOutcome::Verified { released, .. }) = verified.await else {
        panic!("not verified");
    };
    assert!(released.is_empty(), "{released:?}");
    // The person has decided: no link restores it, and an operator can release it.
    let looked = harness.store.look_at_link(old, at(DAY)).await;
    assert!(
        matches!(&looked, Ok(Link::Verified { refused, .. }) if refused.is_empty()),
        "{looked:?}"
    );
    let forced =
        harness
            .store
            .release_dropped(beyond.ledger, None, None, operator("root"), at(DAY));
    forced.await.expect("released");
    harness.assert_sound().await;
}

#[tokio::test]
async fn taking_back_a_refusal_restores_the_offers_as_they_were() {
    let harness = Harness::open().await;
    let (_, beyond, token) = refused(&harness).await;
    let forged_later = harness.accept(forged(9)).await;
    let taken_back = harness
        .store
        .take_back_refusal(token, 14 * DAY, at(DAY))
        .await;
    let Ok(TakenBack::Restored {
        restored, offered, ..
    }) = taken_back
    else {
        panic!("{taken_back:?}");
    };
    assert_eq!((restored.len(), offered), (3, 1));
    harness.assert_sound().await;
    let shown = offers(&harness, token).await;
    let offer = shown
        .iter()
        .find(|offer| offer.request.id == id_of(&beyond));
    let offer = offer.expect("offered again");
    assert!(offer.authenticated && !offer.discarded, "{offer:?}");
    assert_ne!(forged_later.request, None, "nothing was held");
    let account = beyond.account.expect("an account").0;
    let still = harness.store.still_refused(account, at(DAY)).await;
    assert_eq!(still.expect("read"), None);
}

#[tokio::test]
async fn later_messages_do_not_displace_a_refused_offer() {
    let harness = Harness::open().await;
    let (_, beyond, token) = refused(&harness).await;
    for number in 0..12 {
        harness.accept(forged(number)).await;
    }
    for outcome in recover(&harness, &beyond, DAY).await {
        assert!(outcome.contains("only they can undo that"), "{outcome}");
    }
    // Its content is kept while the link is valid.
    let late = 6 * DAY + Duration::from_hours(23);
    harness
        .delete_expired_content(at(late), Duration::ZERO)
        .await;
    let entry = harness.store.ledger_entry(beyond.ledger).await;
    assert!(entry.expect("read").expect("there").content_kept);
    let taken_back = harness
        .store
        .take_back_refusal(token, 14 * DAY, at(late))
        .await;
    assert!(
        matches!(taken_back, Ok(TakenBack::Restored { .. })),
        "{taken_back:?}"
    );
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_refused_offer_is_an_operators_after_the_link_has_expired() {
    let harness = Harness::open().await;
    let (_, beyond, _) = refused(&harness).await;
    let entry = harness.store.ledger_entry(beyond.ledger).await;
    let entry = entry.expect("read").expect("there");
    assert_eq!(entry.refused_until, Some(at(7 * DAY)));
    let forced =
        harness
            .store
            .release_dropped(beyond.ledger, None, None, operator("root"), at(7 * DAY));
    forced.await.expect("released");
    harness.assert_sound().await;
}
