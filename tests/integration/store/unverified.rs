//! An active account that was never verified: active for some portals, while its mail to others waits.

use vestibule::access::AccessSettings;
use vestibule::domain::{
    AccountStatus, Actor, PortalName, Reason, RequestState, Verdict, VerificationMethod,
};
use vestibule::store::{
    Added, ArrivalOutcome, Choice, Link, MailKind, Refused, RequestFilter, VerificationOutcome,
};

use super::harness::{DAY, Harness, address, at, mail, operator, portal, settings, start, to};
use crate::support::claims::settle_mail;

const BOB: &str = "bob@shop.example";

/// `it` accepts new senders, `hr` requires verification, `shut` refuses them.
async fn harness() -> Harness {
    let harness = Harness::open().await;
    change(&harness, 1, |access| {
        let hr = access.portals.entry(portal("hr")).or_default();
        hr.external.verify = Some(true);
        let shut = access.portals.entry(portal("shut")).or_default();
        shut.external.restrict_domains = Some(true);
    })
    .await;
    harness
}

async fn change(harness: &Harness, base: u64, how: impl FnOnce(&mut AccessSettings)) {
    let mut access = settings();
    how(&mut access);
    let by = operator("root");
    let changed = harness.store.change_access(base, access, by, start()).await;
    changed.expect("changed");
}

async fn write(harness: &Harness, name: &str, id: &str) -> ArrivalOutcome {
    let mut arrival = mail(BOB, id, start());
    arrival.parts = vec![to(name)];
    harness.accept(arrival).await
}

async fn held(harness: &Harness) -> Vec<PortalName> {
    let filter = RequestFilter {
        state: Some(RequestState::Held),
        ..RequestFilter::default()
    };
    let rows = harness.store.requests(filter).await.expect("read").rows;
    rows.into_iter().map(|request| request.portal).collect()
}

#[tokio::test]
async fn another_portal_holds_its_mail_until_it_is_verified() {
    let harness = harness().await;
    let open = write(&harness, "it", "1@x").await;
    assert_eq!(open.reason, Reason::ExternalAccountCreated);
    assert!(
        harness.verification_mail(start()).await.is_none(),
        "nothing to verify"
    );
    for (name, id) in [("hr", "2@x"), ("shut", "3@x")] {
        let entry = write(&harness, name, id).await;
        let found = (entry.verdict, entry.reason, entry.rule);
        assert_eq!(found, (Verdict::Held, Reason::AccountPending, 13), "{name}");
    }
    let again = write(&harness, "it", "4@x").await;
    assert_eq!((again.reason, again.rule), (Reason::AccountActive, 11));
    harness.assert_sound().await;

    let token = harness.sent(start()).await;
    let link = harness.store.look_at_link(token, start()).await;
    let Ok(Link::Open { requests, .. }) = link else {
        panic!("the link is open: {link:?}");
    };
    assert_eq!(requests.len(), 2);
    let method = VerificationMethod::Link(token);
    let verification = harness
        .store
        .verify_account(method, None, Choice::All, start())
        .await;
    let Ok(VerificationOutcome::Verified { released, .. }) = verification else {
        panic!("verified now: {verification:?}");
    };
    assert_eq!(released.len(), 2);
    for (name, id) in [("hr", "5@x"), ("shut", "6@x"), ("new", "7@x")] {
        let entry = write(&harness, name, id).await;
        assert_eq!(entry.reason, Reason::AccountActive, "{name}");
    }
    harness.assert_sound().await;
}

#[tokio::test]
async fn customers_of_a_portal_stay_whatever_it_sets_later() {
    let harness = harness().await;
    write(&harness, "it", "1@x").await;
    change(&harness, 2, |access| {
        access.site.external.verify = true;
        access.site.external.restrict_domains = true;
        access.site.external.allow_portal_only_accounts = false;
    })
    .await;
    let entry = write(&harness, "it", "2@x").await;
    assert_eq!(
        (entry.verdict, entry.reason),
        (Verdict::Accepted, Reason::AccountActive)
    );
    let account = harness.store.customer(&address(BOB)).await.expect("read");
    assert_eq!(account.expect("there").let_in_by, [portal("it")]);
}

