//! Daemons that share a store: what they promise together, and what each does when another hangs or dies.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::proxy::Proxy;
use crate::support::client::{Smtp, http, message, send};
use crate::support::harness::{Harness, STANDARD, Signal, wait_for};
use crate::support::postgres::{Schema, server};

pub fn configuration(url: &str) -> String {
    format!("{STANDARD}\n[store]\ntype = \"postgres\"\nurl = \"{url}\"\n")
}

/// Sends a message and returns the reply.
fn try_send(harness: &Harness, from: &str, marker: &str) -> String {
    let sent = Smtp::connect(harness.smtp)
        .and_then(|mut smtp| smtp.send(from, "it-help@corp.example", &message(from, marker)));
    sent.unwrap_or_else(|error| error.to_string())
}

pub fn number(schema: &Schema, sql: &str) -> i64 {
    server().run(&schema.name, sql)[0]
        .parse()
        .expect("a number")
}

#[test]
fn two_nodes_make_one_account_and_one_mail_and_keep_the_quota() {
    let schema = server().schema();
    let nodes = [0, 1].map(|_| Harness::start(&configuration(&schema.url)));
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let smtp = nodes[worker % 2].smtp;
            scope.spawn(move || {
                for number in 0..25 {
                    send(smtp, "ann@corp.example", &format!("m{worker}-{number}"));
                }
            });
        }
    });
    for (sql, expected) in [
        ("SELECT count(*) FROM account", 1),
        ("SELECT count(*) FROM ledger", 200),
        ("SELECT count(*) FROM request WHERE state = 'held'", 50),
        (
            "SELECT count(*) FROM ledger WHERE n >= (SELECT next_number FROM writer)",
            0,
        ),
    ] {
        assert_eq!(number(&schema, sql), expected, "{sql}");
    }
    // The mail leaves one of them, once, and its link works at the other.
    let (sender, link) = wait_for("a verification mail", || {
        let sender = nodes
            .iter()
            .position(|node| !node.verification_mails().is_empty())?;
        Some((sender, nodes[sender].link_for("ann@corp.example")))
    });
    let path = link.split_once("/verify/").expect("a link").1;
    let other = &nodes[1 - sender];
    let (status, page) = http(other.http, "GET", &format!("/verify/{path}"), &[]);
    assert_eq!(status, 200, "{page}");
    let form: Vec<(&str, &str)> = vec![("action", "confirm")];
    let (status, page) = http(other.http, "POST", &format!("/verify/{path}"), &form);
    assert!(status < 400, "{page}");
    let mails: usize = nodes
        .iter()
        .map(|node| node.verification_mails().len())
        .sum();
    assert_eq!(mails, 1);

    let listed = wait_for("both nodes in the list", || {
        Some(nodes[0].json(&["nodes", "list"])).filter(|listed| listed.len() == 2)
    });
    assert_ne!(listed[0]["id"], listed[1]["id"]);
    assert_eq!(listed[0]["configuration"], listed[1]["configuration"]);
    let held = "SELECT count(DISTINCT holder) FROM duty WHERE name = 'operator_log'";
    wait_for("the duty of one node", || {
        (number(&schema, held) == 1).then_some(())
    });
}

#[test]
fn settings_changed_at_one_node_apply_to_the_next_message_at_the_other() {
    let schema = server().schema();
    let nodes = [0, 1].map(|_| Harness::start(&configuration(&schema.url)));
    let verdict = |marker: &str| {
        let sql = format!("SELECT verdict FROM ledger WHERE facts LIKE '%{marker}@%'");
        server().run(&schema.name, &sql)[0].clone()
    };
    send(nodes[1].smtp, "eve@other.example", "before");
    assert_eq!(verdict("before"), "dropped");
    let allowed = nodes[0].run(&["access", "allow", "other.example"]);
    assert_eq!(allowed.status, 0, "{}", allowed.err);
    send(nodes[1].smtp, "eve@other.example", "after");
    assert_eq!(verdict("after"), "accepted");
}

/// Sends mail until the node answers no more.
fn feed(smtp: SocketAddr) {
    let from = "ann@partner.example";
    for number in 0..80 {
        let message = message(from, &format!("stopped-{number}"));
        let sent = Smtp::connect(smtp)
            .and_then(|mut client| client.send(from, "it-help@corp.example", &message));
        if sent.is_err() {
            return;
        }
    }
}

/// True while a process is stopped by a signal.
fn is_stopped(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The state comes after the name of the program, which is in parentheses.
    let state = status.rsplit(')').next().unwrap_or_default();
    state.trim_start().starts_with('T')
}

