//! Forgetting a person: nothing of them remains in the database, and all invariants hold.

use vestibule::domain::{AccountStatus, EmailAddress, RequestState, VerificationMethod};
use vestibule::mail::{Evidence, Sender};
use vestibule::store::{
    Arrival, ArrivalOutcome, Choice, CustomerFilter, Forgetting, Forgotten, LedgerFilter, Listed,
    Page, Settled, Settlement, Store, StoreError,
};

use super::harness::{DAY, Harness, address, at, mail, operator, portal, start};
use crate::database::Database;
use crate::support::claims::claim_deliveries;

/// Written into every place of a message that a sender controls.
pub const SECRET: &str = "xylophone";

pub fn ann() -> EmailAddress {
    address("ann.xylophone@corp.example")
}

/// One of her messages, with the secret in every field.
pub fn hers(number: usize) -> Arrival {
    let id = format!("{number}.{SECRET}@corp.example");
    let mut mail = mail(&ann().to_string(), &id, start());
    mail.raw.extend(SECRET.repeat(500).into_bytes());
    mail.facts.subject = Some(format!("My {SECRET}"));
    mail.facts.sender = Sender::Usable {
        address: ann(),
        written: ann().to_string(),
        lookalike: None,
        lenient: false,
    };
    mail.envelope.helo = format!("{SECRET}.example");
    mail
}

pub fn her_vacation(number: usize) -> Arrival {
    let mut mail = hers(number);
    mail.facts.automatic = Some(Evidence {
        field: "Auto-Submitted".to_owned(),
        value: format!("auto-{SECRET}"),
    });
    mail
}

/// Delivered, failed, waiting and held requests, a drop and a repetition.
pub async fn her_life(harness: &Harness) -> Vec<ArrivalOutcome> {
    let mut entries = Vec::new();
    for number in 0..3 {
        entries.push(harness.accept(hers(number)).await);
    }
    harness.sent(start()).await;
    let (account, _) = entries[0].account.expect("an account");
    let method = VerificationMethod::Operator(operator("root"));
    let verification = harness
        .store
        .verify_account(method, Some(account), Choice::All, start());
    verification.await.expect("proved");
    let refused = Settlement::Failed {
        cause: format!("550 who is {SECRET}?"),
    };
    for settlement in [Settlement::Delivered, refused] {
        let claims = claim_deliveries(&harness.store, &[portal("it")], 1, at(DAY), start()).await;
        let claim = &claims[0];
        harness.settle(claim, settlement, start()).await;
    }
    entries.push(harness.accept(her_vacation(3)).await);
    entries.push(harness.accept(hers(0)).await);
    // Others wrote before and after her.
    for other in 0..20 {
        let from = format!("other{other}@corp.example");
        let id = format!("other{other}@x");
        harness.accept(mail(&from, &id, start())).await;
    }
    entries
}

pub async fn forget(store: &Store, domain_too: bool) -> Result<Forgotten, StoreError> {
    let forgetting = Forgetting {
        address: ann(),
        domain_too,
        by: operator("root"),
        now: at(DAY),
    };
    store.forget_customer(forgetting, |_, _| {}).await
}

async fn assert_in_order(store: &Store) {
    let violations = store.check_invariants().await.expect("read");
    assert!(violations.is_empty(), "{violations:?}");
}

#[tokio::test]
async fn nothing_of_the_person_is_left_and_all_promises_hold() {
    let harness = Harness::open().await;
    let entries = her_life(&harness).await;
    assert!(!harness.database.places_with(SECRET).is_empty());
    let before = harness.store.holdings(ann()).await.expect("read");
    assert!(before.account);
    assert_eq!((before.entries, before.contents), (5, 4));
    assert_eq!(before.delivered, [(portal("it"), 1)]);

    let forgotten = forget(&harness.store, false).await.expect("forgotten");
    assert_eq!((forgotten.entries, forgotten.discarded), (5, 2));
    assert_eq!(forgotten.overwritten, Database::OVERWRITES);
    assert_eq!(harness.database.places_with(SECRET), [""; 0]);
    assert_in_order(&harness.store).await;

    for entry in &entries {
        let entry = harness.store.ledger_entry(entry.ledger).await;
        let entry = entry.expect("read").expect("it is still in the ledger");
        assert_eq!(entry.sender.as_ref(), Some(&forgotten.pseudonym));
        assert!(!entry.content_kept);
    }
    let after = harness.store.holdings(ann()).await.expect("read");
    assert!(after.is_nothing(), "{after:?}");
    let delivered = entries[0].request.expect("a request");
    let request = harness.store.request(delivered).await.expect("read");
    assert_eq!(request.expect("there").state, RequestState::Delivered);
}

