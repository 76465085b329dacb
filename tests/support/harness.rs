//! A running daemon in its own folder. The folder is kept when the test fails.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;

use super::program::{Ran, program_in};

/// Time limit of every wait in a test. Generous, for machines under load, and above the minute after which a
/// first failure is retried.
pub const DEADLINE: Duration = Duration::from_mins(5);

/// Polls until there is a result.
///
/// # Panics
/// With `what`, if there is none by the deadline.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < DEADLINE, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A DNS server that knows no name, for all daemons of this process: the answers of the machine's own DNS,
/// and their delay, are unpredictable.
fn knows_no_name() -> SocketAddr {
    static SERVER: OnceLock<SocketAddr> = OnceLock::new();
    *SERVER.get_or_init(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("bound");
        std::thread::spawn(move || {
            let mut message = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut message) {
                // The query, turned into an NXDOMAIN response (RFC 1035 4.1.1).
                message[2] |= 0x80;
                message[3] = 0x83;
                let _ = socket.send_to(&message[..length], peer);
            }
        });
        address
    })
}

/// A folder that is removed, unless the test that made it panics.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn new() -> Self {
        let path = tempfile::Builder::new()
            .prefix("vestibule-test-")
            .tempdir()
            .expect("a temporary folder")
            .keep();
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.path.display());
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A configuration, a data folder, and the daemon while it runs.
pub struct Harness {
    pub folder: Folder,
    /// The program that is run.
    pub program: PathBuf,
    daemon: Option<Child>,
    pub smtp: SocketAddr,
    pub http: SocketAddr,
    pub admin: SocketAddr,
}

/// The beginning of every configuration: its name, its folder, and ports that the system chooses.
macro_rules! base {
    () => {
        r#"
hostname = "gate.corp.example"
data_dir = "data"

[smtp]
listen = ["127.0.0.1:0"]

[http]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
public_url = "http://127.0.0.1:0"
"#
    };
}

/// The beginning of every configuration, for those that differ in all the rest.
pub const BASE: &str = base!();

/// Common configuration: the portal `it`, a Maildir as its help desk, verification mail as files.
pub const STANDARD: &str = concat!(
    base!(),
    r#"
[[portal]]
name = "it"
title = "IT Help"
addresses = ["it-help@corp.example"]
destination = "desk"

[destination.desk]
type = "maildir"
path = "desk"

[verification]
from = "IT Help <no-reply@corp.example>"

[outgoing]
type = "file"
dir = "letters"

[access]
internal.approved_domains = ["corp.example"]
external.restrict_domains = true
external.allowed_domains = ["partner.example"]
"#
);

impl Harness {
    /// Writes the configuration and starts the daemon.
    pub fn start(configuration: &str) -> Self {
        Self::start_with(configuration, |_| {})
    }

    /// As [`start`](Self::start), after `prepare` has created its files in the folder.
    pub fn start_with(configuration: &str, prepare: impl FnOnce(&Path)) -> Self {
        let mut harness = Self::at_rest(configuration);
        prepare(harness.folder.path());
        harness.restart();
        harness
    }

