//! Vestibule beside its peers, in one run on one machine: the rate of durably accepted messages, and the cost of a
//! message.
//!
//! - `vestibule`: the daemon of this build with its standard configuration, everything on; each message is
//!   parsed, decided, and stored as a released request for a destination that is paused, all synced.
//!   `smtp-source` has one sender, and one sender may not have that many held requests.
//! - `postfix`: Postfix accepting into its hold queue (`check_sender_access static:HOLD`), synced too.
//! - `smtp-sink`: accepts the same bytes and stores nothing: the limit of the client and the protocol.
//!
//! The client is Postfix's `smtp-source` for all three. A second table uses our own client, which takes less CPU,
//! and shows latencies. The three take turns. Each begins once the disk has finished all writes of the previous
//! one, and the median of the rounds is shown. Figures of different runs are not comparable, but the ratios within
//! a run are: `cargo bench --bench peers [-- --quick]`. A third table shows the [whole way](whole_way);
//! `-- --whole-way` prints only this one. `-- --targets` prints the table of [targets], measured in many short
//! turns; `--turns N` sets their number, and `--rows TEXT` selects the rows whose names begin with TEXT.
//!
//! Folders are deleted only at the very end: a file system without a journal is slow to create files where others
//! were just deleted. Before a large load, memory is touched that the machine may not have been given yet.

#[path = "../load/mod.rs"]
mod load;
#[path = "../../tests/system/postfix.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of the daemon, which use all of it"
)]
mod postfix;
mod process;
#[path = "../sample/server.rs"]
mod server;
#[path = "../../tests/support/mod.rs"]
mod support;
mod targets;
mod whole_way;

use std::any::Any;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use postfix::Postfix;
use process::{Usage, usage};
use support::harness::{Harness, STANDARD, wait_for};
use support::postgres::{self, Server};

/// One row of the table: concurrent connections, octets of a message, total messages, and whether each
/// connection carries only one message.
#[derive(Clone, Copy)]
struct Load {
    connections: usize,
    octets: usize,
    messages: usize,
    one_each: bool,
}

impl Load {
    const fn new(connections: usize, octets: usize, messages: usize, one_each: bool) -> Self {
        Self {
            connections,
            octets,
            messages,
            one_each,
        }
    }

    /// The same load with fewer messages.
    fn part(self, share: usize) -> Self {
        Self {
            messages: self.messages / share,
            ..self
        }
    }

    fn name(&self) -> String {
        let size = match self.octets {
            1_048_576 => "1 MiB".to_owned(),
            octets => format!("{} KiB", octets / 1024),
        };
        let each = if self.one_each { "one" } else { "many" };
        format!("{size}, {} × {each}", self.connections)
    }
}

const KIB: usize = 1024;

const LOADS: [Load; 9] = [
    Load::new(1, 5 * KIB, 4000, false),
    Load::new(20, 5 * KIB, 20_000, false),
    Load::new(100, 5 * KIB, 20_000, false),
    Load::new(20, 5 * KIB, 10_000, true),
    Load::new(1, 100 * KIB, 1000, false),
    Load::new(20, 100 * KIB, 4000, false),
    Load::new(100, 100 * KIB, 4000, false),
    Load::new(1, 1024 * KIB, 150, false),
    Load::new(20, 1024 * KIB, 400, false),
];

/// Number of measurements of each server under each load.
const ROUNDS: usize = 3;

/// Result of one server under one load.
#[derive(Clone, Copy)]
struct Result {
    rate: f64,
    cpu: Duration,
    peak: u64,
}

/// The median of each figure separately, but the maximum of the memory.
fn median(mut results: Vec<Result>) -> Result {
    let middle = results.len() / 2;
    results.sort_by_key(|result| result.cpu);
    let cpu = results[middle].cpu;
    results.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    Result {
        rate: results[middle].rate,
        cpu,
        peak: results.iter().map(|result| result.peak).max().unwrap_or(0),
    }
}

