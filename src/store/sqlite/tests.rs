//! Tests of query plans: the queries of the operators' pages, of the workers and of the starting daemon use an index,
//! in its order, and never scan a table that grows.

mod growing_tables;
mod pages;
mod triggers;

use std::cell::RefCell;

use rusqlite::trace::{TraceEvent, TraceEventCodes};

use crate::domain::{PortalName, Timestamp, Verdict};
use crate::store::claims::leases;
use crate::store::engine::driver::WriterSession;
use crate::store::ledger::find;
use crate::store::rows::dropped_content;
use crate::store::rows::duplicates;
use crate::store::rows::expired_accounts;
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{EngineSession, Tx};
use crate::store::sqlite::connection;
use crate::store::sqlite::session::SqliteSession;
use crate::store::upkeep::pending_accounts;
use crate::store::upkeep::retention;
use crate::store::verification::mail_lanes;
use crate::store::verification::mail_queue;
use crate::store::{FindFilter, Page, Result};

/// Tables that grow, and their aliases in statements.
const LARGE: &[&str] = &[
    "ledger",
    "l",
    "o",
    "request",
    "r",
    "q",
    "account",
    "a",
    "b",
    "event",
    "e",
    "content",
    "c",
    "letter",
    "letter_claim",
    "letter_minute",
    "token",
    "offer",
    "let_in",
    "notice",
    "answer",
    "dropped_content",
    "dropped_sender",
    "hook_call",
    "search_word",
    "search_ending",
    "search_entry",
    "w",
    "due",
];

thread_local! {
    static ASKED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

#[expect(clippy::needless_pass_by_value, reason = "rusqlite calls it so")]
fn note(event: TraceEvent) {
    if let TraceEvent::Stmt(_, sql) = event {
        ASKED.with_borrow_mut(|asked| asked.push(sql.to_owned()));
    }
}

/// The statements of one operation, each with its plan.
fn plans<T>(
    session: &SqliteSession,
    operation: impl Fn(&Tx) -> Result<T>,
) -> Vec<(String, Vec<String>)> {
    let connection = &session.connection;
    ASKED.with_borrow_mut(Vec::clear);
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note));
    operation(session).unwrap_or_else(|error| panic!("{error}"));
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, None);
    ASKED
        .take()
        .into_iter()
        // The trace reports triggers and virtual tables as comments.
        .filter(|sql| !sql.starts_with("--"))
        .map(|sql| {
            let mut statement = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .expect(&sql);
            let mut rows = statement.raw_query();
            let mut plan = Vec::new();
            while let Some(row) = rows.next().expect("a row") {
                plan.push(row.get(3).expect("a text"));
            }
            drop(rows);
            (sql, plan)
        })
        .collect()
}

fn check<T>(name: &str, session: &SqliteSession, operation: impl Fn(&Tx) -> Result<T>) {
    let plans = plans(session, operation);
    assert!(!plans.is_empty(), "{name} runs a query");
    for (sql, plan) in plans {
        assert_eq!(find_violation(&plan), None, "{name}:\n{sql}\n{plan:#?}");
    }
}

/// The line of a plan that scans a large table, or sorts rows of one.
fn find_violation(plan: &[String]) -> Option<&String> {
    let of_large = plan.iter().any(|line| is_large(line));
    plan.iter().find(|line| {
        let scans = line.starts_with("SCAN") && is_large(line);
        let sorts = of_large && line.contains("TEMP B-TREE FOR ORDER BY");
        scans || sorts
    })
}

fn is_large(line: &str) -> bool {
    let mut words = line.split_whitespace();
    matches!(words.next(), Some("SCAN" | "SEARCH"))
        && words.next().is_some_and(|table| LARGE.contains(&table))
}

#[test]
fn a_scan_and_a_sort_of_a_large_table_are_detected() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = open_database(folder.path());
    for (sql, is_violation) in [
        ("SELECT n FROM ledger WHERE recipient = 'x'", true),
        (
            "SELECT n FROM account WHERE status = 'active' ORDER BY created_at",
            true,
        ),
        ("SELECT n FROM ledger WHERE n > 7 ORDER BY n", false),
    ] {
        let found = plans(&session, |tx| tx.exists(sql, &[]));
        let violations = found.iter().filter_map(|(_, plan)| find_violation(plan));
        assert_eq!(violations.count(), usize::from(is_violation), "{found:?}");
    }
}

