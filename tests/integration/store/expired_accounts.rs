//! An expired account: nobody acts on it, and its entries are found and erased.

use tokio::runtime::Handle;
use tokio::task::block_in_place;
use vestibule::domain::{
    AccountId, AccountStatus, EmailAddress, GroupName, LedgerId, Reason, RequestState,
    VerificationMethod,
};
use vestibule::store::{Choice, Forgetting, LanguageWish, MailOutcome, RequestFilter, StoreError};

use super::calls_without_account::{subscribe, waiting};
use super::forget::{SECRET, her_vacation, hers};
use super::harness::{DAY, Harness, address, at, mail, operator, start};
use super::intake::report;
use super::pending_accounts::{end_holds, entries_of, expire, hold};
use crate::support::claims::settle_mail;

const ANN: &str = "ann@corp.example";

/// Expires Ann's account, to which a request refers.
async fn with_expired_account() -> Harness {
    let harness = Harness::open().await;
    hold(&harness, ANN).await;
    end_holds(&harness).await;
    assert_eq!(expire(&harness, 105).await, [ANN]);
    harness
}

/// The account that her request names.
async fn account_of_request(harness: &Harness) -> (AccountId, bool) {
    let filter = RequestFilter {
        account: Some(address(ANN)),
        ..RequestFilter::default()
    };
    let requests = harness.store.requests(filter).await.expect("read").rows;
    (requests[0].account_id, requests[0].has_account)
}

#[tokio::test]
async fn nobody_acts_on_an_expired_account_by_the_id_that_its_requests_show() {
    let harness = with_expired_account().await;
    let store = &harness.store;
    let (id, has_account) = account_of_request(&harness).await;
    assert!(!has_account);
    assert!(store.customer_by_id(id).await.expect("read").is_none());
    let (root, now) = (operator("root"), at(106 * DAY));
    let groups = vec![GroupName::parse("staff").expect("a name")];
    let method = VerificationMethod::Operator(root.clone());
    let verified = store.verify_account(method, Some(id), Choice::All, now);
    let errors = [
        store.unblock_customer(id, root.clone(), now).await.err(),
        store.block_customer(id, root.clone(), now).await.err(),
        store
            .set_automatic_mail(id, true, root.clone(), now)
            .await
            .err(),
        store.set_groups(id, groups, root, now).await.err(),
        verified.await.err(),
    ];
    for error in errors {
        assert!(
            matches!(error, Some(StoreError::NotFound { .. })),
            "{error:?}"
        );
    }
    harness.assert_sound().await;
}

#[tokio::test]
async fn an_expired_account_that_is_pending_is_reported_and_keeps_its_former_key() {
    let harness = with_expired_account().await;
    harness
        .database
        .run("UPDATE account SET status = 'pending', last_active_at = 0");
    let violations = harness.store.check_invariants().await.expect("checked");
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert_eq!(violations[0].invariant, "a forgotten account is blocked");
    assert_eq!(expire(&harness, 300).await, [""; 0]);
    let keys = format!("SELECT count(*) FROM account WHERE former_key = '{ANN}'");
    assert_eq!(harness.database.number(&keys), 1);
}

#[tokio::test]
async fn no_request_of_an_expired_account_is_released() {
    let harness = Harness::open().await;
    let entry = harness.accept(mail(ANN, "1@x", start())).await;
    harness
        .database
        .run("UPDATE account SET status = 'blocked', forgotten_at = 1");
    let request = entry.request.expect("a request");
    let released = harness
        .store
        .release_request(request, operator("root"), start());
    let refused = released.await;
    assert!(
        matches!(&refused, Err(StoreError::NotAllowed(why)) if why.contains("no longer exists")),
        "{refused:?}"
    );
    assert_eq!(harness.request(request).await.state, RequestState::Held);
}

#[tokio::test]
async fn no_hook_is_called_about_an_expired_account() {
    let harness = Harness::open().await;
    let mut requests = Vec::new();
    for id in ["1@x", "2@x"] {
        let entry = harness.accept(mail(ANN, id, start())).await;
        requests.push(entry.request.expect("a request"));
    }
    subscribe(&harness, &["request.discarded"]).await;
    for request in requests {
        let by = operator("root");
        let discarded = harness.store.discard_request(request, by, start()).await;
        let state = discarded.expect("discarded").state;
        assert_eq!(state, RequestState::Discarded);
        // Only the first call, from before the account expired.
        assert_eq!(waiting(&harness).await, 1);
        harness
            .database
            .run("UPDATE account SET status = 'blocked', forgotten_at = 1");
    }
}

fn forgetting(address: EmailAddress) -> Forgetting {
    Forgetting {
        address,
        domain_too: false,
        by: operator("root"),
        now: at(106 * DAY),
    }
}

/// Ann signs up, and her mail bounces; later her account expires. Returns the entry of the delivery report.
async fn sign_up_and_bounce(harness: &Harness) -> LedgerId {
    let client = "192.0.2.7".parse().expect("an address");
    let store = &harness.store;
    let signed_up = store.sign_up(address(ANN), None, client, LanguageWish::default(), start());
    signed_up.await.expect("signed up");
    let (sent, _) = harness.verification_mail(start()).await.expect("due");
    settle_mail(store, &sent, MailOutcome::Sent, start()).await;
    let mut bounce = mail("mailer-daemon@corp.example", "b@x", start());
    let original = format!("{}@gate.corp.example", sent.id);
    bounce.facts.report = Some(report(Some(original), "failed", Some("5.1.1")));
    let entry = harness.accept(bounce).await;
    assert_eq!(entry.undeliverable, Some(sent.account));
    assert_eq!(expire(harness, 105).await, [ANN]);
    entry.ledger
}

