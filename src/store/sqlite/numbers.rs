//! Row numbers, as the SQL function `next_number()` of the writing connection.
//!
//! All tables take their numbers from the one row of `writer`. It is read once in each transaction and
//! written once before the commit, so that numbers follow the order of commits, also across processes. An
//! operation that is rolled back within its transaction wastes its numbers; they are never used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use crate::store::StoreError;

/// Value outside of a transaction.
const NONE: i64 = 0;

/// Row numbers of the transactions of one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers {
    counter: Arc<Counter>,
}

#[derive(Debug, Default)]
struct Counter {
    /// Number in the row.
    kept: AtomicI64,
    next: AtomicI64,
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
        let next: i64 = connection
            .prepare_cached("SELECT next_number FROM writer")?
            .query_row([], |row| row.get(0))?;
        self.counter.kept.store(next, Relaxed);
        self.counter.next.store(next, Relaxed);
        Ok(())
    }

    /// Writes the last number used, before the transaction is committed.
    pub(crate) fn keep(&self, connection: &Connection) -> Result<(), StoreError> {
        let next = self.counter.next.swap(NONE, Relaxed);
        if next != self.counter.kept.load(Relaxed) {
            connection
                .prepare_cached("UPDATE writer SET next_number = ?")?
                .execute([next])?;
        }
        Ok(())
    }
}

impl Counter {
    fn give(&self) -> rusqlite::Result<i64> {
        match self.next.load(Relaxed) {
            NONE => Err(rusqlite::Error::UserFunctionError(
                "a number was asked for outside of a transaction of the writer".into(),
            )),
            number => {
                self.next.store(number + 1, Relaxed);
                Ok(number)
            }
        }
    }
}

#[cfg(test)]
mod tests {
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

        // Numbers that were never committed were never visible.
        for _ in 0..2 {
            run("BEGIN IMMEDIATE");
            numbers.begin(&connection).expect("begun");
            assert_eq!(take(), Ok(5));
            run("ROLLBACK");
        }
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
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
        let source: String = std::fs::read_dir(folder)
            .expect("a folder")
            .map(|file| file.expect("a file").path())
            .filter(|file| file.extension().is_some_and(|is| is == "rs"))
            .filter(|file| !file.ends_with("plans.rs"))
            .map(|file| std::fs::read_to_string(file).expect("text"))
            .collect();
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
