//! Promises of the workers: delivery at least once, under one id, and no destination delays another.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use vestibule::delivery;
use vestibule::domain::{Actor, DestinationName, Interface, RequestState, Timestamp};

use super::harness::{Harness, all, trusted_clock, until, until_within};
use super::help_desk::HelpDesk;
use crate::support::harness::DEADLINE;

const UNLIMITED: usize = 1_000_000;

const NOBODY: &str = "type = \"smtp\"\nurl = \"smtp://127.0.0.1:1\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_released_request_is_delivered_immediately() {
    let harness = Harness::open(NOBODY).await;
    let workers = harness.start();
    let mut times = Vec::new();
    for number in 0..20 {
        let start = Instant::now();
        let request = harness.mail("it", number).await;
        until("delivered", async || {
            harness
                .in_state("it", RequestState::Delivered)
                .await
                .contains(&request)
        })
        .await;
        times.push(start.elapsed());
    }
    times.sort();
    println!(
        "from the message to its delivery: median {:?}",
        times[times.len() / 2]
    );
    // Without wakeups a worker polls once a minute; this limit is many times the usual duration, but much less.
    assert!(
        times[times.len() / 2] < Duration::from_secs(20),
        "{times:?}"
    );
    assert_eq!(harness.messages("Maildir").len(), 20);
    workers.drain().await;
}

