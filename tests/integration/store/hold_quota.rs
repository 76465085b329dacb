//! The hold quota: a forger cannot fill it and keep the real sender out, and dropped messages can be restored
//! with the verification.

use vestibule::config::Quota;
use vestibule::domain::{Reason, RequestId, RequestState, TokenHash, Verdict, VerificationMethod};
use vestibule::mail::AuthenticationResult;
use vestibule::store::{Arrival, ArrivalOutcome, Choice, Link, Offer, VerificationOutcome};

use super::calls_without_account::{claim, subscribe};
use super::harness::{DAY, Harness, at, mail, operator, start};

pub(super) const QUOTA: Quota = Quota {
    requests: 3,
    bytes: 100 * 1024 * 1024,
};

pub(super) fn forged(number: usize) -> Arrival {
    Arrival {
        quota: QUOTA,
        ..mail("ann@corp.example", &format!("forged{number}@x"), start())
    }
}

pub(super) fn real(number: usize) -> Arrival {
    let mut real = Arrival {
        quota: QUOTA,
        ..mail("ann@corp.example", &format!("real{number}@x"), start())
    };
    real.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
    real
}

pub(super) fn id_of(entry: &ArrivalOutcome) -> RequestId {
    RequestId::from_bytes(entry.ledger.to_bytes())
}

pub(super) async fn offers(harness: &Harness, token: TokenHash) -> Vec<Offer> {
    let link = harness.store.look_at_link(token, start()).await;
    let Link::Open { offers, .. } = link.expect("read") else {
        panic!("not open");
    };
    offers
}

#[tokio::test]
async fn an_authenticated_request_replaces_the_oldest_unauthenticated_one() {
    let harness = Harness::open().await;
    let mut held = Vec::new();
    for number in 0..3 {
        held.push(harness.accept(forged(number)).await);
    }
    assert_eq!(harness.accept(forged(3)).await.reason, Reason::HoldQuota);
    for (number, held) in held.iter().enumerate() {
        let entry = harness.accept(real(number)).await;
        assert_eq!(entry.reason, Reason::AccountPending, "real {number}");
        let oldest = harness.store.ledger_entry(held.ledger).await;
        let oldest = oldest.expect("read").expect("there");
        assert_eq!(
            (oldest.verdict, oldest.reason),
            (Verdict::Dropped, Reason::HoldQuota)
        );
        let events = harness.store.events(held.ledger).await.expect("read");
        let replaced = events
            .iter()
            .find(|event| event.event == "request.replaced");
        let detail = replaced.expect("told").detail.clone().expect("by whom");
        assert!(detail.contains(&entry.ledger.to_string()), "{detail}");
        harness.assert_sound().await;
    }
    // No unauthenticated request is left to be replaced.
    assert_eq!(harness.accept(real(3)).await.reason, Reason::HoldQuota);
    assert_eq!(harness.accept(forged(4)).await.reason, Reason::HoldQuota);
    harness.assert_sound().await;
}

#[tokio::test]
async fn hooks_are_notified_of_a_replaced_request() {
    let harness = Harness::open().await;
    subscribe(&harness, &["request.replaced"]).await;
    let oldest = harness.accept(forged(0)).await;
    for number in 1..3 {
        harness.accept(forged(number)).await;
    }
    harness.accept(real(0)).await;
    let calls = claim(&harness, 10, start()).await;
    let [(_, payload)] = calls.as_slice() else {
        panic!("{calls:?}")
    };
    assert_eq!(payload["type"], "request.replaced");
    assert_eq!(payload["data"]["account"]["address"], "ann@corp.example");
    let request = &payload["data"]["request"];
    assert_eq!(request["ledger"], oldest.ledger.to_string());
    assert_eq!(request["state"], "held");
}

#[tokio::test]
async fn the_quota_counts_octets_too() {
    let harness = Harness::open().await;
    let large = |mut message: Arrival, size| {
        message.facts.size = size;
        message.quota = Quota {
            requests: 100,
            bytes: 100,
        };
        message
    };
    for number in 0..5 {
        harness.accept(large(forged(number), 20)).await;
    }
    assert_eq!(
        harness.accept(large(forged(9), 1)).await.reason,
        Reason::HoldQuota
    );
    let entry = harness.accept(large(real(0), 50)).await;
    assert_eq!(entry.reason, Reason::AccountPending);
    assert_eq!(
        harness.accept(large(real(1), 51)).await.reason,
        Reason::HoldQuota
    );
    harness.assert_sound().await;
}