#[test]
fn a_node_that_is_stopped_with_the_lock_blocks_another_for_seconds_only() {
    let schema = server().schema();
    let mut stopped = Harness::at_rest(&configuration(&schema.url));
    let other = Harness::start(&configuration(&schema.url));
    let holds = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'vestibule {}'
             AND state = 'idle in transaction' AND clock_timestamp() - state_change > '1 s'",
        schema.name
    );
    // The node stops in the middle of a transaction, before it commits. A transaction without a query, such as that
    // of the node's record, has not begun on the server by then: another one is stopped instead.
    let stop_in = |transaction: usize, stopped: &mut Harness| {
        let place = format!("stop-filled:{transaction}");
        assert!(stopped.restart_with(&[("VESTIBULE_FAILPOINT", &place)]));
        let smtp = stopped.smtp;
        let feeding = std::thread::spawn(move || feed(smtp));
        let process = stopped.process();
        wait_for("the stop", || is_stopped(process).then_some(()));
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) {
            if number(&schema, &holds) == 1 {
                return Some(feeding);
            }
        }
        stopped.kill();
        feeding.join().expect("no panic");
        None
    };
    // A start takes fewer than 40 transactions, so the node is ready before it stops.
    let feeding = (40..60).find_map(|transaction| stop_in(transaction, &mut stopped));
    let feeding = feeding.expect("a node that hangs with the lock");
    let begin = Instant::now();
    wait_for("mail at the other node", || {
        let reply = try_send(&other, "bob@partner.example", "passes");
        assert!(
            reply.starts_with("250") || reply.starts_with("451"),
            "{reply}"
        );
        reply.starts_with("250").then_some(())
    });
    // The server ends the transaction after ten seconds.
    assert!(
        begin.elapsed() < Duration::from_mins(1),
        "{:?}",
        begin.elapsed()
    );

    // The node wakes and its transaction is lost. None of its messages is acknowledged unless it is stored.
    stopped.signal(Signal::CONT);
    wait_for("mail at the first node", || {
        try_send(&stopped, "bob@partner.example", "again")
            .starts_with("250")
            .then_some(())
    });
    feeding.join().expect("no panic");
    let doctor = other.json(&["doctor", "--offline"]);
    let problems: Vec<_> = doctor
        .iter()
        .filter(|one| one["state"] == "problem")
        .collect();
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn while_the_database_is_unreachable_mail_is_deferred_and_then_accepted_again() {
    let schema = server().schema();
    let proxy = Proxy::start(server().folder.clone());
    let node = Harness::start(&configuration(&proxy.url(&schema.name)));
    send(node.smtp, "ann@partner.example", "before");
    let ready = || http(node.http, "GET", "/readyz", &[]).0;
    wait_for("readiness", || (ready() == 200).then_some(()));
    proxy.go_away();
    let reply = try_send(&node, "ann@partner.example", "away");
    assert!(reply.starts_with("451"), "{reply}");
    assert_eq!(ready(), 503);
    proxy.come_back();
    wait_for("mail", || {
        try_send(&node, "ann@partner.example", "away")
            .starts_with("250")
            .then_some(())
    });
    wait_for("readiness", || (ready() == 200).then_some(()));
    let entries = "SELECT count(*) FROM ledger WHERE facts LIKE '%away@%' AND rule <> 1";
    assert_eq!(number(&schema, entries), 1);
}

#[test]
fn check_reports_the_settings_that_the_promises_depend_on() {
    let schema = server().schema();
    let harness = Harness::at_rest(&configuration(&schema.url));
    let migrated = harness.json(&["migrate"]);
    assert_eq!(migrated[0]["schema_before"], 0);
    assert_eq!(
        harness.json(&["migrate"])[0]["schema_before"],
        migrated[0]["schema"]
    );
    let output = harness
        .command(&["check", "--json"])
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let state = |check: &str| {
        let line = text
            .lines()
            .find(|line| line.contains(&format!("\"check\":\"{check}\"")));
        let finding: serde_json::Value =
            serde_json::from_str(line.unwrap_or_else(|| panic!("{check}: {text}"))).expect("JSON");
        finding["state"].as_str().expect("a word").to_owned()
    };
    assert_eq!(state("store"), "ok");
    // The server of the tests syncs nothing.
    assert_eq!(state("store.fsync"), "problem");
    assert_eq!(state("store.full_page_writes"), "problem");
    assert_eq!(state("store.standbys"), "warning");
    assert_eq!(state("store.clock"), "ok");

    let away = Harness::at_rest(&configuration("postgres://u@127.0.0.1:1/d"));
    let output = away
        .command(&["check", "--json"])
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        text.contains("\"check\":\"store\",\"state\":\"problem\""),
        "{text}"
    );
}

