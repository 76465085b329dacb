//! Cost of a large database: the same work on an empty one and on one with a million requests, in alternating
//! rounds, so that other load of the machine affects both.
//!
//! `cargo bench --bench growth [-- --quick] [--small] [PART…]`. The large database is built once, in the
//! target folder, and copied from there. Load comes from the example `load`; deliveries are paused, so that
//! only the measured work runs.

#[expect(
    dead_code,
    reason = "shared with the comparison with peers, which reports how long answers take"
)]
mod load;
#[path = "sample/mail.rs"]
mod sample;
mod seed;
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use load::Load;
use rusqlite::{Connection, OpenFlags};
use sample::Sender;
use seed::{CUSTOMERS, KEEP, Size};
use support::harness::{Harness, STANDARD};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use vestibule::domain::{
    Actor, DestinationName, EmailAddress, Interface, Timestamp, VerificationMethod,
};
use vestibule::store::{Choice, Store, VerificationOutcome};

/// Parts that can be measured: those on the command line, or all by default.
const PARTS: [&str; 4] = ["acceptance", "proofs", "housekeeping", "octets"];

/// Amount of work of each part.
struct Effort {
    rounds: usize,
    /// Messages of each round.
    messages: u32,
    accounts: usize,
    /// Messages of each size, for the growth of the file.
    growing: u32,
}

const WHOLE: Effort = Effort {
    rounds: 5,
    messages: 20_000,
    accounts: 100,
    growing: 10_000,
};

const QUICK: Effort = Effort {
    rounds: 3,
    messages: 5000,
    accounts: 30,
    growing: 2000,
};

/// A third of the entries have expired, and expired requests are deleted at once.
const FORGET: &str = "\n[retention]\nledger = \"60d\"\ndelivered_content = \"1s\"\n";

/// Holds that expire while housekeeping is measured: people, and held requests of each.
const EXPIRING: (usize, usize) = (500, 40);

/// Maximum age of a stored database; an older one is built again, because its holds would expire.
const FRESH: Duration = Duration::from_hours(7 * 24);

fn main() {
    // `cargo test --benches` runs this too, only to check that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let asks_for = |word: &str| std::env::args().any(|argument| argument == word);
    let parts: Vec<&str> = PARTS.into_iter().filter(|part| asks_for(part)).collect();
    let bench = Bench {
        load: Load::build(),
        runtime: Runtime::new().expect("a runtime"),
        effort: if asks_for("--quick") { QUICK } else { WHOLE },
        parts: if parts.is_empty() {
            PARTS.into()
        } else {
            parts
        },
    };
    let (name, size) = if asks_for("--small") {
        ("small", Size::SMALL)
    } else {
        ("large", Size::LARGE)
    };
    if bench.does("acceptance") || bench.does("proofs") || bench.does("housekeeping") {
        bench.compare(&database(name, &size), &size);
    }
    if bench.does("octets") {
        println!(
            "\n{:<44} {:>10} {:>10} {:>7}",
            "octets of the file per message", "found", "allowed", "ratio"
        );
        for octets in [1024, 5 * 1024, 100 * 1024] {
            bench.octets(octets);
        }
    }
}

/// The large database, kept for the next run.
fn database(name: &str, size: &Size) -> PathBuf {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("growth-{name}.db"));
    let age = std::fs::metadata(&kept).and_then(|kept| kept.modified());
    let is_fresh = age.is_ok_and(|made| made.elapsed().is_ok_and(|age| age < FRESH));
    if !is_fresh {
        eprintln!("making {}, which is kept for the next run", kept.display());
        let part = kept.with_extension("part");
        let _ = std::fs::remove_file(&part);
        seed::seed(&part, size, Timestamp::now());
        std::fs::rename(&part, &kept).expect("the database in its place");
    }
    kept
}

/// A daemon whose database `prepare` may provide.
fn harness(prepare: impl FnOnce(&Path)) -> Harness {
    let configuration = STANDARD.replace("partner.example", CUSTOMERS) + KEEP;
    Harness::start_with(&configuration, |folder| {
        let data = folder.join("data");
        std::fs::create_dir_all(&data).expect("the data folder");
        let path = data.join("vestibule.db");
        prepare(&path);
        Runtime::new().expect("a runtime").block_on(async {
            let store = Store::open(&path).expect("a database");
            let help_desk = DestinationName::parse("desk").expect("a name");
            store
                .pause_destination(
                    help_desk,
                    true,
                    Actor::operator("bench", Interface::CommandLine),
                    Timestamp::now(),
                )
                .await
                .expect("paused");
            store.close().await;
        });
    })
}

