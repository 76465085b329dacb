//! `PgBouncer` in transaction mode between the nodes and the server.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::store_harness::{accept, assert_sound};
use crate::support::client::send;
use crate::support::harness::{Folder, Harness, STANDARD, wait_for};
use crate::support::port::Port;
use crate::support::postgres::{server, user_of_package};
use vestibule::config::PostgresServer;
use vestibule::domain::Timestamp;
use vestibule::store::{Location, Store, transfer, undo_transfer};

/// A running pooler.
pub struct Pooler {
    program: Child,
    port: Port,
    pub folder: Folder,
}

impl Pooler {
    pub fn start() -> Self {
        Self::start_with("auth_type = any", &[])
    }

    /// Starts one with more settings, and files that they name.
    pub fn start_with(settings: &str, files: &[(&str, String)]) -> Self {
        let folder = Folder::new();
        let port = Port::reserve();
        let configuration = format!(
            "[databases]
             vestibule = host={} dbname=vestibule user=vestibule
             [pgbouncer]
             listen_addr = 127.0.0.1
             listen_port = {}
             unix_socket_dir = {}
             {settings}
             pool_mode = transaction
             default_pool_size = 20
             ignore_startup_parameters = extra_float_digits
             ",
            server().folder.display(),
            port.address.port(),
            folder.path().display()
        );
        let unindented: Vec<_> = configuration.lines().map(str::trim).collect();
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, unindented.join("\n")).expect("a file");
        let named = files.iter().map(|(name, text)| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a file");
            path
        });
        let named: Vec<_> = named.collect();
        let mut command = Command::new("/usr/sbin/pgbouncer");
        command
            .current_dir(folder.path())
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if rustix::process::getuid().is_root() {
            let (user, group) = user_of_package();
            for path in named.iter().chain([&file, &folder.path().to_owned()]) {
                chown(path, Some(user), Some(group)).expect("another owner");
            }
            command.uid(user).gid(group);
        }
        let program = command.spawn().expect("pgbouncer; tests/run installs it");
        wait_for("the pooler", || TcpStream::connect(port.address).ok());
        Self {
            program,
            port,
            folder,
        }
    }

    pub fn url(&self, schema: &str) -> String {
        format!("{}?schema={schema}", self.url_at("127.0.0.1"))
    }

    /// The place of a schema behind the pooler's own socket, whose buffers are smaller than those of TCP.
    pub fn url_of_socket(&self, schema: &str) -> String {
        let (folder, port) = (self.folder.path().display(), self.port.address.port());
        format!("postgres://vestibule@/vestibule?host={folder}&port={port}&schema={schema}")
    }

    /// The place of the database, by a name of this machine.
    pub fn url_at(&self, host: &str) -> String {
        let port = self.port.address.port();
        format!("postgres://vestibule@{host}:{port}/vestibule")
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_work_behind_a_pooler_in_transaction_mode() {
    let pooler = Pooler::start();
    let schema = server().schema();
    let mut place = PostgresServer::parse(&pooler.url(&schema.name)).expect("a place");
    place.pooler = true;
    let mut stores = Vec::new();
    for _ in 0..2 {
        let place = place.clone();
        let store = tokio::task::spawn_blocking(move || Store::open(place)).await;
        stores.push(store.expect("a thread").expect("a store"));
    }
    let mut waiting = Vec::new();
    for number in 0..60 {
        let store = stores[number % 2].clone();
        waiting.push(tokio::spawn(async move {
            let outcome = accept(&store, "ann@corp.example", &format!("m{number}@x")).await;
            outcome.expect("accepted");
            store.access().await.expect("read");
        }));
    }
    for one in waiting {
        one.await.expect("no panic");
    }
    assert_eq!(
        server().run(&schema.name, "SELECT count(*) FROM ledger"),
        ["60"]
    );
    assert_sound(&stores[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_moves_out_of_a_pooler_and_behind_one() {
    let pooler = Pooler::start();
    let behind_pooler = || {
        let mut place =
            PostgresServer::parse(&pooler.url(&server().schema().name)).expect("a place");
        place.pooler = true;
        Location::from(place)
    };
    let (here, next) = (behind_pooler(), behind_pooler());
    let folder = tempfile::tempdir().expect("a folder");
    let file = Location::from(&folder.path().join("vestibule.db"));
    let store = Store::open(&here).expect("a store");
    let taken = accept(&store, "ann@corp.example", "before@x").await;
    taken.expect("accepted");
    store.close().await;

    let there = transfer(&here, &file, Timestamp::now(), |_, _| {}).expect("moved");
    Store::open(&here).expect_err("it was moved");
    let other = undo_transfer(&here).expect("undone");
    assert!(other.is_some_and(|place| place.contains("vestibule.db")));
    let store = Store::open(&here).expect("open again");
    let taken = accept(&store, "ann@corp.example", "after@x").await;
    taken.expect("accepted");

    let moved = transfer(&file, &next, Timestamp::now(), |_, _| {}).expect("moved");
    assert_eq!(moved, there);
    let store = Store::open(&next).expect("the new location");
    assert_sound(&store).await;
}

#[test]
fn a_node_behind_a_pooler_polls_for_changes_of_other_nodes() {
    let pooler = Pooler::start();
    let schema = server().schema();
    let node = Harness::start(&format!(
        "{STANDARD}\n[store]\ntype = \"postgres\"\npooler = true\nurl = \"{}\"\n",
        pooler.url(&schema.name)
    ));
    send(node.smtp, "ann@partner.example", "held");
    let verified = node.run(&["customers", "verify", "ann@partner.example"]);
    assert_eq!(verified.status, 0, "{}", verified.err);
    wait_for("the delivery", || node.delivered().pop());
}
