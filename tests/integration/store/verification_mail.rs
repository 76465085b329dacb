//! Verification mail and its limits.

use std::time::Duration;

use vestibule::config::MailLimits;
use vestibule::domain::{AccountStatus, Actor, VerificationMethod};
use vestibule::mail::AuthenticationResult;
use vestibule::store::{Added, Choice, ClaimedMail, MailCause, MailKind, MailOutcome, Store};

use super::harness::{DAY, Harness, LIMITS, address, at, mail, minutes, operator, start, token};
use crate::support::claims::{claim_mail, settle_mail};

pub async fn claim(store: &Store, limits: MailLimits, now: jiff::Timestamp) -> ClaimedMail {
    let tokens = (0..100).map(|_| token());
    claim_mail(store, tokens, limits, 7 * DAY, now).await
}

#[tokio::test]
async fn a_mail_states_the_number_of_waiting_requests() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    harness
        .accept(mail("ann@corp.example", "2@x", start()))
        .await;
    let (verification_mail, _) = harness
        .verification_mail(start())
        .await
        .expect("a verification mail");
    assert_eq!(verification_mail.kind, MailKind::Verification);
    assert_eq!(verification_mail.cause, MailCause::Mail);
    assert_eq!(verification_mail.in_reply_to.as_deref(), Some("1@x"));
    assert_eq!(verification_mail.waiting, 2);
    assert_eq!(verification_mail.expires_at, Some(at(14 * DAY)));
    assert_eq!(verification_mail.attempt, 1);
}

#[tokio::test]
async fn an_address_gets_one_mail_an_hour_and_three_a_day() {
    let harness = Harness::open().await;
    let mut sent = Vec::new();
    for minute in (0..24 * 60).step_by(10) {
        let now = minutes(minute);
        let message = mail("ann@corp.example", &format!("{minute}@x"), now);
        harness.accept(message).await;
        if let Some((verification_mail, _)) = harness.verification_mail(now).await {
            let outcome = MailOutcome::Sent;
            settle_mail(&harness.store, &verification_mail, outcome, now).await;
            sent.push(minute);
        }
    }
    assert_eq!(sent, [0, 60, 120]);
}

/// Accepts one message a day, on one day authenticated or after a new link was requested. Returns the days on which
/// verification mail was sent.
async fn days_with_mail(authenticated_on: Option<u64>, resend_on: Option<u64>) -> Vec<u64> {
    let harness = Harness::open().await;
    let mut days = Vec::new();
    for day in 0..10 {
        let now = at(Duration::from_hours(24 * day));
        let mut message = mail("ann@corp.example", &format!("{day}@x"), now);
        if authenticated_on == Some(day) {
            message.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
        }
        if resend_on == Some(day) {
            let ann = address("ann@corp.example");
            let renewed = harness.store.renew_link(ann, Actor::Person, now);
            renewed.await.expect("renewed");
        }
        harness.accept(message).await;
        if let Some((verification_mail, _)) = harness.verification_mail(now).await {
            let outcome = MailOutcome::Sent;
            settle_mail(&harness.store, &verification_mail, outcome, now).await;
            days.push(day);
        }
    }
    days
}

#[tokio::test]
async fn a_person_who_does_nothing_gets_three_mails_until_they_ask_or_write() {
    assert_eq!(days_with_mail(None, None).await, [0, 1, 2]);
    assert_eq!(days_with_mail(None, Some(5)).await, [0, 1, 2, 5, 6, 7]);
    assert_eq!(days_with_mail(Some(6), None).await, [0, 1, 2, 6, 7, 8]);
}

/// Anyone can write as `ann+anything`, and all of it is delivered to Ann.
#[tokio::test]
async fn subaddresses_share_the_limits_of_their_mailbox() {
    let harness = Harness::open().await;
    for (i, local) in ["ann", "ann+x1", "Ann+x2", "ann+x3+y"].iter().enumerate() {
        let from = format!("{local}@corp.example");
        harness
            .accept(mail(&from, &format!("{i}@x"), start()))
            .await;
    }
    let first = claim(&harness.store, LIMITS, start()).await;
    assert_eq!(first.verification_mails.len(), 1);
    assert_eq!(first.deferred.len(), 3);
    let retry = MailOutcome::Retry {
        at: at(DAY),
        cause: "the server is away".to_owned(),
    };
    let unsent = &first.verification_mails[0];
    settle_mail(&harness.store, unsent, retry, start()).await;
    for minute in [60, 120, 180] {
        let claimed = claim(&harness.store, LIMITS, minutes(minute)).await;
        assert_eq!(claimed.verification_mails.len(), 1, "minute {minute}");
    }
    let other = mail("bob@corp.example", "other@x", minutes(180));
    harness.accept(other).await;
    let claimed = claim(&harness.store, LIMITS, minutes(180)).await;
    assert_eq!(claimed.verification_mails.len(), 1, "another mailbox");
}

