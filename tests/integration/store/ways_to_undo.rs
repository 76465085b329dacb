//! Ways in which the person can take "This was not me" back, and the reply that asks for one.

use std::time::Duration;

use vestibule::domain::{AccountStatus, TokenHash};
use vestibule::store::{Arrival, ArrivalPart, MailCause, MailOutcome, ReplyAnswer, TakenBack};

use super::harness::{DAY, Harness, address, at, mail, start};
use super::not_me_undo::{ANN, refused, take_back};
use crate::support::claims::settle_mail;

/// A reply that confirms, to the mail with this token.
pub(super) fn confirming(message_id: &str, token: TokenHash, after: Duration) -> Arrival {
    Arrival {
        parts: vec![ArrivalPart::Confirmation {
            recipient: "confirm@corp.example".to_owned(),
            token: Some(token),
            answer: ReplyAnswer::Confirms,
        }],
        ..mail(ANN, message_id, at(after))
    }
}

#[tokio::test]
async fn a_reply_that_confirms_after_the_objection_gets_the_one_mail() {
    let harness = Harness::open().await;
    let (entry, link) = refused(&harness, mail(ANN, "1@x", start())).await;
    assert!(entry.account.is_some());
    let ways = async |after| {
        let account = harness.store.customer(&address(ANN)).await.expect("read");
        let account = account.expect("there");
        let now = at(after);
        (
            account.can_withdraw_until(now),
            account.may_request_link(now),
        )
    };
    assert_eq!(ways(DAY).await, (Some(at(7 * DAY)), true));
    // The link has expired.
    let reply = harness.accept(confirming("2@x", link, 8 * DAY)).await;
    let events = harness.store.events(reply.ledger).await.expect("read");
    let cause = events.iter().find_map(|event| event.detail.as_deref());
    assert_eq!(
        cause,
        Some("the person said \"This was not me\", and has not taken that back")
    );
    assert_eq!(ways(8 * DAY).await, (None, false));
    let (one, new) = harness
        .verification_mail(at(8 * DAY))
        .await
        .expect("the one mail");
    assert_eq!(one.cause, MailCause::TakeBack);
    settle_mail(&harness.store, &one, MailOutcome::Sent, at(8 * DAY)).await;
    assert_eq!(ways(9 * DAY).await, (Some(at(15 * DAY)), false));
    harness.accept(confirming("3@x", link, 10 * DAY)).await;
    assert!(harness.verification_mail(at(10 * DAY)).await.is_none());
    let account = harness.store.customer(&address(ANN)).await.expect("read");
    assert_eq!(account.expect("there").status, AccountStatus::Pending);
    let taken = take_back(&harness, new, 11 * DAY).await;
    assert!(matches!(taken, TakenBack::Restored { .. }), "{taken:?}");
    harness.assert_sound().await;
}
