//! Verification of an address: exactly once, under concurrency.

use vestibule::domain::{AccountStatus, RequestState, Verdict, VerificationMethod};
use vestibule::store::{
    ArrivalPart, Choice, Link, MailCause, MailOutcome, Refused, ReplyAnswer, RequestFilter,
    VerificationOutcome,
};

use super::harness::{DAY, Harness, address, at, mail, minutes, operator, start};
use super::ways_to_undo::confirming;
use crate::support::claims::settle_mail;

#[tokio::test]
async fn opening_a_link_changes_nothing_and_the_button_releases_all() {
    let harness = Harness::open().await;
    for i in 0..3 {
        harness
            .accept(mail("ann@corp.example", &format!("{i}@x"), start()))
            .await;
    }
    let token = harness.sent(start()).await;
    for _ in 0..3 {
        let link = harness.store.look_at_link(token, minutes(1)).await;
        let Link::Open { requests, .. } = link.expect("read") else {
            panic!("the link is open");
        };
        assert_eq!(requests.len(), 3);
    }
    let verification = harness
        .store
        .verify_account(
            VerificationMethod::Link(token),
            None,
            Choice::All,
            minutes(2),
        )
        .await;
    let VerificationOutcome::Verified { released, .. } = verification.expect("proved") else {
        panic!("it is the first time");
    };
    assert_eq!(released.len(), 3);
    let account = harness.store.customer(&address("ann@corp.example")).await;
    let account = account.expect("read").expect("there");
    assert_eq!(account.status, AccountStatus::Active);
    assert_eq!(account.verified_by.as_deref(), Some("link"));
    assert_eq!(account.held, 0);

    let again = harness
        .store
        .verify_account(
            VerificationMethod::Link(token),
            None,
            Choice::All,
            minutes(3),
        )
        .await;
    assert!(matches!(
        again,
        Ok(VerificationOutcome::AlreadyVerified { .. })
    ));
    let link = harness.store.look_at_link(token, at(30 * DAY)).await;
    assert!(matches!(
        link,
        Ok(Link::Verified {
            portal: Some(_),
            ..
        })
    ));
}

#[tokio::test]
async fn deselected_requests_are_discarded() {
    let harness = Harness::open().await;
    let mine = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let not_mine = harness
        .accept(mail("ann@corp.example", "2@x", start()))
        .await;
    let token = harness.sent(start()).await;
    let left_out = not_mine.request.expect("a request");
    let verification = harness
        .store
        .verify_account(
            VerificationMethod::Link(token),
            None,
            Choice::Without(vec![left_out]),
            minutes(1),
        )
        .await;
    let Ok(VerificationOutcome::Verified {
        released,
        discarded,
        ..
    }) = verification
    else {
        panic!("{verification:?}");
    };
    assert_eq!(released[0].0, mine.request.expect("a request"));
    assert_eq!(discarded, [left_out]);
}

#[tokio::test]
async fn not_me_discards_and_keeps_quiet() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let token = harness.sent(start()).await;
    let refused = harness.store.refuse(token, 30 * DAY, minutes(1)).await;
    let Ok(Refused::Recorded { discarded, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(discarded.len(), 1);
    let link = harness.store.look_at_link(token, minutes(2)).await;
    assert!(matches!(link, Ok(Link::Refused { .. })));
    let verification = harness
        .store
        .verify_account(
            VerificationMethod::Link(token),
            None,
            Choice::All,
            minutes(2),
        )
        .await;
    assert!(matches!(verification, Ok(VerificationOutcome::Unknown)));

    let held = harness
        .accept(mail("ann@corp.example", "2@x", at(2 * DAY)))
        .await;
    assert_eq!(held.verdict, Verdict::Held);
    assert!(harness.verification_mail(at(2 * DAY)).await.is_none());
    harness
        .accept(mail("ann@corp.example", "3@x", at(31 * DAY)))
        .await;
    assert!(harness.verification_mail(at(31 * DAY)).await.is_some());
}

#[tokio::test]
async fn every_unexpired_link_works_and_an_expired_one_does_not() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let old = harness.sent(start()).await;
    harness
        .accept(mail("ann@corp.example", "2@x", at(5 * DAY)))
        .await;
    let newer = harness.sent(at(5 * DAY)).await;
    assert!(matches!(
        harness.store.look_at_link(old, at(6 * DAY)).await,
        Ok(Link::Open { .. })
    ));
    assert!(matches!(
        harness.store.look_at_link(old, at(8 * DAY)).await,
        Ok(Link::Expired)
    ));
    let late = harness
        .store
        .verify_account(
            VerificationMethod::Link(old),
            None,
            Choice::All,
            at(8 * DAY),
        )
        .await;
    assert!(matches!(late, Ok(VerificationOutcome::Expired)));
    let verification = harness
        .store
        .verify_account(
            VerificationMethod::Link(newer),
            None,
            Choice::All,
            at(8 * DAY),
        )
        .await;
    assert!(matches!(
        verification,
        Ok(VerificationOutcome::Verified { .. })
    ));
}