/// Number of requests that are delivered to each of two destinations; more in `tests/run --long`.
fn many() -> usize {
    if std::env::var_os("VESTIBULE_LONG").is_some() {
        10_000
    } else {
        1000
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_destination_loses_nothing_and_delays_no_other() {
    let many = many();
    // Three of ten calls are answered with 500, half of them after the request was processed.
    let help_desk = HelpDesk::open(3, UNLIMITED).await;
    let harness = Harness::open(&format!("{}\nretry = [\"1s\"]", help_desk.destination())).await;
    let workers = harness.start();
    let mut requests = BTreeSet::new();
    for first in (0..many).step_by(50) {
        // Several arrive concurrently, so that they share transactions.
        let numbers: Vec<usize> = (first..many.min(first + 50)).collect();
        let mails = numbers.iter().map(|number| harness.mail("shop", *number));
        requests.extend(all(mails).await.iter().map(ToString::to_string));
        all(numbers.iter().map(|number| harness.mail("it", *number))).await;
    }
    let timeout = DEADLINE + Duration::from_millis(60 * u64::try_from(many).expect("few"));
    for portal in ["it", "shop"] {
        until_within(timeout, portal, async || {
            harness.count(portal, RequestState::Delivered).await == many
        })
        .await;
    }
    workers.drain().await;

    let posts = help_desk.whole_posts();
    let failed = posts.iter().filter(|post| !post.is_taken).count();
    assert!(failed > many / 4 && failed < many, "{failed} failures");
    // Each arrived, none is lost, and each retry has the same id.
    let had: Vec<&String> = posts
        .iter()
        .filter_map(|post| post.is_had.then_some(&post.id))
        .collect();
    let different: BTreeSet<&String> = had.iter().copied().collect();
    assert_eq!(different, requests.iter().collect());
    assert!(
        had.len() > many,
        "{} of {many} came again",
        had.len() - many
    );
    for post in &posts {
        let field = format!("X-Vestibule-Request: {}\r\n", post.id);
        assert!(String::from_utf8_lossy(&post.body).contains(&field));
    }
    assert_eq!(harness.messages("Maildir").len(), many);
}

#[test]
fn a_crash_before_the_record_repeats_under_the_same_id() {
    let here = Runtime::new().expect("a runtime");
    let (harness, help_desk) = here.block_on(async {
        let help_desk = HelpDesk::open(0, 0).await;
        (Harness::open(&help_desk.destination()).await, help_desk)
    });
    let request = here.block_on(harness.mail("shop", 1)).to_string();

    let daemon = Runtime::new().expect("a runtime");
    daemon.spawn(delivery::run(
        harness.config(),
        harness.store_again(),
        trusted_clock(),
        CancellationToken::new(),
    ));
    here.block_on(until("posted", async || help_desk.posts().len() == 1));
    // The help desk has processed it, but its answer is lost.
    daemon.shutdown_background();

    here.block_on(async {
        let workers = harness.start();
        until("posted again", async || help_desk.posts().len() == 2).await;
        help_desk.answer(2);
        until("delivered", async || {
            harness
                .in_state("shop", RequestState::Delivered)
                .await
                .len()
                == 1
        })
        .await;
        workers.drain().await;
    });
    let ids: Vec<String> = help_desk.posts().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [request.clone(), request]);
}

#[tokio::test]
async fn attempts_in_progress_are_finished_before_the_end() {
    let help_desk = HelpDesk::open(0, 0).await;
    let harness = Harness::open(&help_desk.destination()).await;
    let workers = harness.start();
    harness.mail("shop", 1).await;
    until("posted", async || help_desk.posts().len() == 1).await;
    workers.stop.cancel();
    harness.mail("shop", 2).await;
    help_desk.answer(1);
    workers.drain().await;
    assert_eq!(
        harness
            .in_state("shop", RequestState::Delivered)
            .await
            .len(),
        1
    );
    assert_eq!(
        harness.in_state("shop", RequestState::Released).await.len(),
        1
    );
}

#[tokio::test]
async fn a_paused_destination_waits_until_it_is_resumed() {
    let harness = Harness::open(NOBODY).await;
    let it = DestinationName::parse("it").expect("a name");
    let pause = async |paused| {
        harness
            .store
            .pause_destination(
                it.clone(),
                paused,
                Actor::operator("root", Interface::CommandLine),
                Timestamp::now(),
            )
            .await
            .expect("done");
    };
    pause(true).await;
    let workers = harness.start();
    harness.mail("it", 1).await;
    // Once the other destination has been tried, this one would have been tried, too.
    harness.mail("shop", 1).await;
    until("the other was tried", async || {
        let shop = harness.in_state("shop", RequestState::Released).await;
        let request = harness
            .store
            .request(shop[0])
            .await
            .expect("read")
            .expect("there");
        request.last_error.is_some()
    })
    .await;
    assert!(harness.messages("Maildir").is_empty());
    pause(false).await;
    until("delivered", async || harness.messages("Maildir").len() == 1).await;
    workers.drain().await;
}

#[tokio::test]
async fn temporary_failures_are_retried_by_the_schedule() {
    let harness = Harness::open(NOBODY).await;
    let begin = Timestamp::now();
    let workers = harness.start();
    let id = harness.mail("shop", 1).await;
    let mut request = None;
    until("tried", async || {
        request = harness.store.request(id).await.expect("read");
        request
            .as_ref()
            .is_some_and(|request| request.last_error.is_some())
    })
    .await;
    let request = request.expect("there");
    assert_eq!(
        (request.state, request.attempts),
        (RequestState::Released, 1)
    );
    assert!(
        request
            .last_error
            .is_some_and(|error| error.starts_with("connect: "))
    );
    // The delay is a minute from the attempt, which came after `begin`, plus up to a tenth.
    let due = request.next_attempt_at.expect("due");
    let (earliest, latest) = (59, 67);
    assert!(
        due >= begin + Duration::from_secs(earliest)
            && due <= Timestamp::now() + Duration::from_secs(latest),
        "{due}"
    );
    workers.drain().await;
}

#[tokio::test]
async fn a_new_configuration_is_followed() {
    let harness = Harness::open(NOBODY).await;
    let workers = harness.start();
    harness.mail("it", 1).await;
    until("delivered", async || harness.messages("Maildir").len() == 1).await;
    harness.reload("Elsewhere", NOBODY);
    // Until the old worker has stopped, either may claim a request.
    let mut number = 1;
    until("delivered elsewhere", async || {
        number += 1;
        harness.mail("it", number).await;
        !harness.messages("Elsewhere").is_empty()
    })
    .await;
    workers.drain().await;
    let delivered = harness.messages("Maildir").len() + harness.messages("Elsewhere").len();
    assert_eq!(
        harness.in_state("it", RequestState::Delivered).await.len(),
        delivered
    );
}

/// Claims of the new workers fail after they were recorded; the workers give back only their own.
#[tokio::test]
async fn a_reload_does_not_revoke_claims_of_attempts_in_progress() {
    let help_desk = HelpDesk::open(0, 0).await;
    let shop = help_desk.destination().replace("= 4", "= 1");
    let harness = Harness::open(&shop).await;
    let workers = harness.start();
    let first = harness.mail("shop", 1).await;
    until("posted", async || help_desk.posts().len() == 1).await;
    let second = harness.mail("shop", 2).await;
    let neighbour = rusqlite::Connection::open(harness.folder.path().join("vestibule.db"));
    let neighbour = neighbour.expect("the database");
    neighbour.busy_timeout(DEADLINE).expect("an option");
    let exchange = |from: &str, to: &str| {
        let sql = "UPDATE ledger SET envelope = replace(envelope, ?2, ?3) WHERE id = ?1";
        let id = second.to_bytes();
        let changed = neighbour.execute(sql, rusqlite::params![&id[..], from, to]);
        assert_eq!(changed.expect("changed"), 1);
    };
    exchange("reverse_path", "unreadable");

    harness.reload("Other", &shop);
    until("set aside", async || {
        let request = harness.store.request(second).await.expect("read");
        request.expect("there").state == RequestState::Failed
    })
    .await;
    assert_eq!(help_desk.posts().len(), 1, "the first is under way");
    exchange("unreadable", "reverse_path");
    let root = Actor::operator("root", Interface::CommandLine);
    let retried = harness.store.retry_request(second, root, Timestamp::now());
    retried.await.expect("retried");
    help_desk.answer(2);
    until("delivered", async || {
        harness
            .in_state("shop", RequestState::Delivered)
            .await
            .len()
            == 2
    })
    .await;
    workers.drain().await;
    let ids: Vec<String> = help_desk.posts().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [first.to_string(), second.to_string()]);
}

