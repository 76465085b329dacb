//! Tests of the share of time that is left to mail. The clock of the tests advances only during pauses.

use std::path::Path;
use std::time::Duration;

use tokio::time;

use super::*;
use crate::domain::{Actor, EmailAddress, Token};
use crate::store::{Arrival, CustomerFilter, MailOutcome, Page};
use crate::verification::tests::sample;

/// Employees whose mail has been held for longer than the maximum.
async fn overdue(store: &Store, config: &Config, people: usize) {
    let long_ago = Timestamp::now() - Duration::from_hours(24 * 30);
    for number in 0..people {
        let arrival = Arrival {
            facts: sample::facts(&format!("person{number}@corp.example"), "Printer on fire"),
            received_at: long_ago,
            ..sample::arrival(config)
        };
        store.accept(arrival).await.expect("accepted");
    }
}

/// Opens a new database with the settings of a sample configuration.
async fn open(folder: &Path) -> (Store, Config) {
    let store = Store::open(&folder.join("vestibule.db")).expect("a database");
    let config = sample::config("");
    let seeded = store.seed_access(config.access.clone(), Timestamp::now());
    assert!(seeded.await.expect("settings"));
    (store, config)
}

/// Tidies up and returns the total length of the pauses.
async fn measure_pauses(people: usize) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, config) = open(folder.path()).await;
    overdue(&store, &config, people).await;
    let begin = time::Instant::now();
    let tidied = tidy(&config, &store, &CancellationToken::new()).await;
    tidied.expect("the database");
    let paused = begin.elapsed();
    let filter = CustomerFilter {
        page: Page::first(1000),
        ..CustomerFilter::default()
    };
    let customers = store.customers(filter).await.expect("read").rows;
    assert_eq!(customers.len(), people);
    assert!(customers.iter().all(|customer| customer.held == 0));
    paused
}

#[tokio::test(start_paused = true)]
async fn it_pauses_between_rounds_and_not_after_the_last() {
    // One row is one round however slow the machine is; more rows share a round as long as time allows.
    assert_eq!(measure_pauses(1).await, Duration::ZERO, "one round");
    let begin = Instant::now();
    let paused = measure_pauses(2 * STEP).await;
    // The length of a pause depends on the duration of the work; its existence does not.
    assert!(!paused.is_zero(), "no pause");
    assert!(paused <= begin.elapsed() * PAUSE_FACTOR + Duration::from_millis(10));
}

/// Somebody signs up this number of days ago, is sent the mail, and never opens the link.
async fn sign_up(store: &Store, config: &Config, who: &str, days: u64) -> EmailAddress {
    let address = EmailAddress::parse(who).expect("an address");
    let then = Timestamp::now() - Duration::from_hours(24 * days);
    let added = store.add_customer(address.clone(), None, Actor::Person, then);
    added.await.expect("added");
    let (limits, token_ttl) = (config.verification.limits, config.verification.token_ttl);
    let token = Token::generate().expect("random bytes").hash();
    let claimed = store.settle_and_claim_mail([], vec![token.into()], limits, token_ttl, then);
    let (_, claimed) = claimed.await.expect("claimed");
    let outcomes = [(&claimed.verification_mails[0], MailOutcome::Sent, then)];
    let settled = store.settle_and_claim_mail(outcomes, Vec::new(), limits, token_ttl, then);
    settled.await.expect("settled");
    address
}

#[tokio::test]
async fn an_account_that_nobody_verified_expires() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, config) = open(folder.path()).await;
    // The link is valid for a week.
    let ann = sign_up(&store, &config, "ann@corp.example", 98).await;
    let bob = sign_up(&store, &config, "bob@corp.example", 96).await;
    let tidied = tidy(&config, &store, &CancellationToken::new()).await;
    tidied.expect("the database");
    assert!(store.customer(&ann).await.expect("read").is_none());
    assert!(store.customer(&bob).await.expect("read").is_some());
}

