//! Acceptance: each message is recorded once, under concurrency.

use std::time::Duration;

use vestibule::domain::{AccountKind, AccountStatus, Reason, RequestState, Verdict};
use vestibule::mail::{Evidence, Report, ReportKind, ReportedRecipient};
use vestibule::store::{ArrivalPart, LedgerFilter, MailOutcome, RequestFilter};

use super::harness::{DAY, Harness, address, at, mail, start, to};
use crate::support::claims::settle_mail;

#[tokio::test]
async fn a_first_message_of_an_approved_domain_is_held() {
    let harness = Harness::open().await;
    let entry = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    assert_eq!(entry.verdict, Verdict::Held);
    assert_eq!(entry.reason, Reason::InternalAccountCreated);
    assert!(entry.account_created);

    let account = harness.store.customer(&address("Ann@corp.example")).await;
    let account = account.expect("read").expect("an account");
    assert_eq!(account.kind, AccountKind::Internal);
    assert_eq!(account.status, AccountStatus::Pending);
    assert_eq!(account.groups, ["desk-users"]);
    assert_eq!(account.held, 1);

    let request = harness
        .store
        .request(entry.request.expect("a request"))
        .await;
    let request = request.expect("read").expect("there");
    assert_eq!(request.state, RequestState::Held);
    assert_eq!(request.subject.as_deref(), Some("The printer"));

    let found = harness.store.ledger_entry(entry.ledger).await;
    let found = found.expect("read").expect("there");
    assert_eq!(found.revision, 1);
    assert_eq!(found.reason, Reason::InternalAccountCreated);
    assert!(found.content_kept);
    let raw = harness.store.raw(entry.ledger).await.expect("read");
    assert!(raw.expect("kept").starts_with(b"From: ann@corp.example"));
}

#[tokio::test]
async fn an_external_message_is_released_immediately() {
    let harness = Harness::open().await;
    let entry = harness
        .accept(mail("bob@shop.example", "1@x", start()))
        .await;
    assert_eq!(entry.verdict, Verdict::Accepted);
    let request = harness
        .store
        .request(entry.request.expect("a request"))
        .await;
    assert_eq!(
        request.expect("read").expect("there").state,
        RequestState::Released
    );
    assert!(harness.verification_mail(start()).await.is_none());
}

#[tokio::test]
async fn a_hundred_first_messages_make_one_account_and_one_mail() {
    let harness = Harness::open().await;
    let tasks: Vec<_> = (0..100)
        .map(|i| {
            let store = harness.store.clone();
            let message = mail("ann@corp.example", &format!("{i}@x"), start());
            tokio::spawn(async move { store.accept(message).await })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        let entries = task.await.expect("no panic").expect("accepted");
        created += entries.iter().filter(|entry| entry.account_created).count();
    }
    assert_eq!(created, 1);
    assert!(harness.verification_mail(start()).await.is_some());
    assert!(
        harness.verification_mail(at(2 * DAY)).await.is_some(),
        "the lease has expired"
    );
    let held = harness.store.requests(RequestFilter {
        state: Some(RequestState::Held),
        ..RequestFilter::default()
    });
    assert_eq!(
        held.await.expect("read").rows.len(),
        20,
        "as the quota says"
    );
}

#[tokio::test]
async fn the_same_message_again_is_a_duplicate_for_seven_days() {
    let harness = Harness::open().await;
    let first = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let again = harness
        .accept(mail("ann@corp.example", "1@x", at(6 * DAY)))
        .await;
    assert_eq!(again.reason, Reason::Duplicate);
    assert_eq!(again.verdict, Verdict::Held);
    assert_eq!(again.request, None);
    let shown = harness.store.ledger_entry(again.ledger).await;
    let shown = shown.expect("read").expect("there");
    assert_eq!(shown.request, first.request, "it is that of the original");
    assert!(
        harness
            .store
            .raw(again.ledger)
            .await
            .expect("read")
            .is_some()
    );

    let late = harness
        .accept(mail("ann@corp.example", "1@x", at(8 * DAY)))
        .await;
    assert_eq!(late.reason, Reason::AccountPending);

    let by_id = harness.store.ledger(LedgerFilter {
        message_id: Some("1@x".to_owned()),
        ..LedgerFilter::default()
    });
    assert_eq!(by_id.await.expect("read").rows.len(), 3);
    let by_sender = harness.store.ledger(LedgerFilter {
        sender: Some(address("ANN@corp.example")),
        ..LedgerFilter::default()
    });
    assert_eq!(by_sender.await.expect("read").rows.len(), 3);
}

#[tokio::test]
async fn different_content_with_the_same_message_id_is_not_a_duplicate() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let mut other = mail("ann@corp.example", "1@x", start());
    other.facts.fingerprint.0[31] = 1;
    assert_eq!(harness.accept(other).await.reason, Reason::AccountPending);
}

