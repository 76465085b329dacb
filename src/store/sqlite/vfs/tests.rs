//! Tests of the layer: a commit survives any failed write, and the death of the process at any time; other
//! connections see commits whole and at once; and there are few writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rusqlite::{Connection, Error, ffi};
use rustix::io::Errno;

use crate::store::sqlite::connection;

pub(in crate::store) mod faults;
mod log_extension;

use faults::Fault;

struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }

    fn fault(&mut self) -> Fault {
        match self.throw(3) {
            0 => Fault::Broken,
            1 => Fault::FullAfter { octets: 0 },
            _ => Fault::FullAfter {
                octets: usize::try_from(self.throw(9000)).expect("small"),
            },
        }
    }
}

/// Expected content of the table: for each key, the length of its value and the octet that it repeats.
type Model = BTreeMap<u64, (u64, u64)>;

fn content(connection: &Connection) -> Model {
    read(connection).expect("rows")
}

fn read(connection: &Connection) -> Result<Model, Error> {
    let sql = "SELECT key, length(value), value FROM filling ORDER BY key";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| {
        let value: Vec<u8> = row.get(2)?;
        let first = value.first().copied().unwrap_or(0);
        assert!(value.iter().all(|octet| *octet == first), "a mixed value");
        Ok((row.get(0)?, (row.get(1)?, u64::from(first))))
    })?;
    rows.collect()
}

/// Opens a connection without the layer.
fn plain(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("a database");
    connection
        .execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF")
        .expect("set");
    connection
}

/// Opens a writer with the layer, and with so small a cache that most pages are written before the commit.
fn gathering(path: &Path, synchronous: &str) -> Connection {
    let connection = connection::copying(path).expect("a database");
    let settings = format!("PRAGMA synchronous = {synchronous}; PRAGMA cache_size = 12;");
    connection.execute_batch(&settings).expect("set");
    connection
}

fn new_database() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.db");
    let setup = "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
                 CREATE TABLE filling (key INTEGER PRIMARY KEY, value BLOB NOT NULL);
                 CREATE INDEX by_length ON filling (length(value));";
    Connection::open(&path)
        .expect("it")
        .execute_batch(setup)
        .expect("a table");
    (folder, path)
}

/// Checks the files as they are now, as if the process had died.
fn check_after_death(path: &Path, expected: &Model, context: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("a.db");
    fs::copy(path, &copy).expect("a copy");
    fs::copy(path.with_extension("db-wal"), copy.with_extension("db-wal")).expect("a copy");
    let connection = plain(&copy);
    check(&connection, expected, context);
}

fn check(connection: &Connection, expected: &Model, context: &str) {
    assert!(content(connection) == *expected, "{context}: other rows");
    let sound: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("a check");
    assert_eq!(sound, "ok", "{context}");
}

/// Changes some rows, some of them in a part that is rolled back.
fn change(connection: &Connection, model: &mut Model, dice: &mut Dice) -> Result<(), Error> {
    for _ in 0..=dice.throw(6) {
        let before = model.clone();
        let is_part = dice.throw(3) == 0;
        if is_part {
            connection.execute_batch("SAVEPOINT part")?;
        }
        for _ in 0..=dice.throw(4) {
            let (key, octet) = (dice.throw(40), dice.throw(256));
            let length = [dice.throw(300), dice.throw(6000), dice.throw(90_000)]
                [usize::try_from(dice.throw(3)).expect("small")];
            if dice.throw(4) == 0 {
                connection
                    .prepare_cached("DELETE FROM filling WHERE key = ?")?
                    .execute([key])?;
                model.remove(&key);
                continue;
            }
            let value = vec![
                u8::try_from(octet).expect("an octet");
                usize::try_from(length).expect("small")
            ];
            connection
                .prepare_cached("REPLACE INTO filling VALUES (?, ?)")?
                .execute((key, value))?;
            model.insert(key, (length, if length == 0 { 0 } else { octet }));
        }
        if dice.throw(8) == 0 {
            connection
                .query_row("PRAGMA incremental_vacuum(9)", [], |_| Ok(()))
                .or_else(none)?;
        }
        if is_part && dice.throw(2) == 0 {
            connection.execute_batch("ROLLBACK TO part; RELEASE part")?;
            *model = before;
        } else if is_part {
            connection.execute_batch("RELEASE part")?;
        }
        if dice.throw(5) == 0 {
            // Reads pages that were written before the commit.
            assert!(read(connection)? == *model, "not what was written");
        }
    }
    Ok(())
}

