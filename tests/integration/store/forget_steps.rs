//! Events between the steps in which a person is forgotten.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::block_in_place;
use vestibule::access::AccessSettings;
use vestibule::domain::{LedgerId, Reason, RequestState, VerificationMethod};
use vestibule::operations::needs_portal;
use vestibule::store::{
    ArrivalPart, Choice, Forgetting, Forgotten, NamedPortal, Recovered, ReplyAnswer, StoreError,
    Terms,
};

use super::calls_without_account::{subscribe, waiting};
use super::dropped::TERMS;
use super::forget::{SECRET, ann, forget, her_vacation, hers};
use super::harness::{DAY, Harness, at, operator, settings, start, to};
use crate::database::Database;
use crate::support::arrival::{address_of, plain_circumstances};

fn forgetting() -> Forgetting {
    Forgetting {
        address: ann(),
        domain_too: false,
        by: operator("root"),
        now: at(DAY),
    }
}

/// Number of entries in one step.
const STEP: usize = 20;

/// One step of dropped mail, and a held message for the next. Returns the entry of the latter.
async fn two_steps(harness: &Harness) -> LedgerId {
    for number in 1..=STEP {
        harness.accept(her_vacation(number)).await;
    }
    harness.accept(hers(0)).await.ledger
}

/// Runs `meanwhile` once, after the first step.
async fn forget_and(harness: &Harness, meanwhile: impl AsyncFnOnce()) -> Forgotten {
    let mut meanwhile = Some(meanwhile);
    let forgotten = harness.store.forget_customer(forgetting(), |_, _| {
        if let Some(meanwhile) = meanwhile.take() {
            block_in_place(|| Handle::current().block_on(meanwhile()));
        }
    });
    let forgotten = forgotten.await.expect("forgotten");
    assert!(meanwhile.is_none(), "there was a step");
    forgotten
}

async fn assert_nothing_is_left(harness: &Harness) {
    assert_eq!(harness.database.places_with(SECRET), [""; 0]);
    let after = harness.store.holdings(ann()).await.expect("read");
    assert!(after.is_nothing(), "{after:?}");
    harness.assert_sound().await;
}

