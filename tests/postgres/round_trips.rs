//! Round trips between the store and the server: a number that does not depend on the load of the machine.

use jiff::SignedDuration;
use vestibule::config::PostgresServer;
use vestibule::domain::{DestinationName, EmailAddress, PortalName, Reason, Timestamp, Verdict};
use vestibule::store::{
    Arrival, ArrivalOutcome, Page, RequestFilter, RunLimits, Settled, Settlement, Store, backup,
};

use crate::held_transaction::Held;
use crate::pooler::Pooler;
use crate::proxy::Proxy;
use crate::store_harness::{accept, assert_sound, count, location, mail, open_seeded};
use crate::support::postgres::{Schema, server};

/// Accepts messages that wait for the lock together, so that at most two transactions take them all.
async fn accept_together(
    store: &Store,
    schema: &Schema,
    messages: Vec<(String, String)>,
) -> Vec<ArrivalOutcome> {
    let messages = messages.iter().map(|(from, id)| mail(from, id));
    accept_arrivals(store, schema, messages.collect()).await
}

async fn accept_arrivals(
    store: &Store,
    schema: &Schema,
    messages: Vec<Arrival>,
) -> Vec<ArrivalOutcome> {
    let lock = Held::lock(schema);
    let mut waiting = Vec::new();
    for message in messages {
        let store = store.clone();
        waiting.push(tokio::spawn(async move { store.accept(message).await }));
    }
    // This runtime has one thread, which runs each of them until it waits, some dozens at a time.
    for _ in 0..=waiting.len() / 30 {
        tokio::task::yield_now().await;
    }
    lock.end();
    let mut outcomes = Vec::new();
    for one in waiting {
        outcomes.extend(one.await.expect("no panic").expect("accepted"));
    }
    outcomes
}

/// Messages of so many senders in turn.
fn messages(senders: usize, count: usize, batch: &str) -> Vec<(String, String)> {
    let message = |number: usize| {
        let from = format!("p{}@partner.example", number % senders);
        (from, format!("{batch}{number}@x"))
    };
    (0..count).map(message).collect()
}

/// A store behind a proxy, with this number of messages of one sender.
async fn open_with(count: usize) -> (Schema, Proxy, Store) {
    let schema = server().schema();
    let proxy = Proxy::start(server().folder.clone());
    let store = open_seeded(&proxy.url(&schema.name)).await;
    for (from, id) in messages(1, count, "known") {
        accept(&store, &from, &id).await.expect("accepted");
    }
    (schema, proxy, store)
}

/// Round trips of a transaction: it begins, runs all queries of its messages, writes everything, and commits.
const OF_A_TRANSACTION: usize = 4;

/// Rows of a statement that is sent while later messages are decided: `MAX_ROWS` of `store/postgres/insert_batches.rs`.
/// The store does not wait for its answer, but the proxy counts it.
const MAX_ROWS: usize = 16;

#[tokio::test]
async fn a_batch_takes_as_many_round_trips_as_a_message() {
    let schema = server().schema();
    let proxy = Proxy::start(server().folder.clone());
    let store = open_seeded(&proxy.url(&schema.name)).await;
    for senders in [20, 1] {
        for (from, id) in messages(senders, senders, &format!("first{senders}-")) {
            accept(&store, &from, &id).await.expect("accepted");
        }
        for count in [1, 60] {
            let [trips_before, commits_before] = proxy.counts();
            let batch = messages(senders, count, &format!("{count}of{senders}-"));
            let outcomes = accept_together(&store, &schema, batch).await;
            let [trips, commits] = proxy.counts();
            let (trips, commits) = (trips - trips_before, commits - commits_before);
            assert!(outcomes.iter().all(|one| one.verdict == Verdict::Accepted));
            // A transaction ends after a second, on a slow machine before all messages are in it.
            assert!(commits <= 20, "{commits} transactions");
            assert!(
                trips <= OF_A_TRANSACTION * commits + count / MAX_ROWS,
                "{trips} round trips of {count} messages in {commits} transactions"
            );
        }
    }
    assert_sound(&store).await;
}

