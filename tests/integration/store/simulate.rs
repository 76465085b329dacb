//! Compares a draft of the settings with the settings in force.

use std::sync::{Arc, Mutex};

use vestibule::access::{AccessSettings, Key};
use vestibule::domain::{DomainPattern, Reason, Timestamp, Verdict};
use vestibule::store::{Simulated, WhatIf};

use super::harness::{DAY, Harness, at, mail, operator, portal, settings, start, to};

fn pattern(text: &str) -> DomainPattern {
    DomainPattern::parse(text).expect(text)
}

async fn simulate(harness: &Harness, draft: &AccessSettings, since: Timestamp) -> Simulated {
    let what = WhatIf {
        draft: draft.clone(),
        since,
        portal: None,
        domain: None,
        most: 2,
    };
    harness.store.simulate(what, |_, _| {}).await.expect("read")
}

/// Everybody outside of `corp.example` is dropped, and some of them wrote.
async fn restricted_store() -> Harness {
    let harness = Harness::open().await;
    let mut closed = settings();
    closed.site.external.restrict_domains = true;
    let by = operator("root");
    let changed = harness.store.change_access(1, closed, by, start());
    changed.await.expect("changed");
    for (from, id, day) in [
        ("ann@corp.example", "1@x", 0),
        ("eve@acme.example", "2@x", 1),
        ("eve@acme.example", "3@x", 2),
        ("bob@acme.example", "4@x", 3),
        ("zoe@other.example", "5@x", 3),
        // A repeated message does not count.
        ("ann@corp.example", "1@x", 4),
    ] {
        harness.accept(mail(from, id, at(day * DAY))).await;
    }
    let mut for_hr = mail("eve@acme.example", "6@x", at(5 * DAY));
    for_hr.parts = vec![to("hr")];
    harness.accept(for_hr).await;
    harness
}