fn main() {
    // `cargo test --benches` runs this too, only to check that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let quick = has("--quick");
    let value_of = |name: &str| {
        let mut values = arguments.iter().skip_while(|word| *word != name).skip(1);
        values.next()
    };
    let turns = value_of("--turns").map(|turns| turns.parse().expect("--turns N"));
    let rounds = turns.unwrap_or(if quick { 1 } else { ROUNDS });
    if has("--targets") {
        targets::table(quick, rounds, value_of("--rows").map_or("", String::as_str));
    } else {
        if !has("--whole-way") {
            accepting(quick, rounds);
            with_own_client(quick);
        }
        whole_way::table(quick, rounds);
    }
    KEPT.lock().expect("no panic").clear();
}

fn accepting(quick: bool, rounds: usize) {
    println!(
        "{:<22} {:>9} {:>9} {:>9}  {:>8} {:>8}  {:>8} {:>8}  {:>7} {:>7}",
        "load",
        "vestibule",
        "postfix",
        "sink",
        "µs/msg",
        "postfix",
        "MiB",
        "postfix",
        "×postf.",
        "×sink"
    );
    for load in LOADS {
        let load = load.part(if quick { 10 } else { 1 });
        let mut measured: [Vec<Result>; 3] = Default::default();
        for _ in 0..rounds {
            for (results, measure) in measured.iter_mut().zip([of_this_build, postfix, sink]) {
                results.push(measure(load));
            }
        }
        let [vestibule, postfix, sink] = measured.map(median);
        let each = |result: &Result| result.cpu.as_micros() / load.messages as u128;
        println!(
            "{:<22} {:>9.0} {:>9.0} {:>9.0}  {:>8} {:>8}  {:>8} {:>8}  {:>7.2} {:>7.2}",
            load.name(),
            vestibule.rate,
            postfix.rate,
            sink.rate,
            each(&vestibule),
            each(&postfix),
            vestibule.peak >> 20,
            postfix.peak >> 20,
            vestibule.rate / postfix.rate,
            vestibule.rate / sink.rate,
        );
    }
    println!(
        "\nmessages/s of the three; CPU time per message and peak memory of all processes of each.\n"
    );
}

/// Measures 5 KiB messages with a client that leaves more CPU to the servers.
fn with_own_client(quick: bool) {
    let client = load::Load::build();
    println!(
        "{:<34} {:>9} {:>9} {:>7}  {:>10} {:>10} {:>12}",
        "own client, 5 KiB", "vestibule", "sink", "×sink", "median µs", "99 % µs", "99 % ÷ median"
    );
    for (connections, one_by_one) in [("20", true), ("20", false), ("100", true), ("100", false)] {
        let messages = if quick { "4000" } else { "40000" };
        let mut arguments = vec!["--connections", connections, "--messages", messages];
        if one_by_one {
            arguments.push("--one-by-one");
        }
        let harness = paused_harness();
        settle();
        let ours = client.run(harness.smtp, &arguments);
        drop(harness);
        let (_sink, address) = start_sink();
        settle();
        let theirs = client.run(address, &arguments);
        let way = if one_by_one {
            "one by one"
        } else {
            "pipelined"
        };
        println!(
            "{:<34} {:>9.0} {:>9.0} {:>7.2}  {:>10.0} {:>10.0} {:>12.1}",
            format!("{connections} connections, {way}"),
            ours.rate,
            theirs.rate,
            ours.rate / theirs.rate,
            ours.median,
            ours.late,
            ours.late / ours.median,
        );
    }
}

fn paused_harness() -> Harness {
    let harness = Harness::start(STANDARD);
    harness.json(&["deliveries", "pause", "desk"]);
    wait_for_extended_log(&harness);
    harness
}

fn of_this_build(load: Load) -> Result {
    vestibule(load, None, None)
}

/// Folders of all measurements.
static KEPT: Mutex<Vec<Box<dyn Any + Send>>> = Mutex::new(Vec::new());

/// Keeps the folders of a measurement until the end of all.
fn keep(folders: impl Any + Send) {
    KEPT.lock().expect("no panic").push(Box::new(folders));
}

/// Touches as much memory as a large load needs: a virtual machine may be given it only then, and the first server
/// measured would bear the cost.
fn touch_memory(octets: usize) {
    const LARGE: usize = 100 * KIB;
    const TOUCHED: usize = 2 << 30;
    if octets >= LARGE {
        std::hint::black_box(vec![1_u8; TOUCHED]);
    }
}

