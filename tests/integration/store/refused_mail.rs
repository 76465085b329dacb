//! Verification mail that our relay refused.

use vestibule::domain::QueuedMailState;
use vestibule::store::{MailCause, MailOutcome, QueuedMailFilter, Store};

use super::harness::{Harness, address, mail, minutes, start};
use crate::support::claims::settle_mail;

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
    const REFUSED: Option<QueuedMailState> = Some(QueuedMailState::Refused);
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

    let resend = store.renew_link(
        address("ann@corp.example"),
        MailCause::Operator,
        minutes(61),
    );
    resend.await.expect("asked");
    assert_eq!(count_listed(store, REFUSED).await, 0);
    assert_eq!(count_listed(store, None).await, 1);
    let counts = store.counts(start()).await.expect("counted");
    assert_eq!((counts.refused_mails, counts.undeliverable), (0, 1));
}