    /// Only writes the configuration.
    pub fn at_rest(configuration: &str) -> Self {
        let folder = Folder::new();
        let authentication = if configuration.contains("[authentication]") {
            String::new()
        } else {
            format!(
                "\n[authentication]\nresolvers = [\"{}\"]\n",
                knows_no_name()
            )
        };
        let configuration = format!("{configuration}{authentication}");
        fs::write(folder.path().join("vestibule.toml"), configuration).expect("a file");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            folder,
            program: super::program::PROGRAM.into(),
            daemon: None,
            smtp: nowhere,
            http: nowhere,
            admin: nowhere,
        }
    }

    /// Restarts the daemon on the same data; the ports are new.
    pub fn restart(&mut self) {
        assert!(self.restart_with(&[]), "the daemon ended: {}", self.log());
    }

    /// As [`restart`](Self::restart), with these environment variables. Returns false if the daemon ended before it
    /// was ready.
    pub fn restart_with(&mut self, environment: &[(&str, &str)]) -> bool {
        self.kill();
        let ready = self.path("ready.json");
        let _ = fs::remove_file(&ready);
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .expect("a log file");
        let daemon = self
            .command(&["serve", "--ready-file"])
            .arg(&ready)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        self.daemon = Some(daemon);
        let bound: Option<Value> = wait_for("the ready file", || {
            if self.daemon.as_mut()?.try_wait().expect("a child").is_some() {
                return Some(None);
            }
            serde_json::from_str(&fs::read_to_string(&ready).ok()?).ok()
        });
        let Some(bound) = bound else {
            return false;
        };
        let address = |value: &Value| {
            let value = value.get(0).unwrap_or(value);
            value.as_str().and_then(|text| text.parse().ok())
        };
        self.smtp = address(&bound["smtp"]).expect("smtp in the ready file");
        self.http = address(&bound["http"]).expect("http in the ready file");
        self.admin = address(&bound["admin"]).expect("admin in the ready file");
        true
    }

    /// A command of the program with this configuration.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = program_in(&self.program, self.folder.path());
        command
            .args(args)
            .env("VESTIBULE_CONFIG", self.path("vestibule.toml"));
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// Runs a command that must succeed, and parses its JSON lines.
    pub fn json(&self, args: &[&str]) -> Vec<Value> {
        self.run(&[args, &["--json"]].concat()).objects()
    }

    /// Writes a file into the folder, and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Files in a folder under their final names, oldest name first.
    pub fn files(&self, folder: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path(folder)) else {
            return Vec::new();
        };
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| {
                path.is_file()
                    && !path
                        .file_name()
                        .is_some_and(|name| name.to_string_lossy().starts_with('.'))
            })
            .collect();
        files.sort();
        files
    }

    /// Verification mail that was sent so far.
    pub fn verification_mails(&self) -> Vec<String> {
        self.files("letters")
            .iter()
            .map(|path| fs::read_to_string(path).expect("a letter"))
            .collect()
    }

    /// Waits for the newest verification mail to an address and returns its link.
    pub fn link_for(&self, address: &str) -> String {
        wait_for(&format!("a letter to {address}"), || {
            self.verification_mails()
                .iter()
                .rev()
                .find(|verification_mail| verification_mail.contains(&format!("To: {address}")))
                .and_then(|verification_mail| link_in(verification_mail))
        })
    }

    /// Messages that were delivered to the help desk.
    pub fn delivered(&self) -> Vec<Vec<u8>> {
        self.files("desk/new")
            .iter()
            .map(|path| fs::read(path).expect("a delivered file"))
            .collect()
    }

    /// The daemon's process id.
    pub fn process(&self) -> u32 {
        self.daemon.as_ref().expect("a running daemon").id()
    }

    pub fn signal(&self, signal: Signal) {
        send_signal(self.daemon.as_ref().expect("a running daemon"), signal);
    }

    /// True until the daemon has ended, for whatever reason.
    pub fn is_running(&mut self) -> bool {
        let daemon = self.daemon.as_mut();
        daemon.is_some_and(|daemon| daemon.try_wait().expect("a child").is_none())
    }

    /// Waits for the daemon to end by itself.
    pub fn exit_status(&mut self) -> Option<i32> {
        let mut daemon = self.daemon.take().expect("a running daemon");
        wait_for("the end of the daemon", || {
            daemon.try_wait().expect("a child")
        })
        .code()
    }

    /// Kills the daemon with `SIGKILL`: nothing is flushed, and no handler runs.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a program that a test started.
pub fn send_signal(child: &Child, signal: Signal) {
    let process = Pid::from_child(child);
    kill_process(process, signal).expect("a running program");
}

/// The path of the verification link in a mail, whatever its transfer encoding.
pub fn link_in(verification_mail: &str) -> Option<String> {
    let message = mail_parser::MessageParser::default().parse(verification_mail.as_bytes())?;
    let text = message.body_text(0)?.into_owned();
    let start = text.find("/verify/")?;
    let path: String = text[start..]
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "/-_".contains(*c))
        .collect();
    Some(path)
}

/// An administrator's token.
pub fn token(harness: &Harness) -> String {
    token_of(harness, "ann")
}

/// A token of the administrator with this name.
pub fn token_of(harness: &Harness, operator: &str) -> String {
    let password = harness.path("password");
    fs::write(&password, "correct horse battery\n").expect("written");
    let add = ["operators", "add", operator, "--role", "admin"];
    let added = harness
        .command(&add)
        .arg("--password-file")
        .arg(&password)
        .status();
    assert!(added.expect("it runs").success());
    let made = harness.json(&["operators", "token", operator, "--role", "admin"]);
    made[0]["token"].as_str().expect("a token").to_owned()
}
