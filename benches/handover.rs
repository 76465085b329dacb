//! Delivery: the time from the release of a request until it is in the Maildir, on an idle system, and
//! whether a failing destination slows another one down.
//!
//! `cargo bench --bench handover [-- --quick]`

#[expect(
    dead_code,
    reason = "shared with the integration tests, which uses all of it"
)]
#[path = "../tests/integration/delivery/harness.rs"]
mod harness;
#[expect(
    dead_code,
    reason = "shared with the integration tests, which uses all of it"
)]
#[path = "../tests/integration/delivery/help_desk.rs"]
mod help_desk;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use harness::{Harness, all, until_within};
use help_desk::HelpDesk;
use tokio::runtime::Runtime;
use vestibule::domain::{Actor, DestinationName, Interface, RequestState, Timestamp};

const PATIENCE: Duration = Duration::from_mins(10);

fn main() {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(latency(if is_quick { 50 } else { 500 }));
    runtime.block_on(beside_another(if is_quick { (2, 200) } else { (7, 2000) }));
}

/// Measures one request at a time, each released while the system is idle.
async fn latency(requests: usize) {
    let harness = Harness::open("type = \"maildir\"\npath = \"Elsewhere\"").await;
    let workers = harness.start();
    let new = harness.folder.path().join("Maildir/new");
    let mut times = Vec::with_capacity(requests);
    for number in 0..requests {
        // An external customer's request is released in the transaction that accepts it.
        let begin = Instant::now();
        let request = harness.mail("it", number).await;
        let committed = Instant::now();
        let released = committed.duration_since(begin);
        while !lies_in(&new, &request.to_string()) {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        times.push((committed.elapsed(), released));
        until_within(PATIENCE, "the record", async || {
            harness.count("it", RequestState::Delivered).await == number + 1
        })
        .await;
    }
    workers.drain().await;
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].0;
    let mut accepts: Vec<Duration> = times.iter().map(|(_, released)| *released).collect();
    accepts.sort_unstable();
    println!(
        "release to Maildir, {requests} requests: median {:.1?}, 90 % {:.1?}, 99 % {:.1?} \
         (the release itself, synced: median {:.1?})",
        at(50),
        at(90),
        at(99),
        accepts[accepts.len() / 2]
    );
}

fn lies_in(folder: &std::path::Path, request: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().contains(request))
}

/// Alternates rounds with each kind of other destination, so that other load of the machine affects all alike.
async fn beside_another((rounds, requests): (usize, usize)) {
    let others = ["well", "failing 30 %", "down"];
    let mut times = vec![Vec::new(); others.len()];
    for _ in 0..rounds {
        for (other, times) in others.iter().zip(&mut times) {
            times.push(round(other, requests).await);
        }
    }
    let mut medians = Vec::new();
    for (other, times) in others.iter().zip(&mut times) {
        times.sort_unstable();
        let median = times[times.len() / 2];
        medians.push(median);
        println!(
            "{requests} requests into a Maildir, the other destination {other}: {median:.1?}, \
             {:.0}/s, {:.2} of the time with a well one",
            f64::from(u32::try_from(requests).expect("few")) / median.as_secs_f64(),
            median.as_secs_f64() / medians[0].as_secs_f64()
        );
    }
}

/// Queues the same number of requests for each of two destinations. Returns the time until the Maildir has all of
/// its own.
async fn round(other: &str, requests: usize) -> Duration {
    let help_desk = HelpDesk::open(if other == "failing 30 %" { 3 } else { 0 }, 1_000_000).await;
    let shop = match other {
        "down" => "type = \"smtp\"\nurl = \"smtp://127.0.0.1:1\"".to_owned(),
        _ => format!("{}\nretry = [\"1s\"]", help_desk.destination()),
    };
    let harness = Harness::open(&shop).await;
    let [it, shop] = ["it", "shop"].map(|name| DestinationName::parse(name).expect("a name"));
    let pause = async |name: &DestinationName, paused| {
        let (by, now) = (
            Actor::operator("bench", Interface::CommandLine),
            Timestamp::now(),
        );
        let done = harness
            .store
            .pause_destination(name.clone(), paused, by, now);
        done.await.expect("done");
    };
    pause(&it, true).await;
    pause(&shop, true).await;
    let workers = harness.start();
    for first in (0..requests).step_by(100) {
        for portal in ["it", "shop"] {
            all((first..first + 100).map(|number| harness.mail(portal, number))).await;
        }
    }
    let begin = Instant::now();
    pause(&shop, false).await;
    pause(&it, false).await;
    until_within(PATIENCE, "the Maildir", async || {
        harness.count("it", RequestState::Delivered).await == requests
    })
    .await;
    let time = begin.elapsed();
    workers.drain().await;
    time
}