fn none(error: Error) -> Result<(), Error> {
    if matches!(error, Error::QueryReturnedNoRows) {
        Ok(())
    } else {
        Err(error)
    }
}

/// Runs a transaction to its commit or rollback. Returns the expected content after it.
fn transact(connection: &Connection, model: &Model, dice: &mut Dice) -> Result<Model, Error> {
    let mut changed = model.clone();
    connection.execute_batch("BEGIN IMMEDIATE")?;
    change(connection, &mut changed, dice)?;
    if dice.throw(4) == 0 {
        connection.execute_batch("ROLLBACK")?;
        return Ok(model.clone());
    }
    connection.execute_batch("COMMIT")?;
    Ok(changed)
}

/// Connections with the layer and without it write, read and copy in turn, while writes fail and processes die.
fn live_through(seed: u64, steps: usize) {
    let mut dice = Dice(seed);
    let (_folder, path) = new_database();
    let synchronous = ["OFF", "NORMAL", "FULL"][usize::try_from(seed % 3).expect("small")];
    let mut model = Model::new();
    let mut writer = gathering(&path, synchronous);
    let mut copier = gathering(&path, synchronous);
    let other = plain(&path);
    let mut reading: Option<(Connection, Model)> = None;
    let mut failed = 0;
    for step in 0..steps {
        let context = format!("seed {seed}, step {step}");
        let is_faulty = dice.throw(3) == 0;
        if is_faulty {
            let times = [1, 1000][usize::try_from(dice.throw(2)).expect("small")];
            faults::arm(
                usize::try_from(dice.throw(12)).expect("small"),
                times,
                dice.fault(),
            );
        }
        match dice.throw(8) {
            0..4 => {
                let outcome = transact(&writer, &model, &mut dice);
                let was_faulty = faults::mend();
                match outcome {
                    Ok(changed) => model = changed,
                    Err(error) => {
                        assert!(is_faulty && was_faulty, "{context}: {error}");
                        failed += 1;
                        if dice.throw(2) == 0 {
                            writer = gathering(&path, synchronous);
                        } else if !writer.is_autocommit() {
                            writer.execute_batch("ROLLBACK").expect("rolled back");
                        }
                    }
                }
            }
            4 => {
                // The frames that the layer kept do not get in the way of those of another process.
                faults::mend();
                model = transact(&other, &model, &mut dice).expect("without faults");
            }
            5 => {
                let mode = ["PASSIVE", "PASSIVE", "RESTART", "TRUNCATE"]
                    [usize::try_from(dice.throw(4)).expect("small")];
                let sql = format!("PRAGMA wal_checkpoint({mode})");
                copier.busy_timeout(std::time::Duration::ZERO).expect("set");
                let outcome = copier.query_row(&sql, [], |_| Ok(()));
                let was_faulty = faults::mend();
                if let Err(error) = outcome {
                    assert!(is_faulty && was_faulty, "{context}: {error}");
                    failed += 1;
                    if dice.throw(2) == 0 {
                        copier = gathering(&path, synchronous);
                    }
                }
            }
            6 => {
                reading = if let Some((reader, then)) = reading.take() {
                    assert!(content(&reader) == then, "{context}: the snapshot changed");
                    None
                } else {
                    let reader = plain(&path);
                    reader.execute_batch("BEGIN").expect("begun");
                    assert!(content(&reader) == model, "{context}: another snapshot");
                    Some((reader, model.clone()))
                };
            }
            _ => {
                // Dies in the middle of a transaction, which is rolled back here.
                writer.execute_batch("BEGIN IMMEDIATE").expect("begun");
                let outcome = change(&writer, &mut model.clone(), &mut dice);
                faults::mend();
                assert!(is_faulty || outcome.is_ok(), "{context}: {outcome:?}");
                check_after_death(&path, &model, &context);
                if !writer.is_autocommit() {
                    writer.execute_batch("ROLLBACK").expect("rolled back");
                }
            }
        }
        faults::mend();
        check(&other, &model, &context);
        if dice.throw(4) == 0 {
            check_after_death(&path, &model, &context);
        }
    }
    assert!(
        failed > steps / 100,
        "only {failed} of {steps} steps failed"
    );
    assert_eq!(
        faults::late(),
        0,
        "the last page of a copy was not foreseen"
    );
    drop((writer, copier, other, reading));
    check(&plain(&path), &model, "after all were closed");
}

