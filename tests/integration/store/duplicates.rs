//! A copy never causes a message to be lost, and is never delivered twice.

use vestibule::access::AccessSettings;
use vestibule::domain::{Reason, RequestId, RequestState, TokenHash, Verdict};
use vestibule::mail::{AuthenticationResult, Evidence, Fingerprint};
use vestibule::store::{Arrival, Recovered, Settlement};

use super::dropped::TERMS;
use super::harness::{DAY, Harness, at, mail, operator, settings, start, to};

fn with_dmarc(result: AuthenticationResult, mut arrival: Arrival) -> Arrival {
    arrival.facts.authentication.dmarc = Some(result);
    arrival
}

fn authenticated(arrival: Arrival) -> Arrival {
    with_dmarc(AuthenticationResult::Pass, arrival)
}

fn failed(arrival: Arrival) -> Arrival {
    with_dmarc(AuthenticationResult::Fail, arrival)
}

fn through_a_list(mut arrival: Arrival) -> Arrival {
    arrival.facts.bulk = Some(Evidence {
        field: "List-Id".to_owned(),
        value: "<staff.corp.example>".to_owned(),
    });
    arrival
}

#[tokio::test]
async fn an_earlier_copy_through_a_list_does_not_lose_the_message() {
    let harness = Harness::open().await;
    let first = through_a_list(mail("ann@corp.example", "1@x", start()));
    assert_eq!(harness.accept(first).await.reason, Reason::Bulk);
    let direct = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    assert_eq!(direct.reason, Reason::InternalAccountCreated);
    // Every later message, through any path, is a duplicate of the held one.
    for again in [
        mail("ann@corp.example", "1@x", start()),
        through_a_list(mail("ann@corp.example", "1@x", start())),
    ] {
        let again = harness.accept(again).await;
        assert_eq!(
            (again.verdict, again.reason),
            (Verdict::Held, Reason::Duplicate)
        );
    }
    harness.assert_sound().await;
}

async fn change(harness: &Harness, base: u64, settings: AccessSettings) {
    let by = operator("root");
    let changed = harness.store.change_access(base, settings, by, start());
    changed.await.expect("changed");
}

#[tokio::test]
async fn messages_dropped_by_the_settings_are_decided_again_and_recovered_once() {
    let harness = Harness::open().await;
    let mut closed = settings();
    closed.site.external.restrict_domains = true;
    change(&harness, 1, closed).await;
    let one = harness
        .accept(mail("bob@shop.example", "1@x", start()))
        .await;
    let two = harness
        .accept(mail("bob@shop.example", "1@x", start()))
        .await;
    for dropped in [&one, &two] {
        assert_eq!(dropped.reason, Reason::DomainNotAllowed);
    }
    change(&harness, 2, settings()).await;
    let now = harness
        .accept(mail("bob@shop.example", "1@x", at(DAY)))
        .await;
    assert_eq!(now.verdict, Verdict::Accepted, "{now:?}");
    assert!(now.request.is_some());
    for dropped in [&one, &two] {
        let by = operator("root");
        let recovered = harness
            .store
            .recover(dropped.ledger, TERMS, by, at(DAY))
            .await;
        let Ok(Recovered::StillDropped(decision)) = &recovered else {
            panic!("recovered twice: {recovered:?}");
        };
        assert_eq!(decision.reason, Reason::Duplicate);
    }
    harness.assert_sound().await;
}

async fn refuse(harness: &Harness, token: TokenHash) {
    let refused = harness.store.refuse(token, 30 * DAY, start()).await;
    refused.expect("refused");
}

