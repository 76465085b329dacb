//! The work of a search on a server, in numbers that do not depend on the load of the machine: round trips, and
//! rows that are read from indexes.

use vestibule::domain::Timestamp;
use vestibule::store::{FindFilter, Page};

use crate::proxy::Proxy;
use crate::store_harness::{accept, open, open_seeded};
use crate::support::harness::wait_for;
use crate::support::postgres::{Schema, Server};

/// Time of the first entry in seconds; each comes a second after the one before.
const FIRST: i64 = 1_790_000_000;

/// Fills the ledger and the search index from the one existing entry. `re` is in all entries, other words in every
/// N-th, and `old` in the oldest; each entry has a number that is in no other.
const FILL: &str = "
    CREATE TEMPORARY TABLE sample AS SELECT * FROM ledger;
    DELETE FROM ledger;
    ALTER TABLE ledger DISABLE TRIGGER USER;
    INSERT INTO ledger (n, id, received_at, portal, recipient, verdict, rule, revision, copy_key,
        facts, envelope, standing)
    SELECT s.n, decode(lpad(to_hex(s.n), 32, '0'), 'hex'), (1790000000::bigint + s.n) * 1000, 'it', recipient,
        'dropped', 3, 1, 0, facts, envelope, standing
    FROM sample, generate_series(1, 100000) AS s (n);
    ALTER TABLE ledger ENABLE TRIGGER USER;
    CREATE TEMPORARY TABLE common (number bigint, word text, every bigint, newest bigint);
    INSERT INTO common VALUES (1, 're', 1, 100000), (2, 'printer', 14, 100000), (3, 'badge', 27, 100000),
        (4, 'urgent', 35, 100000), (5, 'rare', 1999, 100000), (6, '@corp.example', 2, 100000),
        (7, 'old', 1, 20000);
    INSERT INTO search_word SELECT number, word, newest / every FROM common;
    INSERT INTO search_word SELECT 1000 + n, 'inc' || 1000000 + n, 1 FROM generate_series(1, 100000) AS n;
    INSERT INTO search_ending
        SELECT DISTINCT substr(word, place), number FROM search_word, generate_series(1, 12) AS place
        WHERE place = 1 OR length(word) > place;
    INSERT INTO search_entry
        SELECT number, n FROM generate_series(1, 100000) AS n, common WHERE n % every = 0 AND n <= newest
        UNION ALL SELECT 1000 + n, n FROM generate_series(1, 100000) AS n ORDER BY 2, 1;
    UPDATE search_progress SET ledger = 100000;
    UPDATE writer SET next_number = 100001";

/// Searches, some with a period; the number of hits on the first page, and true if the search goes on.
const SEARCHES: &[(&str, Option<[i64; 2]>, usize, bool)] = &[
    ("re", None, 50, true),
    ("printer", None, 50, true),
    ("rare", None, 50, false),
    ("inc1033333", None, 1, false),
    ("printer urgent", None, 50, true),
    ("printer badge urgent", None, 50, true),
    ("printer rare", None, 3, false),
    ("re rare", None, 50, false),
    ("@corp.example re printer", None, 50, true),
    ("inc", None, 50, true),
    ("77", None, 38, true),
    ("777", None, 50, true),
    ("e", None, 50, true),
    ("inc 10 rare", None, 50, false),
    ("old printer", None, 50, true),
    ("old 77", None, 38, true),
    ("77 printer", None, 50, true),
    ("zyzzyva printer", None, 0, false),
    ("printer", Some([50_000, 51_000]), 50, true),
    ("rare", Some([50_000, 51_000]), 0, false),
    ("77", Some([50_000, 51_000]), 19, false),
    ("old re", Some([0, 10_000]), 50, true),
    ("e", Some([90_000, 100_001]), 50, true),
];

const PAGE: usize = 50;

/// Round trips of a search: it begins, finds the words, finds the ends of its period, searches windows, reads the
/// entries, and ends.
const MAX_TRIPS: usize = 10;

/// Rows that a search reads from indexes, besides those by which it finds the ends of a period.
const MAX_ROWS: i64 = 80_000;
const OF_PERIOD: i64 = 2 * 40_000;

fn filter(search_text: &str, period: Option<[i64; 2]>) -> FindFilter {
    let at = |n: i64| Timestamp::from_second(FIRST + n).expect("a time");
    FindFilter {
        search_text: search_text.to_owned(),
        since: period.map(|[since, _]| at(since)),
        until: period.map(|[_, until]| at(until)),
        page: Page::first(PAGE),
        ..FindFilter::default()
    }
}

/// Rows that were read from indexes so far, once all sessions of the store have ended: each reports its count then.
fn rows_read(server: &Server, schema: &Schema) -> i64 {
    let name = &schema.name;
    let sql = format!(
        "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = '{name}' AND NOT EXISTS (
             SELECT 1 FROM pg_stat_activity WHERE application_name = 'vestibule {name}'
         )"
    );
    wait_for("the end of the sessions", || {
        server.run(name, &sql)[0].parse().ok()
    })
}

#[tokio::test]
async fn a_search_takes_few_round_trips_and_reads_few_rows() {
    let server = Server::start();
    let schema = server.schema();
    let store = open_seeded(&schema.url).await;
    accept(&store, "p0@partner.example", "sample@x")
        .await
        .expect("accepted");
    store.close().await;
    let run = |sql: &str| server.run(&schema.name, sql);
    run(FILL);
    let proxy = Proxy::start(server.folder.clone());
    for statistics in ["", "ANALYZE"] {
        run(statistics);
        let mut before = rows_read(&server, &schema);
        for (search_text, period, hits, goes_on) in SEARCHES {
            let case = format!("{search_text} {period:?} {statistics}");
            let store = open(&proxy.url(&schema.name)).await;
            // Opens the session before the search.
            store.not_indexed().await.expect("counted");
            let [trips_before, _] = proxy.counts();
            let found = store
                .find_entries(filter(search_text, *period))
                .await
                .expect("found");
            let [trips, _] = proxy.counts();
            store.close().await;
            let outcome = (found.rows.len(), found.next.is_some());
            assert_eq!(outcome, (*hits, *goes_on), "{case}");
            let trips = trips - trips_before;
            assert!(trips <= MAX_TRIPS, "{trips} round trips: {case}");
            let after = rows_read(&server, &schema);
            let rows = after - before;
            before = after;
            let most = MAX_ROWS + if period.is_some() { OF_PERIOD } else { 0 };
            assert!(rows <= most, "{rows} rows: {case}");
        }
    }
}
