//! The deny list: mail of denied senders is dropped, and a change lists the accounts that it stops.

use vestibule::access::{AccessSettings, Key};
use vestibule::config::Quota;
use vestibule::domain::{Actor, DomainPattern, Reason, RequestState, Verdict};
use vestibule::store::{Added, MailKind, Recovered, StoppedAccounts, Terms};

use super::harness::{DAY, Harness, address, mail, operator, portal, start};
use super::ways_to_undo::confirming;

fn pattern(text: &str) -> DomainPattern {
    DomainPattern::parse_denied(text).expect(text)
}

async fn current(harness: &Harness) -> AccessSettings {
    (*harness.store.access().await.expect("read").settings).clone()
}

async fn deny(harness: &Harness, text: &str) {
    let base = harness.store.access().await.expect("read");
    let denied = base
        .settings
        .with_domains(None, Key::Denied, &[pattern(text)]);
    let by = operator("root");
    let changed = harness
        .store
        .change_access(base.number, denied, by, start())
        .await;
    changed.expect("changed");
}

#[tokio::test]
async fn existing_accounts_are_denied_and_stay_denied_when_recovered() {
    let harness = Harness::open().await;
    harness
        .accept(mail("bob@shop.example", "1@x", start()))
        .await;
    harness
        .accept(mail("ann@corp.example", "2@x", start()))
        .await;
    deny(&harness, "bob@shop.example").await;
    deny(&harness, "corp.example").await;
    for (from, id) in [
        ("bob@shop.example", "3@x"),
        ("Bob+1@shop.example", "4@x"),
        ("ann@corp.example", "5@x"),
        ("new@corp.example", "6@x"),
    ] {
        let entry = harness.accept(mail(from, id, start())).await;
        let found = (entry.verdict, entry.reason, entry.rule);
        assert_eq!(found, (Verdict::Dropped, Reason::SenderDenied, 5), "{from}");
        let terms = Terms {
            quota: Quota {
                requests: 20,
                bytes: 1_000_000,
            },
            hold_for: 14 * DAY,
            today: None,
            portal: None,
        };
        let recovered = harness
            .store
            .recover(entry.ledger, terms, operator("root"), start())
            .await;
        assert!(
            matches!(recovered, Ok(Recovered::StillDropped(_))),
            "{from}"
        );
    }
    let beside = harness
        .accept(mail("eve@shop.example", "7@x", start()))
        .await;
    assert_eq!(beside.verdict, Verdict::Accepted);
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_denied_address_is_not_added_and_gets_no_mail() {
    let harness = Harness::open().await;
    harness
        .accept(mail("bob@shop.example", "1@x", start()))
        .await;
    deny(&harness, "shop.example").await;
    for (who, by) in [
        ("bob@shop.example", Actor::Person),
        ("new@shop.example", Actor::Person),
        ("new@shop.example", operator("root")),
    ] {
        let added = harness
            .store
            .add_customer(address(who), None, by, start())
            .await;
        let Ok(Added::NotAllowed(decision)) = added else {
            panic!("{who}: {added:?}");
        };
        assert_eq!(decision.reason, Reason::SenderDenied);
    }
    assert!(harness.verification_mail(start()).await.is_none());
    // Other accounts are unchanged.
    let ann = address("ann@corp.example");
    let added = harness
        .store
        .add_customer(ann, None, Actor::Person, start())
        .await;
    assert!(matches!(added, Ok(Added::Created(_))));
    let (verification_mail, _) = harness
        .verification_mail(start())
        .await
        .expect("a verification mail");
    assert_eq!(verification_mail.kind, MailKind::Verification);
}

#[tokio::test]
async fn a_change_lists_the_accounts_that_it_stops() {
    let harness = Harness::open().await;
    for (place, from) in [
        "ann@corp.example",
        "bob@shop.example",
        "bob+1@shop.example",
        "eve@a.shop.example",
        "zoe@other.example",
        "x@ann.fastmail.com",
    ]
    .iter()
    .enumerate()
    {
        harness
            .accept(mail(from, &format!("{place}@x"), start()))
            .await;
    }
    let zoe = harness.store.customer(&address("zoe@other.example")).await;
    let zoe = zoe.expect("read").expect("there").id;
    let blocked = harness.store.block_customer(zoe, operator("root"), start());
    blocked.await.expect("done");
    let before = current(&harness).await;
    for (denied, stops) in [
        (
            &["bob@shop.example"][..],
            &["bob@shop.example", "bob+1@shop.example"][..],
        ),
        (&["bob+1@shop.example"], &["bob+1@shop.example"]),
        (
            &["*.shop.example", "corp.example"],
            &["eve@a.shop.example", "ann@corp.example"],
        ),
        (&["ann@fastmail.com"], &["x@ann.fastmail.com"]),
        (&["y@ann.fastmail.com"], &[]),
        (&["other.example"], &[]),
        (&["nobody.example"], &[]),
        (
            &["*.example", "bob@shop.example"],
            &[
                "ann@corp.example",
                "bob@shop.example",
                "bob+1@shop.example",
                "eve@a.shop.example",
            ],
        ),
    ] {
        let patterns: Vec<_> = denied.iter().map(|text| pattern(text)).collect();
        for scope in [None, Some(portal("it"))] {
            let after = before.with_domains(scope.as_ref(), Key::Denied, &patterns);
            let found = harness.store.stopped_accounts(&before, &after, 10).await;
            let found = found.expect("read");
            let mut expected: Vec<_> = stops.iter().map(|text| address(text).key()).collect();
            let mut keys: Vec<_> = found
                .addresses
                .iter()
                .map(vestibule::domain::EmailAddress::key)
                .collect();
            expected.sort();
            keys.sort();
            assert_eq!(keys, expected, "{denied:?} {scope:?}");
            assert_eq!(found.accounts, expected.len() as u64);
            let none = harness.store.stopped_accounts(&after, &after, 10).await;
            assert_eq!(none.expect("read"), StoppedAccounts::default());
            let back = harness.store.stopped_accounts(&after, &before, 10).await;
            assert_eq!(back.expect("read"), StoppedAccounts::default());
        }
    }
    deny(&harness, "shop.example").await;
    let now = current(&harness).await;
    let wider = now.with_domains(None, Key::Denied, &[pattern("bob@shop.example")]);
    let found = harness.store.stopped_accounts(&now, &wider, 10).await;
    assert_eq!(found.expect("read").accounts, 0, "stopped before");
}

/// Otherwise a reply would release what the deny list keeps out.
#[tokio::test]
async fn a_reply_of_a_denied_sender_confirms_nothing() {
    let harness = Harness::open().await;
    let held = harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let token = harness.sent(start()).await;
    deny(&harness, "ann@corp.example").await;
    let reply = harness.accept(confirming("2@x", token, DAY)).await;
    assert_eq!(reply.reason, Reason::SenderDenied);
    let request = harness.request(held.request.expect("a request")).await;
    assert_eq!(request.state, RequestState::Held);
}