/// A reload resets the delay or the failures of a destination only if the destination was changed.
#[tokio::test]
async fn a_reload_leaves_a_destination_that_is_down_alone_unless_it_changed() {
    let help_desk = HelpDesk::open(0, UNLIMITED).await;
    help_desk.is_busy(true);
    let shop = help_desk.destination();
    let harness = Harness::open(&shop).await;
    let workers = harness.start();
    harness.mail("shop", 1).await;
    until("tried", async || {
        let released = harness.in_state("shop", RequestState::Released).await;
        let request = harness.store.request(released[0]).await.expect("read");
        request.expect("there").last_error.is_some()
    })
    .await;
    help_desk.is_busy(false);

    harness.reload("Other", &shop);
    harness.mail("shop", 2).await;
    // Checks that the workers of the new configuration are running.
    harness.mail("it", 1).await;
    until("by the new one", async || {
        harness.messages("Other").len() == 1
    })
    .await;
    harness.mail("it", 2).await;
    until("and again", async || harness.messages("Other").len() == 2).await;
    assert_eq!(help_desk.posts().len(), 1);

    harness.reload("Other", &shop.replace("\"5m\"", "\"6m\""));
    until("tried at once", async || {
        harness
            .in_state("shop", RequestState::Delivered)
            .await
            .len()
            == 1
    })
    .await;
    workers.drain().await;
}

/// The earlier worker of a destination that was changed finishes its attempts, but their failures say nothing about the
/// destination as it is now.
#[tokio::test]
async fn an_attempt_from_before_a_reload_does_not_record_that_the_changed_destination_waits() {
    let help_desk = HelpDesk::open(0, 0).await;
    help_desk.is_busy(true);
    let shop = help_desk.destination();
    let harness = Harness::open(&shop).await;
    let workers = harness.start();
    for number in 1..=3 {
        harness.mail("shop", number).await;
    }
    until("posted", async || help_desk.posts().len() == 3).await;

    harness.reload("Other", &shop.replace("\"5m\"", "\"6m\""));
    harness.mail("it", 1).await;
    until("by the new one", async || {
        harness.messages("Other").len() == 1
    })
    .await;
    help_desk.answer(1);
    until("recorded", async || {
        for request in harness.in_state("shop", RequestState::Released).await {
            let request = harness.store.request(request).await.expect("read");
            if request.expect("there").last_error.is_some() {
                return true;
            }
        }
        false
    })
    .await;
    assert_eq!(harness.store.down_destinations().await.expect("read"), []);
    help_desk.answer(2);
    workers.drain().await;
}