/// The server answers prefetched queries while more of them arrive, and the answers are read when all are sent.
/// Copies of messages with long subjects have long answers, which fill the buffers on the way.
#[tokio::test]
async fn prefetched_queries_and_long_results_fit_into_the_buffers_even_behind_a_pooler() {
    let pooler = Pooler::start();
    // More queries than one prefetch takes: by number, and by the octets of unnamed statements.
    for (is_pooled, count) in [(false, 150), (true, 500)] {
        let schema = server().schema();
        let seeded = open_seeded(&schema.url).await;
        let url = if is_pooled {
            pooler.url_of_socket(&schema.name)
        } else {
            schema.url.clone()
        };
        let mut place = PostgresServer::parse(&url).expect("a place");
        place.pooler = is_pooled;
        let opened = tokio::task::spawn_blocking(move || Store::open(place)).await;
        let store = opened.expect("a thread").expect("a store");
        let mails = || {
            let messages = messages(count, count, "long").into_iter();
            let mails = messages.map(|(from, id)| {
                let mut mail = mail(&from, &id);
                mail.facts.subject = Some("s".repeat(20_000));
                mail
            });
            mails.collect()
        };
        accept_arrivals(&store, &schema, mails()).await;
        let copies = accept_arrivals(&store, &schema, mails()).await;
        assert!(copies.iter().all(|one| one.reason == Reason::Duplicate));
        // After a failure each message has its own savepoint, and so its own transaction id. The first message is
        // alone, too.
        let sql = "SELECT count(*) FROM (SELECT 1 FROM ledger GROUP BY xmin::text HAVING count(*) = 1) AS alone";
        let alone: usize = server().run(&schema.name, sql)[0]
            .parse()
            .expect("a number");
        assert!(alone < 10, "{alone} of {}", 2 * count);
        assert_sound(&seeded).await;
    }
}

