//! Starts of a node: its database is away, does not let it in, or is being migrated.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::failover::Servers;
use crate::held_transaction::Held;
use crate::nodes::configuration;
use crate::support::client::{Smtp, message, send, try_http};
use crate::support::harness::{Harness, Signal, send_signal, wait_for};
use crate::support::port::Port;
use crate::support::postgres::server;

/// A daemon that is starting, at known ports, with a socket in place of systemd's.
struct Starting {
    harness: Harness,
    daemon: Child,
    smtp: Port,
    http: Port,
    notifications: UnixDatagram,
}

impl Starting {
    fn begin(configuration: &str, environment: &[(&str, &str)]) -> Self {
        let [smtp, http] = [(); 2].map(|()| Port::reserve());
        let place = |port: &Port| format!("\"{}\"", port.address);
        let configuration = configuration
            .replacen("[\"127.0.0.1:0\"]", &format!("[{}]", place(&smtp)), 1)
            .replacen("\"127.0.0.1:0\"", &place(&http), 1);
        let harness = Harness::at_rest(&configuration);
        let socket = harness.path("notify");
        let notifications = UnixDatagram::bind(&socket).expect("a socket");
        let wait = Duration::from_millis(100);
        notifications.set_read_timeout(Some(wait)).expect("set");
        let log = fs::File::create(harness.path("log")).expect("a log file");
        let daemon = harness
            .command(&["serve"])
            .env("NOTIFY_SOCKET", &socket)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        Self {
            harness,
            daemon,
            smtp,
            http,
            notifications,
        }
    }

    /// Waits for a notification to systemd. Returns all notifications up to it.
    fn notification(&self, beginning: &str) -> Vec<String> {
        let (mut told, mut octets) = (Vec::new(), [0; 4096]);
        wait_for(beginning, || {
            let count = self.notifications.recv(&mut octets).ok()?;
            let text = String::from_utf8_lossy(&octets[..count]);
            told.extend(text.lines().map(str::to_owned));
            text.starts_with(beginning).then_some(())
        });
        told
    }

    /// Status and body of a page; 0 while nothing answers.
    fn status(&self, path: &str) -> (u16, String) {
        try_http(self.http.address, "GET", path, &[]).unwrap_or_default()
    }

    /// The first line that an MTA gets.
    fn greeting(address: SocketAddr) -> String {
        let stream = TcpStream::connect(address).expect("a connection");
        let limit = Duration::from_mins(1);
        stream.set_read_timeout(Some(limit)).expect("set");
        let mut line = String::new();
        let mut reader = BufReader::new(stream);
        reader.read_line(&mut line).expect("a greeting");
        line
    }

    /// Checks the answers of a daemon that waits.
    fn assert_waits(&self) {
        wait_for("answers", || {
            (self.status("/healthz").0 == 200).then_some(())
        });
        let (status, body) = self.status("/readyz");
        assert_eq!(status, 503, "{body}");
        assert!(body.contains("\"database\":false"), "{body}");
        assert_eq!(self.status("/resend").0, 503);
        let greeting = Self::greeting(self.smtp.address);
        assert!(greeting.starts_with("421 4.3.2 "), "{greeting}");
    }

    /// Checks the answers of a daemon that is ready.
    fn assert_takes_mail(&self) {
        wait_for("readiness", || {
            (self.status("/readyz").0 == 200).then_some(())
        });
        send(self.smtp.address, "ann@corp.example", "taken");
    }

