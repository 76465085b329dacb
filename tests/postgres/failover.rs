//! The primary dies under load, and its synchronous standby is promoted: what was acknowledged is there.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::stores::{accept, assert_sound, open_seeded};
use crate::support::harness::{Folder, wait_for};
use crate::support::postgres::{programs, user_of_package};
use vestibule::store::StoreError;

/// Times that the primary dies; each time with a new standby.
fn rounds() -> usize {
    if std::env::var_os("VESTIBULE_LONG").is_some() {
        20
    } else {
        2
    }
}

/// Acknowledged messages between two deaths.
const ENOUGH: usize = 60;

/// Servers in a folder, each a standby of the one before it at first.
struct Servers {
    folder: Folder,
    /// Numbers of those that run.
    running: Mutex<Vec<usize>>,
}

impl Servers {
    /// The first primary, with an empty database.
    fn start() -> Self {
        let servers = Self {
            folder: Folder::new(),
            running: Mutex::default(),
        };
        let path = servers.folder.path();
        if rustix::process::getuid().is_root() {
            let (user, group) = user_of_package();
            chown(path, Some(user), Some(group)).expect("another owner");
        }
        let data = servers.data(0);
        let data = data.to_str().expect("UTF-8");
        servers.run(
            "initdb",
            &[
                "-N",
                "-A",
                "trust",
                "-U",
                "vestibule",
                "-E",
                "UTF8",
                "-D",
                data,
            ],
        );
        servers.configure(0);
        servers.run(
            "createdb",
            &["-h", &servers.socket(0), "-U", "vestibule", "vestibule"],
        );
        servers
    }

