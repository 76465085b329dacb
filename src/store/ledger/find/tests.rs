use std::time::{Duration, Instant};

use super::*;
use crate::domain::{Domain, Envelope, LedgerId, ReversePath};
use crate::mail::{Identity, read as read_mail};
use crate::store::sql::sql_types::{Millis, json};

/// Midnight of the first message; each comes a minute after the one before.
const FIRST: i64 = 1_790_000_000_000;

struct Mail {
    store: Store,
    _folder: tempfile::TempDir,
}

impl Mail {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            store: Store::open(&folder.path().join("vestibule.db")).expect("a store"),
            _folder: folder,
        }
    }

    /// Records messages as the ledger has them: From, and the subject.
    async fn record(&self, mails: &[(&str, &str)]) {
        let mails: Vec<_> = mails
            .iter()
            .map(|(from, subject)| ((*from).to_owned(), (*subject).to_owned()))
            .collect();
        let recorded = self.store.write(move |work| {
            for (n, (from, subject)) in (1..).zip(&mails) {
                insert(work.tx, n, from, subject)?;
            }
            Ok(())
        });
        recorded.await.expect("recorded");
    }

    async fn run(&self, sql: &'static str) {
        let ran = self.store.write(move |work| work.tx.run(sql, &[]));
        ran.await.expect(sql);
    }

    async fn index(&self) {
        while self.store.index_entries(100).await.expect("indexed").more {}
        assert_eq!(self.store.not_indexed().await.expect("counted"), 0);
    }

    /// Subjects of what is found.
    async fn find(&self, question: &str) -> Vec<String> {
        let filter = FindFilter {
            question: question.to_owned(),
            ..FindFilter::default()
        };
        self.subjects(filter).await
    }

    async fn subjects(&self, filter: FindFilter) -> Vec<String> {
        let found = self.store.find_entries(filter).await.expect("found");
        let rows = found.rows.into_iter();
        rows.map(|entry| entry.facts.subject.unwrap_or_default())
            .collect()
    }

    async fn words(&self) -> Vec<String> {
        let words = self
            .store
            .read(|tx| tx.all("SELECT word FROM search_word", &[]));
        words.await.expect("words")
    }

    /// Number of rows of the index.
    async fn rows(&self) -> i64 {
        let rows = self.store.read(|tx| {
            tx.one(
                "SELECT (SELECT count(*) FROM search_word) + (SELECT count(*) FROM search_ending)
                     + (SELECT count(*) FROM search_entry) + (SELECT count(*) FROM search_due)",
                &[],
            )
        });
        rows.await.expect("a count")
    }
}

fn insert(tx: &Tx, n: i64, from: &str, subject: &str) -> Result<(), StoreError> {
    let raw = format!("From: {from}\r\nSubject: {subject}\r\n\r\nHello.\r\n");
    let envelope = Envelope::of_file(ReversePath::Null);
    let own = Identity {
        hostname: Domain::parse("gate.corp.example").expect("a name"),
        authserv_id: None,
        spam: [].into(),
    };
    let facts = read_mail(raw.as_bytes(), &envelope, &own);
    row(tx, n, &json(&facts)?, &json(&envelope)?)?;
    tx.run(
        "INSERT INTO content (ledger, raw) VALUES (?, ?)",
        &[&n, &raw.into_bytes()],
    )?;
    Ok(())
}

fn row(tx: &Tx, n: i64, facts: &str, envelope: &str) -> Result<(), StoreError> {
    tx.run(
        "INSERT INTO ledger (n, id, received_at, portal, recipient, verdict, rule, revision,
             copy_key, facts, envelope, standing)
         VALUES (?1, ?2, ?3, 'it', 'it@corp.example', 'dropped', 3, 1, 0, ?4, ?5, '{}')",
        &[
            &n,
            &LedgerId::new(),
            &Millis(FIRST + n * Millis::MINUTE),
            &facts,
            &envelope,
        ],
    )?;
    Ok(())
}

const MAILS: &[(&str, &str)] = &[
    (
        "Anna Müller <anna.miller@corp.example>",
        "VPN drops every ten minutes",
    ),
    (
        "gil@partner.example",
        "Certificate of sftp.corp.example expires",
    ),
    (
        "\"Support, Tier 2\" <kim@berlin.corp.example>",
        "Re: VPN-Zugang (2.14)",
    ),
    (
        "ivo@acme.co",
        "100% <b>off</b> _everything_ 'now' 打印机坏了",
    ),
    ("=?utf-8?q?J=C3=BCrgen?= <j@x.example>", "vpn"),
];

#[tokio::test]
async fn a_part_of_an_address_a_name_or_the_subject_finds_a_message() {
    let mail = Mail::new();
    mail.record(MAILS).await;
    mail.index().await;
    for (question, found) in [
        ("vpn", &[4, 2, 0][..]),
        ("VPN  drop", &[0]),
        ("miller", &[0]),
        ("ILLE", &[0]),
        ("muller", &[0]),
        ("MÜLLER", &[0]),
        ("tier", &[2]),
        ("jurgen", &[4]),
        ("miller@corp", &[0]),
        ("@corp.example", &[0]),
        ("corp.example", &[2, 1, 0]),
        ("kim@", &[2]),
        ("vpn corp", &[2, 0]),
        ("vpn partner", &[]),
        ("2.14", &[2]),
        ("zugang", &[2]),
        ("印机", &[3]),
        ("100%", &[3]),
        ("%", &[]),
        ("_everything_", &[3]),
        ("'now'", &[3]),
        ("<b>off</b>", &[3]),
        ("\" OR 1=1 --", &[]),
        ("nobody", &[]),
        ("", &[]),
    ] {
        let expected: Vec<_> = found.iter().map(|place| MAILS[*place].1).collect();
        assert_eq!(mail.find(question).await, expected, "{question:?}");
    }
}