#[tokio::test]
async fn one_message_for_two_portals_is_stored_once() {
    let harness = Harness::open().await;
    let mut message = mail("ann@corp.example", "1@x", start());
    message.parts = vec![to("it"), to("hr")];
    let entries = harness.store.accept(message).await.expect("accepted");
    assert_eq!(entries[0].reason, Reason::InternalAccountCreated);
    assert_eq!(entries[1].reason, Reason::AccountPending);
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
    let stored = harness.database.number("SELECT count(*) FROM content");
    assert_eq!(stored, 1);
}

#[tokio::test]
async fn a_hold_beyond_the_quota_is_dropped() {
    let harness = Harness::open().await;
    for i in 0..20 {
        let entry = harness
            .accept(mail("ann@corp.example", &format!("{i}@x"), start()))
            .await;
        assert_eq!(entry.verdict, Verdict::Held);
    }
    let entry = harness
        .accept(mail("ann@corp.example", "20@x", start()))
        .await;
    assert_eq!(entry.reason, Reason::HoldQuota);
    let mut large = mail("bea@corp.example", "b1@x", start());
    harness
        .accept(mail("bea@corp.example", "b0@x", start()))
        .await;
    large.facts.size = 100 * 1024 * 1024;
    assert_eq!(harness.accept(large).await.reason, Reason::HoldQuota);
}

pub fn report(original: Option<String>, action: &str, status: Option<&str>) -> Report {
    Report {
        kind: ReportKind::Dsn,
        evidence: Evidence {
            field: "Content-Type".to_owned(),
            value: "multipart/report".to_owned(),
        },
        recipients: vec![ReportedRecipient {
            address: "ann@corp.example".to_owned(),
            action: Some(action.to_owned()),
            status: status.map(str::to_owned),
            forwarded: false,
        }],
        original_message_id: original,
    }
}

#[tokio::test]
async fn a_bounce_of_verification_mail_ends_mail_to_the_address() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let (verification_mail, _) = harness
        .verification_mail(start())
        .await
        .expect("a verification mail");
    let mut bounce = mail("mailer-daemon@corp.example", "b@x", start());
    bounce.facts.report = Some(report(
        Some(format!("{}@gate.corp.example", verification_mail.id)),
        "failed",
        Some("5.1.1"),
    ));
    let entry = harness.accept(bounce).await;
    assert_eq!(entry.reason, Reason::Bounce);
    assert_eq!(entry.undeliverable, Some(verification_mail.account));
    harness
        .accept(mail("ann@corp.example", "2@x", at(DAY)))
        .await;
    assert!(harness.verification_mail(at(DAY)).await.is_none());
}

#[tokio::test]
async fn temporary_failures_delay_the_mail_and_end_nothing() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let (verification_mail, _) = harness
        .verification_mail(start())
        .await
        .expect("a verification mail");
    for i in 0..4 {
        let mut bounce = mail("mailer-daemon@corp.example", &format!("b{i}@x"), start());
        let status = ["4.2.2", "5.2.2", "5.7.1", "5.4.1"][i];
        bounce.facts.report = Some(report(None, "failed", Some(status)));
        bounce.parts = vec![ArrivalPart::Bounce {
            recipient: format!(
                "bounces+{}@corp.example",
                verification_mail.id.to_string().to_lowercase()
            ),
        }];
        let entry = harness.accept(bounce).await;
        assert_eq!(entry.portal, None);
        assert_eq!(entry.undeliverable, None, "report {i}");
    }
    settle_mail(
        &harness.store,
        &verification_mail,
        MailOutcome::Sent,
        start(),
    )
    .await;
    harness
        .accept(mail("ann@corp.example", "2@x", at(DAY)))
        .await;
    // The fourth failure doubled the pause.
    assert!(
        harness.verification_mail(at(DAY)).await.is_none(),
        "the pause"
    );
    assert!(
        harness.verification_mail(at(47 * DAY / 24)).await.is_none(),
        "the pause"
    );
    assert!(harness.verification_mail(at(2 * DAY)).await.is_some());
}

