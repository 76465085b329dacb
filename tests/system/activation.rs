//! Socket activation by systemd: sockets are taken by name, and no connection is refused while one process
//! replaces another.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::client::{Smtp, http, message};
use crate::support::harness::{Harness, STANDARD, wait_for};
use crate::support::port::Port;
use crate::support::program::PROGRAM;

/// `systemd-socket-activate` and its child, which form one process group.
struct Activated(Child);

impl Activated {
    /// Holds the named sockets open and passes them to a shell that runs `script` in the harness's folder.
    fn start(harness: &Harness, sockets: &[(&str, SocketAddr)], script: &str) -> Self {
        let mut command = Command::new("systemd-socket-activate");
        for (_, address) in sockets {
            command.arg(format!("--listen={address}"));
        }
        let names: Vec<_> = sockets.iter().map(|(name, _)| *name).collect();
        let log = fs::File::create(harness.path("log")).expect("a log file");
        let child = command
            .arg(format!("--fdname={}", names.join(":")))
            .arg("--setenv=VESTIBULE_CONFIG")
            .args(["/bin/sh", "-c", script])
            .env("VESTIBULE_CONFIG", harness.path("vestibule.toml"))
            .current_dir(harness.folder.path())
            .stdin(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("systemd-socket-activate is missing: tests/run installs systemd");
        // It starts the program at the first connection, and then exits.
        for (_, address) in sockets {
            wait_for("the sockets", || TcpStream::connect(address).ok());
        }
        Self(child)
    }

    fn wait(&mut self) -> Option<i32> {
        wait_for("the end", || self.0.try_wait().expect("a child")).code()
    }

    fn signal(&self, name: &str) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args([name, "--", &group]).output();
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        self.signal("-KILL");
        let _ = self.0.wait();
    }
}

fn ready(harness: &Harness, name: &str) -> Value {
    wait_for(name, || {
        serde_json::from_str(&fs::read_to_string(harness.path(name)).ok()?).ok()
    })
}

#[test]
fn sockets_are_matched_by_name_and_the_others_are_bound() {
    let harness = Harness::at_rest(STANDARD);
    let ports = [(); 3].map(|()| Port::reserve());
    let [first, page, second] = ports.each_ref().map(|port| port.address);
    let _running = Activated::start(
        &harness,
        &[("smtp", first), ("http", page), ("smtp", second)],
        &format!("exec {PROGRAM} serve --ready-file ready"),
    );
    let bound = ready(&harness, "ready");
    assert_eq!(bound["smtp"], serde_json::json!([first, second]));
    assert_eq!(bound["http"], serde_json::json!(page));
    assert_ne!(bound["admin"], serde_json::json!(page));
    for address in [first, second] {
        Smtp::connect(address).expect("a greeting");
    }
    assert_eq!(http(page, "GET", "/healthz", &[]).0, 200);
}

#[test]
fn a_socket_of_another_name_is_refused_with_the_remedy() {
    let harness = Harness::at_rest(STANDARD);
    let port = Port::reserve();
    let mut running = Activated::start(
        &harness,
        &[("mail", port.address)],
        &format!("exec {PROGRAM} serve"),
    );
    assert_eq!(running.wait(), Some(1));
    assert!(
        harness.log().contains("FileDescriptorName="),
        "{}",
        harness.log()
    );
}

/// Starts the daemon by a connection to systemd's sockets, with a cause that prevents the start; checks the answers
/// to waiting clients, the exit status and the cause in the log.
fn check_answers_to_failed_start(harness: &Harness, status: i32, cause: &str) {
    let [smtp, page] = [(); 2].map(|()| Port::reserve());
    let mut running = Activated::start(
        harness,
        &[("smtp", smtp.address), ("http", page.address)],
        &format!("exec {PROGRAM} serve"),
    );
    let mut stream = TcpStream::connect(smtp.address).expect("the socket listens");
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting).expect("a greeting");
    assert!(greeting.starts_with("421 4.3.2 "), "{greeting}");
    assert_eq!(http(page.address, "GET", "/", &[]).0, 503);
    assert_eq!(running.wait(), Some(status));
    assert!(harness.log().contains(cause), "{}", harness.log());
}

/// Otherwise an MTA waits for minutes on a socket that systemd keeps open, and does not move on to another node.
#[test]
fn a_failed_start_answers_clients_that_wait_on_the_sockets() {
    let harness = Harness::at_rest(STANDARD);
    fs::create_dir_all(harness.path("data")).expect("a folder");
    harness.write("data/vestibule.db", &"no database".repeat(1000));
    check_answers_to_failed_start(&harness, 1, "not a database");
}

