//! Claimed verification mail: a late worker causes no second mail, and each mail counts once.

use vestibule::config::MailLimits;
use vestibule::domain::{Actor, VerificationMethod};
use vestibule::store::{Choice, MailOutcome, Settled, VerificationMail};

use super::harness::{Harness, LIMITS, address, mail, minutes, operator, start};
use super::verification_mail::claim;
use crate::support::claims::settle_mail;

/// A claim by a hanging worker, and the time at which its lease expires.
async fn hung(harness: &Harness) -> (VerificationMail, jiff::Timestamp) {
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let (verification_mail, _) = harness
        .verification_mail(start())
        .await
        .expect("a verification mail");
    (verification_mail, minutes(15))
}

/// Two an hour, so that an uncounted mail is noticed.
const TWO_AN_HOUR: MailLimits = MailLimits {
    per_address_hour: 2,
    per_address_day: 10,
    ..LIMITS
};

/// Number of mails that the limits still permit to Ann.
async fn room(harness: &Harness, now: jiff::Timestamp) -> usize {
    let mut sent = 0;
    loop {
        let ann = address("ann@corp.example");
        let renewed = harness.store.renew_link(ann, Actor::Person, now);
        renewed.await.expect("asked");
        let claimed = claim(&harness.store, TWO_AN_HOUR, now).await;
        let Some(verification_mail) = claimed.verification_mails.first() else {
            return sent;
        };
        let settled = settle_mail(&harness.store, verification_mail, MailOutcome::Sent, now);
        assert_eq!(settled.await, Settled::Recorded);
        sent += 1;
    }
}

async fn settled(
    harness: &Harness,
    verification_mail: &VerificationMail,
    outcome: MailOutcome,
) -> Settled {
    let settled = settle_mail(&harness.store, verification_mail, outcome, minutes(16));
    let settled = settled.await;
    harness.assert_sound().await;
    settled
}

fn later(cause: &str) -> MailOutcome {
    MailOutcome::Retry {
        at: minutes(16),
        cause: cause.to_owned(),
    }
}

#[tokio::test]
async fn a_late_success_settles_a_mail_without_a_holder() {
    let harness = Harness::open().await;
    let (verification_mail, _) = hung(&harness).await;
    assert_eq!(
        settled(&harness, &verification_mail, MailOutcome::Sent).await,
        Settled::Recorded
    );
    let claimed = claim(&harness.store, TWO_AN_HOUR, minutes(16)).await;
    assert!(claimed.verification_mails.is_empty(), "she has it");
    assert_eq!(room(&harness, minutes(16)).await, 1, "it counts once");
    // The late worker reports.
    assert_eq!(
        settled(&harness, &verification_mail, MailOutcome::Sent).await,
        Settled::ClaimLost
    );
}

#[tokio::test]
async fn a_late_success_keeps_the_next_holder_from_sending() {
    let harness = Harness::open().await;
    let (first, over) = hung(&harness).await;
    let claimed = claim(&harness.store, TWO_AN_HOUR, over).await;
    let second = &claimed.verification_mails[0];
    assert_eq!(second.id, first.id);
    assert!(second.number() > first.number());
    let confirm = async |verification_mail| {
        let confirmed = harness.store.confirm_claim(verification_mail, minutes(15));
        confirmed.await.expect("an answer")
    };
    assert!(
        !confirm(&first).await,
        "a worker that lost its claim sends nothing"
    );
    assert!(confirm(second).await);

    assert_eq!(
        settled(&harness, &first, MailOutcome::Sent).await,
        Settled::Recorded
    );
    assert!(!confirm(second).await, "she has it");
    assert_eq!(
        settled(&harness, second, later("not mine")).await,
        Settled::ClaimLost
    );
    assert_eq!(room(&harness, minutes(16)).await, 1, "it counts once");
}

#[tokio::test]
async fn a_late_failure_gives_its_share_back_and_leaves_the_mail_to_its_holder() {
    let harness = Harness::open().await;
    let (first, over) = hung(&harness).await;
    let claimed = claim(&harness.store, TWO_AN_HOUR, over).await;
    let second = &claimed.verification_mails[0];
    for _ in 0..2 {
        assert_eq!(
            settled(&harness, &first, later("451")).await,
            Settled::ClaimLost
        );
    }
    let refused = MailOutcome::Refused {
        cause: "550".to_owned(),
    };
    assert_eq!(settled(&harness, &first, refused).await, Settled::ClaimLost);
    assert_eq!(
        settled(&harness, second, MailOutcome::Sent).await,
        Settled::Recorded
    );
    assert_eq!(room(&harness, minutes(16)).await, 1, "it counts once");
}