#[tokio::test]
async fn after_not_me_the_same_message_is_decided_anew() {
    let harness = Harness::open().await;
    let first = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let token = harness.sent(start()).await;
    refuse(&harness, token).await;
    let again = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    assert_eq!(again.reason, Reason::AccountPending);
    assert_ne!(again.request, first.request);
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_delivered_message_is_not_delivered_again_and_a_failed_one_is() {
    for (settlement, reason) in [
        (Settlement::Delivered, Reason::Duplicate),
        (
            Settlement::Failed {
                cause: "550".to_owned(),
            },
            Reason::AccountActive,
        ),
    ] {
        let harness = Harness::open().await;
        harness
            .accept(mail("bob@shop.example", "1@x", start()))
            .await;
        let again = harness
            .accept(mail("bob@shop.example", "1@x", start()))
            .await;
        assert_eq!(again.reason, Reason::Duplicate, "while it waits");
        let claims = harness.claim(start()).await;
        harness.settle(&claims[0], settlement, start()).await;
        let again = harness
            .accept(mail("bob@shop.example", "1@x", start()))
            .await;
        assert_eq!(again.reason, reason);
        harness.assert_sound().await;
    }
}

#[tokio::test]
async fn an_operator_does_not_release_a_message_whose_copy_has_a_request() {
    let harness = Harness::open().await;
    let write = async || {
        let message = mail("ann@corp.example", "1@x", start());
        harness.accept(message).await.request.expect("a request")
    };
    let discard = async |request: RequestId| {
        let discarded = harness
            .store
            .discard_request(request, operator("root"), start());
        discarded.await.expect("discarded");
    };
    let release = async |request: RequestId| {
        let released = harness
            .store
            .release_request(request, operator("root"), start());
        released.await.map(|request| request.state)
    };
    let old = write().await;
    discard(old).await;
    let copy = write().await;
    assert_ne!(old, copy);
    for state in [RequestState::Held, RequestState::Released] {
        let refusal = release(old).await.expect_err("a copy").to_string();
        let cause = format!("already request {copy}, {state}");
        assert!(refusal.contains(&cause), "{refusal}");
        if state == RequestState::Held {
            release(copy).await.expect("released");
        }
    }
    discard(copy).await;
    assert_eq!(release(old).await.expect("alone"), RequestState::Released);
    release(copy).await.expect_err("now it is the copy");
    harness.assert_sound().await;
}

#[tokio::test]
async fn of_two_failed_copies_only_one_is_retried() {
    let harness = Harness::open().await;
    let mut failed = Vec::new();
    for _ in 0..2 {
        let message = mail("bob@shop.example", "1@x", start());
        let request = harness.accept(message).await.request;
        failed.push(request.expect("a request"));
        let claims = harness.claim(start()).await;
        let cause = "exit status 66".to_owned();
        harness
            .settle(&claims[0], Settlement::Failed { cause }, start())
            .await;
    }
    let retry = async |request| {
        let retried = harness
            .store
            .retry_request(request, operator("root"), start());
        retried.await
    };
    let [first, second] = failed.as_slice() else {
        panic!("{failed:?}");
    };
    retry(*first).await.expect("retried");
    let refusal = retry(*second).await.expect_err("a copy").to_string();
    let cause = format!("already request {first}, released");
    assert!(refusal.contains(&cause), "{refusal}");
    let claims = harness.claim(start()).await;
    assert_eq!(claims.len(), 1);
    harness
        .settle(&claims[0], Settlement::Delivered, start())
        .await;
    let refusal = retry(*second).await.expect_err("a copy").to_string();
    let cause = format!("already request {first}, delivered");
    assert!(refusal.contains(&cause), "{refusal}");
    harness.assert_sound().await;
}

/// A node of a newer version may record facts that this one does not know.
#[tokio::test]
async fn an_upgrade_keeps_what_only_a_newer_version_knows() {
    let harness = Harness::open().await;
    let held = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let newer =
        "UPDATE ledger SET facts = replace(facts, '{\"sender\"', '{\"later\":[1],\"sender\"')
                 WHERE id = ?";
    assert!(harness.database.damage(newer, held.ledger.to_bytes()));
    let second = authenticated(mail("ann@corp.example", "1@x", start()));
    harness.accept(second).await;
    let read = async || harness.store.ledger_entry(held.ledger).await;
    let entry = read().await.expect("read").expect("there");
    assert!(entry.facts.authentication.passes());
    // Only the entry that still has the field becomes unreadable.
    let mark = "UPDATE ledger SET facts = '{}' WHERE id = ? AND facts LIKE '%\"later\":[1]%'";
    assert!(harness.database.damage(mark, held.ledger.to_bytes()));
    assert!(read().await.is_err(), "the field was lost");
}

/// A forger who knows a message can send it first, with fields of their own besides those that identify it.
/// The authenticated message replaces it.
#[tokio::test]
async fn an_authenticated_copy_replaces_a_held_forgery() {
    for portals in [vec!["it"], vec!["it", "hr"]] {
        let harness = Harness::open().await;
        let mut forged = mail("ann@corp.example", "1@x", start());
        forged.raw = b"X-Forged: yes\r\n\r\nIt is on fire.\r\n".to_vec();
        forged.parts = portals.iter().map(|name| to(name)).collect();
        let held = harness.store.accept(forged).await.expect("accepted");
        let real = authenticated(mail("ann@corp.example", "1@x", start()));
        let real_raw = real.raw.clone();
        let copy = harness.accept(real).await;
        assert_eq!(
            (copy.verdict, copy.reason),
            (Verdict::Held, Reason::Duplicate)
        );

        let raw = harness.store.raw(held[0].ledger).await.expect("read");
        assert_eq!(raw.expect("kept"), real_raw);
        assert_eq!(
            harness.store.raw(copy.ledger).await.expect("read"),
            Some(real_raw.clone())
        );
        let entry = harness.store.ledger_entry(held[0].ledger).await;
        assert!(
            entry
                .expect("read")
                .expect("there")
                .facts
                .authentication
                .passes()
        );
        let events = harness.store.events(held[0].ledger).await.expect("read");
        assert!(
            events
                .iter()
                .any(|event| event.event == "request.authenticated")
        );
        // For the other portal the message is unauthenticated.
        if let Some(other) = held.get(1) {
            let raw = harness.store.raw(other.ledger).await.expect("read");
            assert!(raw.expect("kept").starts_with(b"X-Forged"));
        }
        // Another forgery changes nothing any more.
        let mut later = mail("ann@corp.example", "1@x", start());
        later.raw = b"X-Forged: again\r\n\r\nIt is on fire.\r\n".to_vec();
        assert_eq!(harness.accept(later).await.reason, Reason::Duplicate);
        let raw = harness.store.raw(held[0].ledger).await.expect("read");
        assert_eq!(raw.expect("kept"), real_raw);
        harness.assert_sound().await;
        // Everything is forgotten after its retention time.
        harness.expire_holds(at(20 * DAY)).await;
        harness.delete_expired_content(at(60 * DAY), DAY).await;
        let raw = harness.store.raw(held[0].ledger).await.expect("read");
        assert_eq!(raw, None);
        harness.assert_sound().await;
        harness
            .store
            .delete_expired_entries(at(400 * DAY), DAY, 100)
            .await
            .expect("forgotten");
        harness.assert_sound().await;
    }
}

/// A forger who knows a message can send it first, with fields that make a help desk discard it.
#[tokio::test]
async fn a_forgery_that_was_released_does_not_stop_the_genuine_message() {
    let bob = || mail("bob@shop.example", "1@x", start());
    for is_delivered in [false, true] {
        let harness = Harness::open().await;
        let forged = harness.accept(failed(bob())).await;
        assert_eq!(forged.verdict, Verdict::Accepted);
        if is_delivered {
            let claims = harness.claim(start()).await;
            let settlement = Settlement::Delivered;
            harness.settle(&claims[0], settlement, start()).await;
        }
        let genuine = harness.accept(authenticated(bob())).await;
        assert_eq!(genuine.reason, Reason::AccountActive);
        assert_ne!(genuine.request, None);
        // From now on every copy repeats one of the two.
        for again in [bob(), failed(bob()), authenticated(bob())] {
            let again = harness.accept(again).await;
            assert_eq!(again.reason, Reason::Duplicate);
        }
        harness.assert_sound().await;
    }
}

/// An MTA sends the same message again if it did not see the answer, and a name server may answer only the second
/// check.
#[tokio::test]
async fn a_message_whose_check_had_no_result_is_not_delivered_twice() {
    let bob = || mail("bob@shop.example", "1@x", start());
    for (first, second) in [
        (bob(), authenticated(bob())),
        (
            with_dmarc(AuthenticationResult::TempError, bob()),
            authenticated(bob()),
        ),
        (failed(bob()), failed(bob())),
        (failed(bob()), bob()),
        (authenticated(bob()), failed(bob())),
    ] {
        let harness = Harness::open().await;
        let results = [&first, &second].map(|one| one.facts.authentication.dmarc);
        assert_eq!(harness.accept(first).await.verdict, Verdict::Accepted);
        let copy = harness.accept(second).await;
        assert_eq!(copy.reason, Reason::Duplicate, "{results:?}");
        harness.assert_sound().await;
    }
}

#[tokio::test]
async fn a_genuine_message_that_was_dropped_is_recovered_beside_a_forgery() {
    let bob = || mail("bob@shop.example", "1@x", start());
    for is_forced in [false, true] {
        let harness = Harness::open().await;
        let mut closed = settings();
        closed.site.external.restrict_domains = true;
        change(&harness, 1, closed).await;
        let genuine = harness.accept(authenticated(bob())).await;
        assert_eq!(genuine.reason, Reason::DomainNotAllowed);
        change(&harness, 2, settings()).await;
        let forged = harness.accept(failed(bob())).await;
        assert_eq!(forged.verdict, Verdict::Accepted);
        let (store, by) = (&harness.store, operator("root"));
        let recovered = if is_forced {
            let released = store.release_dropped(genuine.ledger, None, None, by, start());
            released.await
        } else {
            let recovered = store.recover(genuine.ledger, TERMS, by, start());
            recovered.await
        };
        assert!(
            matches!(
                recovered,
                Ok(Recovered::Request { .. } | Recovered::Forced { .. })
            ),
            "{recovered:?}"
        );
        let again = harness.accept(authenticated(bob())).await;
        assert_eq!(again.reason, Reason::Duplicate);
        harness.assert_sound().await;
    }
}

/// A forger can make a copy look like a delivery report, which is always dropped.
#[tokio::test]
async fn a_message_is_not_the_copy_of_a_delivery_report() {
    let harness = Harness::open().await;
    let mut report = mail("bob@shop.example", "1@x", start());
    report.facts.report = Some(super::intake::report(None, "failed", None));
    let mut again = mail("bob@shop.example", "1@x", start());
    again.facts.report.clone_from(&report.facts.report);
    assert_eq!(harness.accept(report).await.reason, Reason::Bounce);
    assert_eq!(harness.accept(again).await.reason, Reason::Duplicate);
    let genuine = mail("bob@shop.example", "1@x", start());
    let genuine = harness.accept(genuine).await;
    assert_eq!(genuine.verdict, Verdict::Accepted, "{genuine:?}");
    harness.assert_sound().await;
}

#[tokio::test]
async fn without_a_message_id_the_date_and_the_sender_tell_messages_apart() {
    let of = |from: &str, date: Option<&str>, print: u8| {
        let mut message = mail(from, "", start());
        message.facts.message_id = None;
        message.facts.date = date.map(str::to_owned);
        message.facts.fingerprint = Fingerprint([print; 32]);
        message
    };
    let date = Some("Mon, 1 Jan 2024 10:00:00 +0000");
    let other = Some("Mon, 1 Jan 2024 10:00:01 +0000");
    let harness = Harness::open().await;
    for (message, duplicate) in [
        (of("ann@corp.example", date, 1), false),
        (of("ann@corp.example", date, 1), true),
        (of("ann@corp.example", other, 1), false),
        (of("ann@corp.example", date, 2), false),
        (of("bea@corp.example", date, 1), false),
        (of("ann@corp.example", None, 1), false),
        (of("ann@corp.example", None, 1), false),
    ] {
        let facts = message.facts.clone();
        let entry = harness.accept(message).await;
        assert_eq!(entry.reason == Reason::Duplicate, duplicate, "{facts:?}");
    }
    harness.assert_sound().await;
}

#[tokio::test]
async fn the_same_message_from_another_sender_is_not_a_copy() {
    let harness = Harness::open().await;
    let mut behind = mail("ann@corp.example", "1@x", start());
    harness.accept(behind).await;
    behind = mail("bea@corp.example", "1@x", start());
    let entry = harness.accept(behind).await;
    assert_eq!(entry.reason, Reason::InternalAccountCreated);
    let request = harness
        .store
        .request(entry.request.expect("a request"))
        .await;
    assert_eq!(
        request.expect("read").expect("there").state,
        RequestState::Held
    );
}