async fn sign_up(harness: &Harness, person: &str, now: jiff::Timestamp) {
    let store = &harness.store;
    let added = store.add_customer(address(person), None, Actor::Person, now);
    added.await.expect("an answer");
}

/// Some providers deliver mail for several domains, or for any subdomain, to one mailbox.
#[tokio::test]
async fn the_domains_of_a_mailbox_share_its_limits() {
    for people in [
        ["al@fastmail.fm", "x@al.fastmail.fm", "y@al.fastmail.fm"],
        ["al-b@ya.ru", "al.b@yandex.com", "Al-b+x@yandex.kz"],
    ] {
        let harness = Harness::open().await;
        for person in people {
            sign_up(&harness, person, start()).await;
        }
        let claimed = claim(&harness.store, LIMITS, start()).await;
        let counts = (claimed.verification_mails.len(), claimed.deferred.len());
        assert_eq!(counts, (1, 2), "{people:?}");
    }
}

#[tokio::test]
async fn this_was_not_me_counts_at_all_domains_of_the_mailbox() {
    for (refused, people) in [
        ("al@fastmail.fm", ["x@al.fastmail.fm", "y@al.fastmail.fm"]),
        ("x@al.fastmail.fm", ["al@fastmail.fm", "y@al.fastmail.fm"]),
        ("al-b@ya.ru", ["al.b@yandex.com", "al.b@narod.ru"]),
    ] {
        let harness = Harness::open().await;
        sign_up(&harness, refused, start()).await;
        let link = harness.sent(start()).await;
        let answer = harness.store.refuse(link, 30 * DAY, start()).await;
        answer.expect("refused");
        // A person who asks gets one mail for the whole mailbox.
        for (person, after, expected) in [(people[0], DAY, true), (people[1], 3 * DAY, false)] {
            sign_up(&harness, person, at(after)).await;
            let claimed = claim(&harness.store, LIMITS, at(after)).await;
            let is_mailed = !claimed.verification_mails.is_empty();
            assert_eq!(is_mailed, expected, "{person} after {refused}");
            for verification_mail in &claimed.verification_mails {
                settle_mail(
                    &harness.store,
                    verification_mail,
                    MailOutcome::Sent,
                    at(after),
                )
                .await;
            }
        }
    }
}

#[tokio::test]
async fn limits_survive_a_restart() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    harness.sent(start()).await;
    harness
        .accept(mail("ann@corp.example", "2@x", minutes(1)))
        .await;
    let again = harness.again();
    let claimed = claim(&again, LIMITS, minutes(1)).await;
    assert!(claimed.verification_mails.is_empty());
    assert_eq!(claimed.deferred.len(), 1);
    assert_eq!(claimed.next_due, Some(minutes(60)));
    assert_eq!(
        claim(&again, LIMITS, minutes(60))
            .await
            .verification_mails
            .len(),
        1
    );
}

#[tokio::test]
async fn a_crash_between_sending_and_settling_costs_the_share() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    assert!(harness.verification_mail(start()).await.is_some());
    let again = harness.again();
    for minute in [1, 14, 15, 59] {
        assert!(
            claim(&again, LIMITS, minutes(minute))
                .await
                .verification_mails
                .is_empty(),
            "minute {minute}"
        );
    }
    assert_eq!(
        claim(&again, LIMITS, minutes(60))
            .await
            .verification_mails
            .len(),
        1
    );
}

/// The limits of the mailbox, of its domain and of all together permit fewer mails than there are attempts.
#[tokio::test]
async fn an_unsent_mail_gives_its_share_back() {
    let limits = MailLimits {
        per_domain_hour: 5,
        total_hour: 5,
        sign_up_hour: 1,
        authenticated_hour: 1,
        ..LIMITS
    };
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    for attempt in 1..10 {
        let now = minutes(u64::from(attempt));
        let claimed = claim(&harness.store, limits, now).await;
        let verification_mail = claimed.verification_mails.first().expect("due again");
        assert_eq!(verification_mail.attempt, attempt);
        let outcome = MailOutcome::Retry {
            at: minutes(u64::from(attempt) + 1),
            cause: "connection refused".to_owned(),
        };
        settle_mail(&harness.store, verification_mail, outcome, now).await;
    }
}

