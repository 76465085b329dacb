//! Dropped messages can be recovered, and are counted.

use vestibule::access::AccessSettings;
use vestibule::domain::{AccountStatus, Actor, DomainPattern, Reason, RequestState, Verdict};
use vestibule::store::{Added, LedgerFilter, Page, Recovered, StoreError, Terms};

use super::harness::{DAY, Harness, address, at, mail, operator, settings, start};

pub const TERMS: Terms = Terms {
    quota: vestibule::config::Quota {
        requests: 20,
        bytes: 1_000_000,
    },
    hold_for: std::time::Duration::from_hours(14 * 24),
    today: None,
    portal: None,
};

fn pattern(text: &str) -> DomainPattern {
    DomainPattern::parse(text).expect(text)
}

/// Settings that admit only `partner.example` besides `corp.example`.
fn restricted() -> AccessSettings {
    let mut settings = settings();
    settings.site.external.restrict_domains = true;
    settings.site.external.allowed_domains = vec![pattern("partner.example")].into();
    settings
}

async fn set(harness: &Harness, base: u64, settings: AccessSettings) {
    let by = operator("root");
    let changed = harness.store.change_access(base, settings, by, start());
    changed.await.expect("changed");
}

#[tokio::test]
async fn a_message_dropped_by_mistake_is_recovered_after_the_settings_change() {
    let harness = Harness::open().await;
    set(&harness, 1, restricted()).await;
    let dropped = harness
        .accept(mail("bob@shop.example", "1@x", start()))
        .await;
    assert_eq!(dropped.reason, Reason::DomainNotAllowed);
    let recover = |now| {
        let by = operator("root");
        harness.store.recover(dropped.ledger, TERMS, by, now)
    };
    let still = recover(at(DAY)).await.expect("decided");
    assert!(matches!(still, Recovered::StillDropped(_)), "{still:?}");

    let mut wider = restricted();
    wider.site.external.allowed_domains =
        vec![pattern("partner.example"), pattern("shop.example")].into();
    set(&harness, 2, wider).await;
    let found = harness
        .store
        .list_recoverable(Some(pattern("shop.example")), Page::default());
    assert_eq!(found.await.expect("read").rows, [dropped.ledger]);
    let elsewhere = harness
        .store
        .list_recoverable(Some(pattern("*.shop.example")), Page::default());
    assert!(elsewhere.await.expect("read").rows.is_empty());

    let recovered = recover(at(DAY)).await.expect("decided");
    let Recovered::Request { request, .. } = recovered else {
        panic!("{recovered:?}");
    };
    let entry = harness
        .store
        .ledger_entry(dropped.ledger)
        .await
        .expect("read");
    let entry = entry.expect("there");
    assert_eq!(entry.verdict, Verdict::Accepted);
    assert_eq!(entry.reason, Reason::ExternalAccountCreated);
    assert_eq!(entry.revision, 3);
    assert_eq!(entry.request, Some(request));
    assert!(entry.content_kept);
    let events = harness.store.events(dropped.ledger).await.expect("read");
    let recovery = events
        .iter()
        .find(|event| event.event == "request.recovered");
    let recovery = recovery.expect("an event");
    assert_eq!(recovery.actor, "operator:root");
    assert_eq!(
        recovery.detail.as_deref(),
        Some("dropped earlier as domain_not_allowed by revision 2")
    );
    assert!(matches!(
        recover(at(DAY)).await,
        Err(StoreError::NotAllowed(_))
    ));
    let forgotten = harness
        .store
        .delete_expired_content(at(30 * DAY), 30 * DAY, 10)
        .await;
    assert_eq!(forgotten.expect("a step").done, 0, "it is a request now");
    assert!(
        harness
            .store
            .check_invariants()
            .await
            .expect("checked")
            .is_empty()
    );
}

#[tokio::test]
async fn forgotten_messages_cannot_be_recovered() {
    let harness = Harness::open().await;
    set(&harness, 1, restricted()).await;
    let dropped = harness
        .accept(mail("bob@shop.example", "1@x", start()))
        .await;
    let forgotten = harness
        .store
        .delete_expired_content(at(8 * DAY), 30 * DAY, 10)
        .await;
    assert_eq!(forgotten.expect("a step").done, 1);
    set(&harness, 2, settings()).await;
    let recovered = harness
        .store
        .recover(dropped.ledger, TERMS, operator("root"), at(8 * DAY))
        .await;
    assert!(matches!(recovered, Err(StoreError::NotAllowed(_))));
}

#[tokio::test]
async fn domains_are_ranked_with_the_nearest_that_is_allowed() {
    let harness = Harness::open().await;
    set(&harness, 1, restricted()).await;
    for (i, from) in [
        "a@partners.example",
        "b@partners.example",
        "b@partners.example",
        "c@stranger.test",
    ]
    .iter()
    .enumerate()
    {
        harness.accept(mail(from, &format!("{i}@x"), start())).await;
    }
    let ranking = async |since| {
        let listed = harness.store.dropped_domains(since, Page::first(10)).await;
        listed.expect("read")
    };
    let listed = ranking(start()).await;
    assert_eq!(listed.next, None);
    let domains = listed.rows;
    assert_eq!(domains.len(), 2);
    assert_eq!(domains[0].domain, "partners.example");
    assert_eq!(domains[0].messages, 3);
    assert_eq!(domains[0].people, 2);
    assert_eq!(domains[0].nearest, Some(pattern("partner.example")));
    assert_eq!(domains[1].nearest, None);
    assert!(ranking(at(DAY)).await.rows.is_empty());
}