/// Waits until the daemon has extended its log, so that the measurement does not include that. A program that never
/// extends it is measured after the timeout.
fn wait_for_extended_log(harness: &Harness) {
    const LENGTH: u64 = 64 << 20;
    let log = harness.path("data/vestibule.db-wal");
    let end = Instant::now() + Duration::from_secs(8);
    while Instant::now() < end && std::fs::metadata(&log).map_or(0, |log| log.len()) < LENGTH {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Measures Vestibule with its store in a file, or in a schema of a server that syncs.
fn vestibule(load: Load, program: Option<&Path>, server: Option<&Server>) -> Result {
    let schema = server.map(Server::schema);
    let store = schema.as_ref().map_or_else(String::new, |schema| {
        format!("[store]\ntype = \"postgres\"\nurl = \"{}\"\n", schema.url)
    });
    let mut harness = Harness::at_rest(&format!("{STANDARD}\n{store}"));
    if let Some(program) = program {
        program.clone_into(&mut harness.program);
    }
    harness.restart();
    harness.json(&["deliveries", "pause", "desk"]);
    if server.is_none() {
        wait_for_extended_log(&harness);
    }
    let result = measure(
        load,
        harness.smtp,
        "it-help@corp.example",
        harness.process(),
    );
    harness.kill();
    keep(harness);
    result
}

fn postfix(load: Load) -> Result {
    let postfix = Postfix::start(
        &["it-help@corp.example"],
        "smtpd_sender_restrictions = check_sender_access static:HOLD\n\
         smtpd_client_connection_count_limit = 0\nsmtpd_error_sleep_time = 0\n\
         default_process_limit = 200\nmessage_size_limit = 30000000\n",
    );
    let result = measure(load, postfix.smtp, "it-help@corp.example", master(&postfix));
    postfix.stop();
    keep(postfix);
    result
}

/// Postfix's master process, the parent of all others.
fn master(postfix: &Postfix) -> u32 {
    let file = postfix.folder.path().join("spool/pid/master.pid");
    let text = std::fs::read_to_string(file).expect("a running Postfix");
    text.trim().parse().expect("a process id")
}

fn sink(load: Load) -> Result {
    let (child, address) = start_sink();
    measure(load, address, "it-help@corp.example", child.0.id())
}

fn start_sink() -> (KillOnDrop, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port");
    let mut sink = Command::new("/usr/sbin/smtp-sink");
    // `smtp-sink` refuses to run as root.
    if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        sink.args(["-u", "nobody"]);
    }
    sink.arg(address.to_string())
        .arg("500")
        .stdout(Stdio::null());
    let child = KillOnDrop(sink.spawn().expect("smtp-sink is part of Postfix"));
    wait_for("smtp-sink's port", || TcpStream::connect(address).ok());
    (child, address)
}

struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until all earlier writes have reached the disk.
fn settle() {
    let synced = Command::new("sync")
        .status()
        .expect("sync is part of coreutils");
    assert!(synced.success(), "sync failed");
}

fn measure(load: Load, server: SocketAddr, to: &str, process: u32) -> Result {
    touch_memory(load.octets);
    settle();
    let before = usage(process);
    let begin = Instant::now();
    let mut client = Command::new("/usr/sbin/smtp-source");
    client
        .args(["-s", &load.connections.to_string()])
        .args(["-m", &load.messages.to_string()])
        .args(["-l", &load.octets.to_string()])
        .args(["-f", "bob@partner.example", "-t", to]);
    if !load.one_each {
        client.arg("-d");
    }
    let status = client
        .arg(format!("inet:{}:{}", server.ip(), server.port()))
        .status()
        .expect("smtp-source is part of Postfix");
    let elapsed = begin.elapsed();
    assert!(status.success(), "smtp-source failed");
    let Usage { cpu, peak } = usage(process);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = load.messages as f64 / elapsed.as_secs_f64();
    Result {
        rate,
        cpu: cpu.saturating_sub(before.cpu),
        peak,
    }
}
