//! Row numbers of the writer's transactions.
//!
//! All tables take their numbers from the one row of `writer`, which holds the first number that is not reserved. A
//! session reserves [`BLOCK`] numbers at a time, so that most transactions do not write the row. It is read in each
//! transaction: once another process has reserved a block of its own, the rest of ours is wasted. So numbers follow
//! the order of commits, even across processes. An operation that is rolled back wastes its numbers too; no number
//! is used twice.

use std::cell::Cell;

use crate::store::engine::driver::BLOCK;
use crate::store::sql::Tx;
use crate::store::{Result, StoreError};

/// Row numbers of the transactions of one session.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// A transaction of the writer is open.
    open: Cell<bool>,
    next: Cell<i64>,
    /// The value of the row as this session last wrote or read it.
    reserved: Cell<i64>,
}

impl Numbers {
    /// Reads the row, in a transaction that already holds the write lock.
    pub(crate) fn begin(&self, tx: &Tx) -> Result<()> {
        let row = tx.maybe("SELECT next_number FROM writer", &[])?;
        let row = row.ok_or_else(StoreError::of_moved_store)?;
        // Another process took the block that begins where ours ends, or the transaction that reserved ours
        // was rolled back.
        if row != self.reserved.get() {
            self.reserved.set(row);
            self.next.set(row);
        }
        self.open.set(true);
        Ok(())
    }

    /// Reserves the numbers that the transaction used beyond the block, before it is committed.
    pub(crate) fn keep(&self, tx: &Tx) -> Result<()> {
        self.open.set(false);
        let next = self.next.get();
        if next > self.reserved.get() {
            tx.run("UPDATE writer SET next_number = ?", &[&(next + BLOCK)])?;
            self.reserved.set(next + BLOCK);
        }
        Ok(())
    }

    /// Gives the block up after a transaction that was not committed: if it reserved the block, another
    /// process may reserve the same numbers.
    pub(crate) fn give_up(&self) {
        self.open.set(false);
        self.reserved.set(0);
    }

    /// The next number.
    ///
    /// # Errors
    /// No transaction of the writer is open.
    pub(crate) fn give(&self) -> Result<i64> {
        if !self.open.get() {
            return Err(StoreError::Other(
                "a number was requested outside of a transaction of the writer".to_owned(),
            ));
        }
        Ok(self.next.replace(self.next.get() + 1))
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::store::engine::driver::WriterSession;
    use crate::store::engine::notify::Wakeups;
    use crate::store::sql::EngineSession;
    use crate::store::sqlite::connection;
    use crate::store::sqlite::session::SqliteSession;

    fn database(folder: &Path) -> PathBuf {
        let path = folder.join("vestibule.db");
        connection::create(&path).expect("a file");
        connection::migrate(&path).expect("a schema");
        path
    }

    fn open(path: &Path) -> SqliteSession {
        SqliteSession::writing(path).expect("a database")
    }

    #[test]
    fn a_number_is_assigned_only_in_a_transaction_and_never_again_once_it_is_committed() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = open(&database(folder.path()));
        let take = || session.next_number().ok();
        assert_eq!(take(), None, "no transaction has begun");

        session.begin().expect("begun");
        assert_eq!([take(), take()], [Some(1), Some(2)]);
        // A part is rolled back, and its numbers are not given to the next part.
        session.begin_savepoint().expect("begun");
        assert_eq!(take(), Some(3));
        session.roll_back_to_savepoint().expect("rolled back");
        session.release_savepoint().expect("ended");
        assert_eq!(take(), Some(4));
        session.keep_numbers().expect("kept");
        assert_eq!(take(), None, "the transaction ends");
        session.commit(Wakeups::default()).expect("committed");

        // Numbers that were never committed were never visible; they may be given again or wasted.
        session.begin().expect("begun");
        assert_eq!(take(), Some(5));
        assert!(session.roll_back());
    }

    /// Takes `count` numbers in one transaction and returns the first.
    fn commit(session: &SqliteSession, count: i64) -> i64 {
        session.begin().expect("begun");
        let first = session.next_number().expect("a number");
        for more in 1..count {
            assert_eq!(session.next_number().ok(), Some(first + more));
        }
        session.keep_numbers().expect("kept");
        session.commit(Wakeups::default()).expect("committed");
        first
    }

