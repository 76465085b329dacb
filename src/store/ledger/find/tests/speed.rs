//! The time of a search among a million entries.
//!
//! An ordinary run has few entries and checks only that each kind of question is answered. With
//! `VESTIBULE_LONG=1` there are a million; a release build then checks the promised tenth of a second.

use std::time::{Duration, Instant};

use super::*;

const PROMISED: Duration = Duration::from_millis(100);

/// Tests are not optimized and do not have the machine for themselves.
const TOO_LONG: Duration = Duration::from_secs(20);

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

/// An address and a subject: a few words that everybody uses, some of 2,000 middling and of 200,000 rare
/// ones, and the number of a ticket.
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
        // The lower numbers more often.
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

async fn record(mail: &Mail, messages: i64) {
    let recorded = mail.store.write(move |work| {
        let tx = work.tx;
        insert(tx, 1, "SENDER@corp.example", "SUBJECT")?;
        let (facts, envelope): (String, String) =
            tx.one("SELECT facts, envelope FROM ledger WHERE n = 1", &[])?;
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        for n in 2..=messages {
            let (sender, subject) = message(&mut dice, n);
            let facts = facts
                .replace("SENDER@corp.example", &sender)
                .replace("SUBJECT", &subject);
            row(tx, n, &facts, &envelope)?;
        }
        Ok(())
    });
    recorded.await.expect("recorded");
}

/// Indexes all in one transaction.
async fn index(mail: &Mail) {
    let indexed = mail.store.write(|work| {
        while search_index::write(work.tx, search_index::next(work.tx, 200)?)?.more {}
        Ok(())
    });
    indexed.await.expect("indexed");
}

#[tokio::test]
async fn the_newest_hits_are_found_in_time() {
    let long = std::env::var_os("VESTIBULE_LONG").is_some();
    let messages: i64 = if long { 1_000_000 } else { 1_000 };
    let mail = Mail::new();
    let begin = Instant::now();
    record(&mail, messages).await;
    println!("{messages} messages: recorded in {:?}", begin.elapsed());
    let begin = Instant::now();
    index(&mail).await;
    println!(
        "indexed in {:?}, {} rows",
        begin.elapsed(),
        mail.rows().await
    );
    let (most, bound) = if long && !cfg!(debug_assertions) {
        (PROMISED, "promised")
    } else {
        (TOO_LONG, "not promised of this build")
    };
    let mut slow = Vec::new();
    for (kind, question, verdict) in questions(messages) {
        let filter = FindFilter {
            question: question.clone(),
            verdict,
            page: Page {
                limit: 50,
                after: None,
            },
            ..FindFilter::default()
        };
        let mut times = Vec::new();
        let mut hits = (0, false);
        for _ in 0..3 {
            let begin = Instant::now();
            let found = mail
                .store
                .find_entries(filter.clone())
                .await
                .expect("found");
            times.push(begin.elapsed());
            hits = (found.rows.len(), found.next.is_some());
        }
        println!(
            "{kind:34} {question:28} {:3} hits{} {:9.3?} {:9.3?}",
            hits.0,
            if hits.1 { ", more" } else { "      " },
            times[0],
            times[2],
        );
        if times[0] > most {
            slow.push((question, times[0]));
        }
    }
    assert!(slow.is_empty(), "{bound}: {most:?}, {slow:?}");
}

/// Questions of each kind.
fn questions(messages: i64) -> Vec<(&'static str, String, Option<Verdict>)> {
    let rare = word(150_123);
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
        .map(|(kind, question)| (kind, question, None))
        .collect();
    for verdict in [Verdict::Dropped, Verdict::Accepted] {
        all.push((
            "common word, one verdict",
            "printer".to_owned(),
            Some(verdict),
        ));
        all.push(("one character, one verdict", "e".to_owned(), Some(verdict)));
    }
    all
}
