//! Housekeeping in bounded steps.

use vestibule::domain::{RequestState, VerificationMethod};
use vestibule::store::{Choice, MailKind, Settlement, StoreError, WorkStep};

use super::harness::{DAY, Harness, at, mail, operator, portal, start, to};
use crate::support::claims::claim_deliveries;

/// Runs steps until there is no more work; none takes more than `limit` rows.
async fn steps<F>(limit: usize, mut step: impl FnMut() -> F) -> usize
where
    F: Future<Output = Result<WorkStep<usize>, StoreError>>,
{
    let mut all = 0;
    loop {
        let WorkStep { done, more, .. } = step().await.expect("a step");
        assert!(done <= limit, "a step is bounded: {done} of {limit}");
        all += done;
        if !more {
            return all;
        }
    }
}

#[tokio::test]
async fn a_hold_expires_and_its_content_is_kept_for_a_time() {
    let harness = Harness::open().await;
    let mut requests = Vec::new();
    for i in 0..5 {
        let message = mail("ann@corp.example", &format!("{i}@x"), start());
        requests.push(harness.accept(message).await);
    }
    let store = &harness.store;
    let expire = |now| async move {
        let mut expired = Vec::new();
        loop {
            let step = store.expire_holds(now, 3).await.expect("a step");
            assert!(step.done.len() <= 3, "a step is bounded");
            expired.extend(step.done);
            if !step.more {
                return expired;
            }
        }
    };
    assert!(expire(at(13 * DAY)).await.is_empty());
    assert_eq!(expire(at(14 * DAY)).await.len(), 5);
    let id = requests[0].request.expect("a request");
    let request = harness.request(id).await;
    assert_eq!(request.state, RequestState::Expired);

    let forget = |now| steps(3, move || store.delete_expired_content(now, 30 * DAY, 3));
    assert_eq!(forget(at(43 * DAY)).await, 0);
    assert!(
        harness
            .store
            .raw(requests[0].ledger)
            .await
            .expect("read")
            .is_some()
    );
    assert_eq!(forget(at(44 * DAY)).await, 5);
    for entry in &requests {
        assert!(
            harness
                .store
                .raw(entry.ledger)
                .await
                .expect("read")
                .is_none()
        );
    }
}

#[tokio::test]
async fn a_person_is_reminded_once() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    harness.sent(start()).await;
    harness
        .accept(mail("ann@corp.example", "2@x", at(DAY)))
        .await;
    harness.sent(at(DAY)).await;
    let store = &harness.store;
    let remind = |now| steps(10, move || store.owe_reminders(now, 3 * DAY, 7 * DAY, 10));
    assert_eq!(remind(at(10 * DAY)).await, 0);
    assert_eq!(remind(at(11 * DAY)).await, 1);
    let (verification_mail, _) = harness
        .verification_mail(at(11 * DAY))
        .await
        .expect("a reminder");
    assert_eq!(verification_mail.kind, MailKind::Reminder);
    assert_eq!(verification_mail.waiting, 2);
    assert_eq!(verification_mail.expires_at, Some(at(14 * DAY)));
    for day in 11..14 {
        assert_eq!(remind(at(day * DAY)).await, 0);
    }
}

/// Otherwise its person would have no valid link in the days before it expires.
#[tokio::test]
async fn a_request_that_outlasts_the_link_of_a_reminder_gets_its_own() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    harness.sent(start()).await;
    harness
        .accept(mail("ann@corp.example", "2@x", at(11 * DAY)))
        .await;
    let store = &harness.store;
    let remind = |now| steps(10, move || store.owe_reminders(now, 3 * DAY, 7 * DAY, 10));
    assert_eq!(remind(at(11 * DAY)).await, 1);
    // The mail for the second message, which is the reminder of the first one, too.
    harness.sent(at(11 * DAY)).await;
    harness.expire_holds(at(14 * DAY)).await;
    assert_eq!(remind(at(21 * DAY)).await, 0);
    assert_eq!(remind(at(22 * DAY)).await, 1);
    let owed = harness.verification_mail(at(22 * DAY)).await;
    let (reminder, _) = owed.expect("a reminder");
    assert_eq!(reminder.kind, MailKind::Reminder);
    assert_eq!(reminder.expires_at, Some(at(25 * DAY)));
}

#[tokio::test]
async fn content_stays_while_one_portal_needs_it() {
    let harness = Harness::open().await;
    let mut message = mail("bob@shop.example", "1@x", start());
    message.parts = vec![to("it"), to("hr")];
    let entries = harness.store.accept(message).await.expect("accepted");
    let claims = claim_deliveries(&harness.store, &[portal("it")], 1, at(DAY), start()).await;
    let claim = &claims[0];
    harness.settle(claim, Settlement::Delivered, start()).await;
    let forgotten = steps(10, || {
        harness
            .store
            .delete_expired_content(at(90 * DAY), 30 * DAY, 10)
    })
    .await;
    assert_eq!(forgotten, 1);
    for entry in &entries {
        assert!(
            harness
                .store
                .raw(entry.ledger)
                .await
                .expect("read")
                .is_some()
        );
    }
    let erased = steps(10, || {
        harness
            .store
            .delete_expired_entries(at(400 * DAY), 365 * DAY, 10)
    })
    .await;
    assert_eq!(erased, 0, "one of the two still waits");
}

#[tokio::test]
async fn dropped_content_and_old_entries_are_forgotten() {
    let harness = Harness::open().await;
    let mut dropped = mail("bob@shop.example", "1@x", start());
    dropped.facts.automatic = Some(vestibule::mail::Evidence {
        field: "Auto-Submitted".to_owned(),
        value: "auto-replied".to_owned(),
    });
    let dropped = harness.accept(dropped).await;
    let held = harness
        .accept(mail("ann@corp.example", "2@x", start()))
        .await;
    let forgotten = steps(10, || {
        harness
            .store
            .delete_expired_content(at(7 * DAY), 30 * DAY, 10)
    })
    .await;
    assert_eq!(forgotten, 1);
    assert!(
        harness
            .store
            .raw(dropped.ledger)
            .await
            .expect("read")
            .is_none()
    );
    assert!(
        harness
            .store
            .raw(held.ledger)
            .await
            .expect("read")
            .is_some()
    );
    let erased = steps(10, || {
        harness
            .store
            .delete_expired_entries(at(365 * DAY), 365 * DAY, 10)
    })
    .await;
    assert_eq!(erased, 0);
    let erased = steps(10, || {
        harness
            .store
            .delete_expired_entries(at(366 * DAY), 365 * DAY, 10)
    })
    .await;
    assert_eq!(erased, 1);
    let gone = harness
        .store
        .ledger_entry(dropped.ledger)
        .await
        .expect("read");
    assert!(gone.is_none());
    assert!(
        harness
            .store
            .ledger_entry(held.ledger)
            .await
            .expect("read")
            .is_some()
    );
}

#[tokio::test]
async fn closing_runs_queued_operations() {
    let harness = Harness::open().await;
    let entry = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let (account, _) = entry.account.expect("an account");
    let method = VerificationMethod::Operator(operator("root"));
    let proving = harness
        .store
        .verify_account(method, Some(account), Choice::All, start());
    let (verification, ()) = tokio::join!(proving, harness.store.close());
    verification.expect("queued before the store was closed");
    let late = harness
        .store
        .accept(mail("ann@corp.example", "2@x", start()));
    assert!(late.await.is_err());
    let again = harness.again();
    let request = again.request(entry.request.expect("a request")).await;
    assert_eq!(
        request.expect("read").expect("there").state,
        RequestState::Released
    );
}
