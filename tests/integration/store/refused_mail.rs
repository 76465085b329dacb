//! Verification mail that our relay refused, or that did not arrive.

use vestibule::domain::{Account, Actor, QueuedMailState, Timestamp};
use vestibule::store::{ArrivalPart, Link, MailOutcome, QueuedMailFilter, Store, VerificationMail};

use super::harness::{DAY, Harness, address, at, mail, minutes, operator, start};
use super::intake::report;
use super::not_me_undo::{ANN, refused};
use crate::support::claims::settle_mail;

const REFUSED: Option<QueuedMailState> = Some(QueuedMailState::Refused);

async fn count_listed(store: &Store, state: Option<QueuedMailState>) -> usize {
    let filter = QueuedMailFilter {
        state,
        ..QueuedMailFilter::default()
    };
    store.queued_mail(filter).await.expect("a list").rows.len()
}

#[tokio::test]
async fn an_address_that_the_relay_does_not_know_is_undeliverable_and_a_given_up_mail_is_not() {
    let harness = Harness::open().await;
    let cause = || "550".to_owned();
    for (from, outcome, is_undeliverable) in [
        (
            "ann@corp.example",
            MailOutcome::Refused { cause: cause() },
            false,
        ),
        (
            "bob@corp.example",
            MailOutcome::NoSuchAddress { cause: cause() },
            true,
        ),
    ] {
        let message = mail(from, &format!("of-{from}"), start());
        harness.accept(message).await;
        let (verification_mail, _) = harness
            .verification_mail(start())
            .await
            .expect("a verification mail");
        settle_mail(&harness.store, &verification_mail, outcome, start()).await;
        let account = harness.store.customer(&address(from)).await.expect("read");
        let account = account.expect("an account");
        assert_eq!(account.undeliverable, is_undeliverable, "{from}");
        // A new message from an address that the relay does not know causes no mail.
        let again = mail(from, &format!("again-{from}"), minutes(60));
        harness.accept(again).await;
        let next = harness.verification_mail(minutes(60)).await;
        assert_eq!(next.is_none(), is_undeliverable, "{from}");
    }
}

#[tokio::test]
async fn a_mail_that_was_given_up_is_listed_until_its_account_gets_another() {
    let harness = Harness::open().await;
    let store = &harness.store;
    for (n, from) in ["ann@corp.example", "bob@corp.example"].iter().enumerate() {
        harness.accept(mail(from, &format!("{n}@x"), start())).await;
        let (verification_mail, _) = harness
            .verification_mail(start())
            .await
            .expect("a verification mail");
        let cause = "given up: 554".to_owned();
        let outcome = if n == 0 {
            MailOutcome::Refused { cause }
        } else {
            MailOutcome::NoSuchAddress { cause }
        };
        settle_mail(store, &verification_mail, outcome, start()).await;
    }
    // Bob is among those whom our mail cannot reach.
    assert_eq!(count_listed(store, REFUSED).await, 1);
    assert_eq!(count_listed(store, None).await, 0);
    let filter = QueuedMailFilter {
        account: Some(address("ann@corp.example")),
        state: REFUSED,
        ..QueuedMailFilter::default()
    };
    let listed = store.queued_mail(filter).await.expect("a list").rows;
    assert_eq!(listed[0].mail.last_error.as_deref(), Some("given up: 554"));
    let counts = store.counts(start()).await.expect("counted");
    assert_eq!((counts.refused_mails, counts.undeliverable), (1, 1));

    let resend = store.renew_link(address("ann@corp.example"), operator("root"), minutes(61));
    resend.await.expect("asked");
    assert_eq!(count_listed(store, REFUSED).await, 0);
    assert_eq!(count_listed(store, None).await, 1);
    let counts = store.counts(start()).await.expect("counted");
    assert_eq!((counts.refused_mails, counts.undeliverable), (0, 1));
}

async fn ann(harness: &Harness) -> Account {
    let account = harness.store.customer(&address(ANN)).await.expect("read");
    account.expect("there")
}

/// The mail to undo "This was not me" counts only if the person may have received it.
#[tokio::test]
async fn a_mail_to_undo_that_was_certainly_not_sent_can_be_requested_again() {
    let cause = || "554 5.7.1 relaying denied".to_owned();
    let refusal = || MailOutcome::Refused { cause: cause() };
    let retry = MailOutcome::Retry {
        at: at(DAY),
        cause: cause(),
    };
    let unknown = MailOutcome::Unknown {
        at: at(DAY),
        cause: cause(),
    };
    let given_up = MailOutcome::GivenUp { cause: cause() };
    for (outcomes, is_unsent) in [
        (vec![refusal()], true),
        (vec![MailOutcome::Unattempted, retry, refusal()], true),
        (vec![unknown, refusal()], false),
        (vec![given_up], false),
    ] {
        let which = format!("{outcomes:?}");
        let harness = Harness::open().await;
        // The link of the first mail is valid for 7 days.
        refused(&harness, mail(ANN, "1@x", start())).await;
        let ask = async |after| {
            let asked = harness
                .store
                .renew_link(address(ANN), Actor::Person, at(after));
            asked.await.expect("an answer");
        };
        ask(DAY).await;
        let mut now = DAY;
        let mut links = Vec::new();
        for outcome in outcomes {
            assert!(!ann(&harness).await.may_request_link(at(now)), "{which}");
            let due = harness.verification_mail(at(now)).await;
            let (verification_mail, link) = due.expect("the one mail");
            settle_mail(&harness.store, &verification_mail, outcome, at(now)).await;
            links.push(link);
            now += DAY;
        }
        harness.assert_sound().await;
        let account = ann(&harness).await;
        assert_eq!(account.may_request_link(at(now)), is_unsent, "{which}");
        // No link is told to be valid that nobody has.
        let ends_first = account.link_valid_until == Some(at(7 * DAY));
        assert_eq!(ends_first, is_unsent, "{which}: {account:?}");
        let looked = harness.store.look_at_link(links[0], at(now)).await;
        let is_unknown = matches!(looked, Ok(Link::Unknown));
        assert_eq!(is_unknown, is_unsent, "{which}: {looked:?}");
        // Operators cannot resend it, so it is not listed.
        assert_eq!(count_listed(&harness.store, REFUSED).await, 0, "{which}");
        let counts = harness.store.counts(start()).await.expect("counted");
        assert_eq!(counts.refused_mails, 0, "{which}");

        ask(now).await;
        let another = harness.verification_mail(at(now)).await;
        assert_eq!(another.is_some(), is_unsent, "{which}");
    }
}

