//! The primary dies under load, and its synchronous standby is promoted: what was acknowledged is there.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::{JoinHandle, block_in_place};

use crate::patroni::Patroni;
use crate::store_harness::{accept, assert_sound, open_seeded};
use crate::support::harness::{Folder, wait_for};
use crate::support::postgres::{programs, user_of_package};
use vestibule::store::{Store, StoreError};

fn is_long() -> bool {
    std::env::var_os("VESTIBULE_LONG").is_some()
}

/// Number of times that the primary dies.
fn rounds() -> usize {
    if is_long() { 20 } else { 2 }
}

/// Number of acknowledged messages between two of these times.
const ENOUGH: usize = 60;

/// Servers in a folder, each created as a standby of the one before it.
pub struct Servers {
    pub folder: Folder,
    /// Numbers of the running servers.
    running: Mutex<Vec<usize>>,
}

impl Servers {
    /// The first primary, with an empty database.
    pub fn start() -> Self {
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

    pub fn data(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("data-{number}"))
    }

    pub fn socket(&self, number: usize) -> String {
        let path = self.folder.path().join(format!("socket-{number}"));
        path.to_str().expect("UTF-8").to_owned()
    }

    /// Runs a program of the package, as the user that the servers run as.
    pub fn run(&self, program: &str, args: &[&str]) {
        let outcome = self.try_run(program, args);
        outcome.unwrap_or_else(|said| panic!("{program}: {said}"));
    }

    /// Like [`run`](Self::run), but returns the output of a program that failed.
    fn try_run(&self, program: &str, args: &[&str]) -> Result<(), String> {
        let mut command = Command::new(programs().join(program));
        command
            .args(args)
            .current_dir("/")
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PGCTLTIMEOUT", "300")
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
    pub fn configure(&self, number: usize) {
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
        self.begin(number);
    }

    /// Starts a server that has its socket.
    pub fn begin(&self, number: usize) {
        let data = self.data(number);
        let log = self.folder.path().join(format!("log-{number}"));
        let (data, log) = (data.to_str().expect("UTF-8"), log.to_str().expect("UTF-8"));
        self.run("pg_ctl", &["-D", data, "-l", log, "-w", "start"]);
        self.running.lock().expect("numbers").push(number);
    }

    /// Stops a server without a checkpoint, so that it recovers when it begins again.
    pub fn stop(&self, number: usize) {
        let data = self.data(number);
        let data = data.to_str().expect("UTF-8");
        self.run("pg_ctl", &["-D", data, "-m", "immediate", "-w", "stop"]);
        self.forget(number);
    }

    fn forget(&self, number: usize) {
        let mut running = self.running.lock().expect("numbers");
        running.retain(|other| *other != number);
    }

    pub fn sql(&self, number: usize, sql: &str) -> String {
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

    /// Adds a synchronous standby of a server, and waits until commits wait for it.
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
        // Set only now, because the copy must not wait for itself when it is promoted.
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

    /// Kills a server and promotes its standby.
    fn fail_over(&self, primary: usize) {
        kill_server(&self.data(primary));
        self.forget(primary);
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

/// Kills all processes of a server at once.
pub fn kill_server(data: &Path) {
    let Ok(file) = fs::read_to_string(data.join("postmaster.pid")) else {
        return;
    };
    let pid = file.lines().next().expect("a number");
    // The postmaster would restart its processes; any of them may exit by itself meanwhile.
    let kill = format!("others=$(pgrep -P {pid}); kill -9 {pid} $others || :");
    let killed = Command::new("/bin/sh").args(["-c", &kill]).output();
    assert!(killed.expect("it runs").status.success());
}

/// Senders that send one message after another, and retry each until it is accepted, as an MTA does.
struct Senders {
    acknowledged: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Senders {
    fn start(store: &Store) -> Self {
        let acknowledged: Arc<Mutex<Vec<String>>> = Arc::default();
        let is_over = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicUsize::new(0));
        let send = |_| {
            let (store, acknowledged) = (store.clone(), acknowledged.clone());
            let (is_over, next) = (is_over.clone(), next.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let id = format!("m{number}@x");
                    // A message beyond a sender's quota is dropped, and decided again when it is sent again.
                    let from = format!("ann{}@corp.example", number / 500);
                    loop {
                        match accept(&store, &from, &id).await {
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
            })
        };
        let tasks = (0..4).map(send).collect();
        Self {
            acknowledged,
            is_over,
            tasks,
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().expect("a list").len()
    }

    fn wait_for_more(&self) {
        let goal = self.count() + ENOUGH;
        wait_for("load", || (self.count() >= goal).then_some(()));
    }

    /// Stops the senders, and checks that everything acknowledged is stored.
    async fn end(self, store: &Store, what: &str, sql: impl Fn(&str) -> String) {
        self.is_over.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.expect("no panic");
        }
        let facts = sql("SELECT facts FROM vestibule.ledger WHERE rule <> 1");
        let ids = self.acknowledged.lock().expect("a list").clone();
        let mut found: HashMap<&str, usize> = HashMap::new();
        for line in facts.lines() {
            let id = line.split('"').find(|part| part.ends_with("@x"));
            *found.entry(id.expect("an id")).or_default() += 1;
        }
        for id in &ids {
            assert_eq!(found.get(id.as_str()), Some(&1), "{id} was acknowledged");
        }
        assert_sound(store).await;
        println!(
            "{what}: {} acknowledged, 0 lost, {} repeated",
            ids.len(),
            sql("SELECT count(*) FROM vestibule.ledger WHERE rule = 1")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_mail_survives_the_loss_of_the_primary() {
    let servers = Servers::start();
    let store = open_seeded(&servers.url()).await;
    let senders = Senders::start(&store);
    block_in_place(|| {
        for primary in 0..rounds() {
            servers.add_standby(primary);
            senders.wait_for_more();
            servers.fail_over(primary);
        }
        senders.wait_for_more();
    });
    let what = format!("{} promotions", rounds());
    let sql = |sql: &str| servers.sql(rounds(), sql);
    senders.end(&store, &what, sql).await;
    drop(store);
    if is_long() {
        survives_with_patroni().await;
    }
}

/// The same with Patroni, which promotes by itself; then with the standby away, for which strict mode waits.
async fn survives_with_patroni() {
    let mut cluster = block_in_place(Patroni::start);
    let store = open_seeded(&cluster.url()).await;
    let senders = Senders::start(&store);
    block_in_place(|| {
        for _ in 0..rounds() {
            let leader = cluster.leader_with_standby();
            senders.wait_for_more();
            cluster.kill_member(leader);
            wait_for("the promotion", || {
                cluster.is_writable(1 - leader).then_some(())
            });
            cluster.start_member(leader);
        }
        let leader = cluster.leader_with_standby();
        senders.wait_for_more();

        cluster.kill_member(1 - leader);
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        wait_for("a commit that waits", || {
            (cluster.ask(leader, waits)? != "0").then_some(())
        });
        let before = senders.count();
        std::thread::sleep(Duration::from_secs(40));
        assert_eq!(senders.count(), before, "acknowledged on one disk");
        cluster.start_member(1 - leader);
        senders.wait_for_more();
    });
    let what = format!("{} deaths under Patroni, and a standby away", rounds());
    let leader = block_in_place(|| cluster.leader_with_standby());
    let sql = |sql: &str| cluster.ask(leader, sql).expect("an answer");
    senders.end(&store, &what, sql).await;
}
