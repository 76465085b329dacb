//! Faults of the disk and the database: the disk is full, read-only, slow or gone, the database is locked or
//! damaged, a sync fails, the power fails. The MTA is told to keep the message, the log states the cause, and after
//! the fault the daemon continues without a restart and without losses.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

use rusqlite::Connection;

use super::account::settle;
use super::disk::{Disk, run, text};
use super::help_desk::HelpDesk;
use super::load::{Book, Load, configuration};
use super::syncs::{tamper_with_syncs, wait_until_traced};
use super::{Dice, rounds};
use crate::support::client::http;
use crate::support::harness::{DEADLINE, Harness, Signal, wait_for};

type Mend = Box<dyn FnOnce()>;

/// A fault and its consequences.
struct Fault {
    break_it: fn(&Harness, &Rc<Disk>) -> Mend,
    /// The SMTP reply to the MTA.
    reply: &'static str,
    /// The cause in the log.
    cause: &'static str,
    /// True if writing is still possible, as `/readyz` reports it.
    ready: bool,
}

impl Fault {
    /// Sends mail before, during and after the fault.
    fn endure(&self) {
        let helpdesk = HelpDesk::open();
        let book = Arc::new(Book::default());
        let mut harness = Harness::at_rest(&configuration(&helpdesk));
        let disk = Rc::new(Disk::of(&harness));
        harness.restart();
        some_mail(&harness, &book, 0);

        let mend = (self.break_it)(&harness, &disk);
        let refusal = wait_for("a refusal", || {
            // Messages that fit into the remaining space are still accepted, and count.
            book.send_one(harness.smtp, 1);
            book.refusal()
        });
        assert!(refusal.starts_with(self.reply), "{refusal}");
        wait_for("the cause in the log", || {
            harness
                .log()
                .lines()
                .any(|line| line.contains("ERROR fault") && line.contains(self.cause))
                .then_some(())
        });
        wait_for_readiness(&harness, if self.ready { 200 } else { 503 });

        mend();
        wait_for("mail to be accepted again", || {
            let before = book.acknowledged();
            book.send_one(harness.smtp, 2);
            (book.acknowledged() > before).then_some(())
        });
        wait_for_readiness(&harness, 200);
        some_mail(&harness, &book, 3);
        book.send_the_rest(harness.smtp);
        println!("{}: {:?}", self.cause, settle(&harness, &book, &helpdesk));
    }
}

/// `/readyz` is cached for a second.
fn wait_for_readiness(harness: &Harness, status: u16) {
    wait_for(&format!("readiness {status}"), || {
        (http(harness.http, "GET", "/readyz", &[]).0 == status).then_some(())
    });
}

/// A round of load.
fn some_mail(harness: &Harness, book: &Arc<Book>, round: usize) {
    let goal = book.acknowledged() + 30;
    let load = Load::start(harness, book, round);
    wait_for("acknowledgements", || {
        (book.acknowledged() >= goal).then_some(())
    });
    load.stop();
}

/// Another process on the daemon's database.
fn neighbour(harness: &Harness) -> Connection {
    let neighbour = Connection::open(harness.path("data/vestibule.db")).expect("the database");
    neighbour.busy_timeout(DEADLINE).expect("a setting");
    neighbour
}

#[test]
fn mail_is_deferred_while_the_disk_is_full() {
    let fault = Fault {
        break_it: |_, disk| {
            disk.fill();
            let disk = Rc::clone(disk);
            Box::new(move || disk.make_room())
        },
        reply: "452 4.3.1",
        cause: "the disk is full",
        ready: false,
    };
    fault.endure();
}