#[test]
fn a_node_whose_clock_is_off_is_not_ready_and_claims_nothing() {
    let schema = server().schema();
    let digest = "[digest]\nto = [\"ops@corp.example\"]\nurl = \"https://admin.corp.example\"\n";
    let mut late = Harness::at_rest(&format!("{}\n{digest}", configuration(&schema.url)));
    let ready = |node: &Harness| http(node.http, "GET", "/readyz", &[]);
    let is_up = late.restart_with(&[
        ("LD_PRELOAD", libfaketime().as_str()),
        ("FAKETIME", "-10"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    assert!(is_up, "{}", late.log());
    let added = late.run(&["customers", "add", "bob@corp.example"]);
    assert_eq!(added.status, 0, "{}", added.err);
    let (status, body) = wait_for("a clock that is off", || {
        Some(ready(&late)).filter(|(_, body)| body.contains("\"clock\":false"))
    });
    assert_eq!(status, 503, "{body}");
    // The other node does everything that is due, including the work of this one.
    let right = Harness::start(&configuration(&schema.url));
    right.link_for("bob@corp.example");
    assert!(late.verification_mails().is_empty());
    // By a clock that is ahead, the digest of another day would count as sent.
    assert_eq!(number(&schema, "SELECT count(*) FROM digest"), 0);
    wait_for("the other node", || (ready(&right).0 == 200).then_some(()));
    let listed = right.json(&["nodes", "list"]);
    let offsets: Vec<_> = listed
        .iter()
        .map(|node| node["clock_offset"].as_i64())
        .collect();
    assert!(
        offsets
            .iter()
            .any(|offset| offset.is_some_and(|offset| offset < -9000)),
        "{offsets:?}"
    );
}

#[test]
fn a_copy_of_a_node_is_reported_by_both() {
    let schema = server().schema();
    let node = Harness::start(&configuration(&schema.url));
    let mut copy = Harness::at_rest(&configuration(&schema.url));
    std::fs::create_dir_all(copy.path("data")).expect("a folder");
    std::fs::copy(node.path("data/node-id"), copy.path("data/node-id")).expect("a copy");
    copy.restart();
    wait_for("a report by each", || {
        let is_told = |node: &Harness| node.log().contains("its data_dir is a copy");
        (is_told(&node) && is_told(&copy)).then_some(())
    });

    // A daemon that was restarted is not a copy.
    drop(node);
    let before = copy.log().matches("its data_dir is a copy").count();
    copy.restart();
    let recorded = number(&schema, "SELECT seen_at FROM node");
    wait_for("two more records", || {
        (number(&schema, "SELECT seen_at FROM node") > recorded + 15_000).then_some(())
    });
    let now = copy.log().matches("its data_dir is a copy").count();
    assert!(now <= before, "{}", copy.log());
}

#[test]
fn a_starting_node_leaves_the_canary_of_another_alone() {
    let schema = server().schema();
    let with_canary = format!(
        "{}\n[canary]\ninterval = \"1m\"\n",
        configuration(&schema.url)
    );
    let mut node = Harness::start(&with_canary);
    let left = "SELECT count(*) FROM account WHERE key LIKE 'canary-%'";
    wait_for("a canary", || {
        http(node.http, "GET", "/readyz", &[])
            .1
            .contains("\"canary\":true")
            .then_some(())
    });
    node.kill();
    // A lease that ends in more than three minutes would be taken for that of a wrong clock.
    server().run(
        &schema.name,
        "INSERT INTO account (n, id, key, address, domain, kind, status, proof_needed, groups, created_at, created_by)
             SELECT 1000000, decode(md5('canary'), 'hex'), 'canary-other@canary.invalid',
                 'canary-other@canary.invalid', 'canary.invalid', 'external', 'active', 0, '[]', 1, 'mail';
         UPDATE duty SET holder = 'other',
             held_until = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 170000
             WHERE name = 'canary'",
    );
    let is_there = || number(&schema, left) == 1;
    assert!(is_there());
    // Counts how often the node asks for the duty: before it removes canaries, and before it would send one.
    let counter = format!(
        "CREATE SEQUENCE asked;
         CREATE FUNCTION count_asking() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM nextval('{}.asked');
             RETURN NEW;
         END $$;
         CREATE TRIGGER count_asking BEFORE INSERT ON duty
             FOR EACH ROW WHEN (NEW.name = 'canary') EXECUTE FUNCTION count_asking()",
        schema.name
    );
    server().run(&schema.name, &counter);
    let asked = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM asked";
    node.restart();
    wait_for("the second request for the duty", || {
        (number(&schema, asked) >= 2).then_some(())
    });
    assert!(is_there(), "another node waits for it");

    // It is removed once that node's lease has ended.
    server().run(
        &schema.name,
        "UPDATE duty SET held_until = 1 WHERE name = 'canary'",
    );
    node.restart();
    wait_for("its removal", || (number(&schema, left) == 0).then_some(()));
}

/// Debian's library, which is in a folder of the machine's architecture.
pub fn libfaketime() -> String {
    let folders = std::fs::read_dir("/usr/lib").expect("a folder").flatten();
    let library = folders
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|library| library.exists());
    let library = library.expect("libfaketime; tests/run installs it");
    library.to_str().expect("UTF-8").to_owned()
}
