//! Instructions for each message, for parsing, deciding, committing, claiming and settling: a measure that is
//! independent of the speed and the load of the machine.
//!
//! This program runs itself under valgrind's cachegrind, once with N messages and once with 2N; the difference is
//! the cost of N messages without the start. `kept.toml` beside this file has the accepted figures; a figure more
//! than a tenth above them is a failure. Run `cargo bench --bench instructions`; `-- --keep` stores the new
//! figures.

#[path = "../sample/questions.rs"]
#[expect(dead_code, reason = "shared with `steps`, which names its cases")]
mod questions;
#[path = "../sample/mail.rs"]
mod sample;
mod work;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use work::Work;

/// Tolerated excess of a figure over the stored one.
const TOLERANCE: f64 = 0.10;

/// Number of measurements of each figure.
const TIMES: usize = 7;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["work", name, messages, folder] = words.as_slice() {
        let work = Work::named(name).expect("a work's name");
        work.do_it(messages.parse().expect("a number"), Path::new(folder));
        return ExitCode::SUCCESS;
    }
    // `cargo test --benches` runs this too, only to check that it builds.
    if !words.contains(&"--bench") {
        return ExitCode::SUCCESS;
    }
    let kept = kept();
    let mut found: Vec<(Work, u64)> = Work::ALL.map(|work| (work, each(work))).into();
    if let [.., (Work::Claim, claimed), (Work::Settle, both)] = found.as_mut_slice() {
        *both = both.saturating_sub(*claimed);
    }
    let grown = report(&found, &kept);
    if words.contains(&"--keep") {
        keep(&found);
    } else if grown {
        eprintln!(
            "\nMore than {:.0} % above the stored figures. If that is intended: \
             cargo bench --bench instructions -- --keep",
            TOLERANCE * 100.0
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Prints the table; returns whether a figure is too high or has no stored value.
fn report(found: &[(Work, u64)], kept: &BTreeMap<String, u64>) -> bool {
    println!(
        "{:<22} {:>12} {:>12} {:>8}",
        "instructions a message", "now", "kept", "change"
    );
    let mut grown = false;
    for (work, now) in found {
        let Some(before) = kept.get(work.name()) else {
            println!("{:<22} {now:>12} {:>12} {:>8}", work.name(), "none", "");
            grown = true;
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
        let change = *now as f64 / *before as f64 - 1.0;
        grown |= change > TOLERANCE;
        println!(
            "{:<22} {now:>12} {before:>12} {:>+7.1}%",
            work.name(),
            change * 100.0
        );
    }
    grown
}

/// Instructions for one message: the median of several measurements, because every commit differs a little
/// (random ids, timing of threads).
fn each(work: Work) -> u64 {
    let messages = work.messages();
    let mut found = [(); TIMES].map(|()| {
        let once = count(work, messages);
        let twice = count(work, 2 * messages);
        twice.saturating_sub(once) / messages
    });
    found.sort_unstable();
    found[TIMES / 2]
}

/// All instructions of a run with this many messages, in all threads and without the kernel's.
fn count(work: Work, messages: u64) -> u64 {
    let own = std::env::current_exe().expect("this program");
    let folder = tempfile::tempdir().expect("a folder");
    work.prepare(folder.path());
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no"])
        .arg("--cachegrind-out-file=/dev/null")
        .arg(own)
        .args(["work", work.name(), &messages.to_string()])
        .arg(folder.path())
        .output()
        .expect("valgrind is missing: install Debian's package valgrind");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "valgrind failed: {said}");
    // ==123== I   refs:      1,234,567
    let digits: String = said
        .lines()
        .find_map(|line| line.split_once("refs:"))
        .expect("cachegrind's count")
        .1
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().expect("a number")
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/kept.toml")
}

fn kept() -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(file()).expect("kept.toml beside this file");
    toml::from_str(&text).expect("a name and a number on each line")
}

fn keep(found: &[(Work, u64)]) {
    let mut text = "# Instructions a message, as `cargo bench --bench instructions -- --keep` \
                    found them.\n"
        .to_owned();
    for (work, now) in found {
        let _ = writeln!(text, "{} = {now}", work.name());
    }
    std::fs::write(file(), text).expect("kept.toml can be written");
    println!("\nkept in {}", file().display());
}