async fn unblock(harness: &Harness) {
    let account = harness.store.customer(&ann()).await.expect("read");
    let id = account.expect("an account").id;
    let by = operator("root");
    let unblocked = harness.store.unblock_customer(id, by, start());
    unblocked.await.expect("unblocked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_that_arrives_in_the_meantime_is_erased() {
    let harness = Harness::open().await;
    two_steps(&harness).await;
    let forgotten = forget_and(&harness, async || {
        let copy = harness.accept(hers(0)).await;
        assert_eq!(copy.reason, Reason::Duplicate);
        let dropped = harness.accept(hers(100)).await;
        assert_eq!(dropped.reason, Reason::AccountBlocked);
        unblock(&harness).await;
        let held = harness.accept(hers(101)).await;
        assert!(held.request.is_some(), "{held:?}");
    });
    let forgotten = forgotten.await;
    assert_eq!(forgotten.entries, STEP as u64 + 4);
    assert_eq!(forgotten.discarded, 2);
    assert_nothing_is_left(&harness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_that_arrives_and_loses_its_content_in_the_meantime_is_erased() {
    let harness = Harness::open().await;
    two_steps(&harness).await;
    let forgotten = forget_and(&harness, async || {
        unblock(&harness).await;
        let held = harness.accept(hers(100)).await;
        let id = held.request.expect("a request");
        let discarded = harness.store.discard_request(id, operator("root"), start());
        discarded.await.expect("discarded");
        harness
            .delete_expired_content(at(DAY), Duration::ZERO)
            .await;
        let content = harness.store.raw(held.ledger).await.expect("read");
        assert!(content.is_none());
    });
    assert_eq!(forgotten.await.entries, STEP as u64 + 2);
    assert_nothing_is_left(&harness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_mail_than_the_last_step_can_erase_is_erased_before_it() {
    let harness = Harness::open().await;
    harness.accept(hers(0)).await;
    let forgotten = forget_and(&harness, async || {
        for number in 1..=2 * STEP {
            harness.accept(hers(number)).await;
        }
    });
    assert_eq!(forgotten.await.entries, 2 * STEP as u64 + 1);
    assert_nothing_is_left(&harness).await;
}

async fn change_access(harness: &Harness, base: u64, settings: AccessSettings) {
    let by = operator("root");
    let changed = harness.store.change_access(base, settings, by, start());
    changed.await.expect("changed");
}

/// The operator forces the release, or the new settings decide the message again. The person may have written again,
/// too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_a_recovered_message_gets_in_the_meantime_is_erased() {
    for (is_forced, writes_again) in [(true, false), (false, false), (false, true)] {
        let harness = Harness::open().await;
        let mut closed = AccessSettings::default();
        closed.site.external.restrict_domains = true;
        change_access(&harness, 1, closed).await;
        for number in 1..=STEP {
            harness.accept(hers(number)).await;
        }
        let last = harness.accept(hers(0)).await;
        assert_eq!(last.reason, Reason::DomainNotAllowed);
        let mut request = None;
        let forgotten = forget_and(&harness, async || {
            change_access(&harness, 2, settings()).await;
            if writes_again {
                let new = harness.accept(hers(100)).await;
                assert!(new.account_created);
            }
            let (store, by, now) = (&harness.store, operator("root"), start());
            let recovered = if is_forced {
                let released = store.release_dropped(last.ledger, None, None, by, now);
                released.await
            } else {
                store.recover(last.ledger, TERMS, by, now).await
            };
            request = match recovered.expect("recovered") {
                Recovered::Request { request, .. } | Recovered::Forced { request, .. } => {
                    Some(request)
                }
                Recovered::StillDropped(_) => None,
            };
            let account = store.customer(&ann()).await.expect("read");
            assert!(account.is_some());
        });
        let count = STEP as u64 + 1 + u64::from(writes_again);
        assert_eq!(forgotten.await.entries, count);
        let request = harness.request(request.expect("a request")).await;
        assert_eq!(request.state, RequestState::Discarded);
        assert!(!request.has_account);
        assert_nothing_is_left(&harness).await;
    }
}

/// Discarding a request must not make the next of its queue due.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_request_is_not_delivered_between_two_steps() {
    let harness = Harness::open().await;
    let first = harness.accept(hers(100)).await;
    harness.sent(start()).await;
    let (account, _) = first.account.expect("an account");
    let method = VerificationMethod::Operator(operator("root"));
    let store = &harness.store;
    let verified = store.verify_account(method, Some(account), Choice::All, start());
    verified.await.expect("verified");
    for number in 1..STEP {
        harness.accept(her_vacation(number)).await;
    }
    let waiting = harness.accept(hers(101)).await;
    let request = waiting.request.expect("a request");
    let forgotten = forget_and(&harness, async || {
        let released = harness.request(request).await;
        assert_eq!(released.state, RequestState::Released);
        let claims = harness.claim(at(DAY)).await;
        assert!(claims.is_empty(), "{claims:?}");
        harness.assert_sound().await;
    });
    assert_eq!(forgotten.await.discarded, 2);
    assert_nothing_is_left(&harness).await;
}

/// Each queue of calls has one that is due, so a queue must not lose it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_account_has_no_hook_calls_from_the_first_step_on() {
    let harness = Harness::open().await;
    subscribe(&harness, &["request.*"]).await;
    harness.accept(hers(100)).await;
    for number in 1..STEP {
        harness.accept(her_vacation(number)).await;
    }
    harness.accept(hers(101)).await;
    assert_eq!(waiting(&harness).await, 2);
    let forgotten = forget_and(&harness, async || {
        harness.assert_sound().await;
        assert_eq!(waiting(&harness).await, 0);
    });
    assert_eq!(forgotten.await.discarded, 2);
    assert_eq!(waiting(&harness).await, 0);
    assert_nothing_is_left(&harness).await;
}

/// Offers of the hold quota, and a message of which one entry is erased and the other not yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_sound_between_two_steps() {
    for dropped_before in [0, STEP - 2] {
        let harness = Harness::open().await;
        for number in 1..=dropped_before {
            harness.accept(her_vacation(number)).await;
        }
        let of_quota = |number| {
            let mut message = hers(number);
            message.quota.requests = 2;
            message
        };
        harness.accept(of_quota(100)).await;
        let mut message = of_quota(101);
        message.parts = vec![to("it"), to("hr")];
        let entries = harness.store.accept(message).await.expect("accepted");
        assert!(entries[0].request.is_some());
        assert_eq!(entries[1].reason, Reason::HoldQuota);
        let dropped = harness.accept(of_quota(102)).await;
        assert_eq!(dropped.reason, Reason::HoldQuota);
        for number in 1..=STEP {
            harness.accept(her_vacation(200 + number)).await;
        }
        let forgotten = forget_and(&harness, async || harness.assert_sound().await);
        assert_eq!(forgotten.await.discarded, 2);
        assert_nothing_is_left(&harness).await;
    }
}

/// Its content stays until the entry for the other portal is erased, too. The first may have come to an address of our
/// own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_entry_whose_message_has_another_is_not_recovered() {
    let confirmation = ArrivalPart::Confirmation {
        recipient: "confirm@corp.example".to_owned(),
        token: None,
        answer: ReplyAnswer::Other,
    };
    let named = || NamedPortal {
        circumstances: plain_circumstances("it"),
        recipient: address_of("it"),
    };
    for part in [to("it"), confirmation] {
        let harness = Harness::open().await;
        let mut closed = AccessSettings::default();
        closed.site.external.restrict_domains = true;
        change_access(&harness, 1, closed).await;
        for number in 1..STEP {
            harness.accept(hers(number)).await;
        }
        let mut message = hers(0);
        message.parts = vec![part, to("hr")];
        let entries = harness.store.accept(message).await.expect("accepted");
        let erased = entries[0].ledger;
        let forgotten = forget_and(&harness, async || {
            change_access(&harness, 2, settings()).await;
            let (store, by) = (&harness.store, || operator("root"));
            let entry = store.ledger_entry(erased).await.expect("read");
            let entry = entry.expect("there");
            assert!(entry.content_kept && entry.facts.is_forgotten());
            assert!(!needs_portal(&entry));
            let terms = Terms {
                portal: Some(named()),
                ..TERMS
            };
            let recovered = store.recover(erased, terms, by(), start()).await;
            assert!(
                matches!(recovered, Err(StoreError::NotAllowed(_))),
                "{recovered:?}"
            );
            let released = store.release_dropped(erased, None, Some(named()), by(), start());
            let released = released.await;
            assert!(
                matches!(released, Err(StoreError::NotAllowed(_))),
                "{released:?}"
            );
        });
        assert_eq!(forgotten.await.entries, STEP as u64 + 1);
        assert_nothing_is_left(&harness).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_does_not_restore_the_domain_that_another_erased() {
    let harness = Harness::open().await;
    let entry = two_steps(&harness).await;
    let mut second = None;
    let first = forget_and(&harness, async || {
        second = Some(forget(&harness.store, true).await.expect("forgotten"));
    });
    first.await;
    let pseudonym = second.expect("a second run").pseudonym;
    let entry = harness.store.ledger_entry(entry).await.expect("read");
    assert_eq!(entry.expect("an entry").sender, Some(pseudonym));
    let accounts = "SELECT count(*) FROM account WHERE domain = 'forgotten.invalid'";
    assert_eq!(harness.database.number(accounts), 1);
    assert_nothing_is_left(&harness).await;
}

#[tokio::test]
async fn a_run_that_ends_before_its_last_step_is_in_the_audit_and_can_be_finished() {
    let harness = Harness::open().await;
    harness.accept(her_vacation(0)).await;
    harness.database.run(
        "INSERT INTO notice (n, id, sender, address, portal, reason, created_at)
         SELECT n, id, sender, sender, 'it', 'domain_not_allowed', 1 FROM ledger",
    );
    let store = harness.store.clone();
    let run = tokio::spawn(async move {
        let interrupted = store.forget_customer(forgetting(), |_, _| panic!("interrupted"));
        interrupted.await
    });
    assert!(run.await.expect_err("it was interrupted").is_panic());
    let events = "SELECT count(*) FROM event WHERE name = 'account.forgotten'";
    assert_eq!(harness.database.number(events), 1);
    let left = harness.store.holdings(ann()).await.expect("read");
    assert!(left.is_nothing(), "{left:?}");
    assert_eq!(complete(&harness).await, Database::OVERWRITES);
    assert_eq!(harness.database.number(events), 1);
    assert_nothing_is_left(&harness).await;
}

async fn complete(harness: &Harness) -> bool {
    let store = &harness.store;
    let ann = ann();
    let overwritten = store.complete_erasure(&ann, operator("root"), start());
    overwritten.await.expect("erased")
}

/// The next run overwrites what this one could not: it depends on the audit.
#[tokio::test]
async fn a_notice_that_outlived_its_entry_is_erased_and_that_is_in_the_audit() {
    let harness = Harness::open().await;
    let events = "SELECT count(*) FROM event WHERE name = 'account.forgotten'";
    assert!(complete(&harness).await);
    assert_eq!(harness.database.number(events), 0);
    let dropped = harness.accept(her_vacation(0)).await;
    assert!(dropped.request.is_none());
    harness.database.run(
        "INSERT INTO notice (n, id, sender, address, portal, reason, created_at)
         SELECT n, id, sender, sender, 'it', 'domain_not_allowed', 1 FROM ledger",
    );
    let year = 365 * DAY;
    let deleted = harness.delete_expired_entries(at(2 * year), year).await;
    assert_eq!(deleted, 1);
    for _ in 0..2 {
        assert_eq!(complete(&harness).await, Database::OVERWRITES);
        assert_eq!(harness.database.number(events), 1);
    }
    let notices = "SELECT count(*) FROM notice";
    assert_eq!(harness.database.number(notices), 0);
    harness.assert_sound().await;
}