#[tokio::test]
async fn another_address_of_the_mailbox_can_request_it_again_too() {
    let harness = Harness::open().await;
    refused(&harness, mail(ANN, "1@x", start())).await;
    for (spelling, after) in [("ann+a", DAY), ("ann+b", 2 * DAY)] {
        let other = address(&format!("{spelling}@corp.example"));
        let added = harness
            .store
            .add_customer(other.clone(), None, Actor::Person, at(after));
        added.await.expect("an answer");
        assert!(ann(&harness).await.may_request_link(at(after)));
        let due = harness.verification_mail(at(after)).await;
        let (verification_mail, _) = due.expect("the one mail");
        assert_eq!(verification_mail.address, other);
        assert!(!ann(&harness).await.may_request_link(at(after)));
        let refusal = MailOutcome::Refused {
            cause: "554 5.7.1 relaying denied".to_owned(),
        };
        settle_mail(&harness.store, &verification_mail, refusal, at(after)).await;
    }
    assert!(ann(&harness).await.may_request_link(at(2 * DAY)));
}

#[tokio::test]
async fn a_mail_that_was_given_up_before_an_objection_is_not_listed() {
    let harness = Harness::open().await;
    harness.accept(mail(ANN, "1@x", start())).await;
    let link = harness.sent(start()).await;
    let asked = harness
        .store
        .renew_link(address(ANN), Actor::Person, at(DAY));
    asked.await.expect("asked");
    let due = harness.verification_mail(at(DAY)).await;
    let (verification_mail, _) = due.expect("a verification mail");
    let refusal = MailOutcome::Refused {
        cause: "given up: 554".to_owned(),
    };
    settle_mail(&harness.store, &verification_mail, refusal, at(DAY)).await;
    assert_eq!(count_listed(&harness.store, REFUSED).await, 1);
    let objected = harness.store.refuse(link, 30 * DAY, at(2 * DAY)).await;
    objected.expect("refused");
    assert_eq!(count_listed(&harness.store, REFUSED).await, 0);
}

/// Reports about a full mailbox.
async fn fail(harness: &Harness, mail_to_ann: &VerificationMail, times: u32, now: Timestamp) {
    let id = mail_to_ann.id.to_string().to_lowercase();
    for number in 0..times {
        let name = format!("{}.{number}@x", now.as_second());
        let mut bounce = mail("mailer-daemon@corp.example", &name, now);
        bounce.facts.report = Some(report(None, "failed", Some("4.2.2")));
        bounce.parts = vec![ArrivalPart::Bounce {
            recipient: format!("bounces+{id}@corp.example"),
        }];
        harness.accept(bounce).await;
    }
}

async fn with_mail_to_ann() -> (Harness, VerificationMail) {
    let harness = Harness::open().await;
    harness.accept(mail(ANN, "1@x", start())).await;
    let due = harness.verification_mail(start()).await;
    let (first, _) = due.expect("a verification mail");
    settle_mail(&harness.store, &first, MailOutcome::Sent, start()).await;
    (harness, first)
}

#[tokio::test]
async fn temporary_failures_pause_the_mail_for_eight_days_at_most() {
    for (failures, days) in [(2, 0), (3, 1), (4, 2), (5, 4), (6, 8), (9, 8)] {
        let (harness, first) = with_mail_to_ann().await;
        fail(&harness, &first, failures, start()).await;
        harness.accept(mail(ANN, "2@x", minutes(61))).await;
        let due = at(days * DAY).max(minutes(61));
        if days > 0 {
            let before = due - jiff::SignedDuration::from_mins(1);
            let early = harness.verification_mail(before).await;
            assert!(early.is_none(), "{failures}");
        }
        let next = harness.verification_mail(due).await;
        assert!(next.is_some(), "{failures}");
    }
}

#[tokio::test]
async fn temporary_failures_of_more_than_a_month_ago_do_not_count() {
    let (harness, first) = with_mail_to_ann().await;
    fail(&harness, &first, 2, start()).await;
    let later = at(31 * DAY);
    fail(&harness, &first, 1, later).await;
    harness.accept(mail(ANN, "2@x", later)).await;
    assert!(harness.verification_mail(later).await.is_some());
}
