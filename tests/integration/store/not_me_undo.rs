//! "This was not me" taken back: by the person, while a link is valid, and other ends of the quiet time.

use std::time::Duration;

use vestibule::domain::{
    AccountStatus, Actor, RequestId, RequestState, TokenHash, VerificationMethod,
};
use vestibule::mail::AuthenticationResult;
use vestibule::store::{
    Arrival, ArrivalOutcome, Choice, Link, MailCause, Refused, StoreError, TakenBack,
    VerificationOutcome,
};

use super::harness::{DAY, Harness, LIMITS, address, at, mail, operator, portal, start, token};
use crate::support::claims::{claim_mail, settle_mail};

pub(super) const ANN: &str = "ann@corp.example";

const HOLD_FOR: Duration = Duration::from_hours(14 * 24);

fn authenticated(message_id: &str, after: Duration) -> Arrival {
    let mut message = mail(ANN, message_id, at(after));
    message.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
    message
}

/// Refuses a held message; returns it with the link.
pub(super) async fn refused(harness: &Harness, message: Arrival) -> (ArrivalOutcome, TokenHash) {
    let entry = harness.accept(message).await;
    let link = harness.sent(start()).await;
    let refused = harness.store.refuse(link, 30 * DAY, start()).await;
    assert!(
        matches!(refused, Ok(Refused::Recorded { .. })),
        "{refused:?}"
    );
    (entry, link)
}

pub(super) async fn take_back(harness: &Harness, link: TokenHash, after: Duration) -> TakenBack {
    let taken = harness.store.take_back_refusal(link, HOLD_FOR, at(after));
    taken.await.expect("an answer")
}

async fn state(harness: &Harness, request: RequestId) -> RequestState {
    let found = harness.store.request(request).await.expect("read");
    found.expect("there").state
}

async fn release(harness: &Harness, request: RequestId, after: Duration) -> Result<(), StoreError> {
    let release = operator("root");
    let released = harness.store.release_request(request, release, at(after));
    released.await.map(drop)
}

#[tokio::test]
async fn discarded_requests_are_held_again_and_only_by_the_person() {
    let harness = Harness::open().await;
    let (entry, link) = refused(&harness, mail(ANN, "1@x", start())).await;
    let request = entry.request.expect("a request");
    let refusal = release(&harness, request, DAY)
        .await
        .expect_err("the person's");
    assert!(refusal.to_string().contains("only they can"), "{refusal}");
    // Opening the link changes nothing.
    for _ in 0..2 {
        let looked = harness
            .store
            .look_at_link(link, at(DAY))
            .await
            .expect("read");
        let Link::Refused(refusal) = looked else {
            panic!("{looked:?}");
        };
        assert_eq!(refusal.quiet_until, Some(at(30 * DAY)));
        assert_eq!(refusal.valid_until, Some(at(7 * DAY)));
        assert_eq!(refusal.protected_until, Some(at(7 * DAY)));
        assert!(refusal.passed_on.is_empty(), "{refusal:?}");
    }
    // Content of a settled request is forgotten at once here, and this one is not settled yet.
    let forgotten = harness
        .store
        .delete_expired_content(at(6 * DAY), Duration::ZERO, 10);
    assert_eq!(forgotten.await.expect("a step").done, 0);
    let TakenBack::Restored { restored, .. } = take_back(&harness, link, 6 * DAY).await else {
        panic!("not restored");
    };
    assert_eq!(restored, [request]);
    assert_eq!(state(&harness, request).await, RequestState::Held);
    let again = take_back(&harness, link, 6 * DAY).await;
    assert!(matches!(again, TakenBack::NothingToRestore), "{again:?}");
    let account = harness.store.customer(&address(ANN)).await.expect("read");
    assert_eq!(account.expect("there").quiet_until, None);
    harness.assert_sound().await;
    let verification = harness.store.verify_account(
        VerificationMethod::Link(link),
        None,
        Choice::All,
        at(6 * DAY),
    );
    let Ok(VerificationOutcome::Verified { released, .. }) = verification.await else {
        panic!("not verified");
    };
    assert_eq!(released.len(), 1);
    let late = take_back(&harness, link, 6 * DAY).await;
    assert!(matches!(late, TakenBack::NothingToRestore), "{late:?}");
}

