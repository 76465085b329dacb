mod exact;
mod index;
mod period;

use super::*;
use crate::domain::{Domain, Envelope, LedgerId, ReversePath};
use crate::mail::{Identity, read as read_mail};
use crate::store::sql::sql_types::{Millis, json};

/// Midnight of the first message; each comes a minute after the one before.
const FIRST: i64 = 1_790_000_000_000;

struct Mail {
    store: Store,
    folder: tempfile::TempDir,
}

impl Mail {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            store: Store::open(&folder.path().join("vestibule.db")).expect("a store"),
            folder,
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
                // As if the entry had its number from here.
                while work.tx.next_number()? < n {}
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

    /// Subjects of the found entries.
    async fn find(&self, search_text: &str) -> Vec<String> {
        let filter = FindFilter {
            search_text: search_text.to_owned(),
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

fn insert(tx: &Tx, n: i64, from: &str, subject: &str) -> Result<()> {
    let raw = format!("From: {from}\r\nSubject: {subject}\r\n\r\nHello.\r\n");
    let envelope = Envelope::of_file(ReversePath::Null);
    let own = Identity {
        hostname: Domain::parse("gate.corp.example").expect("a name"),
        authserv_id: None,
        spam: [].into(),
    };
    let facts = read_mail(raw.as_bytes(), &envelope, &own);
    tx.run(
        "INSERT INTO ledger (n, id, received_at, portal, recipient, verdict, rule, revision,
             copy_key, facts, envelope, standing)
         VALUES (?1, ?2, ?3, 'it', 'it@corp.example', 'dropped', 3, 1, 0, ?4, ?5, '{}')",
        &[
            &n,
            &LedgerId::new(),
            &Millis(FIRST + n * Millis::MINUTE),
            &json(&facts)?,
            &json(&envelope)?,
        ],
    )?;
    tx.run(
        "INSERT INTO content (ledger, raw) VALUES (?, ?)",
        &[&n, &raw.into_bytes()],
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
    for (search_text, found) in [
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
        assert_eq!(mail.find(search_text).await, expected, "{search_text:?}");
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
        search_text: "order".to_owned(),
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
async fn any_part_of_a_long_word_is_found() {
    let mail = Mail::new();
    let long = "https://help.corp.example/tickets/view?number=4711&tab=history&sort=newest";
    let subject = format!("Fwd: {long}");
    mail.record(&[("ann@x.example", subject.as_str())]).await;
    mail.index().await;
    for length in [2, 9, 20, 32, 33, 40, 70] {
        for begin in 0..=long.len() - length {
            let part = &long[begin..begin + length];
            if parts_of(part).is_empty() {
                continue;
            }
            assert_eq!(mail.find(part).await, [subject.as_str()], "{part}");
        }
    }
}
