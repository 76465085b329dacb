//! The counted work: each kind does the same for a number of messages, one after the other.

use std::hint::black_box;

use tokio::runtime::Builder;
use vestibule::access::decide;
use vestibule::domain::Timestamp;
use vestibule::mail::read;
use vestibule::store::Store;

use crate::questions;
use crate::sample::{self, Sender};

#[derive(Clone, Copy)]
pub enum Work {
    /// Parsing a message into facts.
    Parse,
    /// Deciding questions of every kind.
    Decide,
    /// `Store::accept`, one at a time, of mail that is accepted, from facts to the synced answer.
    Commit,
}

impl Work {
    pub const ALL: [Self; 3] = [Self::Parse, Self::Decide, Self::Commit];

    pub fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Decide => "decide",
            Self::Commit => "commit",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|work| work.name() == name)
    }

    /// Enough that rare steps, such as a page split, happen often; few enough that no checkpoint of the
    /// database's log happens meanwhile.
    pub fn messages(self) -> u64 {
        match self {
            Self::Parse => 2000,
            Self::Decide => 20_000,
            Self::Commit => 400,
        }
    }

    pub fn do_it(self, messages: u64) {
        match self {
            Self::Parse => parse(messages),
            Self::Decide => decide_all(messages),
            Self::Commit => commit(messages),
        }
    }
}

fn parse(messages: u64) {
    let own = sample::identity();
    let from = "bob@partner.example";
    let envelope = sample::envelope(from);
    let raw = [
        "",
        "Auto-Submitted: auto-replied\r\n",
        "List-Id: <news.partner.example>\r\nPrecedence: list\r\n",
    ]
    .map(|fields| sample::message(from, fields));
    for raw in raw.iter().cycle().take(to_usize(messages)) {
        black_box(read(black_box(raw), &envelope, &own));
    }
}

fn decide_all(messages: u64) {
    let cases = questions::cases();
    for case in cases.iter().cycle().take(to_usize(messages)) {
        black_box(decide(black_box(&case.question())));
    }
}

fn commit(messages: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = sample::config();
    let mut people: Vec<Sender> = (0..20)
        .map(|n| Sender::new(&config, &format!("p{n}@partner.example")))
        .collect();
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(&folder.path().join("vestibule.db")).expect("a store");
        let settings = config.access.clone();
        store
            .seed_access(settings, Timestamp::now())
            .await
            .expect("settings");
        let whose = (0..people.len()).cycle();
        for (_, whose) in (0..messages).zip(whose) {
            store.accept(people[whose].next()).await.expect("accepted");
        }
        store.close().await;
    });
}

fn to_usize(messages: u64) -> usize {
    usize::try_from(messages).expect("a number that fits")
}