#[test]
fn a_backup_to_a_full_disk_names_the_copy() {
    let helpdesk = HelpDesk::open();
    let mut harness = Harness::at_rest(&configuration(&helpdesk));
    let disk = Disk::of(&harness);
    harness.restart();
    disk.fill();
    let copy = harness.path("data/copy.db");
    let ran = harness.run(&["backup", text(&copy)]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    let said = format!("{}: the disk is full", copy.display());
    assert!(ran.err.contains(&said), "{}", ran.err);
    assert!(!harness.path("data/copy.db.incomplete").exists());
    disk.make_room();
}

#[test]
fn a_transfer_to_a_full_disk_names_the_target() {
    let helpdesk = HelpDesk::open();
    let mut harness = Harness::at_rest(&configuration(&helpdesk));
    let disk = Disk::of(&harness);
    harness.restart();
    disk.fill();
    let target = harness.path("data/target.db");
    let ran = harness.run(&["transfer", "--to", text(&target)]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    let said = format!("{}: the disk is full", target.display());
    assert!(ran.err.contains(&said), "{}", ran.err);
    disk.make_room();
}

#[test]
fn mail_is_deferred_while_the_files_are_read_only() {
    let fault = Fault {
        break_it: |harness, _| {
            let files =
                ["data/vestibule.db", "data/vestibule.db-wal"].map(|name| harness.path(name));
            for file in &files {
                run("chattr", &["+i", text(file)]);
            }
            Box::new(move || {
                for file in &files {
                    run("chattr", &["-i", text(file)]);
                }
            })
        },
        reply: "451 4.3.0",
        cause: "the database cannot be written",
        ready: false,
    };
    fault.endure();
}

#[test]
fn mail_is_deferred_while_the_file_system_is_read_only() {
    let fault = Fault {
        break_it: |_, disk| {
            disk.fail();
            let disk = Rc::clone(disk);
            Box::new(move || disk.repair())
        },
        reply: "451 4.3.0",
        cause: "the database cannot be written",
        ready: false,
    };
    fault.endure();
}

#[test]
fn mail_is_deferred_while_the_folder_is_missing() {
    let fault = Fault {
        break_it: |_, disk| {
            disk.unmount();
            disk.remove_folder();
            let disk = Rc::clone(disk);
            Box::new(move || {
                disk.make_folder();
                disk.mount();
            })
        },
        reply: "451 4.3.0",
        cause: "vestibule.db: no longer exists",
        ready: false,
    };
    fault.endure();
}

#[test]
fn mail_is_deferred_while_another_process_locks_the_database() {
    let fault = Fault {
        break_it: |harness, _| {
            let neighbour = neighbour(harness);
            neighbour.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
            Box::new(move || neighbour.execute_batch("ROLLBACK").expect("no lock"))
        },
        reply: "451 4.3.0",
        cause: "the database is locked by another process",
        ready: false,
    };
    fault.endure();
}

#[test]
fn mail_is_deferred_while_a_page_is_damaged() {
    let fault = Fault {
        break_it: |harness, _| {
            let neighbour = neighbour(harness);
            let (root, size): (u64, u64) = neighbour
                .query_row(
                    "SELECT rootpage, (SELECT page_size FROM pragma_page_size)
                     FROM sqlite_schema WHERE name = 'ledger'",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .expect("a page");
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .open(harness.path("data/vestibule.db"))
                .expect("the database");
            let place = (root - 1) * size;
            // All pages must be in the damaged file, and none in a cache: the daemon is stopped from before
            // the checkpoint until the damage is done, because it would read the page in between and not need
            // it again.
            let soon = std::time::Duration::from_millis(100);
            neighbour.busy_timeout(soon).expect("a setting");
            let page = wait_for("an empty log", || {
                stop_in_its_tracks(harness);
                let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
                let busy: Result<i64, _> = neighbour.query_row(checkpoint, [], |row| row.get(0));
                let page = (busy == Ok(0)).then(|| {
                    let mut page = [0; 64];
                    file.read_exact_at(&mut page, place).expect("a page");
                    let damaged = page.map(|byte| !byte);
                    file.write_all_at(&damaged, place).expect("damage");
                    page
                });
                harness.signal(Signal::CONT);
                page
            });
            Box::new(move || file.write_all_at(&page, place).expect("mended"))
        },
        reply: "451 4.3.0",
        cause: "the database is damaged",
        ready: true,
    };
    fault.endure();
}

#[test]
fn mail_is_deferred_while_syncs_fail() {
    let fault = Fault {
        break_it: |harness, _| {
            let mut strace = tamper_with_syncs(harness, "error=EIO")
                .arg("-P")
                .arg(harness.path("data/vestibule.db-wal"))
                .spawn()
                .expect("strace, of the package strace");
            wait_until_traced(harness.process());
            Box::new(move || {
                // strace detaches from the daemon.
                run("kill", &["-INT", &strace.id().to_string()]);
                strace.wait().expect("strace ends");
            })
        },
        reply: "451 4.3.0",
        cause: "the database cannot be written",
        ready: false,
    };
    fault.endure();
}

/// On a disk where all calls block, no client gets 250 or any other reply, other requests are still served, and
/// afterwards the daemon continues normally.
#[test]
fn nothing_is_answered_while_the_disk_hangs() {
    let helpdesk = HelpDesk::open();
    let book = Arc::new(Book::default());
    let mut harness = Harness::at_rest(&configuration(&helpdesk));
    let disk = Disk::of(&harness);
    harness.restart();
    some_mail(&harness, &book, 0);
    disk.freeze();
    let load = Load::start(&harness, &book, 1);
    wait_for("the writer to hang", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", harness.process())).expect("a process");
        let is_stuck = |stat: String| stat.contains("(store) D ");
        tasks
            .flatten()
            .any(|task| fs::read_to_string(task.path().join("stat")).is_ok_and(is_stuck))
            .then_some(())
    });
    let before = book.acknowledged();
    // A request that needs no database, and a client that stores nothing. Reading may hang as well: the place in
    // the log up to which a transaction reads is kept in a mapped file.
    assert_eq!(http(harness.http, "GET", "/healthz", &[]).0, 200);
    let mut client = crate::support::client::Smtp::connect(harness.smtp).expect("a connection");
    let answer = client.say("NOOP").expect("an answer");
    assert!(answer.starts_with("250"), "{answer}");
    wait_for_readiness(&harness, 503);
    assert_eq!(book.acknowledged(), before, "answered without a sync");
    assert_eq!(book.refusal(), None);
    disk.thaw();
    wait_for("all that waited", || {
        (book.acknowledged() >= before + 30).then_some(())
    });
    load.stop();
    book.send_the_rest(harness.smtp);
    assert_eq!(book.refusal(), None, "no message was refused");
    settle(&harness, &book, &helpdesk);
}

/// Stops every thread of the daemon; some may be within a write or a sync. After a real power failure there would
/// be no replies, either.
fn stop_in_its_tracks(harness: &Harness) {
    harness.signal(Signal::STOP);
    wait_for("a standstill", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", harness.process())).expect("a process");
        let is_still = |stat: String| stat.contains(") T ") || stat.contains(") D ");
        tasks
            .flatten()
            .all(|task| fs::read_to_string(task.path().join("stat")).is_ok_and(is_still))
            .then_some(())
    });
}

/// The strictest test: the file system loses everything that was not synced.
#[test]
fn nothing_acknowledged_is_lost_in_a_power_failure() {
    let mut dice = Dice(2);
    let helpdesk = HelpDesk::open();
    let book = Arc::new(Book::default());
    let mut harness = Harness::at_rest(&configuration(&helpdesk));
    let disk = Disk::of(&harness);
    let cuts = rounds(5, 100);
    for round in 0..cuts {
        harness.restart();
        let load = Load::start(&harness, &book, round);
        let goal = book.acknowledged() + usize::try_from(dice.throw(60) + 1).expect("small");
        wait_for("acknowledgements", || {
            (book.acknowledged() >= goal).then_some(())
        });
        stop_in_its_tracks(&harness);
        disk.cut_the_power();
        harness.kill();
        load.stop();
        disk.power_on();
    }
    harness.restart();
    book.send_the_rest(harness.smtp);
    println!(
        "{cuts} power cuts: {:?}",
        settle(&harness, &book, &helpdesk)
    );
}
