//! Runs: requests of one account and portal that a worker claims together arrive in order, whatever happens to the
//! daemon, the destination or one of the requests in between.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use vestibule::delivery;
use vestibule::domain::{Actor, DestinationName, Interface, RequestId, RequestState, Timestamp};

use super::harness::{Harness, trusted_clock, until};
use super::help_desk::HelpDesk;

const UNLIMITED: usize = 1_000_000;

/// Maximum requests of one run.
const OF_RUN: usize = 64;

/// Requests of one customer at `shop`.
async fn mails(harness: &Harness, count: usize) -> Vec<RequestId> {
    let mut requests = Vec::new();
    for number in 0..count {
        let from = "ann@customer.example".to_owned();
        requests.push(harness.mail_from(from, "shop", number).await);
    }
    requests
}

fn posted(help_desk: &HelpDesk) -> Vec<String> {
    help_desk.posts().into_iter().map(|(id, _)| id).collect()
}

fn ids(requests: &[RequestId]) -> Vec<String> {
    requests.iter().map(ToString::to_string).collect()
}

/// The ids in the order of their first occurrence.
fn firsts(posts: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let posts = posts.iter().filter(|id| seen.insert(id.as_str()));
    posts.cloned().collect()
}

async fn until_delivered(harness: &Harness, count: usize) {
    until("delivered", async || {
        harness.count("shop", RequestState::Delivered).await == count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_requests_of_one_sender_arrive_once_and_in_order() {
    let help_desk = HelpDesk::open(0, UNLIMITED).await;
    let harness = Harness::open(&help_desk.destination()).await;
    // Two full runs are queued, and more requests arrive meanwhile.
    let mut requests = mails(&harness, 2 * OF_RUN).await;
    let workers = harness.start();
    for number in requests.len()..requests.len() + 30 {
        let from = "ann@customer.example".to_owned();
        requests.push(harness.mail_from(from, "shop", number).await);
    }
    until_delivered(&harness, requests.len()).await;
    workers.drain().await;
    assert_eq!(posted(&help_desk), ids(&requests));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_in_between_keep_the_order() {
    let help_desk = HelpDesk::open(3, UNLIMITED).await;
    let harness = Harness::open(&format!("{}\nretry = [\"1s\"]", help_desk.destination())).await;
    let requests = mails(&harness, 15).await;
    let workers = harness.start();
    until_delivered(&harness, requests.len()).await;
    workers.drain().await;
    let posts = help_desk.posts();
    assert!(posts.len() > requests.len(), "nothing failed");
    let taken: Vec<_> = posts
        .iter()
        .filter_map(|(id, is_taken)| is_taken.then_some(id.clone()))
        .collect();
    // In the help desk's pseudo-random draws no request fails five times, after which later ones could overtake it.
    assert_eq!(taken, ids(&requests));
}

#[test]
fn a_crash_repeats_no_more_than_one_run_and_in_order() {
    const TAKEN: usize = 10;
    let here = Runtime::new().expect("a runtime");
    let (harness, help_desk) = here.block_on(async {
        let help_desk = HelpDesk::open(0, TAKEN).await;
        (Harness::open(&help_desk.destination()).await, help_desk)
    });
    let requests = here.block_on(mails(&harness, OF_RUN + 20));

    let daemon = Runtime::new().expect("a runtime");
    daemon.spawn(delivery::run(
        harness.config(),
        harness.store_again(),
        trusted_clock(),
        CancellationToken::new(),
    ));
    here.block_on(until("in the middle of a run", async || {
        help_desk.posts().len() == TAKEN + 1
    }));
    daemon.shutdown_background();

    here.block_on(async {
        let workers = harness.start();
        help_desk.answer(UNLIMITED);
        until_delivered(&harness, requests.len()).await;
        workers.drain().await;
    });
    let posts = posted(&help_desk);
    assert_eq!(firsts(&posts), ids(&requests));
    let before = posts.len() - requests.len();
    assert!(before <= OF_RUN, "{before} repeats");
    // After the crash each request is sent once, in order, beginning with the first whose delivery was not
    // recorded.
    let again = &posts[TAKEN + 1..];
    assert_eq!(again, &ids(&requests)[requests.len() - again.len()..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_discarded_while_the_first_of_its_run_hangs() {
    let help_desk = HelpDesk::open(0, 0).await;
    let harness = Harness::open(&help_desk.destination()).await;
    let requests = mails(&harness, 5).await;
    let workers = harness.start();
    until("posted", async || help_desk.posts().len() == 1).await;
    // At first it is claimed together with its run. Once the run takes too long, the remaining requests return to
    // the queue.
    until("discarded", async || {
        let by = Actor::operator("root", Interface::CommandLine);
        let discarded = harness
            .store
            .discard_request(requests[2], by, Timestamp::now());
        discarded.await.is_ok()
    })
    .await;
    assert_eq!(help_desk.posts().len(), 1, "the first still hangs");
    help_desk.answer(UNLIMITED);
    until_delivered(&harness, 4).await;
    workers.drain().await;
    let mut expected = ids(&requests);
    expected.remove(2);
    assert_eq!(posted(&help_desk), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_takes_effect_within_a_run() {
    let help_desk = HelpDesk::open(0, 3).await;
    let harness = Harness::open(&help_desk.destination()).await;
    let requests = mails(&harness, 20).await;
    let workers = harness.start();
    until("in the middle of a run", async || {
        help_desk.posts().len() == 4
    })
    .await;
    let pause = async |paused| {
        let shop = DestinationName::parse("shop").expect("a name");
        let by = Actor::operator("root", Interface::CommandLine);
        let done = harness
            .store
            .pause_destination(shop, paused, by, Timestamp::now());
        done.await.expect("done");
    };
    pause(true).await;
    help_desk.answer(UNLIMITED);
    until_delivered(&harness, 4).await;
    assert_eq!(help_desk.posts().len(), 4, "only the one in progress ended");
    pause(false).await;
    until_delivered(&harness, requests.len()).await;
    workers.drain().await;
    assert_eq!(posted(&help_desk), ids(&requests));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_content_fails_one_request_of_a_run() {
    let help_desk = HelpDesk::open(0, UNLIMITED).await;
    let harness = Harness::open(&help_desk.destination()).await;
    let requests = mails(&harness, 5).await;
    let path = harness.folder.path().join("vestibule.db");
    let database = rusqlite::Connection::open(path).expect("the database");
    let deleted = database.execute(
        "DELETE FROM content WHERE ledger =
             (SELECT ledger FROM request ORDER BY ledger LIMIT 1 OFFSET 2)",
        [],
    );
    assert_eq!(deleted.expect("deleted"), 1);
    let workers = harness.start();
    until_delivered(&harness, 4).await;
    workers.drain().await;
    let failed = harness.in_state("shop", RequestState::Failed).await;
    assert_eq!(failed, [requests[2]]);
    let mut expected = ids(&requests);
    expected.remove(2);
    assert_eq!(posted(&help_desk), expected);
}

/// A message content with one damaged page in the database.
struct DamagedContent {
    database: std::path::PathBuf,
    /// Position and former octets.
    page: u64,
    before: [u8; 4],
}

impl DamagedContent {
    /// Damages the page with this text, so that the content after it cannot be read.
    fn at(harness: &Harness, text: &str) -> Self {
        let database = harness.folder.path().join("vestibule.db");
        let connection = rusqlite::Connection::open(&database).expect("the database");
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .expect("all is in the file");
        let octets = std::fs::read(&database).expect("the database");
        let mut windows = octets.windows(text.len());
        let found = windows.position(|part| part == text.as_bytes());
        let page = found.expect("the text") / 4096 * 4096;
        let before = octets[page..page + 4].try_into().expect("four octets");
        let damaged = Self {
            database,
            page: page as u64,
            before,
        };
        // The number of the next page.
        damaged.write([0xff; 4]);
        damaged
    }

    fn repair(&self) {
        self.write(self.before);
    }

    fn write(&self, octets: [u8; 4]) {
        let file = std::fs::OpenOptions::new().write(true).open(&self.database);
        let file = file.expect("the database");
        file.write_all_at(&octets, self.page).expect("written");
    }
}

/// A text of this many lines, with a mark in one of them.
fn long_text(lines: usize, mark: &str, line: usize) -> String {
    let text = |n| if n == line { mark } else { "It is on fire." };
    let lines: Vec<_> = (0..lines).map(text).collect();
    format!("{}\r\n", lines.join("\r\n"))
}

/// Five requests of a customer at `shop`, the third with this text.
async fn five(harness: &Harness, who: &str, text: &str) -> Vec<RequestId> {
    let mut requests = Vec::new();
    let base = who.bytes().map(usize::from).sum::<usize>() * 10;
    for number in 0..5 {
        let text = if number == 2 {
            text
        } else {
            "It is on fire.\r\n"
        };
        let from = format!("{who}@customer.example");
        let sent = harness.mail_with_text(from, "shop", base + number, text);
        requests.push(sent.await);
    }
    requests
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_content_in_the_middle_of_a_run_keeps_the_order() {
    let help_desk = HelpDesk::open(0, UNLIMITED).await;
    let harness = Harness::open(&help_desk.destination()).await;
    let requests = five(&harness, "ann", &long_text(2000, "here it ends", 1000)).await;
    let damaged = DamagedContent::at(&harness, "here it ends");
    let workers = harness.start();
    until("the others before it are posted", async || {
        help_desk.posts().len() == 2
    })
    .await;
    damaged.repair();
    until_delivered(&harness, 5).await;
    workers.drain().await;
    assert_eq!(posted(&help_desk), ids(&requests));
}

/// A damaged content holds back the later requests of its account; a missing content fails only its own request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_and_missing_contents_in_the_middle_of_a_group_concern_their_accounts() {
    // Nothing is retried before the repair: after several failures, later requests could overtake.
    let shop = "type = \"maildir\"\npath = \"Shop\"\nretry = [\"1h\"]";
    let harness = Harness::open(shop).await;
    // The damage of the first is detected when it is claimed, that of the second when it is written.
    let ann = five(&harness, "ann", &long_text(2000, "here ann ends", 1000)).await;
    let bob = five(&harness, "bob", &long_text(20_000, "here bob ends", 10_000)).await;
    let eve = five(&harness, "eve", "It is on fire.\r\n").await;
    let database = rusqlite::Connection::open(harness.folder.path().join("vestibule.db"));
    let deleted = database.expect("the database").execute(
        "DELETE FROM content WHERE ledger = (SELECT n FROM ledger WHERE id = ?)",
        [eve[2].to_bytes().to_vec()],
    );
    assert_eq!(deleted.expect("deleted"), 1);
    let damaged = ["here ann ends", "here bob ends"].map(|text| DamagedContent::at(&harness, text));

    let workers = harness.start();
    until_delivered(&harness, 8).await;
    let mut expected: Vec<_> = [&ann[..2], &bob[..2], &eve[..2], &eve[3..]].concat();
    expected.sort_unstable();
    let mut delivered = harness.in_state("shop", RequestState::Delivered).await;
    delivered.sort_unstable();
    assert_eq!(delivered, expected);
    assert_eq!(harness.messages("Shop").len(), 8);
    let failed = harness.in_state("shop", RequestState::Failed).await;
    assert_eq!(failed, [eve[2]]);
    for id in [ann[2], bob[2]] {
        until("its failure is recorded", async || {
            let request = harness.store.request(id).await.expect("read");
            request.expect("there").last_error.is_some()
        })
        .await;
    }

    for damaged in &damaged {
        damaged.repair();
    }
    let by = Actor::operator("root", Interface::CommandLine);
    for id in [ann[2], bob[2]] {
        let retried = harness
            .store
            .retry_request(id, by.clone(), Timestamp::now());
        retried.await.expect("retried");
    }
    until_delivered(&harness, 14).await;
    workers.drain().await;
    assert_eq!(harness.messages("Shop").len(), 14);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_maildir_gets_the_requests_of_all_senders_once() {
    const SENDERS: usize = 30;
    const EACH: usize = 10;
    let help_desk = HelpDesk::open(0, 0).await;
    let harness = Harness::open(&help_desk.destination()).await;
    let mut requests = BTreeSet::new();
    for number in 0..SENDERS * EACH {
        let from = format!("customer{}@shop.example", number % SENDERS);
        requests.insert(harness.mail_from(from, "it", number).await.to_string());
    }
    let workers = harness.start();
    until("delivered", async || {
        harness.count("it", RequestState::Delivered).await == SENDERS * EACH
    })
    .await;
    workers.drain().await;
    let delivered: BTreeSet<String> = harness
        .messages("Maildir")
        .iter()
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            Some(name.split('.').nth(1)?.to_owned())
        })
        .collect();
    assert_eq!(delivered, requests);
    assert_eq!(harness.messages("Maildir").len(), SENDERS * EACH);
}
