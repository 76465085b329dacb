//! Capacity of shards: the throughput and cost of a store on its own PostgreSQL server, and the resulting needs of
//! 1, 10 and 1,000 organisations. Two real shards that run concurrently check that shards add up.
//!
//! `cargo bench --bench capacity [-- --quick]`. Fails if two shards at the same rate do not cost twice what one
//! does, within [`TOLERANCE`]. Both servers sync to the same disk.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "estimates"
)]

mod plan;
#[path = "../../tests/support/postgres.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod postgres;
#[path = "../sample/mail.rs"]
mod sample;
#[path = "../sample/server.rs"]
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plan::Costs;
use postgres::{Schema, Server};
use sample::{SIZE, Sender};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use vestibule::config::PostgresServer;
use vestibule::domain::Timestamp;
use vestibule::store::{LedgerFilter, Location, Page, Store};

/// Tolerated factor between the cost of two shards and twice that of one: they share the disk.
const TOLERANCE: f64 = 1.35;

/// Senders of each shard, all with an account.
const SENDERS: usize = 200;

/// Concurrent messages at the highest rate.
const AT_ONCE: usize = 64;

/// A store on a server of its own.
struct Shard {
    server: Server,
    schema: Schema,
}

/// Measurements of one run of a shard.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// Messages a second.
    rate: f64,
    /// Growth of the database per message.
    octets: f64,
    /// Syncs of the server's log a second.
    syncs: f64,
    connections: usize,
    /// Duration of an operator's queries in milliseconds: the overview's counts, and a page of the ledger.
    question: f64,
}

impl Shard {
    fn start() -> Self {
        let server = server::start_syncing();
        let schema = server.schema();
        let shard = Self { server, schema };
        // Creates its schema, and its senders' accounts.
        shard.run(None, Duration::from_secs(2));
        shard
    }

    fn ask(&self, sql: &str) -> f64 {
        let rows = self.server.run(&self.schema.name, sql);
        rows[0].parse().expect("a number")
    }

    fn place(&self) -> PostgresServer {
        PostgresServer::parse(&self.schema.url).expect("a place")
    }

    /// Connections that a node may open: for readers, the writer, and notifications.
    fn most_connections(&self) -> usize {
        let place = self.place();
        place.readers + place.long_readers + 2
    }

    /// Accepts mail for a time, at the given rate or at the highest possible.
    fn run(&self, rate: Option<f64>, time: Duration) -> Found {
        let octets = "SELECT pg_database_size(current_database())";
        let syncs = "SELECT wal_sync FROM pg_stat_wal";
        let before = (self.ask(octets), self.ask(syncs));
        let runtime = Runtime::new().expect("a runtime");
        let (taken, elapsed, connections, question) = runtime.block_on(self.feed(rate, time));
        drop(runtime);
        // The writer's session has ended, so the server has its statistics.
        self.server.run(&self.schema.name, "CHECKPOINT");
        let seconds = elapsed.as_secs_f64();
        Found {
            rate: taken as f64 / seconds,
            octets: (self.ask(octets) - before.0) / taken as f64,
            syncs: (self.ask(syncs) - before.1) / seconds,
            connections,
            question: question.as_secs_f64() * 1000.0,
        }
    }

    async fn feed(&self, rate: Option<f64>, time: Duration) -> (u64, Duration, usize, Duration) {
        let place = Location::Server(Box::new(self.place()));
        let store = Store::open(place).expect("a store");
        let config = sample::config();
        let seeded = store
            .seed_access(config.access.clone(), Timestamp::now())
            .await;
        seeded.expect("settings");
        // Makes the messages of each run unique.
        let run = Timestamp::now().as_millisecond();
        let mut people: Vec<_> = (0..SENDERS)
            .map(|n| Sender::new(&config, &format!("p{n}@partner.example")))
            .collect();
        let taken = Arc::new(AtomicU64::new(0));
        let places = Arc::new(Semaphore::new(rate.map_or(AT_ONCE, |_| 10_000)));
        let begin = Instant::now();
        let mut sending = JoinSet::new();
        for number in 0.. {
            if begin.elapsed() >= time {
                break;
            }
            if let Some(rate) = rate {
                let due = begin + Duration::from_secs_f64(f64::from(number) / rate);
                tokio::time::sleep_until(due.into()).await;
            }
            let place = places.clone().acquire_owned().await.expect("open");
            let mut arrival = people[number as usize % SENDERS].next();
            arrival.received_at = Timestamp::now();
            let id = arrival.facts.message_id.take().unwrap_or_default();
            arrival.facts.message_id = Some(format!("{run}.{id}"));
            let (store, taken) = (store.clone(), taken.clone());
            sending.spawn(async move {
                store.accept(arrival).await.expect("accepted");
                taken.fetch_add(1, Ordering::Relaxed);
                drop(place);
            });
            while sending.try_join_next().is_some_and(|sent| sent.is_ok()) {}
        }
        while let Some(sent) = sending.join_next().await {
            sent.expect("accepted");
        }
        let elapsed = begin.elapsed();
        let mut questions: Vec<_> = Vec::new();
        for _ in 0..21 {
            let begin = Instant::now();
            ask_overview(&store).await;
            questions.push(begin.elapsed());
        }
        questions.sort();
        let connections = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'vestibule {}'",
            self.schema.name
        );
        let connections = self.ask(&connections) as usize;
        store.close().await;
        (
            taken.load(Ordering::Relaxed),
            elapsed,
            connections,
            questions[10],
        )
    }
}

