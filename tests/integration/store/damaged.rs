//! Rows with invalid content: each is set aside and does not block others.

use vestibule::domain::{DestinationName, EventPattern, LedgerId, RequestState};
use vestibule::store::{
    Choice, ClaimRound, Delivery, Forgetting, LedgerFilter, Link, Page, RequestFilter, RunLimits,
    SetAside, Settlement, VerificationOutcome,
};

use super::harness::{DAY, Harness, address, at, mail, operator, portal, start};

/// Changes the row of an entry directly in the database. False if it cannot hold such a row.
fn damage(harness: &Harness, sql: &str, ledger: LedgerId) -> bool {
    harness.database.damage(sql, ledger.to_bytes())
}

async fn doctor(harness: &Harness) -> Vec<String> {
    let violations = harness.store.check_invariants().await.expect("checked");
    violations.into_iter().map(|found| found.place).collect()
}

#[tokio::test]
async fn a_damaged_request_does_not_block_others() {
    for sql in [
        "UPDATE ledger SET facts = '{\"subject\": ' WHERE id = ?",
        "UPDATE ledger SET facts = '{}' WHERE id = ?",
        "UPDATE ledger SET facts = '' WHERE id = ?",
        "UPDATE ledger SET envelope = '[]' WHERE id = ?",
        "UPDATE ledger SET recipient = CAST(x'ff' AS TEXT) WHERE id = ?",
    ] {
        let harness = Harness::open().await;
        let damaged = harness
            .accept(mail("bob@shop.example", "1@x", start()))
            .await;
        let later = harness
            .accept(mail("bob@shop.example", "2@x", start()))
            .await;
        let other = harness
            .accept(mail("eve@shop.example", "3@x", start()))
            .await;
        if !damage(&harness, sql, damaged.ledger) {
            continue;
        }
        let request = damaged.request.expect("a request");

        let help_desk = DestinationName::parse("help-desk").expect("a name");
        let one_each = RunLimits {
            runs: 10,
            requests: 1,
            octets: u64::MAX,
        };
        let claim = async || {
            let portals = [portal("it")];
            let store = &harness.store;
            let round = store.settle_and_claim_deliveries(
                &help_desk,
                &portals,
                [],
                one_each,
                at(DAY),
                start(),
            );
            round.await.expect(sql)
        };
        let ids = |round: &ClaimRound<Delivery>| -> Vec<_> {
            let deliveries = round.runs.iter().flatten();
            deliveries.map(|delivery| delivery.claim.ledger).collect()
        };
        let first = claim().await;
        assert_eq!(ids(&first), [other.ledger], "{sql}");
        let [SetAside { what, cause }] = first.set_aside.as_slice() else {
            panic!("{sql}: {first:?}");
        };
        assert_eq!(*what, format!("request {request}"));
        let second = claim().await;
        assert_eq!(ids(&second), [later.ledger], "{sql}");
        assert!(second.set_aside.is_empty(), "{sql}");

        let shown = harness.store.request(request).await.expect(sql);
        let shown = shown.expect("there");
        assert_eq!(shown.state, RequestState::Failed, "{sql}");
        assert_eq!(shown.last_error.as_ref(), Some(cause), "{sql}");
        let all = harness.store.requests(RequestFilter::default()).await;
        assert_eq!(all.expect(sql).rows.len(), 3);
        let events = harness.store.events(damaged.ledger).await.expect(sql);
        let last = events.last().expect("one");
        assert_eq!(last.event, "delivery.failed");
        assert_eq!(last.detail.as_ref(), Some(cause), "{sql}");
        let places = doctor(&harness).await;
        let [place] = places.as_slice() else {
            panic!("{sql}: {places:?}");
        };
        assert!(place.contains(&damaged.ledger.to_string()), "{place}");
        // The list shows the others.
        let entries = harness.store.ledger(LedgerFilter::default()).await;
        assert_eq!(entries.expect(sql).rows.len(), 2, "{sql}");
        let of_sender = LedgerFilter {
            sender: Some(address("bob@shop.example")),
            page: Page::first(1),
            ..LedgerFilter::default()
        };
        let entries = harness.store.ledger(of_sender.clone()).await.expect(sql);
        let found: Vec<_> = entries.rows.iter().map(|entry| entry.ledger).collect();
        assert_eq!(found, [later.ledger], "{sql}");
        // The damaged entry comes last, and ends the list.
        let page = Page {
            limit: 1,
            after: entries.next,
        };
        let rest = LedgerFilter { page, ..of_sender };
        let rest = harness.store.ledger(rest).await.expect(sql);
        assert!(
            rest.rows.is_empty() && rest.next.is_none(),
            "{sql}: {rest:?}"
        );
    }
}