#[tokio::test]
async fn after_the_link_expires_only_an_operator_can_release() {
    let harness = Harness::open().await;
    let (entry, link) = refused(&harness, mail(ANN, "1@x", start())).await;
    let request = entry.request.expect("a request");
    let late = take_back(&harness, link, 7 * DAY).await;
    assert!(matches!(late, TakenBack::Expired), "{late:?}");
    assert_eq!(state(&harness, request).await, RequestState::Discarded);
    release(&harness, request, 7 * DAY).await.expect("released");
    let unknown = take_back(&harness, token(), DAY).await;
    assert!(matches!(unknown, TakenBack::Unknown), "{unknown:?}");
    let looked = harness.store.look_at_link(link, at(31 * DAY)).await;
    let Ok(Link::Refused(refusal)) = looked else {
        panic!("{looked:?}");
    };
    assert_eq!((refusal.quiet_until, refusal.valid_until), (None, None));
    assert_eq!(refusal.protected_until, None);
    // What an operator released is no longer said to be kept back.
    assert_eq!(refusal.passed_on, [portal("it")]);
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_block_by_an_operator_prevents_taking_back() {
    let harness = Harness::open().await;
    let (entry, link) = refused(&harness, mail(ANN, "1@x", start())).await;
    let account = harness.store.customer(&address(ANN)).await.expect("read");
    let id = account.expect("there").id;
    let by = || operator("root");
    harness
        .store
        .block_customer(id, by(), start())
        .await
        .expect("blocked");
    let blocked = take_back(&harness, link, DAY).await;
    assert!(matches!(blocked, TakenBack::Unknown), "{blocked:?}");
    let request = entry.request.expect("a request");
    let refusal = release(&harness, request, DAY)
        .await
        .expect_err("the person's");
    let refusal = refusal.to_string();
    assert!(
        refusal.contains("once the account is unblocked") && !refusal.contains("resend"),
        "{refusal}"
    );
    let unblocked = harness.store.unblock_customer(id, by(), start()).await;
    assert_eq!(unblocked.expect("unblocked").status, AccountStatus::Pending);
    let taken = take_back(&harness, link, DAY).await;
    assert!(matches!(taken, TakenBack::Restored { .. }), "{taken:?}");
    assert_eq!(
        state(&harness, entry.request.expect("a request")).await,
        RequestState::Held
    );
}

#[tokio::test]
async fn a_discarded_copy_is_not_restored_beside_a_live_one() {
    let harness = Harness::open().await;
    let (entry, link) = refused(&harness, mail(ANN, "1@x", start())).await;
    let copy = harness.accept(mail(ANN, "1@x", at(DAY))).await;
    assert_ne!(copy.request, None);
    let TakenBack::Restored { restored, .. } = take_back(&harness, link, DAY).await else {
        panic!("not restored");
    };
    assert!(restored.is_empty(), "{restored:?}");
    assert_eq!(
        state(&harness, entry.request.expect("a request")).await,
        RequestState::Discarded
    );
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_person_who_asks_gets_one_mail_whose_link_withdraws_the_objection() {
    let harness = Harness::open().await;
    let (entry, old) = refused(&harness, mail(ANN, "1@x", start())).await;
    // Unauthenticated mail has no effect.
    harness.accept(mail(ANN, "2@x", at(DAY))).await;
    assert!(harness.verification_mail(at(DAY)).await.is_none());
    let resend = async |after| {
        let renewed = harness
            .store
            .renew_link(address(ANN), Actor::Person, at(after));
        renewed.await.expect("an answer");
    };
    resend(10 * DAY).await;
    let (verification_mail, link) = harness
        .verification_mail(at(10 * DAY))
        .await
        .expect("the one mail");
    assert_eq!(verification_mail.cause, MailCause::TakeBack);
    let outcome = vestibule::store::MailOutcome::Sent;
    settle_mail(&harness.store, &verification_mail, outcome, at(10 * DAY)).await;
    resend(11 * DAY).await;
    let added = harness
        .store
        .add_customer(address(ANN), None, Actor::Person, at(12 * DAY));
    added.await.expect("an answer");
    assert!(
        harness.verification_mail(at(20 * DAY)).await.is_none(),
        "one is enough"
    );
    let gone = take_back(&harness, old, 12 * DAY).await;
    assert!(matches!(gone, TakenBack::Expired), "{gone:?}");
    // The link does not verify before the objection is taken back.
    let verification = harness.store.verify_account(
        VerificationMethod::Link(link),
        None,
        Choice::All,
        at(12 * DAY),
    );
    assert!(matches!(
        verification.await,
        Ok(VerificationOutcome::Unknown)
    ));
    // An operator can release what the first link no longer protects, and the page of the new link knows that.
    let looked = harness.store.look_at_link(link, at(12 * DAY)).await;
    assert!(
        matches!(&looked, Ok(Link::Refused(refusal))
            if refusal.valid_until == Some(at(17 * DAY)) && refusal.protected_until.is_none()),
        "{looked:?}"
    );
    let TakenBack::Restored { restored, .. } = take_back(&harness, link, 12 * DAY).await else {
        panic!("not restored");
    };
    assert_eq!(Some(restored), entry.request.map(|request| vec![request]));
    harness.assert_sound().await;
}

#[tokio::test]
async fn another_spelling_of_the_mailbox_gets_that_mail_too_and_only_one() {
    let harness = Harness::open().await;
    refused(&harness, mail(ANN, "1@x", start())).await;
    for (spelling, after, expected) in [("ann+a", DAY, true), ("ann+b", 3 * DAY, false)] {
        let added = harness.store.add_customer(
            address(&format!("{spelling}@corp.example")),
            None,
            Actor::Person,
            at(after),
        );
        added.await.expect("an answer");
        let verification_mail = harness.verification_mail(at(after)).await;
        assert_eq!(verification_mail.is_some(), expected, "{spelling}");
        if let Some((verification_mail, _)) = verification_mail {
            // Deferred and retried, it is the same mail.
            let retry = vestibule::store::MailOutcome::Retry {
                at: at(after),
                cause: "451 later".to_owned(),
            };
            settle_mail(&harness.store, &verification_mail, retry, at(after)).await;
            let (again, _) = harness
                .verification_mail(at(after + DAY))
                .await
                .expect("the same again");
            assert_eq!(again.id, verification_mail.id);
            let sent = vestibule::store::MailOutcome::Sent;
            settle_mail(&harness.store, &again, sent, at(after + DAY)).await;
        }
    }
}

#[tokio::test]
async fn an_undeliverable_address_gets_no_mail_in_either_case() {
    let harness = Harness::open().await;
    refused(&harness, mail(ANN, "1@x", start())).await;
    harness.database.run("UPDATE account SET undeliverable = 1");
    let renewed = harness
        .store
        .renew_link(address(ANN), Actor::Person, at(DAY));
    renewed.await.expect("an answer");
    assert!(harness.verification_mail(at(DAY)).await.is_none());
}

#[tokio::test]
async fn a_message_that_passes_dmarc_ends_the_quiet_time() {
    for (first, later, ends) in [
        (mail(ANN, "1@x", start()), authenticated("2@x", DAY), true),
        (mail(ANN, "1@x", start()), mail(ANN, "2@x", at(DAY)), false),
        // The refused message had passed authentication, too, so another pass proves nothing.
        (
            authenticated("1@x", Duration::ZERO),
            authenticated("2@x", DAY),
            false,
        ),
    ] {
        let harness = Harness::open().await;
        refused(&harness, first).await;
        harness.accept(later).await;
        let account = harness.store.customer(&address(ANN)).await.expect("read");
        assert_eq!(account.expect("there").quiet_until.is_none(), ends);
        let claimed = claim_mail(&harness.store, vec![token()], LIMITS, 7 * DAY, at(DAY)).await;
        let verification_mails = claimed.verification_mails;
        assert_eq!(!verification_mails.is_empty(), ends);
    }
}

#[tokio::test]
async fn only_a_held_message_ends_the_quiet_time() {
    let harness = Harness::open().await;
    refused(&harness, mail(ANN, "1@x", start())).await;
    let mut away = authenticated("2@x", DAY);
    away.facts.spam = Some(vestibule::mail::Evidence {
        field: "X-Spam-Flag".to_owned(),
        value: "YES".to_owned(),
    });
    let dropped = harness.accept(away).await;
    assert_eq!(dropped.request, None);
    let other = harness
        .accept(mail("bea@corp.example", "3@x", at(DAY)))
        .await;
    assert_ne!(other.request, None);
    let account = harness.store.customer(&address(ANN)).await.expect("read");
    assert!(account.expect("there").quiet_until.is_some());
}

#[tokio::test]
async fn a_link_that_was_sent_later_offers_what_was_discarded() {
    let harness = Harness::open().await;
    let (entry, old) = refused(&harness, mail(ANN, "1@x", start())).await;
    let request = entry.request.expect("a request");
    let resent = harness
        .store
        .renew_link(address(ANN), operator("root"), at(DAY));
    resent.await.expect("owed");
    let second = harness.accept(mail(ANN, "2@x", at(DAY))).await;
    let link = harness.sent(at(DAY)).await;
    for (after, offered) in [(DAY, 1), (7 * DAY, 0)] {
        let looked = harness.store.look_at_link(link, at(after)).await;
        let Ok(Link::Open {
            offers, requests, ..
        }) = looked
        else {
            panic!("{looked:?}");
        };
        assert_eq!((requests.len(), offers.len()), (1, offered));
        let unticked = |offer: &vestibule::store::Offer| offer.discarded && !offer.authenticated;
        assert!(offers.iter().all(unticked), "{offers:?}");
    }
    let choice = Choice::Picked {
        left_out: Vec::new(),
        ticked: vec![request, second.request.expect("a request")],
    };
    let verification =
        harness
            .store
            .verify_account(VerificationMethod::Link(link), None, choice, at(2 * DAY));
    let Ok(VerificationOutcome::Verified { released, .. }) = verification.await else {
        panic!("not verified");
    };
    assert_eq!(released.len(), 2, "{released:?}");
    assert_eq!(state(&harness, request).await, RequestState::Released);
    let late = take_back(&harness, old, 2 * DAY).await;
    assert!(matches!(late, TakenBack::NothingToRestore), "{late:?}");
    harness.assert_sound().await;
}

#[tokio::test]
async fn what_an_earlier_objection_discarded_is_not_restored_with_the_last() {
    let harness = Harness::open().await;
    let (forged, _) = refused(&harness, mail(ANN, "1@x", start())).await;
    let forged = forged.request.expect("a request");
    let resent = harness
        .store
        .renew_link(address(ANN), operator("root"), at(DAY));
    resent.await.expect("owed");
    let mine = harness.accept(mail(ANN, "2@x", at(DAY))).await;
    let mine = mine.request.expect("a request");
    let link = harness.sent(at(DAY)).await;
    let refused = harness.store.refuse(link, 30 * DAY, at(2 * DAY)).await;
    assert!(
        matches!(&refused, Ok(Refused::Recorded { discarded, .. }) if *discarded == [mine]),
        "{refused:?}"
    );
    let TakenBack::Restored { restored, .. } = take_back(&harness, link, 3 * DAY).await else {
        panic!("not restored");
    };
    assert_eq!(restored, [mine]);
    assert_eq!(state(&harness, forged).await, RequestState::Discarded);
    // The page offers it, not ticked.
    let looked = harness.store.look_at_link(link, at(3 * DAY)).await;
    let Ok(Link::Open {
        offers, requests, ..
    }) = looked
    else {
        panic!("{looked:?}");
    };
    assert_eq!((requests.len(), offers.len()), (1, 1));
    assert!(offers[0].discarded && !offers[0].authenticated);
    harness.assert_sound().await;
}

#[tokio::test]
async fn only_an_operator_can_release_deselected_requests() {
    let harness = Harness::open().await;
    let (entry, _) = refused(&harness, mail(ANN, "1@x", start())).await;
    let request = entry.request.expect("a request");
    let resent = harness
        .store
        .renew_link(address(ANN), operator("root"), at(DAY));
    resent.await.expect("owed");
    let link = harness.sent(at(DAY)).await;
    let verification =
        harness
            .store
            .verify_account(VerificationMethod::Link(link), None, Choice::All, at(DAY));
    let Ok(VerificationOutcome::Verified { released, .. }) = verification.await else {
        panic!("not verified");
    };
    assert!(released.is_empty(), "{released:?}");
    assert_eq!(state(&harness, request).await, RequestState::Discarded);
    release(&harness, request, DAY).await.expect("released");
    harness.assert_sound().await;
}

#[tokio::test]
async fn an_operators_verification_does_not_release_what_the_person_refused() {
    let harness = Harness::open().await;
    let (entry, _) = refused(&harness, mail(ANN, "1@x", start())).await;
    let request = entry.request.expect("a request");
    let account = harness.store.customer(&address(ANN)).await.expect("read");
    let account = account.expect("an account").id;
    let method = VerificationMethod::Operator(operator("root"));
    let verification = harness
        .store
        .verify_account(method, Some(account), Choice::All, at(DAY));
    let verification = verification.await.expect("proved");
    assert!(
        matches!(&verification, VerificationOutcome::Verified { released, .. } if released.is_empty()),
        "{verification:?}"
    );
    let refused = release(&harness, request, 2 * DAY)
        .await
        .expect_err("still the person's");
    // No new link is sent to a verified address, so the error names another way.
    let refused = refused.to_string();
    assert!(refused.contains("can release it from"), "{refused}");
    release(&harness, request, 8 * DAY)
        .await
        .expect("the link has expired");
}
