//! Upgrades: this build and one with further migrations side by side, under load during the migration.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};

use crate::support::client::{Smtp, message};
use crate::support::harness::{Harness, STANDARD, Signal, wait_for};
use crate::support::postgres::{Schema, server};

/// Additions of the next release: columns, their values in old rows, and an index.
const NEXT: &str = "\
ALTER TABLE ledger ADD COLUMN upgraded bigint;
ALTER TABLE ledger ALTER COLUMN upgraded SET DEFAULT 1;
ALTER TABLE request ADD COLUMN upgraded bigint;
-- Next.
-- Apart.
UPDATE ledger SET upgraded = 2 WHERE n IN (SELECT n FROM ledger WHERE upgraded IS NULL ORDER BY n LIMIT 50);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ledger_upgraded ON ledger (upgraded, n);
";

/// MTAs that send to whichever node is there, and their records.
#[derive(Default)]
struct Senders {
    nodes: RwLock<Vec<SocketAddr>>,
    is_over: AtomicBool,
    next: AtomicUsize,
    acknowledged: Mutex<Vec<String>>,
    refused: Mutex<Vec<String>>,
}

impl Senders {
    /// Sends messages, each until it is acknowledged. A connection may end, and a node that stops may say so.
    fn send(&self) {
        while !self.is_over.load(Ordering::SeqCst) {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let marker = format!("m{number}");
            let message = message("bob@partner.example", &marker);
            for node in number.. {
                let address = {
                    let nodes = self.nodes.read().expect("addresses");
                    nodes[node % nodes.len()]
                };
                let sent = Smtp::connect(address).and_then(|mut smtp| {
                    smtp.send("bob@partner.example", "it-help@corp.example", &message)
                });
                match sent {
                    Ok(reply) if reply.starts_with("250") => break,
                    Ok(reply) if !reply.starts_with("421") => {
                        self.refused.lock().expect("replies").push(reply);
                    }
                    _ => {}
                }
            }
            self.acknowledged.lock().expect("markers").push(marker);
        }
    }

    fn wait_for_more(&self) {
        let count = || self.acknowledged.lock().expect("markers").len();
        let goal = count() + 40;
        wait_for("more mail", || (count() >= goal).then_some(()));
    }
}

/// A transaction that reads the ledger for a while, as a report does.
fn begin_report(schema: &Schema, seconds: u32) -> Child {
    let sql = format!("BEGIN; SELECT count(*) FROM ledger; SELECT pg_sleep({seconds}); COMMIT");
    let mut report = server().psql(&schema.name);
    let report = report
        .args(["--command", &sql])
        .stdout(Stdio::null())
        .spawn();
    let holds = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%pg_sleep({seconds})%'
         AND pg_backend_pid() <> pid"
    );
    wait_for("the report", || {
        (server().run(&schema.name, &holds) != ["0"]).then_some(())
    });
    report.expect("psql")
}

#[test]
fn a_cluster_is_upgraded_under_load_and_defers_no_mail() {
    let schema = server().schema();
    let url = &schema.url;
    let configuration = format!(
        "{STANDARD}\n[quota]\nrequests = 1000000\n[store]\ntype = \"postgres\"\nurl = \"{url}\"\n"
    );
    let mut nodes = [0, 1].map(|_| Harness::start(&configuration));
    let version = || server().run(&schema.name, "SELECT version FROM schema_version")[0].clone();
    let before: usize = version().parse().expect("a number");
    let next = nodes[0].path("next.sql");
    fs::write(&next, NEXT).expect("written");
    let of_next = [("VESTIBULE_NEXT_MIGRATIONS", next.to_str().expect("UTF-8"))];

    let senders = Senders::default();
    let at_work = |nodes: &[Harness]| {
        let addresses = nodes.iter().map(|node| node.smtp).collect();
        *senders.nodes.write().expect("addresses") = addresses;
    };
    at_work(&nodes);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| senders.send());
        }
        senders.wait_for_more();
        senders.wait_for_more();

        // Longer than a session waits for a lock.
        let mut report = begin_report(&schema, 13);
        let migrated = nodes[0]
            .command(&["migrate", "--json"])
            .envs(of_next)
            .output();
        let migrated = migrated.expect("it runs");
        let said = String::from_utf8_lossy(&migrated.stdout);
        assert!(migrated.status.success(), "{said}{migrated:?}");
        assert!(report.wait().expect("it ends").success());
        senders.wait_for_more();

        // Upgrades one node after the other to the next release, and takes one of them back.
        for (number, environment) in [(0, &of_next[..]), (1, &of_next[..]), (0, &[])] {
            at_work(&nodes[1 - number..2 - number]);
            nodes[number].signal(Signal::TERM);
            assert_eq!(nodes[number].exit_status(), Some(0));
            let is_up = nodes[number].restart_with(environment);
            assert!(is_up, "{}", nodes[number].log());
            at_work(&nodes);
            senders.wait_for_more();
        }
        senders.is_over.store(true, Ordering::SeqCst);
    });
    assert_eq!(version(), (before + 2).to_string());
    assert_eq!(*senders.refused.lock().expect("replies"), [""; 0]);
    let number = |sql: &str| server().run(&schema.name, sql)[0].clone();
    assert_eq!(
        number("SELECT count(*) FROM ledger WHERE upgraded IS NULL"),
        "0"
    );
    assert_ne!(
        number("SELECT count(*) FROM ledger WHERE upgraded = 2"),
        "0"
    );
    let valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ledger_upgraded'::regclass";
    assert_eq!(number(valid), "t");
    let acknowledged = senders.acknowledged.lock().expect("markers");
    let facts = server().run(&schema.name, "SELECT facts FROM ledger WHERE rule <> 1");
    assert_eq!(facts.len(), acknowledged.len());
    for marker in acknowledged.iter() {
        let id = format!("\"{marker}@client.example\"");
        let found = facts.iter().filter(|facts| facts.contains(&id)).count();
        assert_eq!(found, 1, "{marker}");
    }
}