struct Bench {
    load: Load,
    runtime: Runtime,
    effort: Effort,
    parts: Vec<&'static str>,
}

impl Bench {
    fn does(&self, part: &str) -> bool {
        self.parts.contains(&part)
    }

    /// Runs all parts on both databases.
    fn compare(&self, file: &Path, size: &Size) {
        let mut empty = harness(|_| {});
        let mut large = harness(|path| {
            std::fs::copy(file, path).expect("room for a copy");
            // Otherwise the first sync during the measurement would write the whole copy.
            let copied = std::fs::File::open(path).expect("the copy");
            copied.sync_all().expect("synced");
        });
        println!(
            "{} requests, {} dropped, {} accounts against none; medians of {} rounds in turns",
            size.requests, size.dropped, size.accounts, self.effort.rounds
        );
        println!(
            "{:<44} {:>10} {:>10} {:>7} {:>8}",
            "", "empty", "large", "ratio", "target"
        );
        if self.does("acceptance") {
            self.acceptance(&empty, &large);
        }
        if self.does("proofs") {
            // The daemons stop: this process verifies in their place. Two processes that write would drop their
            // caches of pages after each commit of the other, and in use hardly anything but the daemon writes.
            empty.kill();
            large.kill();
            self.proofs(&empty, &large);
        }
        drop(empty);
        if self.does("housekeeping") {
            println!("\n{:<44} {:>10} {:>10}", "", "idle", "working");
            self.housekeeping(&mut large);
        }
    }

    /// Messages a second over 20 connections, from two thousand senders who are known after the first round.
    fn accept(&self, harness: &Harness, octets: u32, messages: u32) -> f64 {
        let [messages, octets] = [messages, octets].map(|number| number.to_string());
        let from = format!("bob%@{CUSTOMERS}");
        let who = ["--from", &from, "--senders", "2000"];
        let what = ["--messages", &messages, "--size", &octets];
        self.load.run(harness.smtp, &[who, what].concat()).rate
    }

    fn acceptance(&self, empty: &Harness, large: &Harness) {
        let harnesses = [empty, large];
        for harness in harnesses {
            self.accept(harness, 5 * 1024, 4000);
        }
        let rates =
            self.in_turns(|which| self.accept(harnesses[which], 5 * 1024, self.effort.messages));
        row(
            "messages accepted per second, 20 connections",
            rates,
            "≥ 0.90",
        );
    }

    /// The time from a verification until its ten requests are released and synced.
    fn proofs(&self, empty: &Harness, large: &Harness) {
        let stores = [empty, large]
            .map(|harness| Store::open(&harness.path("data/vestibule.db")).expect("the database"));
        let mut times = [Vec::new(), Vec::new()];
        for number in 0..self.effort.accounts {
            for (store, times) in stores.iter().zip(&mut times) {
                times.push(self.runtime.block_on(prove(store, number)));
            }
        }
        let rates = times.map(|mut times| {
            times.sort_unstable();
            1.0 / times[times.len() / 2].as_secs_f64()
        });
        row("accounts verified per second, one by one", rates, "≥ 0.95");
    }

    /// Rate of acceptance while holds expire and contents and entries are deleted, compared with the rate without
    /// that.
    fn housekeeping(&self, large: &mut Harness) {
        let mut rates = [Vec::new(), Vec::new()];
        let (mut done, mut left) = (0, 0);
        for round in 0..self.effort.rounds {
            let [resting, working] = &mut rates;
            large.kill();
            configure(large, KEEP);
            large.restart();
            self.accept(large, 5 * 1024, 2000);
            resting.push(self.accept(large, 5 * 1024, self.effort.messages));
            large.kill();
            self.runtime.block_on(hold(large, round));
            configure(large, FORGET);
            large.restart();
            self.accept(large, 5 * 1024, 2000);
            let before = due(large);
            working.push(self.accept(large, 5 * 1024, self.effort.messages));
            left = due(large);
            done += before - left;
        }
        row(
            "messages accepted per second, housekeeping",
            rates.map(median),
            "≥ 0.90",
        );
        println!(
            "{done} rows were expired or deleted during the run, and {left} were left at the end"
        );
    }

