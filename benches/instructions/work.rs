//! The counted work: each kind does the same for a number of messages, one after the other.

use std::hint::black_box;
use std::path::Path;

use jiff::SignedDuration;
use tokio::runtime::Builder;
use vestibule::access::decide;
use vestibule::domain::{DestinationName, Timestamp};
use vestibule::mail::read;
use vestibule::store::{RunLimits, Settled, Settlement, Store};

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
    /// Claiming requests in runs, with their content.
    Claim,
    /// Claiming, and then recording that all were delivered.
    Settle,
}

/// Senders of the requests that are claimed, and requests of each: a run has all requests of one sender.
const SENDERS: usize = 100;
const OF_A_SENDER: usize = 8;

/// Runs that one round claims.
const RUNS: usize = 16;

impl Work {
    pub const ALL: [Self; 5] = [
        Self::Parse,
        Self::Decide,
        Self::Commit,
        Self::Claim,
        Self::Settle,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Decide => "decide",
            Self::Commit => "commit",
            Self::Claim => "claim",
            Self::Settle => "settle",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|work| work.name() == name)
    }

    /// Number of messages: enough that rare steps, such as a page split, happen often; few enough that no WAL
    /// checkpoint happens meanwhile.
    pub fn messages(self) -> u64 {
        match self {
            Self::Parse => 2000,
            Self::Decide => 20_000,
            Self::Commit => 200,
            Self::Claim | Self::Settle => 400,
        }
    }

    /// Prepares the initial state of the work in a folder; not counted.
    pub fn prepare(self, folder: &Path) {
        if matches!(self, Self::Claim | Self::Settle) {
            let messages = SENDERS * OF_A_SENDER;
            accept(folder, SENDERS, u64::try_from(messages).expect("few"));
        }
    }

    pub fn do_it(self, messages: u64, folder: &Path) {
        match self {
            Self::Parse => parse(messages),
            Self::Decide => decide_all(messages),
            Self::Commit => accept(folder, 20, messages),
            Self::Claim => deliver(folder, messages, false),
            Self::Settle => deliver(folder, messages, true),
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
        black_box(decide(black_box(&case.input())));
    }
}

fn accept(folder: &Path, senders: usize, messages: u64) {
    let config = sample::config();
    let mut people: Vec<Sender> = (0..senders)
        .map(|n| Sender::new(&config, &format!("p{n}@partner.example")))
        .collect();
    with_store(folder, async |store| {
        let settings = config.access.clone();
        store
            .seed_access(settings, Timestamp::now())
            .await
            .expect("settings");
        let whose = (0..people.len()).cycle();
        for (_, whose) in (0..messages).zip(whose) {
            store.accept(people[whose].next()).await.expect("accepted");
        }
    });
}

/// Claims this many requests, and settles them if `settles` is set.
fn deliver(folder: &Path, messages: u64, settles: bool) {
    let destination = DestinationName::parse("desk").expect("a name");
    let now = Timestamp::now();
    let lease_until = now + SignedDuration::from_mins(10);
    let limits = RunLimits {
        runs: RUNS,
        requests: OF_A_SENDER,
        octets: u64::MAX,
    };
    let nothing = RunLimits { runs: 0, ..limits };
    with_store(folder, async |store| {
        let mut claimed = Vec::new();
        while claimed.len() < to_usize(messages) {
            let left = (to_usize(messages) - claimed.len()) / OF_A_SENDER;
            let limits = RunLimits {
                runs: RUNS.min(left),
                ..limits
            };
            let portals = [sample::portal()];
            let round = store.settle_and_claim_deliveries(
                &destination,
                &portals,
                [],
                limits,
                lease_until,
                now,
            );
            let round = round.await.expect("a round");
            assert!(
                round.unread.is_none() && !round.runs.is_empty(),
                "{round:?}"
            );
            claimed.extend(round.runs.into_iter().flatten());
        }
        if !settles {
            return;
        }
        for some in claimed.chunks(RUNS * OF_A_SENDER) {
            let outcomes = some
                .iter()
                .map(|delivery| (&delivery.claim, Settlement::Delivered, now));
            let round =
                store.settle_and_claim_deliveries(&destination, &[], outcomes, nothing, now, now);
            let settled = round.await.expect("a round").settled;
            assert!(settled.iter().all(|one| *one == Settled::Recorded));
        }
    });
}

fn with_store(folder: &Path, work: impl AsyncFnOnce(&Store)) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(&folder.join("vestibule.db")).expect("a store");
        work(&store).await;
        store.close().await;
    });
}

fn to_usize(messages: u64) -> usize {
    usize::try_from(messages).expect("a number that fits")
}
