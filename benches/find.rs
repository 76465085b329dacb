//! Search among a million entries: the time to the first page of hits, for each kind of query.
//!
//! `cargo bench --bench find [-- --quick] [--server]`. `--quick` has a thousand entries. `--server` also moves the
//! entries to a PostgreSQL server and runs the same queries there. `--folder=PATH` keeps the file in a folder, or
//! uses the file that is already there; `--url=URL` does the same with a schema of a server. The first run of a
//! query is reported separately: later ones find its part of the database in the page cache. Fails if a first run
//! takes longer than the promised tenth of a second.

#[path = "../tests/support/postgres.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod server;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use server::Server;
use ulid::Ulid;
use vestibule::config::PostgresServer;
use vestibule::domain::{Domain, Envelope, ReversePath, Timestamp, Verdict};
use vestibule::mail::{Identity, read};
use vestibule::store::{FindFilter, Location, Page, Store, transfer};

const PROMISED: Duration = Duration::from_millis(100);

/// Number of runs of each query.
const TIMES: usize = 3;

/// Time of the first message in milliseconds; each arrives a minute after the previous one.
const FIRST: i64 = 1_790_000_000_000;

fn main() -> ExitCode {
    let has = |option: &str| std::env::args().any(|argument| argument == option);
    let value_of = |option: &str| {
        let mut all = std::env::args();
        all.find_map(|argument| argument.strip_prefix(option).map(str::to_owned))
    };
    let messages = if has("--quick") { 1_000 } else { 1_000_000 };
    let own = tempfile::tempdir().expect("a folder");
    let folder = value_of("--folder=").map_or_else(|| own.path().to_owned(), PathBuf::from);
    let path = folder.join("vestibule.db");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if !path.exists() {
        runtime.block_on(fill(&path, messages));
    }
    let file = Location::from(path.as_path());
    let mut slow = runtime.block_on(measure(&file, messages));
    let server = has("--server").then(Server::start);
    let schema = server.as_ref().map(Server::schema);
    let url = schema.as_ref().map(|schema| schema.url.clone());
    if let Some(url) = url.or_else(|| value_of("--url=")) {
        let place = PostgresServer::parse(&url).expect("a URL");
        let place = Location::Server(Box::new(place));
        if Store::open_existing(place.clone()).is_err() {
            // A transfer closes its source, so a copy is moved.
            let copy = own.path().join("copy.db");
            std::fs::copy(&path, &copy).expect("copied");
            let began = Instant::now();
            let copy = Location::from(copy.as_path());
            transfer(&copy, &place, Timestamp::now(), |_, _| {}).expect("moved");
            println!("\nmoved to PostgreSQL in {:.0?}", began.elapsed());
        }
        if let Some((server, schema)) = server.as_ref().zip(schema) {
            // A server runs this by itself some time after a bulk load.
            server.run(&schema.name, "ANALYZE");
        }
        slow.extend(runtime.block_on(measure(&place, messages)));
    }
    if slow.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("slower than {PROMISED:?}: {}", slow.join(", "));
    ExitCode::FAILURE
}

/// Makes a store with that many entries, all of them indexed.
async fn fill(path: &Path, messages: i64) {
    let store = Store::open(path).expect("a database");
    let began = Instant::now();
    record(path, messages);
    println!("{messages} entries, recorded in {:.0?}", began.elapsed());
    let began = Instant::now();
    while store.index_entries(200).await.expect("indexed").more {}
    println!("indexed in {:.0?}", began.elapsed());
    store.close().await;
}

/// Runs the queries. Returns those whose first run took too long.
async fn measure(location: &Location, messages: i64) -> Vec<String> {
    let store = Store::open_existing(location.clone()).expect("a store");
    println!("\n| kind | query | hits | first | later |\n|---|---|---|---|---|");
    let mut slow = Vec::new();
    for (kind, filter) in searches(messages) {
        let search_text = filter.search_text.clone();
        let mut times = [Duration::ZERO; TIMES];
        let mut hits = String::new();
        for time in &mut times {
            let began = Instant::now();
            let found = store.find_entries(filter.clone()).await.expect("found");
            *time = began.elapsed();
            let more = if found.next.is_some() { ", more" } else { "" };
            hits = format!("{}{more}", found.rows.len());
        }
        let [first, .., later] = times.map(|time| format!("{:.1} ms", time.as_secs_f64() * 1000.0));
        println!("| {kind} | `{search_text}` | {hits} | {first} | {later} |");
        if times[0] > PROMISED {
            slow.push(format!("{kind} ({first})"));
        }
    }
    store.close().await;
    slow
}

