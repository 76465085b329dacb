//! Bursts of work from one cause: a thousand accounts verified at once, whose ten thousand requests go to a
//! Maildir, each a synced file; and thousands of verification mails at once, over SMTP.
//!
//! `cargo bench --bench fanout [-- --quick]`. The daemon is the one of this build; its database is filled
//! before it starts, so that nothing else runs meanwhile.

#[path = "peers/process.rs"]
mod process;
#[path = "sample/mail.rs"]
mod sample;
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use process::usage;
use rusqlite::{Connection, OpenFlags};
use sample::Sender;
use support::harness::{Harness, STANDARD};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use vestibule::domain::{Actor, EmailAddress, Interface, Timestamp, VerificationMethod};
use vestibule::store::{Choice, Store};

/// Number of people, of held requests of each, and of queued verification mails.
struct Crowd {
    accounts: usize,
    requests_each: usize,
    verification_mails: usize,
}

const WHOLE: Crowd = Crowd {
    accounts: 1000,
    requests_each: 10,
    verification_mails: 10_000,
};

const QUICK: Crowd = Crowd {
    accounts: 200,
    requests_each: 10,
    verification_mails: 2000,
};

/// Time limit, longer than a slow machine needs.
const DEADLINE: Duration = Duration::from_mins(5);

fn main() {
    // `cargo test --benches` runs this too, only to check that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let crowd = if quick { QUICK } else { WHOLE };
    println!(
        "{:<44} {:>8} {:>8} {:>10} {:>9} {:>9}",
        "fan-out", "count", "s", "per second", "target", "µs CPU"
    );
    release(&crowd);
    verification_mails(&crowd);
}

/// A measurement between two moments: the time, and the daemon's CPU time.
struct Watch {
    process: u32,
    begin: Instant,
    used: Duration,
}

impl Watch {
    fn start(harness: &Harness) -> Self {
        let process = harness.process();
        Self {
            process,
            begin: Instant::now(),
            used: usage(process).cpu,
        }
    }

    fn stop(&self) -> (Duration, Duration) {
        let used = usage(self.process).cpu.saturating_sub(self.used);
        (self.begin.elapsed(), used)
    }
}

fn row(what: &str, count: usize, (took, used): (Duration, Duration), target: Option<u32>) {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = count as f64 / took.as_secs_f64();
    let target = target.map_or_else(String::new, |target| format!("≥ {target}"));
    println!(
        "{what:<44} {count:>8} {:>8.2} {rate:>10.0} {target:>9} {:>9}",
        took.as_secs_f64(),
        used.as_micros() / count as u128
    );
}

/// A thousand verifications at once, and the delivery of the released requests into a Maildir.
fn release(crowd: &Crowd) {
    let requests = crowd.accounts * crowd.requests_each;
    let runtime = Runtime::new().expect("a runtime");
    // Verification mail is limited, so that only deliveries are measured.
    let quiet = format!("{STANDARD}\n[verification.limits]\ntotal_hour = 1\n");
    let harness = Harness::start_with(&quiet, |folder| {
        fill(folder, crowd.accounts, crowd.requests_each);
    });
    let store = Store::open(&harness.path("data/vestibule.db")).expect("the database");
    let look = look(&harness);

    let watch = Watch::start(&harness);
    runtime.block_on(async {
        let mut proofs = JoinSet::new();
        for number in 0..crowd.accounts {
            let store = store.clone();
            proofs.spawn(async move { prove(&store, &person(number)).await });
        }
        while let Some(done) = proofs.join_next().await {
            done.expect("no panic");
        }
    });
    let verified = watch.stop();
    let delivered = "SELECT count(*) FROM request WHERE state = 'delivered'";
    wait_until("the deliveries", || count(&look, delivered) == requests);
    let handed_over = watch.stop();
    assert_eq!(harness.files("desk/new").len(), requests);
    row(
        "accounts verified concurrently",
        crowd.accounts,
        verified,
        None,
    );
    row(
        "their requests in the Maildir and settled",
        requests,
        handed_over,
        Some(2000),
    );
}

async fn prove(store: &Store, address: &EmailAddress) {
    let account = store.customer(address).await.expect("a look");
    let account = account.expect("an account").id;
    store
        .verify_account(
            VerificationMethod::Operator(Actor::operator("ops", Interface::CommandLine)),
            Some(account),
            Choice::All,
            Timestamp::now(),
        )
        .await
        .expect("proved");
}

/// Verification mail that is queued when the daemon starts, to a server that accepts everything.
fn verification_mails(crowd: &Crowd) {
    let sink = Sink::start();
    let over_smtp = format!("type = \"smtp\"\nurl = \"smtp://{}\"", sink.address);
    let configuration = STANDARD.replace("type = \"file\"\ndir = \"letters\"", &over_smtp)
        + "\n[verification.limits]\nper_domain_hour = 1000000\ntotal_hour = 1000000\n";
    let harness = Harness::start_with(&configuration, |folder| {
        fill(folder, crowd.verification_mails, 1);
    });
    let watch = Watch::start(&harness);
    let look = look(&harness);
    let sent = "SELECT count(*) FROM letter WHERE state = 'sent'";
    let before = count(&look, sent);
    wait_until("the letters", || {
        count(&look, sent) == crowd.verification_mails
    });
    row(
        "verification mails sent and settled",
        crowd.verification_mails - before,
        watch.stop(),
        Some(1000),
    );
}

fn person(number: usize) -> EmailAddress {
    EmailAddress::parse(&format!("p{number}@corp.example")).expect("an address")
}

/// Adds held requests of this many people to a database that no daemon has open yet.
fn fill(folder: &Path, people: usize, requests_each: usize) {
    let data = folder.join("data");
    std::fs::create_dir_all(&data).expect("the data folder");
    let config = sample::config();
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(&data.join("vestibule.db")).expect("a database");
        store
            .seed_access(config.access.clone(), Timestamp::now())
            .await
            .expect("settings");
        let mut tasks = JoinSet::new();
        for number in 0..people {
            let mut sender = Sender::new(&config, &person(number).to_string());
            let store = store.clone();
            tasks.spawn(async move {
                for _ in 0..requests_each {
                    store.accept(sender.next()).await.expect("accepted");
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("no panic");
        }
        store.close().await;
    });
}

/// A read-only connection to the database.
fn look(harness: &Harness) -> Connection {
    let path = harness.path("data/vestibule.db");
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database")
}

fn count(look: &Connection, sql: &str) -> usize {
    look.query_row(sql, [], |row| row.get(0)).expect("a count")
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < DEADLINE, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Postfix's `smtp-sink`: accepts mail and discards it.
struct Sink {
    address: std::net::SocketAddr,
    process: Child,
}

impl Sink {
    fn start() -> Self {
        let address = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port");
        let process = Command::new("/usr/sbin/smtp-sink")
            // `smtp-sink` refuses to run as root.
            .args(["-u", "nobody", &address.to_string(), "500"])
            .stdout(Stdio::null())
            .spawn()
            .expect("smtp-sink is part of Debian's package postfix");
        support::harness::wait_for("smtp-sink's port", || {
            std::net::TcpStream::connect(address).ok()
        });
        Self { address, process }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