    fn data(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("data-{number}"))
    }

    fn socket(&self, number: usize) -> String {
        let path = self.folder.path().join(format!("socket-{number}"));
        path.to_str().expect("UTF-8").to_owned()
    }

    /// A program of the package, as the user that the servers run as.
    fn run(&self, program: &str, args: &[&str]) {
        let outcome = self.try_run(program, args);
        outcome.unwrap_or_else(|said| panic!("{program}: {said}"));
    }

    /// The same, with what a program said that failed.
    fn try_run(&self, program: &str, args: &[&str]) -> Result<(), String> {
        let mut command = Command::new(programs().join(program));
        command
            .args(args)
            .current_dir("/")
            .env_clear()
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if rustix::process::getuid().is_root() {
            let (user, group) = user_of_package();
            command.uid(user).gid(group);
        }
        let log = fs::File::create(self.folder.path().join("said")).expect("a file");
        let status = command.stderr(log).status().expect("it runs");
        let said = fs::read_to_string(self.folder.path().join("said")).expect("a file");
        if status.success() { Ok(()) } else { Err(said) }
    }

    /// Gives a server its socket, and starts it.
    fn configure(&self, number: usize) {
        let socket = self.socket(number);
        fs::create_dir(&socket).expect("a folder");
        if rustix::process::getuid().is_root() {
            let (user, group) = user_of_package();
            chown(&socket, Some(user), Some(group)).expect("another owner");
        }
        let data = self.data(number);
        let file = data.join("postgresql.conf");
        let before = fs::read_to_string(&file).expect("a file");
        // The disk survives in this test, so nothing has to be synced.
        let own = format!(
            "{before}\nlisten_addresses = ''\nunix_socket_directories = '{socket}'\nfsync = off\n"
        );
        fs::write(&file, own).expect("written");
        let log = self.folder.path().join(format!("log-{number}"));
        let (data, log) = (data.to_str().expect("UTF-8"), log.to_str().expect("UTF-8"));
        self.run("pg_ctl", &["-D", data, "-l", log, "-w", "start"]);
        self.running.lock().expect("numbers").push(number);
    }

    fn sql(&self, number: usize, sql: &str) -> String {
        let output = Command::new(programs().join("psql"))
            .args([
                "-X",
                "-A",
                "-t",
                "-U",
                "vestibule",
                "-h",
                &self.socket(number),
            ])
            .args(["-d", "vestibule", "-c", sql])
            .output()
            .expect("psql");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Makes a synchronous standby of a server, and waits until commits wait for it.
    fn add_standby(&self, primary: usize) {
        let number = primary + 1;
        let (name, data) = (format!("s{number}"), self.data(number));
        let place = format!(
            "application_name={name} host={} user=vestibule",
            self.socket(primary)
        );
        let data_path = data.to_str().expect("UTF-8");
        self.run(
            "pg_basebackup",
            &[
                "-D", data_path, "-R", "-X", "stream", "-N", "-c", "fast", "-d", &place,
            ],
        );
        self.configure(number);
        // Only now: the copy must not wait for itself when it is promoted.
        self.sql(
            primary,
            &format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'"),
        );
        self.sql(primary, "SELECT pg_reload_conf()");
        let ready = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        wait_for("a synchronous standby", || {
            (self.sql(primary, ready) == "1").then_some(())
        });
    }

    /// Kills a server, all its processes at once, and promotes its standby.
    fn fail_over(&self, primary: usize) {
        let file = self.data(primary).join("postmaster.pid");
        let pid = fs::read_to_string(file).expect("a file");
        let pid = pid.lines().next().expect("a number").to_owned();
        // The first one would start its processes again; one of them may end by itself meanwhile.
        let kill =
            format!("others=$(pgrep -P {pid}); kill -9 {pid} && {{ kill -9 $others || :; }}");
        let killed = Command::new("/bin/sh").args(["-c", &kill]).status();
        assert!(killed.expect("it runs").success());
        self.running
            .lock()
            .expect("numbers")
            .retain(|other| *other != primary);
        let data = self.data(primary + 1);
        self.run(
            "pg_ctl",
            &["-D", data.to_str().expect("UTF-8"), "-w", "promote"],
        );
        let _ = fs::remove_dir_all(self.data(primary));
    }

    fn url(&self) -> String {
        let sockets: Vec<_> = (0..=rounds())
            .map(|number| self.socket(number).replace('/', "%2F"))
            .collect();
        format!("postgres://vestibule@{}/vestibule", sockets.join(","))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for number in self.running.lock().expect("numbers").drain(..) {
            let data = self.data(number);
            let data = data.to_str().expect("UTF-8");
            let _ = self.try_run("pg_ctl", &["-D", data, "-m", "immediate", "stop"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_the_death_of_the_primary() {
    let servers = Servers::start();
    let store = open_seeded(&servers.url()).await;
    let acknowledged: Arc<Mutex<Vec<String>>> = Arc::default();
    let (is_over, next) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut senders = Vec::new();
    for _ in 0..4 {
        let (store, acknowledged) = (store.clone(), acknowledged.clone());
        let (is_over, next) = (is_over.clone(), next.clone());
        senders.push(tokio::spawn(async move {
            while !is_over.load(Ordering::SeqCst) {
                let id = format!("m{}@x", next.fetch_add(1, Ordering::SeqCst));
                // As an MTA does: again, until it is taken.
                loop {
                    match accept(&store, "ann@corp.example", &id).await {
                        Ok(_) => break,
                        Err(
                            StoreError::Away(_) | StoreError::Busy(_) | StoreError::ReadOnly(_),
                        ) => {}
                        Err(error) => panic!("{error}"),
                    }
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                }
                acknowledged.lock().expect("a list").push(id);
            }
        }));
    }
    let count = || acknowledged.lock().expect("a list").len();
    let run = tokio::task::spawn_blocking(move || {
        for primary in 0..rounds() {
            servers.add_standby(primary);
            let before = next.load(Ordering::SeqCst);
            wait_for("load", || {
                (next.load(Ordering::SeqCst) > before + ENOUGH).then_some(())
            });
            servers.fail_over(primary);
        }
        let before = next.load(Ordering::SeqCst);
        wait_for("mail at the last server", || {
            (next.load(Ordering::SeqCst) > before + ENOUGH).then_some(())
        });
        is_over.store(true, Ordering::SeqCst);
        servers
    });
    let servers = run.await.expect("no panic");
    for sender in senders {
        sender.await.expect("no panic");
    }
    assert!(count() > ENOUGH * (rounds() + 1), "{}", count());
    let sql = |sql: &str| servers.sql(rounds(), sql);
    let facts = sql("SELECT facts FROM vestibule.ledger WHERE rule <> 1");
    for id in acknowledged.lock().expect("a list").iter() {
        let found = facts.matches(&format!("\"{id}\"")).count();
        assert_eq!(found, 1, "{id} was acknowledged");
    }
    println!(
        "{} primaries died: {} acknowledged, 0 lost, {} repeated",
        rounds(),
        count(),
        sql("SELECT count(*) FROM vestibule.ledger WHERE rule = 1")
    );
    assert_sound(&store).await;
}