    fn exit_status(&mut self) -> Option<i32> {
        wait_for("the end", || self.daemon.try_wait().expect("a child")).code()
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn url(servers: &Servers, database: &str) -> String {
    let socket = servers.socket(0).replace('/', "%2F");
    format!("postgres://vestibule@{socket}/{database}")
}

#[test]
fn a_node_waits_for_a_database_that_starts_after_it() {
    let servers = Servers::start();
    let configuration = configuration(&url(&servers, "vestibule"));
    // Migrated beforehand, because a start that migrates may ask systemd for more time.
    Harness::at_rest(&configuration).json(&["migrate"]);
    servers.stop(0);
    let mut node = Starting::begin(&configuration, &[]);
    let told = node.notification("STATUS=Waiting");
    assert!(!told.iter().any(|line| line == "READY=1"), "{told:?}");
    // An MTA that connects too early is kept waiting for a moment.
    let greeting = Starting::greeting(node.smtp.address);
    assert!(greeting.starts_with("421 "), "{greeting}");
    node.assert_waits();
    assert!(node.harness.log().contains("daemon.start"));
    servers.begin(0);
    let told = node.notification("READY=1");
    assert!(!told.iter().any(|line| line.contains("EXTEND")), "{told:?}");
    node.assert_takes_mail();

    // It stops at once when it is told to, even while it waits.
    send_signal(&node.daemon, Signal::TERM);
    assert_eq!(node.exit_status(), Some(0));
    servers.stop(0);
    let mut node = Starting::begin(&configuration, &[]);
    node.notification("STATUS=Waiting");
    send_signal(&node.daemon, Signal::TERM);
    assert_eq!(node.exit_status(), Some(0));
    servers.begin(0);
}

#[test]
fn a_node_whose_login_is_refused_exits_and_names_the_key() {
    let servers = Servers::start();
    let ends = |configuration: &str, named: &[&str]| {
        let mut node = Harness::at_rest(configuration);
        fs::write(node.path("password"), "wrong\n").expect("written");
        assert!(!node.restart_with(&[]));
        let log = node.log();
        for text in named {
            assert!(log.contains(text), "{text}: {log}");
        }
        let told = node.run(&["check", "--json"]).out;
        let line = told
            .lines()
            .find(|line| line.contains("\"check\":\"store\""));
        assert!(line.is_some_and(|line| line.contains("problem")), "{told}");
    };
    let nowhere = configuration(&url(&servers, "nowhere"));
    ends(&nowhere, &["nowhere", "3D000", "url", "[store]"]);

    servers.sql(0, "ALTER ROLE vestibule PASSWORD 'right'");
    let rules = servers.data(0).join("pg_hba.conf");
    fs::write(rules, "local all all scram-sha-256\n").expect("written");
    servers.stop(0);
    servers.begin(0);
    let here = configuration(&url(&servers, "vestibule"));
    ends(&here, &["password_file", "[store]"]);
    let wrong = here.replace("\nurl =", "\npassword_file = \"password\"\nurl =");
    ends(&wrong, &["28P01", "password_file", "[store]"]);
}

/// Nodes that hold locks, and large tables, make a migration long.
#[test]
fn systemd_is_asked_for_more_time_while_a_node_migrates() {
    let schema = server().schema();
    let configuration = configuration(&schema.url);
    let before = Harness::at_rest(&configuration);
    before.json(&["migrate"]);
    let next = before.write("next.sql", "ALTER TABLE ledger ADD COLUMN added bigint;\n");
    let lock = Held::lock(&schema);
    let node = Starting::begin(&configuration, &[("VESTIBULE_NEXT_MIGRATIONS", &next)]);
    node.assert_waits();
    let told = node.notification("EXTEND_TIMEOUT_USEC=60000000");
    assert!(!told.iter().any(|line| line == "READY=1"), "{told:?}");
    lock.end();
    node.notification("READY=1");
    node.assert_takes_mail();
}

/// A server that was set up again, and not restored yet.
#[test]
fn an_empty_database_is_not_a_new_store_for_a_node_that_served_one() {
    let schema = server().schema();
    let mut node = Harness::start(&configuration(&schema.url));
    node.kill();
    let anew = format!("DROP SCHEMA {0} CASCADE; CREATE SCHEMA {0}", schema.name);
    server().run("public", &anew);
    assert!(!node.restart_with(&[]));
    let log = node.log();
    assert!(log.contains("the database is empty"), "{log}");
    assert!(log.contains("vestibule migrate"), "{log}");
    let tables =
        "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace";
    assert_eq!(server().run(&schema.name, tables), ["0"]);
    node.json(&["migrate"]);
    node.restart();
    send(node.smtp, "ann@corp.example", "taken");
}

/// A standby without the tail of the log becomes the primary: the last migrations are gone.
#[test]
fn a_node_whose_migration_a_failover_lost_starts_again_and_migrates() {
    let schema = server().schema();
    let newest = "SELECT version FROM schema_version";
    let mut node = Harness::start(&configuration(&schema.url));
    send(node.smtp, "ann@corp.example", "taken");
    let version = server().run(&schema.name, newest);
    server().run(&schema.name, "UPDATE schema_version SET version = 35");
    // Each transaction fails now, and the first one ends the process.
    let message = message("ann@corp.example", "not taken");
    let told = Smtp::connect(node.smtp)
        .and_then(|mut mta| mta.send("ann@corp.example", "it-help@corp.example", &message));
    assert!(
        !told.as_ref().is_ok_and(|reply| reply.starts_with("250")),
        "{told:?}"
    );
    assert_eq!(node.exit_status(), Some(1));
    let log = node.log();
    assert!(log.contains("the database has schema 35"), "{log}");
    node.restart();
    assert_eq!(server().run(&schema.name, newest), version);
    send(node.smtp, "ann@corp.example", "taken again");
}