fn open_database(folder: &std::path::Path) -> SqliteSession {
    let path = folder.join("vestibule.db");
    connection::create(&path).expect("a file");
    connection::migrate(&path).expect("a schema");
    SqliteSession::writing(&path).expect("a database")
}

#[test]
fn a_copy_is_found_by_one_index_lookup() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = &open_database(folder.path());
    let raw = b"From: ann@corp.example\r\nMessage-ID: <1@corp.example>\r\n\r\nHelp!\r\n";
    let own = crate::mail::Identity {
        hostname: crate::domain::Domain::parse("gate.corp.example").expect("a name"),
        authserv_id: None,
        spam: [].into(),
    };
    let envelope = crate::domain::Envelope::of_file(crate::domain::ReversePath::Null);
    let facts = crate::mail::read(raw, &envelope, &own);
    let portal = PortalName::parse("it").expect("a name");
    let like = duplicates::Likeness {
        message_key: Some(1),
        copy_key: 2,
        portal: Some(&portal),
        sender_key: Some("ann@corp.example"),
        facts: &facts,
        received_at: Millis(1),
    };
    check("copies", session, |c| {
        duplicates::find_original(c, &like, None)
    });
    let plans = plans(session, |c| duplicates::find_original(c, &like, Some(7)));
    assert!(
        plans[0].1[0].contains("ledger_message_key (message_key=? AND copy_key=?)"),
        "{plans:?}"
    );
}

#[test]
fn the_queue_of_verification_mail_is_served_in_the_order_of_an_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = &open_database(folder.path());
    let account = "INSERT INTO account (n, id, key, address, domain, kind, status, proof_needed,
         groups, created_at, created_by)
         VALUES (?1, randomblob(16), ?1, 'a@x.example', 'x.example', 'external', 'pending', 1, '[]',
         0, 'mail')";
    let verification_mail =
        "INSERT INTO letter (id, account, kind, cause, state, created_at, due_at)
         VALUES (randomblob(16), ?1, 'verification', 'mail', 'waiting', 0, 0)";
    for n in 1..4_i64 {
        session.run(account, &[&n]).expect("an account");
        session.run(verification_mail, &[&n]).expect("a mail");
    }
    for lane in mail_lanes::Lane::ALL {
        check("mail", session, |c| mail_queue::due(c, lane, Millis(1), 10));
        let place = mail_lanes::QueuePlace { lane, flow: 1 };
        check("turns", session, |c| place.next_turn(c));
    }
}

#[test]
fn pending_accounts_that_may_expire_are_found_examined_and_deleted_by_an_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = &open_database(folder.path());
    let tx: &Tx = session;
    let account = "INSERT INTO account (n, id, key, address, domain, kind, status, proof_needed,
         groups, created_at, created_by)
         VALUES (?1, randomblob(16), ?2, 'a@x.example', 'x.example', 'external', 'pending', 1, '[]',
         0, 'mail')";
    for (n, key) in [(1_i64, "a@x.example"), (2, "b@x.example")] {
        session.run(account, &[&n, &key]).expect("an account");
    }
    // A settled request of the second one.
    session
        .connection
        .execute_batch(
            "INSERT INTO ledger (n, id, received_at, portal, recipient, verdict, rule, revision,
                 copy_key, facts, envelope, standing)
             VALUES (7, randomblob(16), 0, 'it', 'it@corp.example', 'held', 4, 1, 0, '{}', '{}', '{}');
             INSERT INTO request (ledger, account, portal, size, received_at, state, settled_at, kept)
             VALUES (7, 2, 'it', 1, 0, 'expired', 0, 0);",
        )
        .expect("a request");
    check("inactive accounts", session, |c| {
        pending_accounts::inactive(c, Millis(1), 10)
    });
    // The event takes a number.
    session.begin().expect("begun");
    for n in [1, 2] {
        check("an inactive account", session, |c| {
            pending_accounts::examine(c, n, Millis(1), Millis(2))
        });
    }
    let left: Vec<(i64, String)> = tx
        .all("SELECT n, status FROM account", &[])
        .expect("accounts");
    assert_eq!(left, [(2, "blocked".to_owned())]);
    check("accounts of an address", session, |c| {
        expired_accounts::accounts_of(c, "b@x.example")
    });
    check("an old entry", session, |c| retention::delete_entry(c, 7));
    let left: i64 = tx
        .one("SELECT count(*) FROM account", &[])
        .expect("a number");
    assert_eq!(left, 0);
}