/// Writes the entries that intake would have written.
fn record(path: &Path, messages: i64) {
    let mut connection = Connection::open(path).expect("opened");
    connection
        .execute_batch("PRAGMA synchronous = OFF;")
        .expect("set");
    let batch = connection.transaction().expect("begun");
    let mut insert = batch
        .prepare(
            "INSERT INTO ledger (n, id, received_at, portal, recipient, verdict, rule, revision,
                 copy_key, facts, envelope, standing)
             VALUES (?, ?, ?, 'it', 'it@corp.example', 'dropped', 3, 1, 0, ?, ?, '{}')",
        )
        .expect("a statement");
    let envelope = Envelope::of_file(ReversePath::Null);
    let own = Identity {
        hostname: Domain::parse("gate.corp.example").expect("a name"),
        authserv_id: None,
        spam: [].into(),
    };
    let raw = b"From: SENDER@corp.example\r\nSubject: SUBJECT\r\n\r\nHello.\r\n";
    let facts = serde_json::to_string(&read(raw, &envelope, &own)).expect("JSON");
    let envelope = serde_json::to_string(&envelope).expect("JSON");
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for n in 1..=messages {
        let (sender, subject) = message(&mut dice, n);
        let facts = facts
            .replace("SENDER@corp.example", &sender)
            .replace("SUBJECT", &subject);
        let (id, at) = (Ulid::generate().to_bytes(), FIRST + n * 60_000);
        insert
            .execute(params![n, id, at, facts, envelope])
            .expect("an entry");
    }
    drop(insert);
    batch
        .execute(
            "INSERT INTO day_count
                 SELECT received_at / 86400000 * 86400000, portal, verdict, rule, count(*)
                 FROM ledger GROUP BY 1, 2, 3, 4",
            [],
        )
        .expect("counted");
    batch
        .execute("UPDATE writer SET next_number = ?", [messages + 1])
        .expect("the next number");
    batch.commit().expect("committed");
}

/// Words that are in many subjects, the first in most.
const COMMON: [&str; 16] = [
    "re", "the", "not", "to", "for", "printer", "laptop", "password", "invoice", "screen",
    "network", "phone", "badge", "account", "access", "urgent",
];

const SYLLABLES: [&str; 32] = [
    "ba", "ser", "vic", "net", "lo", "gin", "mo", "ni", "tor", "ka", "bel", "do", "main", "vpn",
    "fi", "le", "share", "ti", "cket", "pro", "ject", "rou", "ter", "up", "da", "te", "mail",
    "box", "sap", "hr", "pay", "roll",
];

const NAMES: [&str; 20] = [
    "anna", "bernd", "carla", "david", "elena", "farid", "gina", "henri", "irina", "jonas", "kim",
    "laura", "mehmet", "nina", "olga", "paul", "rosa", "sven", "tara", "viktor",
];

/// Random numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).expect("small")]
    }
}

/// The word with a number among those made of syllables.
fn word(mut number: u64) -> String {
    let mut word = String::new();
    while word.is_empty() || number > 0 {
        word += SYLLABLES[usize::try_from(number % 32).expect("small")];
        number /= 32;
    }
    word
}