#[tokio::test]
async fn times_are_repaired_when_the_database_is_there_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.db");
    let store = Store::open(&path).expect("a database");
    let config = sample::config("");
    let shutdown = CancellationToken::new();
    let away = folder.path().join("away.db");
    let hour = Duration::from_hours(1);
    for (movement, left) in [
        (Movement::Back(hour), PendingRepair::Times),
        (Movement::FarBack(hour), PendingRepair::WorkAndTimes),
    ] {
        let mut pending = PendingRepair::None;
        std::fs::rename(&path, &away).expect("moved");
        let kept = keep(movement, &mut pending, &config, &store, &shutdown).await;
        kept.expect_err("the database is gone");
        assert_eq!(pending, left);

        std::fs::rename(&away, &path).expect("moved back");
        let steady = Movement::Steady;
        let kept = keep(steady, &mut pending, &config, &store, &shutdown).await;
        kept.expect("kept");
        assert_eq!(pending, PendingRepair::None);
    }
}

#[tokio::test]
async fn a_clock_that_the_database_does_not_confirm_is_doubted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    let (clock, movement) = check_clock(&store).await;
    assert_eq!(movement, Movement::Steady);
    assert!(clock::channel(clock).1.is_trusted());
    store.close().await;
    let (clock, movement) = check_clock(&store).await;
    assert_eq!(movement, Movement::Doubted);
    assert!(!clock::channel(clock).1.is_trusted());
}

#[tokio::test]
async fn a_restart_does_not_confirm_a_clock_that_jumped() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, config) = open(folder.path()).await;
    for (person, ago) in [("ann", MONTH), ("bob", Duration::ZERO)] {
        let arrival = Arrival {
            facts: sample::facts(&format!("{person}@corp.example"), "Printer on fire"),
            received_at: Timestamp::now() - ago,
            ..sample::arrival(&config)
        };
        store.accept(arrival).await.expect("accepted");
    }
    let (_, movement) = check_clock(&store).await;
    let is_ahead = matches!(movement, Movement::Ahead(by) if by >= MONTH);
    assert!(is_ahead, "{movement:?}");
}

#[tokio::test]
async fn a_site_that_ran_without_mail_trusts_its_clock_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("vestibule.db")).expect("a database");
    let config = sample::config("");
    let now = Timestamp::now();
    let seeded = store.seed_access(config.access.clone(), now - MONTH);
    assert!(seeded.await.expect("settings"));
    let sampled = store.sample_queues(now - Duration::from_hours(48));
    sampled.await.expect("sampled");
    for (person, at) in [("ann", now - MONTH), ("bob", now)] {
        let arrival = Arrival {
            facts: sample::facts(&format!("{person}@corp.example"), "Printer on fire"),
            received_at: at,
            ..sample::arrival(&config)
        };
        store.accept(arrival).await.expect("accepted");
        let (_, movement) = check_clock(&store).await;
        assert_eq!(movement, Movement::Steady, "after the mail of {person}");
    }
}

const MONTH: Duration = Duration::from_hours(30 * 24);

/// The end of a hold that a clock a month from now began, after these checks. The mail for it is due at once.
async fn end_of_hold(mut pending: PendingRepair, movements: &[Movement]) -> Timestamp {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, config) = open(folder.path()).await;
    let arrival = Arrival {
        received_at: Timestamp::now() + MONTH,
        ..sample::arrival(&config)
    };
    store.accept(arrival).await.expect("accepted");
    let shutdown = CancellationToken::new();
    for movement in movements {
        let kept = keep(*movement, &mut pending, &config, &store, &shutdown).await;
        kept.expect("the database");
    }
    let (limits, token_ttl) = (config.verification.limits, config.verification.token_ttl);
    let token = Token::generate().expect("random bytes").hash();
    let now = Timestamp::now();
    let claimed = store.settle_and_claim_mail([], vec![token.into()], limits, token_ttl, now);
    let (_, claimed) = claimed.await.expect("claimed");
    let expires_at = claimed.verification_mails[0].expires_at;
    expires_at.expect("a hold")
}

#[tokio::test]
async fn a_clock_that_may_be_behind_shortens_no_hold() {
    let month = Timestamp::now() + MONTH;
    let behind = Movement::FarBack(MONTH);
    for (movements, is_kept) in [
        (&[behind][..], true),
        (&[behind, Movement::Ahead(MONTH)], true),
        (&[behind, Movement::Doubted], true),
        (&[behind, Movement::Steady], false),
        (&[Movement::Back(MONTH)], false),
    ] {
        let end = end_of_hold(PendingRepair::None, movements).await;
        assert_eq!(end > month, is_kept, "{movements:?}");
    }
    // The database failed when the clock was set back.
    let end = end_of_hold(PendingRepair::WorkAndTimes, &[Movement::Doubted]).await;
    assert!(end > month);
}