    #[test]
    fn numbers_follow_the_order_of_commits_across_processes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = database(folder.path());
        let mut writers = [open(&path), open(&path), open(&path)];
        let mut last = 0;
        for (turn, count) in [
            (0, 1),
            (0, 3),
            (1, 2),
            (0, 1),
            (1, 600),
            (1, 1),
            (2, 256),
            (2, 1),
            (0, 1),
        ] {
            let first = commit(&writers[turn], count);
            assert!(first > last, "{first} after {last}");
            last = first + count - 1;
        }
        // Killed and started again.
        writers[0] = open(&path);
        assert!(commit(&writers[0], 1) > last);
    }

    #[test]
    fn a_block_whose_reservation_was_rolled_back_is_reserved_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = open(&database(folder.path()));
        let last = commit(&session, BLOCK);
        session.begin().expect("begun");
        for _ in 0..=BLOCK {
            session.next_number().expect("a number");
        }
        session.keep_numbers().expect("kept");
        assert!(session.roll_back());
        let first = commit(&session, 1);
        assert!(first > last);
        let tx: &Tx = &session;
        let row: i64 = tx
            .one("SELECT next_number FROM writer", &[])
            .expect("the row");
        assert!(row > first, "{first} is not reserved by {row}");
    }

    #[test]
    fn a_block_that_was_rolled_back_is_not_shared_with_another_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = database(folder.path());
        let (ours, theirs) = (open(&path), open(&path));
        let last = commit(&ours, BLOCK);
        ours.begin().expect("begun");
        for _ in 0..=BLOCK {
            ours.next_number().expect("a number");
        }
        ours.keep_numbers().expect("kept");
        assert!(ours.roll_back());
        // They use as many numbers, so that the row has the value that we remember.
        let first = commit(&theirs, BLOCK + 1);
        assert!(first > last);
        assert!(commit(&ours, 1) > first + BLOCK);
    }

    /// Tables numbered otherwise: they have one row, or rows are never removed.
    const OWN: [&str; 3] = ["link_key", "moved", "writer"];

    /// The code of all source files except tests, each without line breaks.
    fn sources(folder: &Path) -> Vec<String> {
        let mut texts = Vec::new();
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.file_stem().is_some_and(|stem| stem == "tests") {
                continue;
            }
            if path.is_dir() {
                texts.extend(sources(&path));
            } else if path.extension().is_some_and(|is| is == "rs") {
                let text = std::fs::read_to_string(path).expect("text");
                let code = text.lines().filter(|line| !line.trim().starts_with("//"));
                let words: Vec<_> = code.flat_map(str::split_whitespace).collect();
                texts.push(words.join(" "));
            }
        }
        texts
    }

    #[test]
    fn every_table_gets_its_numbers_from_this_module() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = open(&database(folder.path()));
        let tx: &Tx = &session;
        let tables: Vec<String> = tx
            .all(
                "SELECT t.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
                 WHERE t.type = 'table' AND c.pk = 1 AND c.type = 'INTEGER' AND c.name = 'n'",
                &[],
            )
            .expect("names");
        assert!(tables.len() > OWN.len() + 5, "{tables:?}");
        let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store"));
        for table in tables.iter().filter(|table| !OWN.contains(&table.as_str())) {
            let mut inserts = 0;
            let row = format!(", {table} {{ ");
            let statement = format!("INSERT INTO {table} (");
            for source in &sources {
                let rows = source.split(&row).skip(1);
                let statements = source.split(&statement).skip(1);
                for row in rows.chain(statements) {
                    inserts += 1;
                    assert!(
                        row.starts_with("n: ") || row.starts_with("n, "),
                        "{table}: {row:.80}"
                    );
                    assert!(source.contains(".next_number()?"), "{table}");
                }
            }
            assert!(inserts > 0, "no code writes {table}");
            let checked = format!("(SELECT max(n) FROM {table})");
            let is_checked = sources.iter().any(|source| source.contains(&checked));
            assert!(is_checked, "no invariant checks {table}");
        }
    }
}
