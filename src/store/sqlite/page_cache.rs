//! Memory of connections: frees the page cache of a connection that was idle for a while.
//!
//! Each connection caches the pages that it used last, so the memory of a burst would stay in use for good.

use rusqlite::Connection;

/// Frees the page cache of a connection.
pub(crate) fn free_pages(connection: &Connection) {
    // It frees what it can; an error would mean that it freed nothing, which does no harm.
    let _ = connection.release_memory();
}

/// Also frees the prepared statements: they are small allocations between the pages, and the system's allocator
/// returns memory only from the end of the heap.
pub(crate) fn free_all(connection: &Connection) {
    connection.flush_prepared_statement_cache();
    free_pages(connection);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::store::StoreError;
    use crate::store::engine::driver::{ReaderSession, WriterSession};
    use crate::store::engine::readers::Readers;
    use crate::store::sql::Tx;
    use crate::store::sqlite::driver::SqliteDriver;
    use crate::store::sqlite::session::SqliteSession;

    /// Octets that this thread has read from files, as opposed to cached pages.
    fn octets_read() -> u64 {
        let figures = fs::read_to_string("/proc/thread-self/io").expect("the figures of a thread");
        figures
            .lines()
            .find_map(|line| line.strip_prefix("rchar: ")?.parse().ok())
            .expect("a figure")
    }

    /// Octets read while summing a table of a megabyte once more.
    fn read_again(tx: &Tx) -> u64 {
        let before = octets_read();
        let total: i64 = tx
            .one("SELECT sum(length(filling)) FROM big", &[])
            .expect("a sum");
        assert_eq!(total, 2000 * 500);
        octets_read() - before
    }

    fn big_database() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("big.db");
        let connection = Connection::open(&path).expect("a database");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 CREATE TABLE big AS
                     WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 2000)
                     SELECT n, hex(zeroblob(250)) AS filling FROM n;",
            )
            .expect("a table");
        (folder, path)
    }

    #[test]
    fn a_connection_caches_pages_until_they_are_freed() {
        let (_folder, path) = big_database();
        let session = SqliteSession::reading(&path).expect("a database");
        read_again(&session);
        let small = read_again(&session);
        assert!(
            small < 10_000,
            "{small} octets were read although all pages are cached"
        );

        for free in [SqliteSession::free_cache, SqliteSession::free_memory] {
            free(&session);
            let all = read_again(&session);
            assert!(
                all > 1_000_000,
                "only {all} octets were read after the cache was freed"
            );
        }
    }

    #[test]
    fn unneeded_readers_are_closed_and_the_last_one_frees_its_cache() {
        let (_folder, path) = big_database();
        let all_at_once = |readers: &Readers| {
            let (here, there) = (std::sync::Barrier::new(3), &readers);
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        let read = |_: &Tx| {
                            here.wait();
                            Ok::<_, StoreError>(())
                        };
                        there.read(read).expect("read");
                    });
                }
            });
        };
        let driver = Arc::new(SqliteDriver::of(&path));
        let readers = Readers::new(driver.clone(), 4, Duration::from_hours(1));
        all_at_once(&readers);
        readers.read(|_| Ok(())).expect("read");
        assert_eq!(readers.idle(), 3, "they may be needed again");

        let readers = Readers::new(driver, 4, Duration::ZERO);
        all_at_once(&readers);
        let read = |tx: &Tx| Ok(read_again(tx));
        readers.read(read).expect("read");
        assert_eq!(readers.idle(), 1);
        let all = readers.read(read).expect("read");
        assert!(
            all > 1_000_000,
            "only {all} octets were read after an idle time"
        );
    }
}