#[tokio::test]
async fn a_mail_that_may_have_been_sent_keeps_its_share() {
    let harness = Harness::open().await;
    let (verification_mail, _) = hung(&harness).await;
    let unknown = MailOutcome::Unknown {
        at: minutes(16),
        cause: "a fault".to_owned(),
    };
    assert_eq!(
        settled(&harness, &verification_mail, unknown).await,
        Settled::Recorded
    );
    assert_eq!(room(&harness, minutes(16)).await, 1);
}

#[tokio::test]
async fn a_claim_that_waits_for_a_connection_is_renewed_before_sending() {
    let harness = Harness::open().await;
    let (verification_mail, _) = hung(&harness).await;
    let confirmed = harness.store.confirm_claim(&verification_mail, minutes(14));
    assert!(confirmed.await.expect("an answer"));
    let claimed = claim(&harness.store, TWO_AN_HOUR, minutes(28)).await;
    assert!(claimed.verification_mails.is_empty(), "it is being sent");
    let claimed = claim(&harness.store, TWO_AN_HOUR, minutes(29)).await;
    assert_eq!(
        claimed.verification_mails.len(),
        1,
        "the lease of its sender has expired"
    );
}

#[tokio::test]
async fn a_failed_claim_of_mail_is_given_back_with_its_share_of_the_limits() {
    let harness = Harness::open().await;
    let (kept, _) = hung(&harness).await;
    harness
        .accept(mail("bea@corp.example", "2@x", start()))
        .await;
    let (lost, _) = harness
        .verification_mail(start())
        .await
        .expect("a verification mail");
    let given = harness.store.give_back_mail(kept.number(), start());
    given.await.expect("given back");
    assert_eq!(
        settled(
            &harness,
            &lost,
            MailOutcome::Refused {
                cause: "550".to_owned()
            }
        )
        .await,
        Settled::ClaimLost
    );
    // The limit is one an hour, and this is the one.
    let (again, _) = harness
        .verification_mail(minutes(1))
        .await
        .expect("due immediately");
    assert_eq!(again.address, lost.address);
    assert_eq!(
        settled(&harness, &kept, MailOutcome::Sent).await,
        Settled::Recorded
    );
    assert_eq!(
        settled(&harness, &again, MailOutcome::Sent).await,
        Settled::Recorded
    );
}

#[tokio::test]
async fn a_start_sends_mail_left_by_the_last_process_within_the_limits() {
    let harness = Harness::open().await;
    let (verification_mail, _) = hung(&harness).await;
    let restarted = harness.again();
    restarted.end_leases(minutes(1)).await.expect("a start");
    assert!(
        claim(&restarted, LIMITS, minutes(1))
            .await
            .verification_mails
            .is_empty(),
        "one an hour"
    );
    let again = claim(&restarted, LIMITS, minutes(60)).await;
    assert_eq!(again.verification_mails[0].id, verification_mail.id);
}

#[tokio::test]
async fn a_claimed_mail_that_is_no_longer_needed_is_not_queued_again() {
    for is_settled in [true, false] {
        let harness = Harness::open().await;
        let (verification_mail, _) = hung(&harness).await;
        let method = VerificationMethod::Operator(operator("root"));
        let verification = harness.store.verify_account(
            method,
            Some(verification_mail.account),
            Choice::All,
            minutes(1),
        );
        verification.await.expect("proved");
        if is_settled {
            let outcome = settled(&harness, &verification_mail, later("451")).await;
            assert_eq!(outcome, Settled::Recorded);
        } else {
            let restarted = harness.again();
            restarted.end_leases(minutes(16)).await.expect("a start");
        }
        let claimed = claim(&harness.store, TWO_AN_HOUR, minutes(16)).await;
        assert!(claimed.verification_mails.is_empty());
        assert_eq!(claimed.next_due, None);
        harness.assert_sound().await;
    }
}