/// Otherwise each waiting client starts the daemon again at once, until systemd gives up and closes the sockets.
#[test]
fn a_mistake_in_the_configuration_answers_clients_that_wait_on_the_sockets() {
    let harness = Harness::at_rest(STANDARD);
    harness.write("vestibule.toml", "hostname = 7\n");
    check_answers_to_failed_start(&harness, 2, "hostname");
}

#[test]
fn a_data_folder_that_cannot_be_used_answers_clients_that_wait_on_the_sockets() {
    let harness = Harness::at_rest(STANDARD);
    harness.write("data", "a file");
    check_answers_to_failed_start(&harness, 1, "data_dir: cannot create");
}

#[test]
fn a_stop_while_clients_are_answered_leaves_the_cause_in_the_log() {
    for (file, content, status, cause) in [
        ("data", "a file", 1, "data_dir: cannot create"),
        ("vestibule.toml", "hostname = 7\n", 2, "hostname"),
    ] {
        let harness = Harness::at_rest(STANDARD);
        harness.write(file, content);
        let smtp = Port::reserve();
        let script = format!("exec {PROGRAM} serve");
        let mut running = Activated::start(&harness, &[("smtp", smtp.address)], &script);
        let mut stream = TcpStream::connect(smtp.address).expect("the socket listens");
        let mut greeting = String::new();
        stream.read_to_string(&mut greeting).expect("a greeting");
        assert!(greeting.starts_with("421 "), "{greeting}");
        running.signal("-TERM");
        assert_eq!(running.wait(), Some(status), "{}", harness.log());
        assert!(harness.log().contains(cause), "{}", harness.log());
    }
}

/// Five consecutive processes on the same sockets, under load: each connection is accepted, and each acknowledged
/// message is stored in the end.
#[test]
fn an_upgrade_refuses_no_connection() {
    const PROCESSES: usize = 5;
    const CLIENTS: usize = 4;
    let harness = Harness::at_rest(STANDARD);
    let ports = [(); 2].map(|()| Port::reserve());
    let [smtp, page] = ports.each_ref().map(|port| port.address);
    // Without LISTEN_PID the sockets belong to any process that has them, so the shell can pass them on.
    let script = format!(
        "unset LISTEN_PID
         for n in 1 2 3 4 {PROCESSES}; do
             {PROGRAM} serve --ready-file ready-$n & echo $! >pid-$n; wait $! || exit
         done"
    );
    let mut running = Activated::start(&harness, &[("smtp", smtp), ("http", page)], &script);
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
            std::thread::spawn(move || {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    TcpStream::connect(smtp).expect("no connection is refused");
                    let marker = format!("c{client}n{number}");
                    let from = format!("bob{client}@partner.example");
                    let message = message(&from, &marker);
                    // A client that is disconnected when a process ends reconnects, as an MTA does.
                    let reply = Smtp::connect(smtp)
                        .and_then(|mut smtp| smtp.send(&from, "it-help@corp.example", &message));
                    if reply.is_ok_and(|reply| reply.starts_with("250")) {
                        acknowledged.lock().expect("no panic").insert(marker);
                    }
                }
            })
        })
        .collect();
    for n in 1..=PROCESSES {
        ready(&harness, &format!("ready-{n}"));
        let so_far = acknowledged.lock().expect("no panic").len();
        wait_for("some acknowledgements", || {
            (acknowledged.lock().expect("no panic").len() >= so_far + 20).then_some(())
        });
        if n == PROCESSES {
            // After this process the sockets are closed.
            stop.store(true, Ordering::Relaxed);
            for client in clients.drain(..) {
                client.join().expect("no connection was refused");
            }
        }
        // The shell writes it while the daemon is starting.
        let process = wait_for("a process id", || {
            let text = fs::read_to_string(harness.path(&format!("pid-{n}"))).ok()?;
            text.strip_suffix('\n').map(str::to_owned)
        });
        let killed = Command::new("kill").args(["-TERM", &process]).status();
        assert!(killed.expect("kill runs").success());
    }
    assert_eq!(running.wait(), Some(0), "{}", harness.log());
    let requests = harness.json(&["requests", "list", "--limit", "100000"]);
    let there: BTreeSet<_> = requests
        .iter()
        .filter_map(|request| {
            request["message_id"]
                .as_str()?
                .strip_suffix("@client.example")
        })
        .collect();
    for marker in acknowledged.lock().expect("no panic").iter() {
        assert!(there.contains(marker.as_str()), "{marker} was acknowledged");
    }
}
