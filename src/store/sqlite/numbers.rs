//! Row numbers, as the SQL function `next_number()` of the writing connection.
//!
//! All tables take their numbers from the one row of `writer`, which keeps the first number that nobody has
//! reserved. A connection reserves [`BLOCK`] numbers at once, so that most transactions do not write the row.
//! It is read in each transaction: once another process has reserved a block of its own, the rest of ours is
//! wasted. So numbers follow the order of commits, also across processes. An operation that is rolled back
//! wastes its numbers too; no number is used twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use crate::store::StoreError;

/// Numbers reserved at once.
const BLOCK: i64 = 256;

/// Row numbers of the transactions of one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers {
    counter: Arc<Counter>,
}

#[derive(Debug, Default)]
struct Counter {
    /// A transaction of the writer is open.
    open: AtomicBool,
    next: AtomicI64,
    /// The value of the row as this connection last wrote or read it.
    reserved: AtomicI64,
}

impl Numbers {
    /// Registers `next_number()` on a connection.
    pub(crate) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let numbers = Self::default();
        let counter = Arc::clone(&numbers.counter);
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
        connection.create_scalar_function("next_number", 0, flags, move |_| counter.give())?;
        Ok(numbers)
    }

    /// Reads the row, in a transaction that already holds the write lock.
    pub(crate) fn begin(&self, connection: &Connection) -> Result<(), StoreError> {
        let row: i64 = connection
            .prepare_cached("SELECT next_number FROM writer")?
            .query_row([], |row| row.get(0))?;
        // Another process took the block that begins where ours ends, or the transaction that reserved ours
        // was rolled back.
        if row != self.counter.reserved.load(Relaxed) {
            self.counter.reserved.store(row, Relaxed);
            self.counter.next.store(row, Relaxed);
        }
        self.counter.open.store(true, Relaxed);
        Ok(())
    }

    /// Reserves the numbers that the transaction used beyond the block, before it is committed.
    pub(crate) fn keep(&self, connection: &Connection) -> Result<(), StoreError> {
        self.counter.open.store(false, Relaxed);
        let next = self.counter.next.load(Relaxed);
        if next > self.counter.reserved.load(Relaxed) {
            connection
                .prepare_cached("UPDATE writer SET next_number = ?")?
                .execute([next + BLOCK])?;
            self.counter.reserved.store(next + BLOCK, Relaxed);
        }
        Ok(())
    }
}

impl Counter {
    fn give(&self) -> rusqlite::Result<i64> {
        if !self.open.load(Relaxed) {
            return Err(rusqlite::Error::UserFunctionError(
                "a number was requested outside of a transaction of the writer".into(),
            ));
        }
        Ok(self.next.fetch_add(1, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::store::sqlite::connection;

    #[test]
    fn a_number_is_given_in_a_transaction_only_and_never_again_once_it_is_committed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vestibule.db");
        connection::create(&path).expect("a file");
        connection::migrate(&path).expect("a schema");
        let connection = connection::writing(&path).expect("a database");
        let numbers = Numbers::of(&connection).expect("a function");
        let take = || connection.query_row("SELECT next_number()", [], |row| row.get::<_, i64>(0));
        let run = |sql: &str| connection.execute_batch(sql).expect(sql);
        take().expect_err("no transaction has begun");

        run("BEGIN IMMEDIATE");
        numbers.begin(&connection).expect("begun");
        assert_eq!([take(), take()], [Ok(1), Ok(2)]);
        // A part is rolled back, and its numbers are not given to the next part.
        run("SAVEPOINT one");
        assert_eq!(take(), Ok(3));
        run("ROLLBACK TO one; RELEASE one");
        assert_eq!(take(), Ok(4));
        numbers.keep(&connection).expect("kept");
        take().expect_err("the transaction ends");
        run("COMMIT");

        // Numbers that were never committed were never visible; they may be given again or wasted.
        run("BEGIN IMMEDIATE");
        numbers.begin(&connection).expect("begun");
        assert_eq!(take(), Ok(5));
        run("ROLLBACK");
    }

    /// Takes `count` numbers in one transaction and returns the first.
    fn commit(connection: &Connection, numbers: &Numbers, count: i64) -> i64 {
        connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
        numbers.begin(connection).expect("begun");
        let take = || connection.query_row("SELECT next_number()", [], |row| row.get(0));
        let first = take().expect("a number");
        for more in 1..count {
            assert_eq!(take(), Ok(first + more));
        }
        numbers.keep(connection).expect("kept");
        connection.execute_batch("COMMIT").expect("committed");
        first
    }

    #[test]
    fn numbers_follow_the_order_of_commits_whoever_gives_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vestibule.db");
        connection::create(&path).expect("a file");
        connection::migrate(&path).expect("a schema");
        let open = || {
            let connection = connection::writing(&path).expect("a database");
            let numbers = Numbers::of(&connection).expect("a function");
            (connection, numbers)
        };
        let mut writers = [open(), open(), open()];
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
            let (connection, numbers) = &writers[turn];
            let first = commit(connection, numbers, count);
            assert!(first > last, "{first} after {last}");
            last = first + count - 1;
        }
        // Killed and started again.
        writers[0] = open();
        assert!(commit(&writers[0].0, &writers[0].1, 1) > last);
    }

