//! Restoring a store by the server's own means: to a point in time, and from a dump.

use std::fs;
use std::process::Command;

use vestibule::store::Store;

use crate::failover::Servers;
use crate::store_harness::{accept, assert_sound, open, open_seeded};
use crate::support::harness::{Harness, STANDARD, wait_for};
use crate::support::postgres::programs;

/// Accepts messages with these numbers.
async fn accept_some(store: &Store, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let id = format!("m{number}@x");
        let accepted = accept(store, "ann@corp.example", &id).await;
        accepted.expect("accepted");
    }
}

fn url(servers: &Servers, number: usize, database: &str) -> String {
    let socket = servers.socket(number).replace('/', "%2F");
    format!("postgres://vestibule@{socket}/{database}")
}

/// Number of rows of each table.
fn counts(servers: &Servers, database: &str) -> String {
    let sql =
        "SELECT table_name, query_to_xml(format('SELECT count(*) FROM vestibule.%I', table_name),
             false, true, '')::text
         FROM information_schema.tables WHERE table_schema = 'vestibule' ORDER BY 1";
    let output = Command::new(programs().join("psql"))
        .args([
            "-X",
            "-A",
            "-t",
            "-U",
            "vestibule",
            "-d",
            database,
            "-c",
            sql,
            "-h",
        ])
        .arg(servers.socket(1))
        .output()
        .expect("psql");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Asserts that `doctor` finds the store well.
fn assert_well(url: &str) {
    let node = Harness::at_rest(&format!(
        "{STANDARD}\n[store]\ntype = \"postgres\"\nurl = \"{url}\"\n"
    ));
    let said = node.run(&["doctor", "--offline", "--json"]);
    for check in ["database", "ledger"] {
        let is_well = |line: &str| line.contains(&format!("{check:?}")) && line.contains("\"ok\"");
        assert!(
            said.out.lines().any(is_well),
            "{check}: {}{}",
            said.out,
            said.err
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_restored_to_a_point_in_time_and_from_a_dump() {
    let servers = Servers::start();
    let archive = servers.folder.path().join("archive");
    let archive = archive.to_str().expect("UTF-8");
    let data = servers.data(0);
    let sql = |sql: &str| servers.sql(0, sql);
    sql("ALTER SYSTEM SET archive_mode = on");
    sql(&format!(
        "ALTER SYSTEM SET archive_command = 'mkdir -p {archive} && cp %p {archive}/%f'"
    ));
    let log = servers.folder.path().join("log-0");
    let (data, log) = (data.to_str().expect("UTF-8"), log.to_str().expect("UTF-8"));
    servers.run("pg_ctl", &["-D", data, "-l", log, "-w", "restart"]);

    let store = open_seeded(&url(&servers, 0, "vestibule")).await;
    accept_some(&store, 0..30).await;
    let copy = servers.data(1);
    let place = format!("host={} user=vestibule", servers.socket(0));
    let copy_path = copy.to_str().expect("UTF-8");
    servers.run(
        "pg_basebackup",
        &[
            "-D", copy_path, "-X", "none", "-N", "-c", "fast", "-d", &place,
        ],
    );
    accept_some(&store, 30..60).await;
    let moment = sql("SELECT clock_timestamp()");
    accept_some(&store, 60..90).await;
    drop(store);
    // An operator's mistake, with everything logged up to it in the archive.
    sql("DROP SCHEMA vestibule CASCADE");
    let last = sql("SELECT pg_walfile_name(pg_switch_wal())");
    wait_for("the archive", || {
        let archived = sql("SELECT last_archived_wal FROM pg_stat_archiver");
        (archived >= last).then_some(())
    });

    let file = copy.join("postgresql.conf");
    let before = fs::read_to_string(&file).expect("a file");
    // The copy has the archive's settings, too, but must not write to it.
    let own = format!(
        "{before}\nrestore_command = 'cp {archive}/%f %p'\nrecovery_target_time = '{moment}'\n\
         recovery_target_action = 'promote'\n"
    );
    fs::write(&file, own).expect("written");
    fs::write(copy.join("postgresql.auto.conf"), "").expect("written");
    fs::write(copy.join("recovery.signal"), "").expect("written");
    servers.configure(1);
    wait_for("the end of the recovery", || {
        (servers.sql(1, "SELECT pg_is_in_recovery()") == "f").then_some(())
    });
    let restored = url(&servers, 1, "vestibule");
    assert_well(&restored);
    let store = open(&restored).await;
    let entries = "SELECT count(*) FROM vestibule.ledger";
    assert_eq!(servers.sql(1, entries), "60");
    accept_some(&store, 60..70).await;
    assert_sound(&store).await;
    drop(store);

    let dump = servers.folder.path().join("dump");
    let dump = dump.to_str().expect("UTF-8");
    let socket = servers.socket(1);
    let host = ["-h", socket.as_str(), "-U", "vestibule"];
    let args = ["-Fc", "-n", "vestibule", "-f", dump, "vestibule"];
    servers.run("pg_dump", &[&host[..], &args].concat());
    servers.run("createdb", &[&host[..], &["other"]].concat());
    servers.run(
        "pg_restore",
        &[&host[..], &["-e", "-d", "other", dump]].concat(),
    );
    let before = counts(&servers, "vestibule");
    assert!(before.contains("<count>70</count>"), "{before}");
    assert_eq!(counts(&servers, "other"), before);
    let other = url(&servers, 1, "other");
    assert_well(&other);
    let store = open(&other).await;
    accept_some(&store, 70..80).await;
    assert_sound(&store).await;
}
