//! The page of a verification link under maximum load, alone and while mail arrives.
//!
//! `cargo bench --bench public_pages [-- --quick]`. The daemon is the one of this build; the client is `wrk`
//! (Debian's package of that name), which shares the same cores.

#[expect(
    dead_code,
    reason = "shared with the comparison with peers, which tells how long answers take"
)]
mod load;
#[path = "peers/process.rs"]
mod process;
#[path = "sample/mail.rs"]
mod sample;
#[path = "../tests/support/mod.rs"]
mod support;

use crate::support::turns::{claim_mail, settle_mail};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use load::Load;
use process::usage;
use sample::Sender;
use support::harness::{Harness, STANDARD};
use tokio::runtime::Runtime;
use vestibule::domain::{Timestamp, Token};
use vestibule::store::{MailOutcome, Store};

/// Held requests that the page shows.
const WAITING: usize = 3;

/// Enough that none of them has many requests in the queue.
const SENDERS: &str = "2000";

fn main() {
    // `cargo test --benches` runs this too, only to check that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let seconds: u32 = if quick { 3 } else { 15 };
    let load = Load::build();
    let token = Token::generate().expect("a token");
    let harness = Harness::start_with(STANDARD, |folder| fill(folder, &token));
    harness.json(&["deliveries", "pause", "desk"]);
    let page = format!("http://{}/verify/{}", harness.http, token.reveal());

    println!(
        "{:<44} {:>9} {:>14} {:>9} {:>9} {:>9}",
        "verify page", "a second", "target", "50 %", "99 %", "µs CPU"
    );
    // The first requests open connections and fill caches.
    ask(&harness, &page, 20, 1);
    row(
        "alone, 20 connections",
        &ask(&harness, &page, 20, seconds),
        "≥ 8000",
    );
    row(
        "alone, 100 connections",
        &ask(&harness, &page, 100, seconds),
        "",
    );

    let messages = if quick { "10000" } else { "40000" };
    let senders = ["--senders", SENDERS];
    // The first mail of each sender creates an account.
    load.run(
        harness.smtp,
        &[senders.as_slice(), &["--messages", "4000"]].concat(),
    );
    let whole = load.run(
        harness.smtp,
        &[senders.as_slice(), &["--messages", messages]].concat(),
    );
    let half = whole.rate / 2.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of messages"
    )]
    let enough = (half * f64::from(seconds + 3)) as u64;
    let mail = load.start(
        harness.smtp,
        &[
            senders.as_slice(),
            &[
                "--messages",
                &enough.to_string(),
                "--rate",
                &format!("{half:.0}"),
            ],
        ]
        .concat(),
    );
    // Some of the mail before, some after.
    std::thread::sleep(Duration::from_secs(1));
    let pages = ask(&harness, &page, 20, seconds);
    let kept_up = mail.report().rate;
    row(
        &format!("with {kept_up:.0} messages/s of {half:.0} wanted"),
        &pages,
        "99 %: ≤ 20 ms",
    );
    println!("\nmail alone, 20 connections: {:.0} messages/s", whole.rate);
}

/// Held requests, and the link to them.
fn fill(folder: &Path, token: &Token) {
    let data = folder.join("data");
    std::fs::create_dir_all(&data).expect("the data folder");
    let config = sample::config();
    let now = Timestamp::now();
    Runtime::new().expect("a runtime").block_on(async {
        let store = Store::open(&data.join("vestibule.db")).expect("a database");
        store
            .seed_access(config.access.clone(), now)
            .await
            .expect("settings");
        let mut ann = Sender::new(&config, "ann@corp.example");
        for _ in 0..WAITING {
            store.accept(ann.next()).await.expect("accepted");
        }
        let verification = &config.verification;
        let claimed = claim_mail(
            &store,
            vec![token.hash()],
            verification.limits,
            verification.token_ttl,
            Timestamp::now(),
        )
        .await;
        for verification_mail in claimed.verification_mails {
            settle_mail(
                &store,
                &verification_mail,
                MailOutcome::Sent,
                Timestamp::now(),
            )
            .await;
        }
        store.close().await;
    });
}

/// Results of wrk.
struct Answers {
    rate: f64,
    median: Duration,
    slowest: Duration,
    /// CPU time of the daemon for each answer, including its other work.
    cpu: Duration,
}

fn row(what: &str, answers: &Answers, target: &str) {
    println!(
        "{what:<44} {:>9.0} {target:>14} {:>6.1} ms {:>6.1} ms {:>9.0}",
        answers.rate,
        answers.median.as_secs_f64() * 1000.0,
        answers.slowest.as_secs_f64() * 1000.0,
        answers.cpu.as_secs_f64() * 1e6,
    );
}

fn ask(harness: &Harness, page: &str, connections: u32, seconds: u32) -> Answers {
    let before = usage(harness.process()).cpu;
    let output = Command::new("wrk")
        .args(["-t1", "--latency"])
        .args([format!("-c{connections}"), format!("-d{seconds}s")])
        .arg(page)
        .output()
        .expect("wrk is missing: install Debian's package wrk");
    let used = usage(harness.process()).cpu.saturating_sub(before);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && !said.contains("Non-2xx"),
        "wrk: {said}"
    );
    let after = |name: &str| {
        said.lines()
            .find_map(|line| line.trim().strip_prefix(name))
            .unwrap_or_else(|| panic!("{name} in: {said}"))
            .trim()
    };
    let count: u32 = said
        .lines()
        .find_map(|line| line.split_once(" requests in "))
        .and_then(|(count, _)| count.trim().parse().ok())
        .expect("the number of answers");
    Answers {
        cpu: used / count.max(1),
        rate: after("Requests/sec:").parse().expect("a rate"),
        median: time(after("50%")),
        slowest: time(after("99%")),
    }
}

/// Parses `1.21ms`, as wrk writes it.
fn time(text: &str) -> Duration {
    let number = text.trim_end_matches(char::is_alphabetic);
    let unit = match &text[number.len()..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        other => panic!("a unit of wrk: {other}"),
    };
    Duration::from_secs_f64(number.parse::<f64>().expect("a number") * unit)
}