#[tokio::test]
async fn a_damaged_hook_call_does_not_block_others() {
    let harness = Harness::open().await;
    let hook = DestinationName::parse("desk").expect("a name");
    let patterns = vec![EventPattern::parse("request.*").expect("a pattern")];
    let subscribed = harness
        .store
        .subscribe_hooks(vec![(hook.clone(), patterns)], "", start());
    subscribed.await.expect("subscribed");
    let mut entries = Vec::new();
    for id in ["1@x", "2@x"] {
        entries.push(harness.accept(mail("bob@shop.example", id, start())).await);
    }
    let is_damaged = damage(
        &harness,
        "UPDATE hook_call SET payload = CAST(x'ff' AS TEXT)
         WHERE n = (SELECT min(n) FROM hook_call) AND ? IS NOT NULL",
        entries[0].ledger,
    );
    if !is_damaged {
        return;
    }
    let claim = async || {
        let claimed = harness
            .store
            .settle_and_claim_hook_calls(&hook, [], 10, at(DAY), start());
        claimed.await.expect("a claim")
    };
    let first = claim().await;
    assert!(first.runs.is_empty(), "{first:?}");
    assert_eq!(first.set_aside.len(), 1, "{first:?}");
    let mut told = 0;
    loop {
        let claimed = claim().await;
        let Some(call) = claimed.runs.first().and_then(|run| run.first()) else {
            break;
        };
        let done = [(call, Settlement::Delivered, start())];
        let round = harness
            .store
            .settle_and_claim_hook_calls(&hook, done, 0, start(), start());
        round.await.expect("settled");
        told += 1;
    }
    let count = harness.store.hook_count(hook.clone()).await.expect("read");
    assert!(told >= 1, "{count:?}");
    assert_eq!((count.waiting, count.failed), (0, 1));
}

/// Held mail of a person, one of them damaged.
async fn held(harness: &Harness) -> [LedgerId; 2] {
    let mut held = Vec::new();
    for id in ["1@x", "2@x"] {
        let entry = harness.accept(mail("ann@corp.example", id, start())).await;
        held.push(entry.ledger);
    }
    assert!(damage(
        harness,
        "UPDATE ledger SET facts = 'x' WHERE id = ?",
        held[0]
    ));
    held.try_into().expect("two")
}

#[tokio::test]
async fn the_person_verifies_past_a_damaged_request_and_its_copy_is_accepted() {
    let harness = Harness::open().await;
    held(&harness).await;
    let link = harness.sent(start()).await;
    let looked = harness.store.look_at_link(link, start()).await;
    let Ok(Link::Open { requests, .. }) = looked else {
        panic!("{looked:?}");
    };
    assert_eq!(requests.len(), 2);
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let method = vestibule::domain::VerificationMethod::Link(link);
    let verification = harness
        .store
        .verify_account(method, None, Choice::All, start());
    let Ok(VerificationOutcome::Verified { released, .. }) = verification.await else {
        panic!("not verified");
    };
    assert_eq!(released.len(), 3);
}

#[tokio::test]
async fn a_damaged_entry_is_forgotten_with_the_rest() {
    let harness = Harness::open().await;
    let [damaged, _] = held(&harness).await;
    let forgetting = Forgetting {
        address: address("ann@corp.example"),
        domain_too: false,
        by: operator("root"),
        now: at(DAY),
    };
    let forgotten = harness.store.forget_customer(forgetting, |_, _| {}).await;
    forgotten.expect("forgotten");
    let entry = harness.store.ledger_entry(damaged).await.expect("read");
    assert!(entry.is_none(), "{entry:?}");
    assert_eq!(doctor(&harness).await, [""; 0]);
}
