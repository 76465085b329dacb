//! Two servers that Patroni manages, with etcd; in strictly synchronous mode, as docs/cluster.md asks for. They are
//! Debian's packages, which `tests/run --long` installs.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::failover::kill_server;
use crate::support::client::try_http;
use crate::support::harness::{Folder, wait_for};
use crate::support::port::Port;
use crate::support::postgres::{programs, user_of_package};

/// One server with its Patroni.
struct Member {
    name: &'static str,
    /// Ports of PostgreSQL and of Patroni.
    ports: [Port; 2],
    patroni: Option<Child>,
}

/// The cluster. Its processes end with it.
pub struct Patroni {
    folder: Folder,
    /// Ports for clients and for peers.
    etcd_ports: [Port; 2],
    etcd: Option<Child>,
    members: [Member; 2],
}

impl Patroni {
    /// Starts etcd and both servers, and waits until commits wait for a standby.
    pub fn start() -> Self {
        let member = |name| Member {
            name,
            ports: [Port::reserve(), Port::reserve()],
            patroni: None,
        };
        let mut cluster = Self {
            folder: Folder::new(),
            etcd_ports: [Port::reserve(), Port::reserve()],
            etcd: None,
            members: [member("a"), member("b")],
        };
        if rustix::process::getuid().is_root() {
            let (user, group) = user_of_package();
            chown(cluster.folder.path(), Some(user), Some(group)).expect("another owner");
        }
        let [clients, peers] = cluster
            .etcd_ports
            .each_ref()
            .map(|port| format!("http://{}", port.address));
        let mut etcd = cluster.program("etcd");
        etcd.arg("--unsafe-no-fsync").arg("--data-dir");
        etcd.arg(cluster.folder.path().join("etcd"));
        for (option, url) in [
            ("--listen-client-urls", &clients),
            ("--advertise-client-urls", &clients),
            ("--listen-peer-urls", &peers),
            ("--initial-advertise-peer-urls", &peers),
        ] {
            etcd.args([option, url]);
        }
        etcd.args(["--initial-cluster", &format!("default={peers}")]);
        cluster.etcd = Some(etcd.spawn().expect("etcd; tests/run --long installs it"));
        for number in 0..2 {
            cluster.configure(number);
            cluster.start_member(number);
        }
        cluster.leader_with_standby();
        cluster
    }

    /// A command that runs as the servers' user, with its output in the log.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("a log");
        command
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        if rustix::process::getuid().is_root() {
            let (user, group) = user_of_package();
            command.uid(user).gid(group);
        }
        command
    }

    fn data(&self, member: usize) -> PathBuf {
        self.folder.path().join(self.members[member].name)
    }

    fn configuration(&self, member: usize) -> PathBuf {
        let name = self.members[member].name;
        self.folder.path().join(format!("{name}.yml"))
    }

    fn configure(&self, number: usize) {
        let member = &self.members[number];
        let [server, api] = member.ports.each_ref().map(|port| port.address);
        // The disks survive in this test, so nothing has to be synced.
        let text = format!(
            "scope: gate
name: {name}
restapi: {{listen: '{api}', connect_address: '{api}'}}
etcd3: {{host: '{etcd}'}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 5
    synchronous_mode: true
    synchronous_mode_strict: true
    postgresql: {{use_pg_rewind: true, parameters: {{wal_log_hints: 'on', fsync: 'off', max_wal_senders: 10}}}}
  initdb: [encoding: UTF8, no-sync]
  pg_hba: ['host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust']
postgresql:
  listen: '{server}'
  connect_address: '{server}'
  data_dir: '{data}'
  bin_dir: '{programs}'
  pgpass: '{folder}/pgpass-{name}'
  parameters: {{unix_socket_directories: ''}}
  authentication: {{superuser: {{username: postgres}}, replication: {{username: replicator}}}}
",
            name = member.name,
            etcd = self.etcd_ports[0].address,
            data = self.data(number).display(),
            programs = programs().display(),
            folder = self.folder.path().display(),
        );
        fs::write(self.configuration(number), text).expect("written");
    }

    pub fn start_member(&mut self, number: usize) {
        let patroni = self
            .program("patroni")
            .arg(self.configuration(number))
            .spawn();
        let patroni = patroni.expect("patroni; tests/run --long installs it");
        self.members[number].patroni = Some(patroni);
    }

    /// Kills a member's Patroni, and then all processes of its server.
    pub fn kill_member(&mut self, number: usize) {
        if let Some(mut patroni) = self.members[number].patroni.take() {
            let _ = patroni.kill();
            let _ = patroni.wait();
        }
        kill_server(&self.data(number));
    }

    /// The answer of a member; None where there is none.
    pub fn ask(&self, member: usize, sql: &str) -> Option<String> {
        let port = self.members[member].ports[0].address.port().to_string();
        let output = Command::new(programs().join("psql"))
            .args(["-X", "-A", "-t", "-q", "-U", "postgres", "-h", "127.0.0.1"])
            .args(["-p", &port, "-d", "postgres", "-c", sql])
            .env("PGCONNECT_TIMEOUT", "5")
            .output()
            .expect("psql");
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    }

    /// True once a member takes writes, whatever Patroni says of it.
    pub fn is_writable(&self, member: usize) -> bool {
        let sql = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean";
        self.ask(member, sql).as_deref() == Some("f")
    }

    /// Waits for the member that takes writes, and until Patroni would promote the other: it may be a synchronous
    /// standby some time before Patroni has noted that.
    pub fn leader_with_standby(&self) -> usize {
        let is_noted = |member: usize| {
            let answer = try_http(self.members[member].ports[1].address, "GET", "/sync", &[]);
            answer.is_ok_and(|(status, _)| status == 200)
        };
        wait_for("a leader with a synchronous standby", || {
            (0..2).find(|&member| self.is_writable(member) && is_noted(1 - member))
        })
    }

    /// The place of the store.
    pub fn url(&self) -> String {
        let [a, b] = self
            .members
            .each_ref()
            .map(|member| member.ports[0].address);
        format!("postgres://postgres@{a},{b}/postgres?sslmode=disable")
    }
}

impl Drop for Patroni {
    fn drop(&mut self) {
        for number in 0..2 {
            self.kill_member(number);
        }
        if let Some(mut etcd) = self.etcd.take() {
            let _ = etcd.kill();
            let _ = etcd.wait();
        }
    }
}
