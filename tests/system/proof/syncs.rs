//! The order of system calls: no `250` before the sync of the message that it acknowledges.
//!
//! `strace` records every write, every sync and every reply of the daemon under load. The record must show for each
//! message: the first write of its ledger id, and of the beginning of its content, to the write-ahead log; a sync
//! of that log that began afterwards and succeeded; and only then the `250` with the id.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::sync::Arc;

use memchr::memmem;
use vestibule::domain::LedgerId;

use super::help_desk::HelpDesk;
use super::load::{Book, Load, configuration};
use super::rounds;
use crate::support::harness::{Harness, wait_for};

/// The record of `strace`, in the order of its lines.
#[derive(Default)]
struct Record {
    /// The line in which a ledger id was first written to the log; includes bytes that only look like one.
    ids: HashMap<[u8; 16], usize>,
    /// The same for the content of a message, by its marker.
    contents: HashMap<String, usize>,
    /// The lines in which each sync of the log began and ended.
    syncs: Vec<(usize, usize)>,
    /// The line in which a reply was written, and the id in it.
    replies: Vec<(usize, LedgerId)>,
}

impl Record {
    /// Parses the output of `strace -f -y -xx`, in which all text is hexadecimal.
    fn read(trace: impl BufRead, near: &[[u8; 2]]) -> Self {
        let mut record = Self::default();
        let mut begun: HashMap<String, usize> = HashMap::new();
        for (at, line) in trace.lines().enumerate() {
            let line = line.expect("ASCII");
            let (process, call) = line.split_once(' ').expect("a process");
            let call = call.trim_start();
            let to_log = call.contains(r"\x2d\x77\x61\x6c>");
            let is_sync = call.starts_with("fdatasync(") || call.starts_with("fsync(");
            if is_sync && to_log {
                if call.ends_with("<unfinished ...>") {
                    begun.insert(process.to_owned(), at);
                } else if call.ends_with(" = 0") {
                    record.syncs.push((at, at));
                }
            } else if call.starts_with("<... f") && call.contains("sync resumed>") {
                if let Some(begin) = begun.remove(process)
                    && call.ends_with(" = 0")
                {
                    record.syncs.push((begin, at));
                }
            } else if let Some(bytes) = written(call) {
                if call.starts_with("pwrite64(") && to_log {
                    record.note(at, &bytes, near);
                } else if bytes.starts_with(b"250 2.0.0 Ok: queued as ") {
                    let text = String::from_utf8_lossy(&bytes[24..50]).into_owned();
                    let id = text.parse().expect("an id in the 250");
                    record.replies.push((at, id));
                }
            }
        }
        record
    }

    /// Searches the bytes that were written to the log.
    fn note(&mut self, at: usize, bytes: &[u8], near: &[[u8; 2]]) {
        let places = near.iter().flat_map(|near| memmem::find_iter(bytes, near));
        for place in places {
            if let Some(id) = bytes[place..].first_chunk::<16>() {
                self.ids.entry(*id).or_insert(at);
            }
        }
        let before = b"Message-ID: <";
        for place in memmem::find_iter(bytes, before) {
            let rest = bytes[place + before.len()..].split(|&byte| byte == b'@');
            let marker = rest.map(String::from_utf8_lossy).next().unwrap_or_default();
            self.contents.entry(marker.into_owned()).or_insert(at);
        }
    }

    /// Checks that each message was on disk when it was acknowledged.
    fn verify(&self, markers: &HashMap<String, String>) -> Result<usize, String> {
        let mut seen = HashSet::new();
        for (reply, id) in &self.replies {
            let marker = &markers[&id.to_string()];
            let id = self.ids.get(&id.to_bytes());
            let content = self.contents.get(marker);
            let (Some(id), Some(content)) = (id, content) else {
                return Err(format!("{marker} was never written"));
            };
            let written = *id.max(content);
            let synced = |(begin, end): &(usize, usize)| *begin > written && end < reply;
            if !self.syncs.iter().any(synced) {
                return Err(format!(
                    "{marker}: written in line {written}, answered in line {reply}, and no sync between"
                ));
            }
            seen.insert(marker);
        }
        Ok(seen.len())
    }
}

/// The bytes that a call writes.
fn written(call: &str) -> Option<Vec<u8>> {
    let hex = call.split('"').nth(1)?;
    hex.split("\\x")
        .skip(1)
        .map(|digits| u8::from_str_radix(digits, 16).ok())
        .collect()
}

/// Tampers with the daemon's syncs, in the syntax of `strace` (`error=EIO`, `signal=SIGKILL:when=3`).
pub fn tamper_with_syncs(harness: &Harness, how: &str) -> Command {
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o", "/dev/null"])
        .args(["-e", "trace=fdatasync,fsync"])
        .args(["-e", &format!("inject=fdatasync,fsync:{how}")])
        .args(["-p", &harness.process().to_string()]);
    strace
}

/// Waits until every thread is traced.
pub fn wait_until_traced(process: u32) {
    wait_for("strace", || {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("a process");
        let all = tasks.flatten().all(|task| {
            let status = fs::read_to_string(task.path().join("status"));
            // A thread that has ended meanwhile need not be traced.
            status.is_ok_and(|status| !status.contains("TracerPid:\t0\n"))
        });
        all.then_some(())
    });
}

#[test]
fn every_250_comes_after_the_sync_of_its_message() {
    let help_desk = HelpDesk::open();
    let mut harness = Harness::start(&configuration(&help_desk));
    let book = Arc::new(Book::default());
    let trace = harness.path("trace");
    let before = weeks();
    let mut strace = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "130000", "-o"])
        .arg(&trace)
        .args([
            "-e",
            "trace=pwrite64,pwritev,write,writev,sendto,sendmsg,fdatasync,fsync",
        ])
        .args(["-p", &harness.process().to_string()])
        .spawn()
        .expect("strace, of the package strace");
    wait_until_traced(harness.process());
    let load = Load::start(&harness, &book, 0);
    for goal in (100..=rounds(200, 3000)).step_by(100) {
        wait_for("messages", || (book.acknowledged() >= goal).then_some(()));
    }
    load.stop();
    harness.kill();
    strace.wait().expect("strace ends with the daemon");

    let near = [before, weeks()];
    let mut record = Record::read(BufReader::new(File::open(&trace).expect("a trace")), &near);
    let markers: HashMap<_, _> = book
        .sent()
        .into_iter()
        .flat_map(|(marker, ids)| ids.into_iter().map(move |id| (id, marker.clone())))
        .collect();
    let verified = record
        .verify(&markers)
        .expect("synced before it was answered");
    assert_eq!(verified, markers.len(), "every acknowledgement was seen");
    println!(
        "{verified} messages, {} syncs of the log",
        record.syncs.len()
    );

    // The check finds a missing sync before one of the replies.
    let (reply, _) = record.replies[record.replies.len() / 2];
    record.syncs.retain(|(_, end)| *end > reply);
    record
        .verify(&markers)
        .expect_err("the syncs of the first half are missing");
}

/// The first octets of every id of these weeks, which are those of a time in milliseconds.
fn weeks() -> [u8; 2] {
    let [first, second, ..] = LedgerId::new().to_bytes();
    [first, second]
}