#[test]
fn the_next_dropped_content_to_erase_is_found_by_an_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = &open_database(folder.path());
    for (swarm, sender) in [(0_i64, "?a.example"), (1, "?b.example"), (1, "?c.example")] {
        session
            .run(
                "INSERT INTO dropped_sender (swarm, sender, octets, messages) VALUES (?, ?, 9, 1)",
                &[&swarm, &sender],
            )
            .expect("a sender");
        session
            .run(
                "UPDATE dropped_total SET octets = octets + 9 WHERE swarm = ?",
                &[&swarm],
            )
            .expect("a total");
        check(
            "dropped content",
            session,
            dropped_content::find_next_to_erase,
        );
    }
}

#[test]
fn a_start_does_not_scan_all_delivered_requests() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = &open_database(folder.path());
    let holder = crate::store::claims::holder::Holder::of_node("");
    let tables = [
        leases::REQUESTS.leases,
        leases::HOOK_CALLS.leases,
        leases::VERIFICATION_MAILS,
    ];
    for table in tables {
        check("a start", session, |c| table.held_by_others(c, &holder));
        check("a failed claim", session, |c| {
            table.held_after(c, &holder, leases::ClaimNumber::default())
        });
    }
}

/// A search looks everything up by an index. It sorts only what it reads in one window, which is bounded.
#[test]
fn a_search_scans_no_table_that_grows() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = &open_database(folder.path());
    // `vpn` is in one word, `miller` in a few, and `e` in more words than a search looks up.
    let filled = session.connection.execute_batch(
        "INSERT INTO search_word VALUES (1, 'vpn', 90000), (2, 'miller@', 70000), (3, 'millers', 9000);
         INSERT INTO search_ending VALUES ('vpn', 1), ('miller@', 2), ('millers', 3);
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 9000)
         INSERT INTO search_ending SELECT 'e' || n, n FROM numbers;
         UPDATE search_progress SET ledger = 1000000;",
    );
    filled.expect("filled");
    let then = Timestamp::from_second(1_800_000_000).ok();
    for (search_text, least) in [
        ("vpn", 2),
        ("vpn miller", 2),
        ("vpn e", 2),
        ("e", 2),
        ("x", 1),
    ] {
        for (verdict, since) in [(None, None), (Some(Verdict::Dropped), None), (None, then)] {
            for after in [None, Some("before-700000")] {
                let filter = FindFilter {
                    search_text: search_text.to_owned(),
                    since,
                    verdict,
                    page: Page {
                        limit: 50,
                        after: after.map(str::to_owned),
                    },
                    ..FindFilter::default()
                };
                let plans = plans(session, |c| find::find(c, &filter));
                assert!(
                    plans.len() <= 10,
                    "{search_text}: {} statements",
                    plans.len()
                );
                assert!(plans.len() >= least, "{search_text}");
                for (sql, plan) in plans {
                    let scans = |line: &&String| line.starts_with("SCAN") && is_large(line);
                    let scan = plan.iter().find(scans);
                    assert_eq!(scan, None, "{search_text}:\n{sql}\n{plan:#?}");
                }
            }
        }
    }
}

#[test]
fn workers_find_due_rows_by_an_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = &open_database(folder.path());
    for table in [leases::REQUESTS, leases::HOOK_CALLS] {
        let place = "it";
        check("due", session, |c| table.due(c, &place, 10, Millis(1)));
        check("next", session, |c| table.next_due(c, &place));
        check("the end", session, |c| {
            table.due_at_the_end(c, 1, &place, Millis(1))
        });
        check("the head", session, |c| {
            table.promote(c, Some(1), &place, Millis(1))
        });
    }
}
