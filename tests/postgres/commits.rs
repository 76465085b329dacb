//! The outcome of a commit whose answer is lost: what was acknowledged is there, and what was refused can be
//! sent again.

use std::time::Duration;

use vestibule::store::StoreError;

use crate::proxy::{Cut, Proxy};
use crate::store_harness::{accept, assert_sound, count, open_seeded};
use crate::support::harness::DEADLINE;
use crate::support::postgres::{Schema, Server, server};

/// Sends a message of a new sender until it is acknowledged. Returns the number of attempts.
async fn send(store: &vestibule::store::Store, schema: &Schema, id: &str) -> usize {
    let from = format!("{}@corp.example", id.trim_end_matches("@x"));
    for attempt in 1..10 {
        match accept(store, &from, id).await {
            Ok(_) => {
                assert!(
                    count(schema, id) > 0,
                    "{id} was acknowledged and is not there"
                );
                return attempt;
            }
            Err(StoreError::Away(_) | StoreError::Busy(_)) => {}
            Err(error) => panic!("{id}: {error}"),
        }
    }
    panic!("{id} was never accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_arrived_is_acknowledged_although_its_answer_was_lost() {
    let schema = server().schema();
    let proxy = Proxy::start(server().folder.clone());
    let store = open_seeded(&proxy.url(&schema.name)).await;
    send(&store, &schema, "first@x").await;

    proxy.cut(Cut::After("INTO committed"));
    assert_eq!(send(&store, &schema, "answer-lost@x").await, 1);
    assert!(proxy.has_cut());
    assert_eq!(count(&schema, "answer-lost@x"), 1);

    proxy.cut(Cut::Before("INTO committed"));
    let refused = accept(&store, "ann@corp.example", "never-arrived@x").await;
    assert!(matches!(refused, Err(StoreError::Away(_))), "{refused:?}");
    assert!(proxy.has_cut());
    assert_eq!(count(&schema, "never-arrived@x"), 0);
    send(&store, &schema, "never-arrived@x").await;
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_at_any_step_loses_nothing_that_was_acknowledged() {
    let schema = server().schema();
    let proxy = Proxy::start(server().folder.clone());
    let store = open_seeded(&proxy.url(&schema.name)).await;
    for step in [Cut::ToServer, Cut::FromServer] {
        let mut number = 1;
        loop {
            let cut = step(number);
            proxy.cut(cut);
            let id = format!("{cut:?}@x").replace(['(', ')'], "-");
            send(&store, &schema, &id).await;
            if !proxy.has_cut() {
                break;
            }
            number += 1;
        }
        assert!(number > 10, "{number} steps");
    }
    assert_sound(&store).await;
}

/// If an operator cancels the wait for the standby, the server reports success, with a warning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_wait_for_the_standby_is_not_acknowledged() {
    let server = Server::start();
    let schema = server.schema();
    let run = |sql: &str| server.run(&schema.name, sql);
    // Whatever the settings of the role, the commit must wait, and the warning must arrive.
    run("ALTER ROLE vestibule SET client_min_messages = error");
    run("ALTER ROLE vestibule SET synchronous_commit = off");
    let store = open_seeded(&schema.url).await;
    let first = accept(&store, "ann@corp.example", "with-standby@x").await;
    first.expect("accepted");
    run("ALTER SYSTEM SET synchronous_standby_names = 'absent'");
    run("SELECT pg_reload_conf()");
    let waits = format!(
        "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'vestibule {}'",
        schema.name
    );
    let mut last_id = String::new();
    for end in ["pg_cancel_backend", "pg_terminate_backend"] {
        let mut number = 0;
        let (refused, ended) = loop {
            number += 1;
            last_id = format!("{end}-{number}@x");
            let (sender, id) = (store.clone(), last_id.clone());
            let waiting =
                tokio::spawn(async move { accept(&sender, "ann@corp.example", &id).await });
            let mut ended = 0;
            while !waiting.is_finished() {
                // The session of the message, and those that look up its outcome.
                let sql = format!("SELECT count({end}(pid)) {waits}");
                let found = server.try_run(&schema.name, &sql);
                ended += found.map_or(0, |rows| rows[0].parse::<usize>().expect("a number"));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let refused = waiting.await.expect("no panic");
            // A commit waits only once the server's checkpointer has read the setting.
            if ended > 0 || refused.is_err() || number == 1000 {
                break (refused, ended);
            }
        };
        assert!(
            matches!(refused, Err(StoreError::Away(_))),
            "{end}: {refused:?}"
        );
        assert!(ended > 1, "{end}: {ended}");
    }
    // No standby is needed any more: the store recovers by itself.
    run("ALTER SYSTEM SET synchronous_standby_names = ''");
    run("SELECT pg_reload_conf()");
    let again = async { while accept(&store, "ann@corp.example", &last_id).await.is_err() {} };
    tokio::time::timeout(DEADLINE, again)
        .await
        .expect("it recovers");
}
