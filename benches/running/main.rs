//! Cost of an idle Vestibule: the time from its start to its readiness, its memory, its wakeups, the size of
//! the program; and the effect of housekeeping on mail while there is much to delete.
//!
//! `cargo bench --bench running [-- --quick] [-- --keep FILE] [-- --program FILE]`; `--keep` uses the
//! database of that name, and creates it if it does not exist. The measurement works on a copy. `--program`
//! measures another binary than cargo's, such as one built without test features.

#[path = "../seed/mod.rs"]
mod seed;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use seed::Size;
use vestibule::domain::Timestamp;
use vestibule::store::{Store, StoreError, WorkStep};

/// The binary that cargo built for this bench; `--program FILE` measures another.
const PROGRAM: &str = env!("CARGO_BIN_EXE_vestibule");

const CONFIGURATION: &str = include_str!("../seed/vestibule.toml");

/// Number of measurements of each kind.
struct Effort {
    starts: usize,
    idle: Duration,
    steps: usize,
    size: Size,
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let quick = arguments.iter().any(|word| word == "--quick");
    let value = |name: &str| {
        let place = arguments.iter().position(|word| word == name)?;
        arguments.get(place + 1)
    };
    let kept = value("--keep");
    let program = value("--program").map_or_else(|| PathBuf::from(PROGRAM), PathBuf::from);
    let program = fs::canonicalize(program).expect("the program");
    let effort = if quick {
        Effort {
            starts: 3,
            idle: Duration::from_secs(10),
            steps: 20,
            size: Size::SMALL,
        }
    } else {
        Effort {
            starts: 15,
            idle: Duration::from_mins(2),
            steps: 1000,
            size: Size::LARGE,
        }
    };
    let folder = tempfile::tempdir().expect("a folder");
    let large = kept.map_or_else(|| folder.path().join("large.db"), PathBuf::from);
    if !large.exists() {
        eprintln!("making {} requests", effort.size.requests);
        seed::seed(&large, &effort.size, Timestamp::now());
    }
    let requests = effort.size.requests;

    let size = fs::metadata(&program).expect("the program").len();
    println!("| what | figure |\n|---|---|");
    println!("| the program | {} |", mebibytes(size));
    for (what, database) in [
        ("nothing in the database".to_owned(), None),
        (format!("{requests} requests in the database"), Some(&large)),
    ] {
        let harness = Harness::with(
            &folder.path().join("house"),
            &program,
            database.map(PathBuf::as_path),
        );
        let mut starts: Vec<_> = (0..effort.starts).map(|_| harness.start().ready).collect();
        starts.sort();
        println!(
            "| start to ready, {what} | {:.1} ms (longest of {}: {:.1} ms) |",
            millis(starts[starts.len() / 2]),
            starts.len(),
            millis(starts[starts.len() - 1])
        );
        let running = harness.start();
        let idle = running.idle(effort.idle);
        println!(
            "| resident memory, idle, {what} | {} |",
            mebibytes(idle.resident)
        );
        println!(
            "| of it the program's own, not of its file | {} |",
            mebibytes(idle.own)
        );
        println!(
            "| wake-ups a minute, all threads together | {:.1} |",
            idle.wakeups
        );
    }
    println!();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(housekeeping(&folder.path().join("old.db"), &large, &effort));
}

/// A data folder and its configuration.
struct Harness {
    folder: PathBuf,
    program: PathBuf,
}

/// A daemon, and the time until it was ready.
struct Running {
    child: Child,
    ready: Duration,
}

/// Cost of an idle daemon.
struct Idle {
    resident: u64,
    own: u64,
    wakeups: f64,
}

impl Harness {
    fn with(folder: &Path, program: &Path, database: Option<&Path>) -> Self {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder.join("data")).expect("a folder");
        fs::write(folder.join("vestibule.toml"), CONFIGURATION).expect("a file");
        if let Some(database) = database {
            copy(database, &folder.join("data/vestibule.db"));
        }
        let harness = Self {
            folder: folder.to_owned(),
            program: program.to_owned(),
        };
        // The first start creates or migrates the database, which later ones do not.
        drop(harness.start());
        harness
    }

    fn start(&self) -> Running {
        let file = self.folder.join("ready");
        let _ = fs::remove_file(&file);
        let begin = Instant::now();
        let child = Command::new(&self.program)
            .args(["serve", "--ready-file"])
            .arg(&file)
            .env("VESTIBULE_CONFIG", self.folder.join("vestibule.toml"))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the daemon starts");
        while !file.exists() {
            assert!(begin.elapsed() < Duration::from_mins(1), "it is not ready");
            std::thread::sleep(Duration::from_micros(100));
        }
        Running {
            child,
            ready: begin.elapsed(),
        }
    }
}