#[tokio::test]
async fn results_are_narrowed_and_paged() {
    let mail = Mail::new();
    let subjects: Vec<_> = (0..1000).map(|n| format!("order {n:04}")).collect();
    let mails: Vec<_> = subjects
        .iter()
        .map(|one| ("ann@corp.example", one.as_str()))
        .collect();
    mail.record(&mails).await;
    mail.index().await;
    let filter = FindFilter {
        question: "order".to_owned(),
        ..FindFilter::default()
    };
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = Page { limit: 300, after };
        let filter = FindFilter {
            page,
            ..filter.clone()
        };
        let found = mail.store.find_entries(filter).await.expect("found");
        pages.extend(
            found
                .rows
                .into_iter()
                .map(|entry| entry.facts.subject.expect("one")),
        );
        after = found.next;
        if after.is_none() {
            break;
        }
    }
    let mut newest_first = subjects.clone();
    newest_first.reverse();
    assert_eq!(pages, newest_first);

    let at = |n: i64| Timestamp::from_millisecond(FIRST + n * 60_000).expect("a time");
    let within = FindFilter {
        since: Some(at(100)),
        until: Some(at(103)),
        ..filter.clone()
    };
    assert_eq!(
        mail.subjects(within).await,
        ["order 0101", "order 0100", "order 0099"]
    );
    let accepted = FindFilter {
        verdict: Some(Verdict::Accepted),
        ..filter
    };
    assert_eq!(mail.subjects(accepted).await, Vec::<String>::new());
}

#[tokio::test]
async fn nothing_of_an_erased_entry_stays_in_the_index() {
    let mail = Mail::new();
    mail.record(MAILS).await;
    mail.index().await;
    assert!(mail.words().await.len() > 20);
    // As retention does.
    mail.run("DELETE FROM ledger WHERE n = 1").await;
    assert!(mail.find("miller").await.is_empty());
    assert_eq!(mail.find("vpn").await.len(), 2);
    // As forgetting a person does: rewritten, and indexed again.
    mail.run("DELETE FROM content WHERE ledger = 5").await;
    mail.run("UPDATE ledger SET facts = json_set(facts, '$.subject', 'other') WHERE n = 5")
        .await;
    assert_eq!(mail.find("vpn").await.len(), 1);
    mail.index().await;
    assert_eq!(mail.find("other").await, ["other"]);
    let words = mail.words().await;
    for gone in ["anna.miller@", "muller", "drops", "jurgen"] {
        assert!(!words.iter().any(|word| word == gone), "{words:?}");
    }
    mail.run("DELETE FROM ledger").await;
    mail.index().await;
    assert_eq!(mail.rows().await, 0);
}

/// Far more than the promised tenth of a second: tests are not optimized and do not have the machine for
/// themselves.
const TOO_LONG: Duration = Duration::from_secs(20);

const WORDS: [&str; 8] = [
    "printer", "laptop", "password", "invoice", "screen", "network", "phone", "badge",
];

/// An ordinary run has few messages, a long run a million.
#[tokio::test]
async fn the_newest_hits_are_found_in_time() {
    let long = std::env::var_os("VESTIBULE_LONG").is_some();
    let messages: i64 = if long { 1_000_000 } else { 1_000 };
    let mail = Mail::new();
    let recorded = mail.store.write(move |work| {
        let tx = work.tx;
        insert(tx, 1, "SENDER@corp.example", "SUBJECT")?;
        let (facts, envelope): (String, String) =
            tx.one("SELECT facts, envelope FROM ledger WHERE n = 1", &[])?;
        for n in 2..=messages {
            let mixed = n.wrapping_mul(2_654_435_761).rem_euclid(1 << 31);
            let word = WORDS[usize::try_from(mixed % 8).expect("small")];
            let sender = format!("{word}{}.person", mixed % 50_000);
            let subject = format!("{word} number {} is broken", mixed % 200_000);
            let facts = facts
                .replace("SENDER", &sender)
                .replace("SUBJECT", &subject);
            row(tx, n, &facts, &envelope)?;
        }
        Ok(())
    });
    recorded.await.expect("recorded");
    while mail
        .store
        .index_entries(10_000)
        .await
        .expect("indexed")
        .more
    {}
    for question in [
        "printer",
        "prin number",
        "corp.example broken",
        "e",
        "1",
        "laptop4711.person@corp",
        "laptop 4711",
        "invoice 19999",
        "printer laptop",
        "nothing",
    ] {
        let filter = FindFilter {
            question: question.to_owned(),
            page: Page {
                limit: 50,
                after: None,
            },
            ..FindFilter::default()
        };
        let begin = Instant::now();
        let found = mail.store.find_entries(filter).await.expect("found");
        let took = begin.elapsed();
        println!(
            "{messages} messages, {question:?}: {} in {took:?}",
            found.rows.len()
        );
        assert!(took < TOO_LONG, "{question}: {took:?}");
    }
}
