//! Sessions: what several concurrent ones store, and what they do when the server goes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use vestibule::store::StoreError;

use crate::held_transaction::Held;
use crate::proxy::Proxy;
use crate::store_harness::{accept, assert_sound, count, open, open_seeded};
use crate::support::harness::{DEADLINE, wait_for};
use crate::support::postgres::server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_make_one_account_of_one_sender() {
    let schema = server().schema();
    let first = open_seeded(&schema.url).await;
    let second = open(&schema.url).await;
    let mut waiting = Vec::new();
    for number in 0..200 {
        let store = if number % 2 == 0 { &first } else { &second }.clone();
        waiting.push(tokio::spawn(async move {
            let outcome = accept(&store, "ann@corp.example", &format!("m{number}@x")).await;
            outcome.expect("accepted").ledger
        }));
    }
    let mut ledgers = Vec::new();
    for one in waiting {
        ledgers.push(one.await.expect("no panic"));
    }
    ledgers.sort();
    ledgers.dedup();
    assert_eq!(ledgers.len(), 200);
    let run = |sql: &str| server().run(&schema.name, sql);
    assert_eq!(run("SELECT count(*) FROM account"), ["1"]);
    assert_eq!(run("SELECT count(*) FROM letter"), ["1"]);
    assert_eq!(run("SELECT count(*) FROM ledger"), ["200"]);
    let early = "SELECT count(*) FROM ledger WHERE n >= (SELECT next_number FROM writer)";
    assert_eq!(run(early), ["0"]);
    assert_sound(&second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_the_server_ended_are_opened_again() {
    let schema = server().schema();
    let store = open_seeded(&schema.url).await;
    for round in 0..3 {
        let id = format!("m{round}@x");
        accept(&store, "ann@corp.example", &id)
            .await
            .expect("accepted");
        store.access().await.expect("read");
        assert_eq!(count(&schema, &id), 1);
        let ended = server().run(
            &schema.name,
            &format!(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                 WHERE application_name = 'vestibule {}'",
                schema.name
            ),
        );
        assert_ne!(ended, ["0"]);
    }
    accept(&store, "ann@corp.example", "last@x")
        .await
        .expect("accepted");
    store.access().await.expect("read");
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_waits_for_the_lock_answers_busy_and_continues() {
    let schema = server().schema();
    let store = open_seeded(&schema.url).await;
    // Another session holds the lock for longer than this one waits.
    let lock = Held::lock(&schema);
    let refused = tokio::time::timeout(DEADLINE, accept(&store, "ann@corp.example", "m@x")).await;
    let refused = refused.expect("an answer while the lock is held");
    assert!(matches!(refused, Err(StoreError::Busy(_))), "{refused:?}");
    lock.end();
    accept(&store, "ann@corp.example", "m@x")
        .await
        .expect("accepted");
    assert_eq!(count(&schema, "m@x"), 1);
}

/// Statements of the server fail in every second operation, after it has written, while others share its
/// transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_operations_do_not_affect_others() {
    let schema = server().schema();
    let store = open_seeded(&schema.url).await;
    let run = |sql: &str| server().run(&schema.name, sql);
    run(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE unique_violation USING MESSAGE = 'refused by a test'; END $$",
    );
    run("CREATE TRIGGER refuse AFTER INSERT ON content FOR EACH ROW
         WHEN (position('bad'::bytea IN NEW.raw) > 0) EXECUTE FUNCTION refuse()");
    let mut waiting = Vec::new();
    for number in 0..600 {
        let store = store.clone();
        let kind = if number % 2 == 0 { "good" } else { "bad" };
        waiting.push(tokio::spawn(async move {
            let id = format!("{kind}-{number}@x");
            (kind, accept(&store, "ann@corp.example", &id).await)
        }));
    }
    for one in waiting {
        match one.await.expect("no panic") {
            ("good", Ok(_)) => {}
            ("bad", Err(StoreError::Other(cause))) => {
                assert!(cause.contains("refused by a test"), "{cause}");
            }
            (kind, outcome) => panic!("{kind}: {outcome:?}"),
        }
    }
    assert_eq!(run("SELECT count(*) FROM ledger"), ["300"]);
    let early = "SELECT count(*) FROM ledger WHERE n >= (SELECT next_number FROM writer)";
    assert_eq!(run(early), ["0"]);
    let other = open(&schema.url).await;
    for number in 0..100 {
        let id = format!("later-{number}@x");
        let accepted = accept(&other, "ann@corp.example", &id).await;
        accepted.expect("no number is given twice");
    }
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_writes_nothing_after_a_migration_that_it_does_not_work_with() {
    let schema = server().schema();
    let store = open_seeded(&schema.url).await;
    accept(&store, "ann@corp.example", "before@x")
        .await
        .expect("accepted");

    // A migration that only adds something.
    let migrate = "UPDATE schema_version SET version = version + 1";
    server().run(&schema.name, migrate);
    accept(&store, "ann@corp.example", "added@x")
        .await
        .expect("accepted");

    // Another node migrates while this one waits for the lock.
    let sql = "UPDATE writer SET next_number = next_number + 1;
         UPDATE schema_version SET version = version + 1, works_with = version + 1";
    let migrating = Held::begin(&schema, sql);
    let waiting = store.clone();
    let waiting = tokio::spawn(async move {
        loop {
            match accept(&waiting, "ann@corp.example", "waits@x").await {
                // The store waits for some seconds only.
                Err(StoreError::Busy(_)) => {}
                outcome => return outcome,
            }
        }
    });
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
         AND application_name = 'vestibule {}'",
        schema.name
    );
    tokio::task::block_in_place(|| {
        wait_for("a session that waits for the lock", || {
            (server().run(&schema.name, &waits) != ["0"]).then_some(())
        });
    });
    migrating.commit();
    let waited = waiting.await.expect("no panic");
    let after = accept(&store, "ann@corp.example", "after@x").await;
    for (id, refused) in [("waits@x", waited), ("after@x", after)] {
        assert!(
            matches!(refused, Err(StoreError::NewerSchema { .. })),
            "{refused:?}"
        );
        assert_eq!(count(&schema, id), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_host_is_tried_once_and_not_by_each_connection() {
    let schema = server().schema();
    let away = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = away.local_addr().expect("an address").port();
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    std::thread::spawn(move || {
        for client in away.incoming() {
            // Counted before the store can notice.
            counted.fetch_add(1, Ordering::SeqCst);
            drop(client);
        }
    });
    let proxy = Proxy::start(server().folder.clone());
    let url = proxy.url(&schema.name);
    let store = open_seeded(&url.replace('@', &format!("@127.0.0.1:{port},"))).await;
    accept(&store, "ann@corp.example", "first@x")
        .await
        .expect("accepted");
    let before = tries.load(Ordering::SeqCst);
    assert!(before > 0);
    for round in 0..3 {
        proxy.go_away();
        proxy.come_back();
        let id = format!("m{round}@x");
        let accepted = accept(&store, "ann@corp.example", &id).await;
        accepted.expect("accepted");
        store.access().await.expect("read");
    }
    assert_eq!(tries.load(Ordering::SeqCst), before);
}
