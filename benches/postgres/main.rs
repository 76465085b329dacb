//! Rate of 5 KiB messages that a store on PostgreSQL accepts durably, with one server on this machine: over its
//! socket, and with a millisecond added to each round trip.
//!
//! The two take turns, each in a new schema, and the median of the turns is shown. Only the ratio is meaningful on
//! another machine: `cargo bench --bench postgres [-- --quick]`.

mod delay;
#[path = "../../tests/support/postgres.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod postgres;
#[path = "../sample/mail.rs"]
mod sample;
#[path = "../sample/server.rs"]
mod server;

use std::time::{Duration, Instant};

use delay::DelayingProxy;
use sample::Sender;
use vestibule::config::PostgresServer;
use vestibule::domain::Timestamp;
use vestibule::store::{Location, Store};

/// Time added to each round trip.
const DELAY: Duration = Duration::from_millis(1);

/// Numbers of concurrent messages.
const WAITING: [usize; 2] = [20, 100];

/// Targets: messages a second, and the fraction of the measured rate that must remain with the delay.
const WANTED: (f64, f64) = (3000.0, 0.7);

fn main() {
    // `cargo test --benches` runs this too, only to check that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let (turns, messages) = if is_quick { (3, 1000) } else { (9, 4000) };
    let server = server::start_syncing();
    let proxy = DelayingProxy::start(server.folder.clone(), DELAY);
    println!(
        "{:>16} {:>10} {:>14} {:>7}   wanted: {} and × {}",
        "concurrent", "a second", "with 1 ms more", "×", WANTED.0, WANTED.1
    );
    for waiting in WAITING {
        let mut found = [Vec::new(), Vec::new()];
        for _ in 0..turns {
            let near = server.schema();
            found[0].push(measure(&near.url, waiting, messages));
            let far = server.schema();
            found[1].push(measure(&proxy.url(&far.name), waiting, messages));
        }
        let [near, far] = found.map(median);
        println!("{waiting:>16} {near:>10.0} {far:>14.0} {:>7.2}", far / near);
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Messages a second that a new store accepts from `waiting` concurrent senders.
fn measure(url: &str, waiting: usize, messages: usize) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let location: Location = PostgresServer::parse(url).expect(url).into();
    runtime.block_on(async {
        let opened = tokio::task::spawn_blocking(move || Store::open(&location)).await;
        let store = opened.expect("a thread").expect("a store");
        let config = sample::config();
        let seeded = store.seed_access(config.access.clone(), Timestamp::now());
        seeded.await.expect("settings");
        let mut senders: Vec<Sender> = (0..waiting)
            .map(|n| Sender::new(&config, &format!("p{n}@partner.example")))
            .collect();
        // The first message makes the account.
        for sender in &mut senders {
            store.accept(sender.next()).await.expect("accepted");
        }
        let begin = Instant::now();
        let mut sending = tokio::task::JoinSet::new();
        for mut sender in senders {
            let store = store.clone();
            sending.spawn(async move {
                for _ in 0..messages / waiting {
                    store.accept(sender.next()).await.expect("accepted");
                }
            });
        }
        sending.join_all().await;
        let elapsed = begin.elapsed();
        store.close().await;
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = messages as f64 / elapsed.as_secs_f64();
        rate
    })
}
