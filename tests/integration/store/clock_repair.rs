//! Repair of rows that a wrong clock wrote.

use std::time::Duration;

use vestibule::domain::{OperatorName, PasswordHash, Role, Timestamp, VerificationMethod};
use vestibule::mail::Evidence;
use vestibule::store::{
    AnswerKey, Choice, Claimed, KeyKind, MaxDelays, NameReuse, OperatorKey, Refused, Settlement,
    TokenTerms,
};

use super::harness::{DAY, Harness, at, mail, operator, portal, start, token};
use crate::support::claims::claim_deliveries;

const DELAYS: MaxDelays = MaxDelays {
    hold_for: DAY.saturating_mul(14),
    token_ttl: DAY.saturating_mul(7),
    keep_dropped: DAY.saturating_mul(7),
    quiet_for: DAY.saturating_mul(30),
};

/// A year ahead of the start: the wrong time of the clock.
fn wrong() -> Timestamp {
    at(365 * DAY)
}

async fn repaired(harness: &Harness) -> usize {
    let repaired = harness.store.repair_times(start(), DELAYS, 2).await;
    repaired.expect("repaired")
}

#[tokio::test]
async fn mail_is_sent_although_earlier_mail_is_dated_in_the_future() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", wrong()))
        .await;
    harness.sent(wrong()).await;
    harness
        .accept(mail("ann@corp.example", "2@x", wrong()))
        .await;
    assert!(
        harness.verification_mail(start()).await.is_none(),
        "not due, over the limit"
    );
    assert!(repaired(&harness).await > 0);
    // It may have been sent a moment ago.
    assert!(
        harness.verification_mail(start()).await.is_none(),
        "within the hour"
    );
    let hour = at(Duration::from_mins(61));
    let (verification_mail, _) = harness
        .verification_mail(hour)
        .await
        .expect("due after an hour");
    assert_eq!(verification_mail.waiting, 2);
    assert_eq!(
        verification_mail.expires_at,
        Some(at(14 * DAY)),
        "held no longer than others"
    );
    assert!(harness.verification_mail(hour).await.is_none(), "once");
}

#[tokio::test]
async fn a_delivery_deferred_into_the_future_is_tried_now_and_one_in_progress_is_unchanged() {
    let harness = Harness::open().await;
    for sender in ["bob@shop.example", "eve@shop.example"] {
        harness.accept(mail(sender, sender, wrong())).await;
    }
    let portals = [portal("it")];
    let claim = |now| claim_deliveries(&harness.store, &portals, 10, now + DAY, now);
    let put_off = Settlement::Retry {
        at: wrong() + DAY,
        cause: "451 later".to_owned(),
    };
    let claims = claim(wrong()).await;
    let [first, in_work] = &claims[..] else {
        panic!("two are due");
    };
    harness.settle(first, put_off, wrong()).await;
    assert!(claim(start()).await.is_empty());
    repaired(&harness).await;
    let due = claim(start()).await;
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].ledger, first.ledger);
    assert_ne!(due[0].ledger, in_work.ledger);
}

#[tokio::test]
async fn a_day_back_changes_no_account_and_releases_nothing_twice() {
    let harness = Harness::open().await;
    let held = harness
        .accept(mail("ann@corp.example", "1@x", at(DAY)))
        .await;
    let token = harness.sent(at(DAY)).await;
    repaired(&harness).await;
    let prove = || {
        harness
            .store
            .verify_account(VerificationMethod::Link(token), None, Choice::All, start())
    };
    prove().await.expect("proved");
    prove().await.expect("again");
    let claims = harness.claim(start()).await;
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].ledger, held.ledger);
    harness.assert_sound().await;
}