#[tokio::test]
async fn the_ranking_of_domains_is_paged() {
    let harness = Harness::open().await;
    set(&harness, 1, restricted()).await;
    // Two domains have the same number of messages.
    let senders = [
        "a@b.test", "a@c.test", "b@b.test", "a@a.test", "a@d.test", "b@d.test",
    ];
    for (i, from) in senders.iter().enumerate() {
        harness.accept(mail(from, &format!("{i}@x"), start())).await;
    }
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = Page { limit: 1, after };
        let listed = harness.store.dropped_domains(start(), page).await;
        let listed = listed.expect("read");
        let rows = listed.rows.into_iter();
        let rows: Vec<_> = rows.map(|row| (row.messages, row.domain)).collect();
        pages.push(rows);
        after = listed.next;
        if after.is_none() {
            break;
        }
    }
    let expected = [(2, "b.test"), (2, "d.test"), (1, "a.test"), (1, "c.test")];
    assert_eq!(
        pages,
        expected.map(|(messages, domain)| vec![(messages, domain.to_owned())])
    );
    for cursor in ["", "b.test", "x-b.test"] {
        let page = Page {
            limit: 1,
            after: Some(cursor.to_owned()),
        };
        let refused = harness.store.dropped_domains(start(), page).await;
        assert!(
            matches!(refused, Err(StoreError::NotFound { what: "cursor", .. })),
            "{cursor:?}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn messages_are_counted_and_lists_are_paged() {
    let harness = Harness::open().await;
    for i in 0..5 {
        let message = mail("ann@corp.example", &format!("{i}@x"), start());
        harness.accept(message).await;
    }
    harness
        .accept(mail("bob@shop.example", "b@x", at(DAY)))
        .await;
    let counts = harness.store.counts(start()).await.expect("read");
    let of = |reason| {
        let found = counts.entries.iter().find(|count| count.reason == reason);
        found.map(|count| count.messages)
    };
    assert_eq!(of(Reason::InternalAccountCreated), Some(1));
    assert_eq!(of(Reason::AccountPending), Some(4));
    assert_eq!(of(Reason::ExternalAccountCreated), Some(1));
    let waiting: Vec<_> = counts
        .requests
        .iter()
        .map(|count| (count.state, count.requests))
        .collect();
    assert_eq!(
        waiting,
        [(RequestState::Held, 5), (RequestState::Released, 1)]
    );
    let later = harness.store.counts(at(DAY)).await.expect("read");
    assert_eq!(later.entries.iter().map(|c| c.messages).sum::<u64>(), 1);

    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let filter = LedgerFilter {
            sender: Some(address("ann@corp.example")),
            page: Page { limit: 2, after },
            ..LedgerFilter::default()
        };
        let part = harness.store.ledger(filter).await.expect("read");
        seen.extend(part.rows.iter().map(|entry| entry.facts.message_id.clone()));
        after = part.next;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..5).rev().map(|i| Some(format!("{i}@x"))).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_forced_release_gives_nobody_lasting_access() {
    let harness = Harness::open().await;
    set(&harness, 1, restricted()).await;
    let store = &harness.store;
    let bob = "bob@shop.example";
    let dropped = harness.accept(mail(bob, "1@x", start())).await;
    let released = store.release_dropped(dropped.ledger, None, None, operator("root"), start());
    assert!(matches!(released.await, Ok(Recovered::Forced { .. })));
    let account = store.customer(&address(bob)).await.expect("read");
    let account = account.expect("an account for the request");
    assert!(account.placeholder && account.status == AccountStatus::Pending);

    // The next message is that of a new sender, and neither page offers a way in.
    let next = harness.accept(mail(bob, "2@x", at(DAY))).await;
    assert_eq!(next.reason, Reason::DomainNotAllowed);
    let added = store.add_customer(address(bob), None, Actor::Person, at(DAY));
    assert!(matches!(added.await, Ok(Added::NotAllowed(_))));
    let renewed = store.renew_link(address(bob), Actor::Person, at(DAY));
    renewed.await.expect("an answer");
    assert!(harness.verification_mail(at(2 * DAY)).await.is_none());

    // Once the domain is allowed, the same account is theirs.
    set(&harness, 2, settings()).await;
    let accepted = harness.accept(mail(bob, "3@x", at(3 * DAY))).await;
    assert_eq!(accepted.reason, Reason::ExternalAccountCreated);
    let now = store.customer(&address(bob)).await.expect("read");
    let now = now.expect("the account");
    assert_eq!((now.id, now.status), (account.id, AccountStatus::Active));
    assert!(!now.placeholder);
    let violations = store.check_invariants().await.expect("read");
    assert!(violations.is_empty(), "{violations:?}");
}
