//! The page of a verification link under maximum load, alone and while mail arrives.
//!
//! `cargo bench --bench public_pages [-- --quick] [--large]`. The daemon is the one of this build; the client is
//! `wrk` (Debian's package of that name), which shares the same cores. With `--large` the database has a million
//! requests, and a further row adds, beside the mail, four operators who simulate other settings over ninety days
//! without a pause.

#[expect(
    dead_code,
    reason = "shared with the comparison with peers, which reports how long answers take"
)]
mod load;
#[path = "peers/process.rs"]
mod process;
#[path = "sample/mail.rs"]
mod sample;
#[path = "seed/mod.rs"]
mod seed;
#[path = "../tests/support/mod.rs"]
mod support;

use crate::support::claims::{claim_mail, settle_mail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use load::Load;
use process::usage;
use sample::Sender;
use seed::{CUSTOMERS, KEEP, Size};
use support::harness::{Harness, STANDARD};
use tokio::runtime::Runtime;
use vestibule::domain::{DomainPattern, Timestamp, Token};
use vestibule::store::{KeyKind, MailOutcome, Store};

/// Held requests that the page shows.
const WAITING: usize = 3;

/// Number of senders: enough that none has many requests in the queue.
const SENDERS: &str = "2000";

/// Concurrent operators.
const OPERATORS: usize = 4;

fn main() {
    // `cargo test --benches` runs this too, only to check that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let seconds: u32 = if quick { 3 } else { 15 };
    let load = Load::build();
    let large = std::env::args().any(|argument| argument == "--large");
    let [token, key] = [(); 2].map(|()| Token::generate().expect("a token"));
    let configuration = STANDARD.replace("partner.example", CUSTOMERS) + KEEP;
    let harness = Harness::start_with(&configuration, |folder| {
        let data = folder.join("data");
        std::fs::create_dir_all(&data).expect("the data folder");
        let path = data.join("vestibule.db");
        if large {
            let size = if quick { Size::SMALL } else { Size::LARGE };
            seed::seed(&path, &size, Timestamp::now());
        }
        fill(&path, &token, &key);
    });
    harness.json(&["deliveries", "pause", "desk"]);
    let page = format!("http://{}/verify/{}", harness.http, token.reveal());

    println!(
        "{:<44} {:>10} {:>14} {:>9} {:>9} {:>9}",
        "verify page", "per second", "target", "50 %", "99 %", "µs CPU"
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
    let from = format!("bob%@{CUSTOMERS}");
    let senders = ["--from", &from, "--senders", SENDERS];
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
    let with_mail = |also: &str| {
        let (enough, rate) = (enough.to_string(), format!("{half:.0}"));
        let at_half = ["--messages", &enough, "--rate", &rate];
        let mail = load.start(harness.smtp, &[senders.as_slice(), &at_half].concat());
        // The mail begins before this measurement and ends after it.
        std::thread::sleep(Duration::from_secs(1));
        let pages = ask(&harness, &page, 20, seconds);
        let kept_up = mail.report().rate;
        let what = format!("with {kept_up:.0} messages/s of {half:.0} wanted{also}");
        row(&what, &pages, "99 %: ≤ 20 ms");
    };
    with_mail("");
    if large {
        let is_over = AtomicBool::new(false);
        let answered: usize = std::thread::scope(|scope| {
            let ask = || ask_without_pause(harness.admin, &key, &is_over);
            let operators = [(); OPERATORS].map(|()| scope.spawn(ask));
            with_mail(", and questions");
            is_over.store(true, Ordering::Relaxed);
            let each = operators.map(|operator| operator.join().expect("an operator"));
            each.into_iter().sum()
        });
        println!("questions answered to {OPERATORS} operators: {answered}");
    }
    println!("\nmail alone, 20 connections: {:.0} messages/s", whole.rate);
}

/// Simulates other settings, again and again. Returns the number of answers.
fn ask_without_pause(admin: SocketAddr, key: &Token, is_over: &AtomicBool) -> usize {
    let question = r#"{"settings": {"external.restrict_domains": false}, "since": "90d"}"#;
    let mut answers = 0;
    while !is_over.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(admin).expect("a connection");
        write!(
            stream,
            "POST /api/v1/access/simulate HTTP/1.1\r\nHost: {admin}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{question}",
            key.reveal(),
            question.len()
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answers += 1;
    }
    answers
}

/// Creates held requests, the link to them, and an operator with this key.
fn fill(path: &Path, token: &Token, key: &Token) {
    let config = sample::config();
    let now = Timestamp::now();
    Runtime::new().expect("a runtime").block_on(async {
        let store = Store::open(path).expect("a database");
        let mut settings = config.access.clone();
        let customers = DomainPattern::parse(CUSTOMERS).expect("a pattern");
        settings.site.external.allowed_domains = vec![customers].into();
        store.seed_access(settings, now).await.expect("settings");
        seed::make_key(&store, KeyKind::Token, key).await;
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
        "{what:<44} {:>10.0} {target:>14} {:>6.1} ms {:>6.1} ms {:>9.0}",
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