#[test]
fn commits_survive_any_failed_write() {
    let is_long = std::env::var_os("VESTIBULE_LONG").is_some();
    let (seeds, steps) = if is_long { (30, 200) } else { (6, 60) };
    for seed in 0..seeds {
        live_through(seed, steps);
    }
}

/// Each write of a commit fails in turn: nothing of the commit is stored, and all of it once no write fails.
#[test]
fn a_commit_is_atomic() {
    for fault in [
        Fault::Broken,
        Fault::FullAfter { octets: 0 },
        Fault::FullAfter { octets: 5000 },
    ] {
        let (_folder, path) = new_database();
        let writer = gathering(&path, "FULL");
        let other = plain(&path);
        let mut model = content(&other);
        let mut failures = 0;
        loop {
            let value = vec![7; 400_000];
            faults::arm(failures, 1000, fault);
            let outcome = writer.execute("REPLACE INTO filling VALUES (1, ?)", [&value]);
            let was_faulty = faults::mend();
            if outcome.is_ok() {
                assert!(!was_faulty, "a failed write was not reported");
                break;
            }
            failures += 1;
            check(&other, &model, &format!("{fault:?} {failures}"));
            check_after_death(&path, &model, &format!("{fault:?} {failures}"));
        }
        assert!(failures > 3, "only {failures} writes");
        model.insert(1, (400_000, 7));
        check(&other, &model, "committed");
        check_after_death(&path, &model, "committed");
    }
}

/// Frames that were rolled back are never written once another process may write to their places.
#[test]
fn frames_that_were_rolled_back_do_not_overwrite_those_of_another_process() {
    let (_folder, path) = new_database();
    let (writer, other) = (gathering(&path, "FULL"), plain(&path));
    writer
        .execute_batch("BEGIN IMMEDIATE; INSERT INTO filling VALUES (1, zeroblob(90000)); ROLLBACK")
        .expect("rolled back");
    other
        .execute("INSERT INTO filling VALUES (2, zeroblob(90000))", [])
        .expect("committed");
    writer
        .execute("INSERT INTO filling VALUES (3, zeroblob(90000))", [])
        .expect("committed");
    let expected = Model::from([(2, (90_000, 0)), (3, (90_000, 0))]);
    check(&other, &expected, "two rows");
    check_after_death(&path, &expected, "two rows");
}

/// The same for a connection that keeps all locks: it does not report when it releases the writer's lock.
#[test]
fn frames_of_a_connection_that_keeps_its_locks_are_written_immediately() {
    let (_folder, path) = new_database();
    let writer = gathering(&path, "FULL");
    writer
        .execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE;
             INSERT INTO filling VALUES (1, zeroblob(90000));
             PRAGMA locking_mode = NORMAL; ROLLBACK",
        )
        .or_else(none)
        .expect("rolled back");
    let other = plain(&path);
    let mut expected = Model::new();
    for (connection, key) in [(&other, 2), (&writer, 3)] {
        connection
            .execute("INSERT INTO filling VALUES (?, zeroblob(90000))", [key])
            .expect("committed");
        expected.insert(key, (90_000, 0));
        check(connection, &expected, "committed");
        check_after_death(&path, &expected, "committed");
    }
}