#[tokio::test]
async fn retention_continues_past_an_entry_from_the_future() {
    let harness = Harness::open().await;
    let times = [start(), wrong(), start() + DAY, start() + DAY];
    for (number, at) in times.into_iter().enumerate() {
        let mut dropped = mail("bob@shop.example", &format!("{number}@x"), at);
        dropped.facts.automatic = Some(Evidence {
            field: "Auto-Submitted".to_owned(),
            value: "auto-replied".to_owned(),
        });
        harness.accept(dropped).await;
    }
    let latest = harness.store.latest_time().await.expect("read");
    assert!(
        latest >= Some(wrong()),
        "seen although it is not the newest"
    );
    let repaired = harness.store.repair_times(start() + DAY, DELAYS, 2).await;
    assert!(repaired.expect("repaired") > 0);
    let latest = harness.store.latest_time().await.expect("read");
    assert_eq!(latest, Some(start() + DAY));
    // The entry gets the time of the one before it.
    let keep = 90 * DAY;
    let soon = harness
        .delete_expired_entries(start() + keep + DAY / 2, keep)
        .await;
    assert_eq!(soon, 2);
    let later = harness
        .delete_expired_entries(start() + keep + 2 * DAY, keep)
        .await;
    assert_eq!(later, 2);
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_sample_of_the_queues_from_the_future_is_deleted() {
    let harness = Harness::open().await;
    let sampled = harness.store.sample_queues(wrong());
    sampled.await.expect("sampled");
    let latest = harness.store.latest_time().await.expect("read");
    assert!(latest > Some(start() + DAY), "{latest:?}");
    let repaired = harness.store.repair_times(start() + DAY, DELAYS, 2).await;
    repaired.expect("repaired");
    let latest = harness.store.latest_time().await.expect("read");
    assert!(latest <= Some(start() + DAY), "{latest:?}");
    let history = harness.store.backlog_history(start()).await;
    assert!(history.expect("read").is_empty());
}

#[tokio::test]
async fn a_session_and_an_answer_from_the_future_end_when_others_do() {
    let harness = Harness::open().await;
    let name = OperatorName::parse("bea").expect("a name");
    let password = PasswordHash::from_stored("$argon2id$".to_owned());
    let by = operator("root");
    let added = harness.store.add_operator(
        name.clone(),
        Role::Admin,
        password,
        NameReuse::Refused,
        by,
        wrong(),
    );
    added.await.expect("added");
    let hash = token();
    let key = OperatorKey {
        hash,
        kind: KeyKind::Session,
        role: Role::Admin,
        expires_at: wrong() + DAY,
    };
    let made = harness.store.make_key(
        name.clone(),
        key,
        TokenTerms::default(),
        operator("bea"),
        wrong(),
    );
    made.await.expect("made");
    let asked = AnswerKey {
        operator: name.clone(),
        key: "again".to_owned(),
        request: [7; 32],
    };
    let claim = |until, now| harness.store.claim_answer(asked.clone(), until, now);
    let claimed = claim(wrong() + DAY, wrong()).await.expect("claimed");
    assert_eq!(claimed, Claimed::New);

    repaired(&harness).await;
    let holder = |now| harness.store.key_holder(hash, KeyKind::Session, None, now);
    assert!(holder(at(DAY / 2)).await.expect("read").is_some());
    assert!(holder(at(DAY)).await.expect("read").is_none());
    let now = at(DAY / 2);
    assert_eq!(
        claim(now + DAY, now).await.expect("read"),
        Claimed::Underway
    );
    let now = at(DAY);
    assert_eq!(claim(now + DAY, now).await.expect("read"), Claimed::New);
}

#[tokio::test]
async fn an_objection_dated_in_the_future_lasts_no_longer_than_others() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", wrong()))
        .await;
    let token = harness.sent(wrong()).await;
    let refused = harness.store.refuse(token, DELAYS.quiet_for, wrong()).await;
    assert!(matches!(
        refused.expect("refused"),
        Refused::Recorded { .. }
    ));
    repaired(&harness).await;
    let after = at(DELAYS.quiet_for + DAY);
    harness.accept(mail("ann@corp.example", "2@x", after)).await;
    assert!(
        harness.verification_mail(after).await.is_some(),
        "quiet for a year"
    );
}