    #[test]
    fn a_block_whose_reservation_was_rolled_back_is_reserved_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vestibule.db");
        connection::create(&path).expect("a file");
        connection::migrate(&path).expect("a schema");
        let connection = connection::writing(&path).expect("a database");
        let numbers = Numbers::of(&connection).expect("a function");
        let last = commit(&connection, &numbers, BLOCK);
        connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
        numbers.begin(&connection).expect("begun");
        for _ in 0..=BLOCK {
            let take = connection.query_row("SELECT next_number()", [], |row| row.get::<_, i64>(0));
            take.expect("a number");
        }
        numbers.keep(&connection).expect("kept");
        connection.execute_batch("ROLLBACK").expect("rolled back");
        let first = commit(&connection, &numbers, 1);
        assert!(first > last);
        let row: i64 = connection
            .query_row("SELECT next_number FROM writer", [], |row| row.get(0))
            .expect("the row");
        assert!(row > first, "{first} is not reserved by {row}");
    }

    /// The Rust source of a folder and those in it, without the examples of `plans.rs`.
    fn source_below(folder: &Path) -> String {
        let mut source = String::new();
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                source += &source_below(&path);
            } else if path.extension().is_some_and(|is| is == "rs") && !path.ends_with("plans.rs") {
                source += &std::fs::read_to_string(path).expect("text");
            }
        }
        source
    }

    /// Tables numbered otherwise: they have one row, or rows are never removed.
    const OWN: [&str; 2] = ["link_key", "writer"];

    #[test]
    fn every_table_takes_its_numbers_here() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vestibule.db");
        connection::create(&path).expect("a file");
        connection::migrate(&path).expect("a schema");
        let connection = connection::writing(&path).expect("a database");
        let mut statement = connection
            .prepare(
                "SELECT t.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
                 WHERE t.type = 'table' AND c.pk = 1 AND c.type = 'INTEGER' AND c.name = 'n'",
            )
            .expect("a statement");
        let tables: Vec<String> = statement
            .query_map([], |row| row.get(0))
            .expect("rows")
            .collect::<Result<_, _>>()
            .expect("names");
        let source = source_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store"));
        assert!(tables.len() > OWN.len() + 5, "{tables:?}");
        for table in tables.iter().filter(|table| !OWN.contains(&table.as_str())) {
            let insert = format!("INSERT INTO {table} (");
            assert!(source.contains(&insert), "nobody writes {table}");
            for values in source.split(&insert).skip(1) {
                let (_, values) = values.split_once("VALUES (").expect(table);
                assert!(values.starts_with("next_number()"), "{table}: {values:.80}");
            }
            let checked = format!("(SELECT max(n) FROM {table})");
            assert!(source.contains(&checked), "no invariant asks {table}");
        }
    }
}