/// The checkpoint runs concurrently with the writer, as in the daemon.
#[test]
fn pages_are_copied_while_the_writer_grows_and_shrinks_the_database() {
    let (_folder, path) = new_database();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let copying = scope.spawn(|| {
            let checkpoints = gathering(&path, "FULL");
            let mut pages = 0;
            while !is_done.load(Ordering::Relaxed) {
                pages += checkpoints
                    .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
                        row.get::<_, i64>(2)
                    })
                    .expect("a copy");
                assert_eq!(faults::late(), 0);
            }
            pages
        });
        let (mut model, mut dice) = (Model::new(), Dice(7));
        let (writer, reader) = (gathering(&path, "FULL"), plain(&path));
        for step in 0..150 {
            model = transact(&writer, &model, &mut dice).expect("committed");
            assert!(content(&reader) == model, "step {step}: other rows");
        }
        is_done.store(true, Ordering::Relaxed);
        assert!(copying.join().expect("no panic") > 0, "nothing was copied");
        check(&reader, &model, "the end");
        drop((writer, reader));
        check(&plain(&path), &model, "closed");
    });
}

/// A message of a megabyte has some 260 pages, which without the layer are 520 writes to the log and 260 to the
/// database.
#[test]
fn a_large_message_takes_few_writes() {
    let (_folder, path) = new_database();
    let writer = gathering(&path, "FULL");
    writer
        .execute("PRAGMA cache_size = -8192", [])
        .or_else(|_| Ok::<_, Error>(0))
        .expect("set");
    // After this, the log need not be extended.
    writer
        .execute_batch(
            "INSERT INTO filling VALUES (0, zeroblob(1048576)); PRAGMA wal_checkpoint(PASSIVE)",
        )
        .or_else(none)
        .expect("committed");
    faults::sizes();
    writer
        .execute("INSERT INTO filling VALUES (1, zeroblob(1048576))", [])
        .expect("committed");
    let to_the_log = faults::sizes();
    assert!(to_the_log.len() < 15, "{to_the_log:?}");
    writer
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
        .expect("copied");
    let to_the_database = faults::sizes();
    assert!(to_the_database.len() < 15, "{to_the_database:?}");
}

#[test]
fn a_quota_that_is_used_up_counts_as_a_full_disk() {
    let broken = ffi::SQLITE_IOERR_WRITE;
    for (code, error, expected) in [
        (broken, Errno::DQUOT, Err(ffi::SQLITE_FULL)),
        (broken, Errno::IO, Err(broken)),
        (ffi::SQLITE_FULL, Errno::DQUOT, Err(ffi::SQLITE_FULL)),
        // The number is that of an earlier call.
        (ffi::SQLITE_OK, Errno::DQUOT, Ok(())),
    ] {
        let found = super::outcome_of_write(code, || error.raw_os_error());
        assert_eq!(found, expected, "{code} {error:?}");
    }
}

/// Other files, such as the copies of `VACUUM`, are not changed by the layer.
#[test]
fn a_database_is_rewritten() {
    let (_folder, path) = new_database();
    let writer = gathering(&path, "FULL");
    for key in 0..30 {
        writer
            .execute("INSERT INTO filling VALUES (?, zeroblob(9000))", [key])
            .expect("committed");
    }
    writer
        .execute_batch("DELETE FROM filling WHERE key % 2; VACUUM")
        .expect("rewritten");
    let rows = (0..30).step_by(2).map(|key| (key, (9000, 0)));
    check(&plain(&path), &rows.collect(), "half of the rows");
}