#[tokio::test]
async fn a_domain_and_all_domains_together_have_limits() {
    let harness = Harness::open().await;
    for i in 0..30 {
        let from = format!("a{i}@corp.example");
        harness
            .accept(mail(&from, &format!("{i}@x"), start()))
            .await;
    }
    // Shares so small that nothing of a domain's ten is reserved.
    let kept = MailLimits {
        sign_up_hour: 1,
        authenticated_hour: 1,
        ..LIMITS
    };
    let limits = MailLimits {
        per_domain_hour: 10,
        ..kept
    };
    let first = claim(&harness.store, limits, start()).await;
    assert_eq!(first.verification_mails.len(), 10);
    assert_eq!(first.deferred.len(), 20);
    let free = first.deferred[0].2;
    assert!(free <= minutes(61), "{free}");
    assert!(
        claim(&harness.store, limits, minutes(59))
            .await
            .verification_mails
            .is_empty()
    );
    assert_eq!(
        claim(&harness.store, limits, free)
            .await
            .verification_mails
            .len(),
        10
    );

    let total = MailLimits {
        total_hour: 15,
        ..kept
    };
    let later = minutes(200);
    assert_eq!(
        claim(&harness.store, total, later)
            .await
            .verification_mails
            .len(),
        15 - 1 - 1
    );
}

#[tokio::test]
async fn a_verification_cancels_unsent_mail() {
    let harness = Harness::open().await;
    let entry = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let (account, _) = entry.account.expect("an account");
    let method = VerificationMethod::Operator(operator("root"));
    let verification = harness
        .store
        .verify_account(method, Some(account), Choice::All, minutes(1))
        .await;
    verification.expect("proved");
    let claimed = claim(&harness.store, LIMITS, at(DAY)).await;
    assert!(claimed.verification_mails.is_empty());
    assert_eq!(claimed.next_due, None);
}

#[tokio::test]
async fn signing_up_is_answered_by_a_mail_whoever_asks() {
    let harness = Harness::open().await;
    let sign_up = |who: &'static str, now| {
        let store = harness.store.clone();
        async move {
            let added = store.add_customer(address(who), None, Actor::Person, now);
            added.await.expect("an answer")
        }
    };
    let added = sign_up("new@shop.example", start()).await;
    let Added::Created(account) = added else {
        panic!("{added:?}");
    };
    let (verification_mail, _) = harness
        .verification_mail(start())
        .await
        .expect("a verification mail");
    assert_eq!(verification_mail.kind, MailKind::Verification);
    assert_eq!(verification_mail.cause, MailCause::SignUp);
    let method = VerificationMethod::Operator(operator("root"));
    let verification =
        harness
            .store
            .verify_account(method, Some(account.id), Choice::All, minutes(1));
    verification.await.expect("proved");
    settle_mail(
        &harness.store,
        &verification_mail,
        MailOutcome::Sent,
        minutes(1),
    )
    .await;

    let again = sign_up("new@shop.example", at(DAY)).await;
    assert!(matches!(again, Added::Existing(_)));
    let (verification_mail, _) = harness
        .verification_mail(at(DAY))
        .await
        .expect("a verification mail");
    assert_eq!(verification_mail.kind, MailKind::AlreadyRegistered);
}

#[tokio::test]
async fn an_account_added_by_an_operator_has_the_status_of_a_first_mail() {
    let harness = Harness::open().await;
    let add = |who: &'static str| {
        let store = harness.store.clone();
        async move {
            let by = operator("root");
            let added = store.add_customer(address(who), None, by, start());
            match added.await.expect("an answer") {
                Added::Created(account) => account.status,
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(add("bob@shop.example").await, AccountStatus::Active);
    assert!(
        harness.verification_mail(start()).await.is_none(),
        "nothing to verify"
    );
    assert_eq!(add("ann@corp.example").await, AccountStatus::Pending);
    let (verification_mail, _) = harness
        .verification_mail(start())
        .await
        .expect("a verification mail");
    assert_eq!(verification_mail.cause, MailCause::Operator);
}

#[tokio::test]
async fn an_operators_resend_reaches_an_address_that_bounced() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    for (i, hour) in [0, 1, 2].into_iter().enumerate() {
        let now = minutes(hour * 60);
        let message = mail("ann@corp.example", &format!("r{i}@x"), now);
        harness.accept(message).await;
        let (verification_mail, _) = harness
            .verification_mail(now)
            .await
            .expect("a verification mail");
        let outcome = MailOutcome::Refused {
            cause: "550 no such user".to_owned(),
        };
        settle_mail(&harness.store, &verification_mail, outcome, now).await;
    }
    let ann = address("ann@corp.example");
    let resend = harness
        .store
        .renew_link(ann.clone(), Actor::Person, at(DAY));
    resend.await.expect("asked");
    assert!(
        harness.verification_mail(at(DAY)).await.is_none(),
        "a pause"
    );
    let resend = harness.store.renew_link(ann, operator("root"), at(DAY));
    resend.await.expect("asked");
    assert!(harness.verification_mail(at(DAY)).await.is_some());
}