#[tokio::test]
async fn rows_that_the_schema_ties_to_an_account_are_deleted_with_it() {
    let harness = Harness::open().await;
    her_life(&harness).await;
    // A table such as a later migration may add.
    harness.database.run(&format!(
        "CREATE TABLE telling (about bigint REFERENCES account (n) ON DELETE CASCADE, text text);
         INSERT INTO telling SELECT n, 'the {SECRET}' FROM account;"
    ));
    forget(&harness.store, false).await.expect("forgotten");
    let left = harness.database.number("SELECT count(*) FROM telling");
    assert_eq!(left, 20, "those of others");
}

#[tokio::test]
async fn the_address_is_that_of_a_new_sender_from_then_on() {
    let harness = Harness::open().await;
    let old = her_life(&harness).await;
    forget(&harness.store, false).await.expect("forgotten");
    let new = harness.accept(hers(0)).await;
    assert!(
        new.account_created,
        "neither a duplicate nor an old account"
    );
    assert_ne!(new.account, old[0].account);
    let account = harness.store.customer(&ann()).await.expect("read");
    assert_eq!(account.expect("an account").status, AccountStatus::Pending);
    let shown = harness.store.customers(CustomerFilter::default()).await;
    let shown = shown.expect("read").rows;
    let names: Vec<_> = shown
        .iter()
        .map(|account| account.address.to_string())
        .filter(|address| address.starts_with("forgotten"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
    // The limits of her mail are forgotten as well, so the new one is sent.
    harness.sent(at(DAY)).await;
    assert_in_order(&harness.store).await;
}

#[tokio::test]
async fn the_audit_records_that_a_person_was_forgotten_without_their_address() {
    let harness = Harness::open().await;
    her_life(&harness).await;
    let forgotten = forget(&harness.store, true).await.expect("forgotten");
    assert_eq!(forgotten.pseudonym.domain().as_str(), "forgotten.invalid");
    let audit = harness.store.audit(Page::default()).await.expect("read");
    let text = serde_json::to_string(&audit.rows).expect("JSON");
    assert!(text.contains("account.forgotten"), "{text}");
    assert!(!text.contains(SECRET), "{text}");
    // With its dot: the pseudonym may contain "ann" by chance.
    assert!(!text.contains("ann."), "{text}");
}

#[tokio::test]
async fn a_person_is_not_forgotten_during_a_delivery() {
    let harness = Harness::open().await;
    her_life(&harness).await;
    let lease = at(2 * DAY);
    let claims = claim_deliveries(&harness.store, &[portal("it")], 1, lease, start()).await;
    let claim = &claims[0];
    let refused = forget(&harness.store, false).await;
    assert!(
        matches!(refused, Err(StoreError::NotAllowed(_))),
        "{refused:?}"
    );
    harness.settle(claim, Settlement::Delivered, start()).await;
    forget(&harness.store, false).await.expect("forgotten");
    assert_in_order(&harness.store).await;
}

/// A node that died does not settle what it had claimed.
#[tokio::test]
async fn a_person_is_forgotten_although_the_lease_of_a_delivery_ended_without_a_settlement() {
    let harness = Harness::open().await;
    her_life(&harness).await;
    let lease = at(DAY / 2);
    let claims = claim_deliveries(&harness.store, &[portal("it")], 1, lease, start()).await;
    forget(&harness.store, false).await.expect("forgotten");
    let late = harness.settle(&claims[0], Settlement::Delivered, at(DAY));
    assert_eq!(late.await, Settled::ClaimLost);
    assert_in_order(&harness.store).await;
}

#[tokio::test]
async fn a_person_without_an_account_can_be_forgotten() {
    let harness = Harness::open().await;
    harness.accept(her_vacation(0)).await;
    let before = harness.store.holdings(ann()).await.expect("read");
    assert!(!before.account && before.entries == 1, "{before:?}");
    forget(&harness.store, false).await.expect("forgotten");
    assert_eq!(harness.database.places_with(SECRET), [""; 0]);
    let listed: Listed<_> = harness
        .store
        .ledger(LedgerFilter {
            sender: Some(ann()),
            ..LedgerFilter::default()
        })
        .await
        .expect("read");
    assert!(listed.rows.is_empty());
    assert_in_order(&harness.store).await;
}

#[tokio::test]
async fn the_pseudonym_is_removed_when_no_request_needs_it() {
    let harness = Harness::open().await;
    her_life(&harness).await;
    let forgotten = forget(&harness.store, false).await.expect("forgotten");
    let rows = "SELECT count(*) FROM account WHERE forgotten_at IS NOT NULL";
    assert_eq!(harness.database.number(rows), 1);
    // Its row is not an account that an operator could act on.
    let there = harness.store.customer(&forgotten.pseudonym).await;
    assert!(there.expect("read").is_none());
    let year = 365 * DAY;
    while harness
        .store
        .delete_expired_entries(at(2 * year), year, 10)
        .await
        .expect("a step")
        .more
    {}
    while harness
        .store
        .delete_expired_mail(at(2 * year), year, 10)
        .await
        .expect("a step")
        .more
    {}
    assert_eq!(harness.database.number(rows), 0);
    assert_in_order(&harness.store).await;
}