#[tokio::test]
async fn a_draft_is_compared_by_verdict_domain_and_message() {
    let harness = restricted_store().await;
    let current = harness.store.access().await.expect("read").settings;
    let draft = current.with_domains(
        None,
        Key::ExternalAllowedDomains,
        &[pattern("acme.example")],
    );
    let found = simulate(&harness, &draft, start()).await;
    assert_eq!((found.revision, found.messages, found.changed), (2, 6, 4));
    let [shift] = found.shifts.as_slice() else {
        panic!("one way to change: {:?}", found.shifts);
    };
    assert_eq!(
        (shift.from, shift.to, shift.messages, shift.people),
        (Verdict::Dropped, Verdict::Accepted, 4, 2)
    );
    assert_eq!(found.domains_changed, 1);
    let domains: Vec<_> = found
        .domains
        .iter()
        .map(|row| {
            (
                row.domain.as_str(),
                row.portal.as_str(),
                row.messages,
                row.people,
            )
        })
        .collect();
    assert_eq!(
        domains,
        [("acme.example", "it", 3, 2), ("acme.example", "hr", 1, 1)]
    );
    assert_eq!(found.domains[0].before.reason, Reason::DomainNotAllowed);
    assert_eq!(
        found.domains[0].after.reason,
        Reason::ExternalAccountCreated
    );
    // The newest first, up to the requested number.
    let examples: Vec<_> = found
        .examples
        .iter()
        .map(|row| {
            (
                row.portal.as_str(),
                row.sender.as_deref(),
                row.subject.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        examples,
        [
            ("hr", Some("eve@acme.example"), Some("The printer")),
            ("it", Some("bob@acme.example"), Some("The printer")),
        ]
    );
}

#[tokio::test]
async fn only_matching_entries_are_compared() {
    let harness = restricted_store().await;
    let draft = AccessSettings::default();
    let all = simulate(&harness, &draft, start()).await;
    // Ann would be accepted as an external customer, where she is held as an internal one.
    assert_eq!((all.messages, all.changed), (6, 6));
    let late = simulate(&harness, &draft, at(3 * DAY)).await;
    assert_eq!((late.messages, late.changed), (3, 3));
    let seen: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
    let notes = Arc::clone(&seen);
    let what = WhatIf {
        draft: draft.clone(),
        since: start(),
        portal: Some(portal("it")),
        domain: Some("acme.example".to_owned()),
        most: 10,
    };
    let progress = move |done, all| notes.lock().expect("whole").push((done, all));
    let some = harness.store.simulate(what, progress).await.expect("read");
    assert_eq!((some.messages, some.changed), (3, 3));
    assert_eq!(seen.lock().expect("whole").last(), Some(&(3, 3)));
    let current = harness.store.access().await.expect("read").settings;
    let nothing = simulate(&harness, &current, start()).await;
    assert_eq!((nothing.changed, nothing.shifts.len()), (0, 0));
}

#[tokio::test]
async fn an_existing_account_stays_under_any_draft() {
    let harness = Harness::open().await;
    // The first message creates an active account; the second comes from a customer.
    harness
        .accept(mail("eve@acme.example", "1@x", start()))
        .await;
    harness
        .accept(mail("eve@acme.example", "2@x", at(DAY)))
        .await;
    let mut draft = settings();
    draft.site.external.allow_portal_only_accounts = false;
    let found = simulate(&harness, &draft, start()).await;
    assert_eq!((found.messages, found.changed), (2, 1));
    assert_eq!(found.shifts[0].to, Verdict::Dropped);
}

/// A deny list applies to existing accounts, and a draft can admit a denied sender.
#[tokio::test]
async fn the_deny_list_is_simulated_for_accounts_too() {
    let harness = Harness::open().await;
    for (from, id, day) in [
        ("ann@corp.example", "1@x", 0),
        ("bob@shop.example", "2@x", 1),
        ("bob@shop.example", "3@x", 2),
        ("bob+1@shop.example", "4@x", 2),
        ("eve@shop.example", "5@x", 3),
    ] {
        harness.accept(mail(from, id, at(day * DAY))).await;
    }
    let current = harness.store.access().await.expect("read").settings;
    let draft = current.with_domains(None, Key::Denied, &[pattern("bob@shop.example")]);
    let found = simulate(&harness, &draft, start()).await;
    assert_eq!(found.changed, 3, "{found:?}");
    let [shift] = found.shifts.as_slice() else {
        panic!("one way to change: {:?}", found.shifts);
    };
    let ways = (shift.from, shift.to, shift.messages, shift.people);
    assert_eq!(ways, (Verdict::Accepted, Verdict::Dropped, 3, 2));
    assert!(
        found
            .domains
            .iter()
            .all(|row| row.after.reason == Reason::SenderDenied)
    );

    let by = operator("root");
    let changed = harness
        .store
        .change_access(1, draft.clone(), by, at(4 * DAY))
        .await;
    changed.expect("changed");
    harness
        .accept(mail("bob@shop.example", "6@x", at(4 * DAY)))
        .await;
    let found = simulate(&harness, &settings(), at(4 * DAY)).await;
    let [shift] = found.shifts.as_slice() else {
        panic!("one way to change: {:?}", found.shifts);
    };
    let ways = (shift.from, shift.to, shift.messages);
    assert_eq!(ways, (Verdict::Dropped, Verdict::Accepted, 1));
}

/// The settings decide about an unverified account as about a new sender.
#[tokio::test]
async fn an_unverified_account_counts_as_a_new_sender_elsewhere() {
    let harness = Harness::open().await;
    harness
        .accept(mail("bob@shop.example", "1@x", start()))
        .await;
    let mut for_hr = mail("bob@shop.example", "2@x", at(DAY));
    for_hr.parts = vec![to("hr")];
    harness.accept(for_hr).await;
    let mut again = mail("bob@shop.example", "3@x", at(2 * DAY));
    again.parts = vec![to("hr")];
    harness.accept(again).await;
    let mut draft = settings();
    draft.site.external.verify = true;
    let found = simulate(&harness, &draft, at(DAY)).await;
    let [shift] = found.shifts.as_slice() else {
        panic!("one way to change: {:?}", found.shifts);
    };
    // The first message to that portal; at the second, the portal had accepted him.
    let ways = (shift.from, shift.to, shift.messages);
    assert_eq!(ways, (Verdict::Accepted, Verdict::Held, 1));
}