#[tokio::test]
async fn a_delivery_report_about_an_expired_account_is_erased_with_the_person() {
    let harness = Harness::open().await;
    let entry = sign_up_and_bounce(&harness).await;
    let mut copy = mail("mailer-daemon@corp.example", "b@x", start());
    copy.facts.report = Some(report(None, "failed", Some("5.1.1")));
    let copy = harness.accept(copy).await;
    assert_eq!(copy.reason, Reason::Duplicate);
    let forgotten = harness
        .store
        .forget_customer(forgetting(address(ANN)), |_, _| {});
    forgotten.await.expect("forgotten");
    for entry in [entry, copy.ledger] {
        let entry = harness.store.ledger_entry(entry).await.expect("read");
        let report = entry.expect("there").facts.report.expect("a report");
        assert!(report.recipients.is_empty(), "{report:?}");
    }
    let accounts = "SELECT count(*) FROM account";
    assert_eq!(harness.database.number(accounts), 0);
    harness.assert_sound().await;
}

#[tokio::test]
async fn the_last_delivery_report_takes_the_expired_account_along() {
    let harness = Harness::open().await;
    sign_up_and_bounce(&harness).await;
    let accounts = "SELECT count(*) FROM account";
    assert_eq!(harness.database.number(accounts), 1);
    let year = 365 * DAY;
    let deleted = harness.delete_expired_entries(at(year + DAY), year).await;
    assert_eq!((deleted, harness.database.number(accounts)), (1, 0));
    harness.assert_sound().await;
}

/// Her first message was held until her account expired, or dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_arrives_while_its_sender_is_forgotten_is_not_erased() {
    for has_expired in [true, false] {
        let harness = Harness::open().await;
        let store = &harness.store;
        let first = if has_expired {
            let first = harness.accept(hers(0)).await;
            harness.sent(start()).await;
            end_holds(&harness).await;
            assert_eq!(expire(&harness, 105).await.len(), 1);
            first
        } else {
            harness.accept(her_vacation(0)).await
        };
        let her = first.sender.clone().expect("a sender");
        let mut arrived = Vec::new();
        let forgotten = store.forget_customer(forgetting(her.clone()), |_, _| {
            let mut again = hers(1);
            again.received_at = at(106 * DAY);
            let accepted = harness.accept(again);
            arrived.push(block_in_place(|| Handle::current().block_on(accepted)));
        });
        let forgotten = forgotten.await.expect("forgotten");
        assert_eq!(forgotten.entries, 1);
        assert_eq!(arrived.len(), 1);
        let request = arrived[0].request.expect("a request");
        assert_eq!(harness.request(request).await.state, RequestState::Held);
        let account = store.customer(&her).await.expect("read");
        assert_eq!(account.expect("there").status, AccountStatus::Pending);
        assert_eq!(entries_of(store, &her).await, [arrived[0].ledger]);
        let pseudonym = &forgotten.pseudonym;
        assert_eq!(entries_of(store, pseudonym).await, [first.ledger]);
        harness.assert_sound().await;
    }
}

#[tokio::test]
async fn the_last_entry_takes_the_expired_account_along() {
    let harness = Harness::open().await;
    hold(&harness, ANN).await;
    harness.accept(mail(ANN, "later", at(DAY))).await;
    harness.sent(at(DAY)).await;
    harness.expire_holds(at(15 * DAY)).await;
    harness.delete_expired_content(at(46 * DAY), 30 * DAY).await;
    assert_eq!(expire(&harness, 106).await, [ANN]);
    let rows = "SELECT count(*) FROM account";
    let year = 365 * DAY;
    let forgotten = harness.delete_expired_entries(at(year + DAY), year).await;
    assert_eq!((forgotten, harness.database.number(rows)), (1, 1));
    harness.assert_sound().await;
    let forgotten = harness
        .delete_expired_entries(at(year + 2 * DAY), year)
        .await;
    assert_eq!((forgotten, harness.database.number(rows)), (1, 0));
    let events = "SELECT count(*) FROM event WHERE name <> 'access.changed'";
    assert_eq!(harness.database.number(events), 0);
    harness.assert_sound().await;
}

#[tokio::test]
async fn a_person_whose_account_expired_can_be_forgotten() {
    for writes_again in [false, true] {
        let harness = Harness::open().await;
        let store = &harness.store;
        let first = harness.accept(hers(0)).await;
        let her = first.sender.clone().expect("a sender");
        harness.sent(start()).await;
        end_holds(&harness).await;
        assert_eq!(expire(&harness, 105).await, [her.to_string()]);
        let mut entries = vec![first.ledger];
        if writes_again {
            let mut again = hers(1);
            again.received_at = at(106 * DAY);
            entries.insert(0, harness.accept(again).await.ledger);
        }
        let count = entries.len() as u64;
        let before = store.holdings(her.clone()).await.expect("read");
        assert!(before.account);
        assert_eq!(before.entries, count);
        assert_eq!(before.held, u64::from(writes_again));

        let forgotten = store.forget_customer(forgetting(her.clone()), |_, _| {});
        let forgotten = forgotten.await.expect("forgotten");
        assert_eq!(forgotten.entries, count);
        assert_eq!(harness.database.places_with(SECRET), [""; 0]);
        let pseudonym = &forgotten.pseudonym;
        assert_eq!(entries_of(store, pseudonym).await, entries);
        assert!(entries_of(store, &her).await.is_empty());
        let after = store.holdings(her).await.expect("read");
        assert!(after.is_nothing(), "{after:?}");
        let known = "SELECT count(*) FROM account WHERE former_key IS NOT NULL AND domain <> ''";
        assert_eq!(harness.database.number(known), 0);
        harness.assert_sound().await;
    }
}