#[tokio::test]
async fn not_me_discards_waiting_requests_and_leaves_the_other_portal_alone() {
    let harness = harness().await;
    write(&harness, "it", "1@x").await;
    write(&harness, "hr", "2@x").await;
    let token = harness.sent(start()).await;
    let refused = harness.store.refuse(token, 30 * DAY, start()).await;
    let Ok(Refused::Recorded { discarded, .. }) = refused else {
        panic!("refused: {refused:?}");
    };
    assert_eq!(discarded.len(), 1);
    assert!(held(&harness).await.is_empty());
    let account = harness.store.customer(&address(BOB)).await.expect("read");
    assert_eq!(account.expect("there").status, AccountStatus::Active);
    let entry = write(&harness, "it", "3@x").await;
    assert_eq!(entry.verdict, Verdict::Accepted);
    let entry = write(&harness, "hr", "4@x").await;
    assert_eq!(entry.verdict, Verdict::Held);
    assert!(
        harness.verification_mail(at(DAY)).await.is_none(),
        "the other portal is not affected"
    );
    harness.assert_sound().await;
}

#[tokio::test]
async fn an_unverified_account_is_reminded_and_its_requests_expire() {
    let harness = harness().await;
    write(&harness, "it", "1@x").await;
    write(&harness, "hr", "2@x").await;
    harness.sent(start()).await;
    let reminded = harness
        .store
        .owe_reminders(at(12 * DAY), 3 * DAY, 7 * DAY, 10)
        .await;
    assert_eq!(reminded.expect("a step").done, 1);
    let (verification_mail, _) = harness
        .verification_mail(at(12 * DAY))
        .await
        .expect("a reminder");
    assert_eq!(
        (verification_mail.kind, verification_mail.waiting),
        (MailKind::Reminder, 1)
    );
    let expired = harness.store.expire_holds(at(15 * DAY), 10).await;
    assert_eq!(expired.expect("a step").done.len(), 1);
    harness.assert_sound().await;
}

#[tokio::test]
async fn signing_up_or_requesting_a_link_sends_verification_mail_to_an_unverified_account() {
    let harness = harness().await;
    write(&harness, "it", "1@x").await;
    let added = harness
        .store
        .add_customer(address(BOB), None, Actor::Person, start())
        .await;
    assert!(matches!(added, Ok(Added::Existing(_))));
    let (verification_mail, _) = harness
        .verification_mail(start())
        .await
        .expect("a verification mail");
    assert_eq!(verification_mail.kind, MailKind::Verification);
    let later = at(DAY);
    settle_mail(
        &harness.store,
        &verification_mail,
        vestibule::store::MailOutcome::Sent,
        later,
    )
    .await;
    let renewed = harness.store.renew_link(address(BOB), Actor::Person, later);
    renewed.await.expect("an answer");
    let token = harness.sent(later).await;
    let method = VerificationMethod::Link(token);
    let verification = harness
        .store
        .verify_account(method, None, Choice::All, later)
        .await;
    assert!(
        matches!(verification, Ok(VerificationOutcome::Verified { .. })),
        "{verification:?}"
    );
}

#[tokio::test]
async fn an_account_that_an_operator_added_is_pending_at_other_portals() {
    let harness = harness().await;
    let by = operator("root");
    let added = harness
        .store
        .add_customer(address(BOB), Some(portal("it")), by.clone(), start())
        .await;
    let Ok(Added::Created(account)) = added else {
        panic!("added: {added:?}");
    };
    assert_eq!(account.let_in_by, [portal("it")]);
    let entry = write(&harness, "hr", "1@x").await;
    assert_eq!(entry.verdict, Verdict::Held);
    let method = VerificationMethod::Operator(by);
    let verification = harness
        .store
        .verify_account(method, Some(account.id), Choice::All, start())
        .await;
    assert!(
        matches!(verification, Ok(VerificationOutcome::Verified { .. })),
        "{verification:?}"
    );
    assert!(held(&harness).await.is_empty());
    harness.assert_sound().await;
}
