//! Tests of the extension of the log: commits write only to blocks that were there before, and fail with it.

use std::fs;

use super::{Fault, Model, check_after_death, faults, gathering, new_database, plain};
use crate::store::sqlite::log_extension::{EXTENSION, ZEROS};
use crate::store::sqlite::vfs::extend_log;

/// A commit writes only to blocks of the log that were already allocated and synced.
#[test]
fn frames_are_written_where_the_log_has_zeros() {
    let (_folder, path) = new_database();
    let log = path.with_extension("db-wal");
    let writer = gathering(&path, "FULL");
    let mut expected = Model::new();
    let mut length = 0;
    for key in 0..40 {
        writer
            .execute("INSERT INTO filling VALUES (?, zeroblob(90000))", [key])
            .expect("committed");
        expected.insert(key, (90_000, 0));
        let before = length;
        length = fs::metadata(&log).expect("a log").len();
        assert!(length == before || length >= before + EXTENSION, "{length}");
        check_after_death(&path, &expected, "zeros at the end");
    }
    assert!(length < 40 * 90_000 + 4 * EXTENSION, "{length}");
}

/// The kernel reports a failed sync once: the sync of the commit that follows could succeed.
#[test]
fn a_commit_fails_with_the_sync_of_the_zeros() {
    let (_folder, path) = new_database();
    let writer = gathering(&path, "FULL");
    let insert = "INSERT INTO filling VALUES (1, zeroblob(90000))";
    faults::fail_sync();
    writer.execute(insert, []).expect_err("the sync failed");
    writer.execute(insert, []).expect("committed");
    check_after_death(
        &path,
        &Model::from([(1, (90_000, 0))]),
        "after a failed sync",
    );
}

/// The frames would otherwise go into new blocks.
#[test]
fn a_commit_fails_with_the_write_of_the_zeros() {
    let (_folder, path) = new_database();
    let writer = gathering(&path, "FULL");
    let insert = "INSERT INTO filling VALUES (1, zeroblob(90000))";
    faults::sizes();
    faults::arm(0, 1, Fault::Broken);
    let inserted = writer.execute(insert, []);
    assert!(faults::mend());
    assert_eq!(faults::sizes().first(), Some(&ZEROS.len()));
    inserted.expect_err("the device failed");
    writer.execute(insert, []).expect("committed");
    let rows = Model::from([(1, (90_000, 0))]);
    check_after_death(&path, &rows, "after a failed write");
}

/// The disk may still have room for the frames, which take less of it.
#[test]
fn a_full_disk_stops_the_extension_and_not_the_commit() {
    let (_folder, path) = new_database();
    let writer = gathering(&path, "FULL");
    faults::sizes();
    faults::arm(0, 1, Fault::FullAfter { octets: 5000 });
    let inserted = writer.execute("INSERT INTO filling VALUES (1, zeroblob(90000))", []);
    assert!(faults::mend());
    assert_eq!(faults::sizes().first(), Some(&ZEROS.len()));
    inserted.expect("committed");
    let rows = Model::from([(1, (90_000, 0))]);
    check_after_death(&path, &rows, "a full disk");
}

/// A step that extends the log in idle time reports its failure, and takes nothing from commits.
#[test]
fn a_log_is_extended_in_advance() {
    const LENGTH: u64 = 4 * EXTENSION;
    let (_folder, path) = new_database();
    let writer = gathering(&path, "FULL");
    let insert = "INSERT INTO filling VALUES (?, zeroblob(90000))";
    writer.execute(insert, [1]).expect("committed");
    writer.execute_batch("BEGIN IMMEDIATE").expect("locked");
    faults::fail_sync();
    extend_log(&writer, LENGTH).expect_err("the sync failed");
    assert!(extend_log(&writer, LENGTH).expect("extended"));
    assert!(!extend_log(&writer, LENGTH).expect("extended"));
    assert!(!extend_log(&writer, LENGTH).expect("long enough"));
    writer.execute_batch("ROLLBACK").expect("unlocked");
    let length = fs::metadata(path.with_extension("db-wal"))
        .expect("a log")
        .len();
    assert!((LENGTH..LENGTH + EXTENSION).contains(&length), "{length}");
    writer.execute(insert, [2]).expect("committed");
    let rows = Model::from([(1, (90_000, 0)), (2, (90_000, 0))]);
    check_after_death(&path, &rows, "an extended log");
    let other = plain(&path);
    assert!(!extend_log(&other, LENGTH).expect("not a file of the layer"));
}