/// An address and a subject: a few common words, some of 2,000 less common and of 200,000 rare ones, and the number
/// of a ticket.
fn message(dice: &mut Dice, n: i64) -> (String, String) {
    let person = dice.below(60_000);
    let name = NAMES[usize::try_from(person % 20).expect("small")];
    let local = format!("{name}.{}{}", word(person / 20), person % 7);
    let domain = match person % 10 {
        0..=4 => "corp.example".to_owned(),
        5 | 6 => format!("{}.corp.example", word(person % 30)),
        _ => format!("{}.example", word(person % 2_000)),
    };
    let mut words = Vec::new();
    for (place, common) in COMMON.iter().enumerate() {
        if dice.below(4 + 2 * place as u64) == 0 {
            words.push((*common).to_owned());
        }
    }
    for _ in 0..2 {
        // Makes lower numbers more frequent.
        let bound = 1 + dice.below(2_000);
        words.push(word(dice.below(bound)));
    }
    if dice.below(3) == 0 {
        words.push(format!(
            "{}-{}",
            word(dice.below(200_000)),
            dice.one(&NAMES)
        ));
    }
    if dice.below(2) == 0 {
        words.push(format!("INC{:07}", 1_000_000 + n));
    }
    (format!("{local}@{domain}"), words.join(" "))
}

/// Queries of each kind.
fn searches(messages: i64) -> Vec<(&'static str, FindFilter)> {
    let rare = word(150_123);
    let filter = |search_text: &str| FindFilter {
        search_text: search_text.to_owned(),
        page: Page::first(50),
        ..FindFilter::default()
    };
    let at = |n: i64| Timestamp::from_millisecond(FIRST + n * 60_000).ok();
    let all = [
        ("most common word", "re".to_owned()),
        ("common word", "printer".to_owned()),
        ("middling word", word(700)),
        ("rare word", rare.clone()),
        (
            "number of a ticket",
            format!("inc{:07}", 1_000_000 + messages / 3),
        ),
        ("two common words", "printer urgent".to_owned()),
        ("common and middling word", format!("printer {}", word(700))),
        ("common and rare word", format!("printer {rare}")),
        (
            "two middling words",
            format!("{} {}", word(700), word(1_500)),
        ),
        ("three common words", "printer badge urgent".to_owned()),
        ("beginning of a common word", "prin".to_owned()),
        ("middle of many words", "serv".to_owned()),
        ("two characters in very many words", "ti".to_owned()),
        ("one character", "e".to_owned()),
        ("two parts of very many words", "ti xq".to_owned()),
        ("digits in very many words", "77".to_owned()),
        ("digits in many words", "777".to_owned()),
        ("digits in some words", "7771".to_owned()),
        ("name of a person", "mehmet".to_owned()),
        ("part of a local part", "mehmet.ser".to_owned()),
        ("part of an address", "mehmet.ser4@corp".to_owned()),
        ("domain of half", "@corp.example".to_owned()),
        ("part of a domain", "corp.exam".to_owned()),
        ("domain of few", format!("@{}.example", word(1_999))),
        (
            "domain of half and rare word",
            format!("@corp.example {rare}"),
        ),
        ("name and digits", "mehmet 77".to_owned()),
        ("no word", "zyzzyva".to_owned()),
        ("no hit for two common words", "printer zyzzyva".to_owned()),
    ];
    let mut all: Vec<_> = all
        .into_iter()
        .map(|(kind, search_text)| (kind, filter(&search_text)))
        .collect();
    for verdict in [Verdict::Dropped, Verdict::Accepted] {
        for (kind, search_text) in [
            ("common word, one verdict", "printer"),
            ("one character, one verdict", "e"),
        ] {
            let verdict = Some(verdict);
            all.push((
                kind,
                FindFilter {
                    verdict,
                    ..filter(search_text)
                },
            ));
        }
    }
    // Periods: the last fifth, a hundredth in the middle, and the first half.
    for (since, until) in [
        (at(messages / 5 * 4), None),
        (at(messages / 2), at(messages / 100 * 51)),
        (None, at(messages / 2)),
    ] {
        for (kind, search_text) in [
            ("common word, a period", "printer"),
            ("rare word, a period", rare.as_str()),
            ("two common words, a period", "printer urgent"),
            ("domain of half, a period", "@corp.example"),
            ("one character, a period", "e"),
            ("no word, a period", "zyzzyva"),
        ] {
            let period = FindFilter {
                since,
                until,
                ..filter(search_text)
            };
            all.push((kind, period));
        }
    }
    all
}