#[tokio::test]
async fn mail_to_the_return_address_that_is_not_a_report_is_dropped() {
    let harness = Harness::open().await;
    let mut message = mail("ann@corp.example", "1@x", start());
    message.parts = vec![ArrivalPart::Bounce {
        recipient: "bounces@corp.example".to_owned(),
    }];
    let entry = harness.accept(message).await;
    assert_eq!(entry.verdict, Verdict::Dropped);
    assert_eq!(entry.reason, Reason::Automatic);
    assert!(!entry.account_created);
    let shown = harness.store.ledger_entry(entry.ledger).await;
    assert!(shown.expect("read").expect("there").circumstances.is_none());
}

#[tokio::test]
async fn the_history_of_a_message_is_complete() {
    let harness = Harness::open().await;
    let entry = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let token = harness.sent(start()).await;
    let later = at(Duration::from_mins(5));
    let method = vestibule::domain::VerificationMethod::Link(token);
    let choice = vestibule::store::Choice::All;
    harness
        .store
        .verify_account(method, None, choice, later)
        .await
        .expect("proved");
    let events = harness.store.events(entry.ledger).await.expect("read");
    let names: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(
        names,
        [
            "message.held",
            "account.created",
            "verification.sent",
            "account.verified",
            "request.released"
        ]
    );
}

#[tokio::test]
async fn an_answer_to_a_mail_is_found_by_its_reason() {
    let harness = Harness::open().await;
    let mut answer = mail("ann@corp.example", "1@x", start());
    answer.parts = vec![ArrivalPart::Confirmation {
        recipient: "confirm@corp.example".to_owned(),
        token: None,
        answer: vestibule::store::ReplyAnswer::Confirms,
    }];
    let entry = harness.accept(answer).await;
    assert_eq!((entry.reason, entry.rule), (Reason::Confirmation, 18));
    let filter = LedgerFilter {
        reason: Some(Reason::Confirmation),
        ..LedgerFilter::default()
    };
    let all = harness
        .store
        .ledger(filter.clone())
        .await
        .expect("read")
        .rows;
    let recent = harness
        .store
        .recent_entries(filter)
        .await
        .expect("read")
        .rows;
    assert_eq!((all.len(), recent.len()), (1, 1));
}

#[tokio::test]
async fn a_forged_canary_for_another_portal_stays() {
    let harness = Harness::open().await;
    let forged = mail("canary-1@canary.invalid", "1@x", start());
    let forged = harness.accept(forged).await;
    assert_eq!(forged.verdict, Verdict::Accepted);
    let mut own = mail("canary-2@canary.invalid", "2@x", start());
    own.parts = vec![to(vestibule::domain::canary::NAME)];
    let own = harness.accept(own).await;
    harness.store.delete_canaries().await.expect("forgotten");
    let entry = harness.store.ledger_entry(forged.ledger).await;
    assert!(entry.expect("read").is_some());
    let gone = harness.store.ledger_entry(own.ledger).await;
    assert!(gone.expect("read").is_none());
    harness.assert_sound().await;
}

#[tokio::test]
async fn duplicates_are_not_counted_as_held() {
    let harness = Harness::open().await;
    for _ in 0..2 {
        harness
            .accept(mail("ann@corp.example", "1@x", start()))
            .await;
    }
    let counts = harness.store.counts(start()).await.expect("counted");
    assert_eq!(counts.held_domains.len(), 1);
    assert_eq!(counts.held_domains[0].messages, 1);
}