#[tokio::test]
async fn selected_offers_are_restored_once_with_the_verification_and_no_others() {
    let harness = Harness::open().await;
    for number in 0..3 {
        harness.accept(forged(number)).await;
    }
    let token = harness.sent(start()).await;
    let dropped = harness.accept(forged(3)).await;
    let other = harness.accept(forged(4)).await;
    let foreign = harness
        .accept(mail("bea@corp.example", "bea@x", start()))
        .await;
    let entry = harness.accept(real(0)).await;
    let shown: Vec<_> = offers(&harness, token).await;
    assert_eq!(shown.len(), 3);
    assert!(shown.iter().all(|offer| !offer.authenticated));

    let ticked = vec![id_of(&dropped), id_of(&foreign), RequestId::new()];
    let choice = Choice::Picked {
        left_out: vec![id_of(&other)],
        ticked,
    };
    let prove = || {
        harness.store.verify_account(
            VerificationMethod::Link(token),
            None,
            choice.clone(),
            start(),
        )
    };
    let VerificationOutcome::Verified { released, .. } = prove().await.expect("proved") else {
        panic!("not verified");
    };
    let released: Vec<_> = released.into_iter().map(|(id, _)| id).collect();
    assert_eq!(
        released.len(),
        2 + 1 + 1,
        "two forgeries that were held, the real one, the ticked"
    );
    assert!(released.contains(&id_of(&dropped)) && released.contains(&id_of(&entry)));
    assert!(matches!(
        prove().await,
        Ok(VerificationOutcome::AlreadyVerified { .. })
    ));

    let back = harness.request(id_of(&dropped)).await;
    assert_eq!(back.state, RequestState::Released);
    let entry = harness
        .store
        .ledger_entry(dropped.ledger)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(
        (entry.verdict, entry.reason),
        (Verdict::Held, Reason::AccountPending)
    );
    let left = harness
        .store
        .ledger_entry(other.ledger)
        .await
        .expect("read")
        .expect("there");
    assert_eq!((left.verdict, left.content_kept), (Verdict::Dropped, true));
    let hers = harness.request(id_of(&foreign)).await;
    assert_eq!(hers.state, RequestState::Held, "somebody else's");
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_verification_by_an_operator_restores_authenticated_offers() {
    let harness = Harness::open().await;
    let mut account = None;
    for number in 0..3 {
        account = harness.accept(real(number)).await.account;
    }
    let beyond = harness.accept(real(3)).await;
    harness.accept(forged(0)).await;
    let method = VerificationMethod::Operator(operator("root"));
    let (account, _) = account.expect("an account");
    let verification = harness
        .store
        .verify_account(method, Some(account), Choice::All, start());
    let VerificationOutcome::Verified { released, .. } = verification.await.expect("proved") else {
        panic!("not verified");
    };
    assert_eq!(released.len(), 4);
    assert!(released.iter().any(|(id, _)| *id == id_of(&beyond)));
    harness.assert_sound().await;
}

#[tokio::test]
async fn offers_are_bounded_by_the_quota_and_the_hold_time() {
    let harness = Harness::open().await;
    for number in 0..3 {
        harness.accept(real(number)).await;
    }
    let token = harness.sent(start()).await;
    let mine = harness.accept(real(3)).await;
    let mut later = Vec::new();
    for number in 0..20 {
        later.push(harness.accept(forged(number)).await);
    }
    let shown: Vec<_> = offers(&harness, token).await;
    let ids: Vec<_> = shown.iter().map(|offer| offer.request.id).collect();
    assert_eq!(ids, [id_of(&mine), id_of(&later[18]), id_of(&later[19])]);
    assert!(shown[0].authenticated && !shown[1].authenticated);

    // Dropped content is forgotten after a week, offered content together with held content.
    harness.delete_expired_content(at(8 * DAY), 30 * DAY).await;
    let kept = async |entry: &ArrivalOutcome| {
        let found = harness.store.ledger_entry(entry.ledger).await;
        found.expect("read").expect("there").content_kept
    };
    assert!(!kept(&later[0]).await && kept(&later[19]).await && kept(&mine).await);
    harness.assert_sound().await;
    harness.delete_expired_content(at(15 * DAY), 30 * DAY).await;
    assert!(!kept(&mine).await && !kept(&later[19]).await);
    harness.assert_sound().await;
}
