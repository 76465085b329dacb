//! An account that is active and that nobody verified: for some portals it exists, for others its mail
//! waits.

use vestibule::access::AccessSettings;
use vestibule::domain::{Actor, PortalName, Proof, Reason, RequestState, Status, Verdict};
use vestibule::store::{
    Added, Choice, Entry, LetterCause, LetterKind, Link, Proved, Refused, RequestFilter,
};

use crate::house::{DAY, House, address, at, mail, operator, portal, settings, start, to};

const BOB: &str = "bob@shop.example";

/// `it` serves strangers, `hr` has them verified, `shut` lets none in.
async fn house() -> House {
    let house = House::open().await;
    change(&house, 1, |access| {
        let hr = access.portals.entry(portal("hr")).or_default();
        hr.external.verify = Some(true);
        let shut = access.portals.entry(portal("shut")).or_default();
        shut.external.restrict_domains = Some(true);
    })
    .await;
    house
}

async fn change(house: &House, base: u64, how: impl FnOnce(&mut AccessSettings)) {
    let mut access = settings();
    how(&mut access);
    let by = operator("root");
    let changed = house.store.change_access(base, access, by, start()).await;
    changed.expect("changed");
}

async fn write(house: &House, name: &str, id: &str) -> Entry {
    let mut arrival = mail(BOB, id, start());
    arrival.parts = vec![to(name)];
    house.accept(arrival).await
}

async fn held(house: &House) -> Vec<PortalName> {
    let filter = RequestFilter {
        state: Some(RequestState::Held),
        ..RequestFilter::default()
    };
    let rows = house.store.requests(filter).await.expect("read").rows;
    rows.into_iter().map(|request| request.portal).collect()
}

async fn check(house: &House) {
    let violations = house.store.check_invariants().await.expect("checked");
    assert!(violations.is_empty(), "{violations:?}");
}

#[tokio::test]
async fn another_portal_holds_its_mail_until_it_is_verified() {
    let house = house().await;
    let open = write(&house, "it", "1@x").await;
    assert_eq!(open.reason, Reason::ExternalAccountCreated);
    assert!(house.letter(start()).await.is_none(), "nothing to verify");
    for (name, id) in [("hr", "2@x"), ("shut", "3@x")] {
        let entry = write(&house, name, id).await;
        let found = (entry.verdict, entry.reason, entry.rule);
        assert_eq!(found, (Verdict::Held, Reason::AccountPending, 13), "{name}");
    }
    let again = write(&house, "it", "4@x").await;
    assert_eq!((again.reason, again.rule), (Reason::AccountActive, 11));
    check(&house).await;

    let token = house.sent(start()).await;
    let link = house.store.look_at_link(token, start()).await;
    let Ok(Link::Open { requests, .. }) = link else {
        panic!("the link is open: {link:?}");
    };
    assert_eq!(requests.len(), 2);
    let proof = Proof::Link(token);
    let proved = house.store.prove(proof, None, Choice::All, start()).await;
    let Ok(Proved::Now { released, .. }) = proved else {
        panic!("verified now: {proved:?}");
    };
    assert_eq!(released.len(), 2);
    for (name, id) in [("hr", "5@x"), ("shut", "6@x"), ("new", "7@x")] {
        let entry = write(&house, name, id).await;
        assert_eq!(entry.reason, Reason::AccountActive, "{name}");
    }
    check(&house).await;
}

#[tokio::test]
async fn customers_of_a_portal_stay_whatever_it_sets_later() {
    let house = house().await;
    write(&house, "it", "1@x").await;
    change(&house, 2, |access| {
        access.site.external.verify = true;
        access.site.external.restrict_domains = true;
        access.site.external.allow_portal_only_accounts = false;
    })
    .await;
    let entry = write(&house, "it", "2@x").await;
    assert_eq!(
        (entry.verdict, entry.reason),
        (Verdict::Accepted, Reason::AccountActive)
    );
    let account = house.store.customer(&address(BOB)).await.expect("read");
    assert_eq!(account.expect("there").let_in_by, [portal("it")]);
}

#[tokio::test]
async fn not_me_discards_what_waits_and_leaves_the_other_portal_alone() {
    let house = house().await;
    write(&house, "it", "1@x").await;
    write(&house, "hr", "2@x").await;
    let token = house.sent(start()).await;
    let refused = house.store.refuse(token, 30 * DAY, start()).await;
    let Ok(Refused::Now { discarded, .. }) = refused else {
        panic!("refused: {refused:?}");
    };
    assert_eq!(discarded.len(), 1);
    assert!(held(&house).await.is_empty());
    let account = house.store.customer(&address(BOB)).await.expect("read");
    assert_eq!(account.expect("there").status, Status::Active);
    let entry = write(&house, "it", "3@x").await;
    assert_eq!(entry.verdict, Verdict::Accepted);
    let entry = write(&house, "hr", "4@x").await;
    assert_eq!(entry.verdict, Verdict::Held);
    assert!(house.letter(at(DAY)).await.is_none(), "left in peace");
    check(&house).await;
}

#[tokio::test]
async fn it_is_reminded_and_what_waits_expires() {
    let house = house().await;
    write(&house, "it", "1@x").await;
    write(&house, "hr", "2@x").await;
    house.sent(start()).await;
    let reminded = house.store.owe_reminders(at(12 * DAY), 3 * DAY, 10).await;
    assert_eq!(reminded.expect("a step").done, 1);
    let (letter, _) = house.letter(at(12 * DAY)).await.expect("a reminder");
    assert_eq!((letter.kind, letter.waiting), (LetterKind::Reminder, 1));
    let expired = house.store.expire_holds(at(15 * DAY), 10).await;
    assert_eq!(expired.expect("a step").done.len(), 1);
    check(&house).await;
}

#[tokio::test]
async fn signing_up_or_asking_for_a_link_has_it_verified() {
    let house = house().await;
    write(&house, "it", "1@x").await;
    let added = house
        .store
        .add_customer(address(BOB), None, Actor::Person, start())
        .await;
    assert!(matches!(added, Ok(Added::Before(_))));
    let (letter, _) = house.letter(start()).await.expect("a letter");
    assert_eq!(letter.kind, LetterKind::Verification);
    let later = at(DAY);
    house
        .store
        .settle_letter(&letter, vestibule::store::LetterOutcome::Sent, later)
        .await
        .expect("settled");
    let renewed = house
        .store
        .renew_link(address(BOB), LetterCause::Resend, later);
    renewed.await.expect("an answer");
    let token = house.sent(later).await;
    let proof = Proof::Link(token);
    let proved = house.store.prove(proof, None, Choice::All, later).await;
    assert!(matches!(proved, Ok(Proved::Now { .. })), "{proved:?}");
}

#[tokio::test]
async fn one_that_an_operator_made_exists_for_the_portal_it_was_made_for() {
    let house = house().await;
    let by = operator("root");
    let added = house
        .store
        .add_customer(address(BOB), Some(portal("it")), by.clone(), start())
        .await;
    let Ok(Added::Now(account)) = added else {
        panic!("added: {added:?}");
    };
    assert_eq!(account.let_in_by, [portal("it")]);
    let entry = write(&house, "hr", "1@x").await;
    assert_eq!(entry.verdict, Verdict::Held);
    let proof = Proof::Operator(by);
    let proved = house
        .store
        .prove(proof, Some(account.id), Choice::All, start())
        .await;
    assert!(matches!(proved, Ok(Proved::Now { .. })), "{proved:?}");
    assert!(held(&house).await.is_empty());
    check(&house).await;
}
