use super::*;
use crate::domain::EmailAddress;
use crate::store::ledger::search_words::{MAX_WORDS, words_of};

/// Entries of a store, oldest first: their subjects and all words.
struct Recorded {
    mail: Mail,
    entries: Vec<(String, Vec<String>)>,
}

/// Random numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).expect("64 bits") % end
    }
}

const SYLLABLES: [&str; 6] = ["ba", "ser", "net", "vpn", "ti", "x_y"];

impl Recorded {
    /// Entries with words that all share, words that some share, words that came into use lately, and numbers.
    async fn new(many: usize) -> Self {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let mut mails = Vec::new();
        for n in 0..many {
            let from = format!(
                "{}.{n}@corp{}.example",
                SYLLABLES[dice.below(6)],
                dice.below(3)
            );
            let mut subject = format!("re INC{:05}", 10_000 + n);
            for _ in 0..3 {
                subject += " ";
                for _ in 0..=dice.below(2) {
                    subject += SYLLABLES[dice.below(6)];
                }
            }
            if n > many - many / 8 {
                subject += " late";
            }
            if n < many / 8 {
                subject += " early 100%";
            }
            if n % 97 == 5 {
                subject += " rare";
            }
            mails.push((from, subject));
        }
        let mail = Mail::new();
        let borrowed: Vec<_> = mails
            .iter()
            .map(|(from, subject)| (from.as_str(), subject.as_str()))
            .collect();
        mail.record(&borrowed).await;
        mail.index().await;
        let entries = mails.iter().map(|(from, subject)| {
            let sender = EmailAddress::parse(from).expect("an address");
            (
                subject.clone(),
                words_of(Some(&sender), None, Some(subject), MAX_WORDS),
            )
        });
        let entries = entries.collect();
        Self { mail, entries }
    }

    /// The expected hits, newest first: each entry is compared with the search text.
    fn expect(&self, search_text: &str, period: std::ops::Range<usize>) -> Vec<String> {
        let parts = parts_of(search_text);
        let has = |words: &[String]| {
            let is_in = |part: &String| words.iter().any(|word| word.contains(part.as_str()));
            parts.iter().all(is_in)
        };
        let entries = self.entries[period].iter().rev();
        let found = entries.filter(|(_, words)| !parts.is_empty() && has(words));
        found.map(|(subject, _)| subject.clone()).collect()
    }

    /// Finds all hits, one scan after another. Returns them with the number of scans.
    async fn find(&self, filter: &FindFilter, bounds: SearchBounds) -> (Vec<String>, usize) {
        let (mut filter, mut found, mut looks) = (filter.clone(), Vec::new(), 0);
        loop {
            let look = filter.clone();
            let listed = self
                .mail
                .store
                .read(move |tx| find_within(tx, &look, &bounds))
                .await;
            let listed = listed.expect("found");
            assert!(listed.rows.len() <= filter.page.limit);
            let subjects = listed.rows.into_iter().map(|entry| entry.facts.subject);
            found.extend(subjects.map(Option::unwrap_or_default));
            looks += 1;
            assert!(looks <= 2 * self.entries.len(), "it goes on");
            filter.page.after = listed.next;
            if filter.page.after.is_none() {
                return (found, looks);
            }
        }
    }
}

const TINY: SearchBounds = SearchBounds {
    words: 4,
    few: 3,
    read: 40,
    first_read: 8,
    compared: 30,
    first_compared: 4,
    first_width: 10,
};

#[tokio::test]
async fn a_search_is_exact_whatever_its_bounds() {
    let recorded = Recorded::new(400).await;
    let search_texts = [
        "re",
        "rare",
        "late",
        "early",
        "inc10111",
        "inc10",
        "111",
        "ti",
        "vpn ba",
        "vpn@corp1",
        "rare re",
        "late rare",
        "early rare",
        "late early",
        "re vpn net ser",
        "@corp1.example",
        "corp late",
        "x_y",
        "x_y ba",
        "100%",
        "nobody",
        "re nobody",
        "ser. 00",
        "INC1 serti",
    ];
    let day = |n: usize| {
        let n = i64::try_from(n).expect("small");
        Timestamp::from_millisecond(FIRST + n * Millis::MINUTE).ok()
    };
    let mut looks = [0; 3];
    for search_text in search_texts {
        for (since, until) in [(0, 400), (0, 60), (100, 130), (350, 400)] {
            for limit in [2, 50] {
                let filter = FindFilter {
                    search_text: search_text.to_owned(),
                    since: (since > 0).then(|| day(since + 1)).flatten(),
                    until: (until < 400).then(|| day(until + 1)).flatten(),
                    page: Page::first(limit),
                    ..FindFilter::default()
                };
                let expected = recorded.expect(search_text, since..until);
                let many = SearchBounds {
                    words: 1_000,
                    ..TINY
                };
                for (count, bounds) in looks.iter_mut().zip([TINY, many, SearchBounds::OF_A_SCAN]) {
                    let (found, looks) = recorded.find(&filter, bounds).await;
                    assert_eq!(
                        found, expected,
                        "{search_text} {since}..{until} {limit} {bounds:?}"
                    );
                    *count += looks;
                }
            }
        }
    }
    // Searches with smaller bounds needed more scans.
    assert!(looks[0] > looks[2] && looks[1] > looks[2], "{looks:?}");
}

#[tokio::test]
async fn a_part_of_a_sender_is_not_found_elsewhere() {
    let mail = Mail::new();
    mail.record(&[
        ("ann@corp.example", "one"),
        ("bob@corp.example", "ann"),
        ("Ann <cid@corp.example>", "two"),
        ("joanna@corp.example", "three"),
    ])
    .await;
    mail.index().await;
    let filter = FindFilter {
        sender: Some("Ann".to_owned()),
        ..FindFilter::default()
    };
    assert_eq!(mail.subjects(filter).await, ["three", "one"]);
}