async fn ask_overview(store: &Store) {
    store.backlog().await.expect("counts");
    let since = Timestamp::now() - Duration::from_hours(24 * 30);
    store.by_day(since).await.expect("counts");
    let page = Page::first(100);
    let filter = LedgerFilter {
        page,
        ..LedgerFilter::default()
    };
    store.ledger(filter).await.expect("a page");
}

fn main() {
    // `cargo test --benches` runs this too, only to check that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let time = Duration::from_secs(if quick { 5 } else { 20 });
    let shards = [Shard::start(), Shard::start()];
    let [first, second] = &shards;
    let highest = first.run(None, time);
    let rate = (highest.rate / 5.0).floor();
    let alone = first.run(Some(rate), time);
    let both = |rate| {
        std::thread::scope(|scope| {
            let other = scope.spawn(move || second.run(rate, time));
            [first.run(rate, time), other.join().expect("a run")]
        })
    };
    let together = both(Some(rate));
    let saturated = both(None);

    println!(
        "{:<44} {:>10} {:>10} {:>10} {:>10}",
        "", "messages/s", "octets", "syncs/s", "query"
    );
    let show = |name: &str, found: &Found| {
        println!(
            "{name:<44} {:>10.0} {:>10.0} {:>10.0} {:>7.1} ms",
            found.rate, found.octets, found.syncs, found.question
        );
    };
    show("one shard, as fast as it can", &highest);
    show("one shard, a fifth of that", &alone);
    show("two shards, each a fifth: the first", &together[0]);
    show("two shards, each a fifth: the second", &together[1]);
    show("two shards, as fast as they can: the first", &saturated[0]);
    show("two shards, as fast as they can: the second", &saturated[1]);
    let most = first.most_connections();
    println!(
        "{} connections of a node, {most} at most\n",
        alone.connections
    );

    let sum = |value: fn(&Found) -> f64| together.iter().map(value).sum::<f64>();
    let mut wrong = false;
    println!(
        "{:<44} {:>10} {:>10} {:>10}",
        "two shards at a fifth", "model", "found", "ratio"
    );
    for (name, model, found) in [
        ("messages/s", 2.0 * rate, sum(|one| one.rate)),
        (
            "octets/s",
            2.0 * rate * alone.octets,
            sum(|one| one.rate * one.octets),
        ),
        ("syncs/s", 2.0 * alone.syncs, sum(|one| one.syncs)),
        (
            "connections",
            2.0 * alone.connections as f64,
            sum(|one| one.connections as f64),
        ),
    ] {
        let ratio = found / model;
        let is_off = !(1.0 / TOLERANCE..=TOLERANCE).contains(&ratio);
        wrong |= is_off;
        let mark = if is_off { "  OFF" } else { "" };
        println!("{name:<44} {model:>10.0} {found:>10.0} {ratio:>10.2}{mark}");
    }
    let total = saturated[0].rate + saturated[1].rate;
    println!(
        "{:<44} {:>10.0} {total:>10.0} {:>10.2}\n",
        "messages/s, as fast as they can, one machine",
        highest.rate,
        total / highest.rate
    );

    let costs = Costs {
        rate: highest.rate,
        entry: (alone.octets - SIZE as f64).max(0.0),
        syncs: alone.syncs / alone.rate,
        connections: most,
        question: alone.question,
    };
    plan::show(&costs);
    assert!(!wrong, "two shards do not cost what the model says");
}