/// Most of the server's work for a small row is per statement, so rows share statements.
#[tokio::test]
async fn the_rows_of_a_batch_are_inserted_by_few_statements() {
    let schema = server().schema();
    let store = open_seeded(&schema.url).await;
    let run = |sql: &str| server().run(&schema.name, sql);
    for senders in [60, 1] {
        for (from, id) in messages(senders, senders, &format!("first{senders}-")) {
            accept(&store, &from, &id).await.expect("accepted");
        }
        let known: i64 = run("SELECT max(n) FROM ledger")[0]
            .parse()
            .expect("a number");
        accept_together(
            &store,
            &schema,
            messages(senders, 60, &format!("of{senders}-")),
        )
        .await;
        for (table, number) in [
            ("ledger", "n"),
            ("content", "ledger"),
            ("request", "ledger"),
        ] {
            let statements = format!(
                "SELECT count(*), count(DISTINCT (xmin::text, cmin::text)) <= 30
                 FROM {table} WHERE {number} > {known}"
            );
            assert_eq!(run(&statements), ["60|t"], "{table} of {senders} senders");
        }
    }
    let counted = "SELECT sum(messages) = (SELECT count(*) FROM ledger) FROM day_count";
    assert_eq!(run(counted), ["t"]);
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_run_is_settled_in_as_many_round_trips_as_a_request() {
    let (schema, proxy, store) = open_with(122).await;
    let desk = DestinationName::parse("desk").expect("a name");
    let portals = [PortalName::parse("it").expect("a name")];
    let now = Timestamp::now();
    let lease_until = now + SignedDuration::from_hours(1);
    let mut trips = Vec::new();
    for requests in [1, 60, 1, 60] {
        let limits = RunLimits {
            runs: 1,
            requests,
            octets: u64::MAX,
        };
        let round =
            store.settle_and_claim_deliveries(&desk, &portals, [], limits, lease_until, now);
        let run = round.await.expect("claimed").runs.concat();
        assert_eq!(run.len(), requests);
        let [before, commits_before] = proxy.counts();
        let outcomes = run
            .iter()
            .map(|delivery| (&delivery.claim, Settlement::Delivered, now));
        let nothing = RunLimits { runs: 0, ..limits };
        let round =
            store.settle_and_claim_deliveries(&desk, &portals, outcomes, nothing, lease_until, now);
        let settled = round.await.expect("settled").settled;
        let [after, commits] = proxy.counts();
        assert_eq!(settled, vec![Settled::Recorded; requests]);
        assert_eq!(commits - commits_before, 1);
        trips.push(after - before);
    }
    assert_eq!(trips[0], trips[1], "{trips:?}");
    assert_eq!(trips[2], trips[3], "{trips:?}");
    let delivered = "SELECT count(*) FROM request WHERE state = 'delivered'";
    assert_eq!(server().run(&schema.name, delivered), ["122"]);
    assert_sound(&store).await;
}

/// A list that is saved has up to ten thousand requests.
#[tokio::test]
async fn a_list_of_requests_takes_few_round_trips() {
    let (_schema, proxy, store) = open_with(60).await;
    let filter = RequestFilter {
        page: Page::first(60),
        ..RequestFilter::default()
    };
    let [before, _] = proxy.counts();
    let listed = store.requests(filter).await.expect("read");
    let [after, _] = proxy.counts();
    assert_eq!(listed.rows.len(), 60);
    assert!(after - before < 30, "{} round trips", after - before);
}

/// Anybody can send any number of messages under one address.
#[tokio::test]
async fn the_data_of_a_person_takes_few_round_trips() {
    let (_schema, proxy, store) = open_with(60).await;
    let person = EmailAddress::parse("p0@partner.example").expect("an address");
    let [before, _] = proxy.counts();
    let holdings = store.holdings(person.clone()).await.expect("read");
    let entries = store.entries_by(person.clone()).await.expect("read");
    let requests = store.requests_of(person.clone()).await.expect("read");
    store.events_about(person.clone()).await.expect("read");
    store.search_words_of(person).await.expect("read");
    let [after, _] = proxy.counts();
    assert_eq!((holdings.entries, holdings.contents), (60, 60));
    assert_eq!((entries.len(), requests.len()), (60, 60));
    assert!(after - before < 100, "{} round trips", after - before);
}

/// A prefetched result is discarded if an earlier operation of the batch changes it.
#[tokio::test]
async fn messages_of_one_batch_see_each_other() {
    let schema = server().schema();
    let store = open_seeded(&schema.url).await;
    let mut batch = Vec::new();
    for number in 0..60 {
        // Each sender is new, writes twice, and the MTA repeats the first message.
        for (kind, host) in [("a", "partner.example"), ("b", "corp.example")] {
            let from = format!("{kind}{number}@{host}");
            for id in ["first", "second", "first"] {
                batch.push((from.clone(), format!("{id}.{from}")));
            }
        }
    }
    let outcomes = accept_together(&store, &schema, batch.clone()).await;
    for (three, sent) in outcomes.chunks(3).zip(batch.chunks(3)) {
        let [first, second, repeated] = three else {
            panic!("three messages");
        };
        assert!(first.account_created && !second.account_created, "{sent:?}");
        assert_eq!(
            second.account.map(|(id, _)| id),
            first.account.map(|(id, _)| id)
        );
        assert_eq!(repeated.reason, Reason::Duplicate, "{sent:?}");
        assert!(repeated.request.is_none());
    }
    let run = |sql: &str| server().run(&schema.name, sql);
    assert_eq!(run("SELECT count(*) FROM account"), ["120"]);
    assert_eq!(run("SELECT count(*) FROM request"), ["240"]);
    // Only the first request of each sender at the portal is due.
    let due = "SELECT count(*), count(due_at) FROM request WHERE state = 'released'";
    assert_eq!(run(due), ["120|60"]);
    assert_eq!(run("SELECT count(*) FROM letter"), ["60"]);
    assert_sound(&store).await;
}

/// A deferred statement that fails affects only its own message.
#[tokio::test]
async fn a_deferred_statement_that_fails_affects_only_its_message() {
    let schema = server().schema();
    let store = open_seeded(&schema.url).await;
    accept(&store, "p0@partner.example", "known@x")
        .await
        .expect("accepted");
    let run = |sql: &str| server().run(&schema.name, sql);
    run("ALTER TABLE content ADD CONSTRAINT no_bad CHECK (position('bad'::bytea IN raw) = 0)");
    let lock = Held::lock(&schema);
    let mut waiting = Vec::new();
    for number in 0..30 {
        let store = store.clone();
        let id = match number % 10 {
            7 => format!("bad{number}@x"),
            _ => format!("good{number}@x"),
        };
        waiting.push(tokio::spawn(async move {
            let outcome = accept(&store, "p0@partner.example", &id).await;
            (outcome, id)
        }));
    }
    tokio::task::yield_now().await;
    lock.end();
    for one in waiting {
        let (outcome, id) = one.await.expect("no panic");
        assert_eq!(outcome.is_ok(), id.starts_with("good"), "{id}: {outcome:?}");
        assert_eq!(count(&schema, &id), usize::from(outcome.is_ok()), "{id}");
    }
    accept(&store, "p0@partner.example", "after@x")
        .await
        .expect("accepted");
    assert_sound(&store).await;
}

/// `smtp.max_message_size` may be much larger than its default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_message_is_read_as_a_whole_and_copied() {
    let schema = server().schema();
    let store = open_seeded(&schema.url).await;
    let mut large = mail("ann@corp.example", "large@x");
    large.raw.resize(65 << 20, b'x');
    let raw = large.raw.clone();
    let outcomes = store.accept(large).await.expect("accepted");
    let read = store.raw(outcomes[0].ledger).await.expect("read");
    assert!(read.is_some_and(|read| read == raw), "other octets");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("backup.db");
    backup(&location(&schema.url), &file, |_, _| {}).expect("copied");
    let copy = Store::open(&file).expect("the copy");
    let read = copy.raw(outcomes[0].ledger).await.expect("read");
    assert!(read.is_some_and(|read| read == raw), "other octets");
}