#[tokio::test]
async fn a_blocked_account_cannot_be_verified() {
    let harness = Harness::open().await;
    let entry = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let token = harness.sent(start()).await;
    let (account, _) = entry.account.expect("an account");
    harness
        .store
        .block_customer(account, operator("root"), minutes(1))
        .await
        .expect("blocked");
    for method in [
        VerificationMethod::Link(token),
        VerificationMethod::Operator(operator("root")),
    ] {
        let verification = harness
            .store
            .verify_account(method, Some(account), Choice::All, minutes(2))
            .await;
        assert!(matches!(verification, Ok(VerificationOutcome::Unknown)));
    }
    let unblocked = harness
        .store
        .unblock_customer(account, operator("root"), minutes(3))
        .await
        .expect("unblocked");
    assert_eq!(unblocked.status, AccountStatus::Pending);
    let verification = harness
        .store
        .verify_account(
            VerificationMethod::Operator(operator("root")),
            Some(account),
            Choice::All,
            minutes(4),
        )
        .await;
    assert!(matches!(
        verification,
        Ok(VerificationOutcome::Verified { .. })
    ));
}

#[tokio::test]
async fn of_many_concurrent_verifications_one_counts() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let token = harness.sent(start()).await;
    let presses: Vec<_> = (0..50)
        .map(|_| {
            let store = harness.store.clone();
            tokio::spawn(async move {
                store
                    .verify_account(
                        VerificationMethod::Link(token),
                        None,
                        Choice::All,
                        minutes(1),
                    )
                    .await
            })
        })
        .collect();
    let mut first = 0;
    for press in presses {
        match press.await.expect("no panic").expect("an answer") {
            VerificationOutcome::Verified { .. } => first += 1,
            VerificationOutcome::AlreadyVerified { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(first, 1);
}

#[tokio::test]
async fn no_message_is_left_held_by_a_concurrent_verification() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "0@x", start()))
        .await;
    let token = harness.sent(start()).await;
    let tasks: Vec<_> = (1..20)
        .map(|i| {
            let store = harness.store.clone();
            let message = mail("ann@corp.example", &format!("{i}@x"), minutes(1));
            tokio::spawn(async move {
                if i == 10 {
                    let method = VerificationMethod::Link(token);
                    let verification = store
                        .verify_account(method, None, Choice::All, minutes(1))
                        .await;
                    verification.map(drop)
                } else {
                    store.accept(message).await.map(drop)
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("done");
    }
    let all = harness.store.requests(RequestFilter::default()).await;
    let all = all.expect("read").rows;
    assert_eq!(all.len(), 19);
    assert!(
        all.iter()
            .all(|request| request.state == RequestState::Released)
    );
}

/// That mail says that a new link was requested, not that the reply was unclear.
#[tokio::test]
async fn a_reply_that_confirms_an_expired_mail_gets_one_new_link() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let old = harness.sent(start()).await;
    let reply = harness.accept(confirming("2@x", old, 8 * DAY)).await;
    let events = harness.store.events(reply.ledger).await.expect("read");
    let cause = events.iter().find_map(|event| event.detail.as_deref());
    assert_eq!(cause, Some("the mail that it answers has expired"));
    let renewed = harness.verification_mail(at(8 * DAY)).await;
    let (renewed, new) = renewed.expect("a mail");
    assert_eq!(renewed.cause, MailCause::Resend);
    settle_mail(&harness.store, &renewed, MailOutcome::Sent, at(8 * DAY)).await;
    harness.accept(confirming("3@x", old, 9 * DAY)).await;
    assert!(harness.verification_mail(at(9 * DAY)).await.is_none());
    // The new one has expired, too.
    harness.accept(confirming("4@x", new, 16 * DAY)).await;
    assert!(harness.verification_mail(at(16 * DAY)).await.is_some());
}

/// Whoever wrote it gets no mail with instructions either.
#[tokio::test]
async fn a_reply_that_its_domain_disowns_releases_nothing() {
    let harness = Harness::open().await;
    let held = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let request = held.request.expect("a request");
    let token = harness.sent(start()).await;
    let mut forged = confirming("2@x", token, DAY);
    for part in &mut forged.parts {
        if let ArrivalPart::Confirmation { answer, .. } = part {
            *answer = ReplyAnswer::Unauthenticated;
        }
    }
    let forged = harness.accept(forged).await;
    let events = harness.store.events(forged.ledger).await.expect("read");
    let cause = events.iter().find_map(|event| event.detail.as_deref());
    assert_eq!(cause, Some("the domain in From does not authenticate it"));
    assert_eq!(harness.request(request).await.state, RequestState::Held);
    assert!(harness.verification_mail(at(2 * DAY)).await.is_none());
    harness.accept(confirming("3@x", token, 3 * DAY)).await;
    assert_eq!(harness.request(request).await.state, RequestState::Released);
}