impl Running {
    /// Measures for `time`, after the daemon has settled.
    fn idle(&self, time: Duration) -> Idle {
        std::thread::sleep(Duration::from_secs(15));
        let before = self.switches();
        let begin = Instant::now();
        std::thread::sleep(time);
        let woken = self.switches() - before;
        #[expect(clippy::cast_precision_loss, reason = "a number of minutes")]
        let wakeups = woken as f64 / begin.elapsed().as_secs_f64() * 60.0;
        let status = status(&self.process());
        Idle {
            resident: field(&status, "VmRSS:") * 1024,
            own: field(&status, "RssAnon:") * 1024,
            wakeups,
        }
    }

    fn process(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.child.id()))
    }

    /// Voluntary context switches of all threads, which equal their wakeups.
    fn switches(&self) -> u64 {
        fs::read_dir(self.process().join("task"))
            .expect("it runs")
            .map(|task| {
                let status = status(&task.expect("a thread").path());
                field(&status, "voluntary_ctxt_switches:")
            })
            .sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        let _ = self.child.wait();
    }
}

/// Makes a synced copy. Otherwise the first sync of the file would write all of it, during the measurement.
fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).expect("copied");
    let copied = fs::File::open(to).expect("the copy");
    copied.sync_all().expect("synced");
}

fn status(process: &Path) -> String {
    fs::read_to_string(process.join("status")).expect("it runs")
}

fn field(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Measures housekeeping a year later, when there is much to delete: the time for which each step blocks the
/// writer, and the delay of a small transaction meanwhile.
async fn housekeeping(path: &Path, large: &Path, effort: &Effort) {
    const DAY: Duration = Duration::from_hours(24);
    const ROWS: usize = 100;
    copy(large, path);
    let store = Store::open(path).expect("a database");
    let later = Timestamp::now() + SignedDuration::from_hours(24 * 360);
    println!(
        "| housekeeping | steps | rows | longest step of the writer | longest wait of a concurrent small transaction |"
    );
    println!("|---|---|---|---|---|");
    let alone = Beside::watch(&store, async {
        tokio::time::sleep(Duration::from_secs(5)).await;
    })
    .await;
    println!("| none | | | | {:.1} ms |", millis(alone));

    let steps = effort.steps;
    row("holds expire", &store, steps, || async {
        let step = store.expire_holds(later, ROWS).await?;
        Ok(WorkStep {
            done: step.done.len(),
            more: step.more,
            took: step.took,
        })
    })
    .await;
    row("contents are forgotten", &store, steps, || {
        store.delete_expired_content(later, 30 * DAY, ROWS)
    })
    .await;
    row("the ledger is forgotten", &store, steps, || {
        store.delete_expired_entries(later, 275 * DAY, ROWS)
    })
    .await;
    row("pages are given back", &store, steps, || {
        store.give_pages_back()
    })
    .await;
}

async fn row<F>(what: &str, store: &Store, most: usize, mut step: impl FnMut() -> F)
where
    F: Future<Output = Result<WorkStep<usize>, StoreError>>,
{
    let (mut steps, mut rows, mut longest) = (0, 0, Duration::ZERO);
    let waited = Beside::watch(store, async {
        while steps < most {
            let WorkStep { done, more, took } = step().await.expect("a step");
            steps += 1;
            rows += done;
            longest = longest.max(took);
            if !more {
                break;
            }
        }
    })
    .await;
    println!(
        "| {what} | {steps} | {rows} | {:.1} ms | {:.1} ms |",
        millis(longest),
        millis(waited)
    );
}

/// Small transactions, one after the other, beside other work.
struct Beside;

impl Beside {
    async fn watch(store: &Store, work: impl Future<Output = ()>) -> Duration {
        let store = store.clone();
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let watching = tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            while stopped.try_recv().is_err() {
                let begin = Instant::now();
                store.writable().await.expect("written");
                longest = longest.max(begin.elapsed());
            }
            longest
        });
        work.await;
        let _ = stop.send(());
        watching.await.expect("no panic")
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mebibytes(octets: u64) -> String {
    format!("{:.1} MiB", octets as f64 / 1024.0 / 1024.0)
}
