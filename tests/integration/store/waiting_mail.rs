//! Verification mail that waits for its turn: what it is about may end first, and a person or an operator may ask for
//! it meanwhile.

use vestibule::config::Quota;
use vestibule::domain::{Actor, MailCause, MailKind, RequestId};
use vestibule::mail::AuthenticationResult;
use vestibule::store::{Arrival, VerificationMail};

use super::harness::{DAY, Harness, address, at, mail, minutes, operator, start};

const ANN: &str = "ann@corp.example";

async fn hold(harness: &Harness, from: &str, id: &str, now: jiff::Timestamp) -> RequestId {
    let entry = harness.accept(mail(from, id, now)).await;
    entry.request.expect("held")
}

async fn discard(harness: &Harness, request: RequestId) {
    let discarded = harness
        .store
        .discard_request(request, operator("root"), minutes(1));
    discarded.await.expect("discarded");
}

async fn ask(harness: &Harness, by: Actor, now: jiff::Timestamp) {
    let asked = harness.store.renew_link(address(ANN), by, now);
    asked.await.expect("asked");
}

async fn next(harness: &Harness, now: jiff::Timestamp) -> Option<VerificationMail> {
    let next = harness.verification_mail(now).await;
    next.map(|(verification_mail, _)| verification_mail)
}

/// An operator stops the mail to forged senders by discarding what they are said to have written.
#[tokio::test]
async fn a_mail_is_not_sent_once_an_operator_has_decided_about_all_its_messages() {
    let harness = Harness::open().await;
    let first = hold(&harness, ANN, "1@x", start()).await;
    let second = hold(&harness, ANN, "2@x", start()).await;
    discard(&harness, first).await;
    let released = harness
        .store
        .release_request(second, operator("root"), minutes(1));
    released.await.expect("released");
    assert!(next(&harness, minutes(2)).await.is_none());
    harness.assert_sound().await;

    let third = hold(&harness, ANN, "3@x", minutes(3)).await;
    hold(&harness, ANN, "4@x", minutes(3)).await;
    discard(&harness, third).await;
    let sent = next(&harness, minutes(3)).await.expect("a mail");
    assert_eq!((sent.cause, sent.waiting), (MailCause::Mail, 1));
}

#[tokio::test]
async fn a_mail_is_sent_for_a_message_that_only_the_page_offers() {
    let harness = Harness::open().await;
    let small = |id| Arrival {
        quota: Quota {
            requests: 1,
            bytes: 1 << 20,
        },
        ..mail(ANN, id, start())
    };
    let held = harness.accept(small("1@x")).await;
    let dropped = harness.accept(small("2@x")).await;
    assert_eq!(dropped.request, None, "the quota is one request");
    discard(&harness, held.request.expect("held")).await;
    assert!(next(&harness, minutes(2)).await.is_some());
}

#[tokio::test]
async fn a_mail_that_somebody_asked_for_does_not_end_with_the_message_before() {
    for (by, cause) in [
        (Actor::Person, MailCause::Resend),
        (operator("root"), MailCause::Operator),
    ] {
        let harness = Harness::open().await;
        let held = hold(&harness, ANN, "1@x", start()).await;
        ask(&harness, by, start()).await;
        // Another message is no reason to forget that.
        let other = hold(&harness, ANN, "2@x", start()).await;
        for request in [held, other] {
            discard(&harness, request).await;
        }
        let sent = next(&harness, minutes(2)).await.expect("a mail");
        assert_eq!((sent.cause, sent.waiting), (cause, 0));
    }
}

/// A reminder alone would end with the requests.
#[tokio::test]
async fn a_person_who_asks_while_a_reminder_waits_gets_a_link() {
    let harness = Harness::open().await;
    hold(&harness, ANN, "1@x", start()).await;
    harness.sent(start()).await;
    let reminded = harness
        .store
        .owe_reminders(at(11 * DAY), 3 * DAY, 7 * DAY, 10);
    assert_eq!(reminded.await.expect("a step").done, 1);
    ask(&harness, Actor::Person, at(11 * DAY)).await;
    harness.expire_holds(at(14 * DAY)).await;
    let sent = next(&harness, at(14 * DAY)).await.expect("a mail");
    assert_eq!(
        (sent.kind, sent.cause),
        (MailKind::Verification, MailCause::Resend)
    );
}

/// The owner of a mailbox said "This was not me" about another of its addresses: that ends mail for messages, but not
/// a mail that was asked for.
#[tokio::test]
async fn a_mail_that_was_asked_for_reaches_a_mailbox_with_a_quiet_address() {
    for (by, cause) in [
        (None, None),
        (Some(Actor::Person), Some(MailCause::Resend)),
        (Some(operator("root")), Some(MailCause::Operator)),
    ] {
        let harness = Harness::open().await;
        hold(&harness, "ann+a@corp.example", "1@x", start()).await;
        let link = harness.sent(start()).await;
        hold(&harness, ANN, "2@x", minutes(1)).await;
        let refused = harness.store.refuse(link, 30 * DAY, minutes(2));
        refused.await.expect("refused");
        if let Some(by) = by {
            ask(&harness, by, minutes(61)).await;
        }
        let sent = next(&harness, minutes(61)).await;
        assert_eq!(sent.map(|sent| sent.cause), cause);
    }
}

/// The mail to undo "This was not me" has no purpose once a message of the person ended the quiet time.
#[tokio::test]
async fn a_message_that_ends_the_quiet_time_takes_over_the_mail_to_undo_it() {
    let harness = Harness::open().await;
    hold(&harness, ANN, "1@x", start()).await;
    let link = harness.sent(start()).await;
    let refused = harness.store.refuse(link, 30 * DAY, start());
    refused.await.expect("refused");
    ask(&harness, Actor::Person, at(DAY)).await;
    let mut genuine = mail(ANN, "2@x", at(DAY));
    genuine.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
    assert!(harness.accept(genuine).await.request.is_some());
    let sent = next(&harness, at(DAY)).await.expect("a mail");
    assert_eq!(sent.cause, MailCause::Mail);
    assert_eq!(sent.in_reply_to.as_deref(), Some("2@x"));
    harness.assert_sound().await;
}