    /// Growth of the file per message, compared with the target: 1.2 times the message plus 2 KiB.
    fn octets(&self, octets: u32) {
        let mut harness = harness(|_| {});
        let messages = self.effort.growing.min(500 * 1024 * 1024 / octets);
        self.accept(&harness, octets, messages);
        harness.signal(support::harness::Signal::TERM);
        assert_eq!(harness.exit_status(), Some(0));
        let file = std::fs::metadata(harness.path("data/vestibule.db")).expect("the file");
        #[expect(clippy::cast_precision_loss, reason = "a size for people")]
        let found = file.len() as f64 / f64::from(messages);
        let allowed = 1.2 * f64::from(octets) + 2048.0;
        println!(
            "{:<44} {found:>10.0} {allowed:>10.0} {:>7.2}",
            format!("messages of {} KiB", octets / 1024),
            found / allowed
        );
    }

    /// Medians of alternating rounds on the first and on the second database.
    fn in_turns(&self, round: impl Fn(usize) -> f64) -> [f64; 2] {
        let mut found = [Vec::new(), Vec::new()];
        for _ in 0..self.effort.rounds {
            for (which, found) in found.iter_mut().enumerate() {
                found.push(round(which));
            }
        }
        found.map(median)
    }
}

fn row(what: &str, [first, second]: [f64; 2], target: &str) {
    println!(
        "{what:<44} {first:>10.0} {second:>10.0} {:>7.2} {target:>8}",
        second / first
    );
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Verifies a new sender with ten held requests; returns the duration of the verification.
async fn prove(store: &Store, number: usize) -> Duration {
    let config = sample::config();
    let address = format!("n{number}@corp.example");
    let mut sender = Sender::new(&config, &address);
    let mut mail = JoinSet::new();
    for _ in 0..10 {
        let (store, arrival) = (store.clone(), sender.next());
        mail.spawn(async move { store.accept(arrival).await.expect("held") });
    }
    mail.join_all().await;
    let address = EmailAddress::parse(&address).expect("an address");
    let account = store.customer(&address).await.expect("a look");
    let account = account.expect("an account").id;
    let method = VerificationMethod::Operator(Actor::operator("bench", Interface::CommandLine));
    let begin = Instant::now();
    let verification = store
        .verify_account(method, Some(account), Choice::All, Timestamp::now())
        .await
        .expect("verified");
    let took = begin.elapsed();
    let VerificationOutcome::Verified { released, .. } = verification else {
        panic!("the account was verified before");
    };
    assert_eq!(released.len(), 10);
    took
}

fn configure(harness: &Harness, retention: &str) {
    let text = STANDARD.replace("partner.example", CUSTOMERS) + retention;
    std::fs::write(harness.path("vestibule.toml"), text).expect("the configuration");
}

/// Requests whose sender is never verified, and that expire at once.
async fn hold(harness: &Harness, round: usize) {
    let mut config = sample::config();
    config.verification.hold_for = Duration::ZERO;
    let store = Store::open(&harness.path("data/vestibule.db")).expect("the database");
    let mut people = JoinSet::new();
    let (count, each) = EXPIRING;
    for number in 0..count {
        let mut sender = Sender::new(&config, &format!("e{round}-{number}@corp.example"));
        let store = store.clone();
        people.spawn(async move {
            for _ in 0..each {
                store.accept(sender.next()).await.expect("held");
            }
        });
    }
    people.join_all().await;
    store.close().await;
}

/// Rows that housekeeping still has to process.
fn due(harness: &Harness) -> i64 {
    let path = harness.path("data/vestibule.db");
    let database =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database");
    let now = Timestamp::now().as_millisecond();
    let count = |sql: &str, before: i64| -> i64 {
        database
            .query_row(sql, [before], |row| row.get(0))
            .expect("a count")
    };
    let held = "SELECT count(*) FROM request
         WHERE state = 'held' AND reminded IN (0, 1) AND due_at <= ?";
    let contents = "SELECT count(*) FROM request
         WHERE settled_at IS NOT NULL AND kept = 1 AND settled_at <= ?";
    let entries = "SELECT count(*) FROM ledger WHERE received_at < ?";
    let sixty_days_ago = now - 60 * 24 * 3600 * 1000;
    count(held, now) + count(contents, now - 1000) + count(entries, sixty_days_ago)
}
