//! The database of a store test: a file of SQLite in a folder of its own. `tests/postgres` runs the same tests
//! with another module of this name.

use std::path::PathBuf;

use rusqlite::{Connection, params};
use tempfile::TempDir;
use vestibule::store::Store;

pub struct Database {
    pub folder: TempDir,
}

impl Database {
    /// True if forgetting a person leaves no trace on the disk.
    pub const OVERWRITES: bool = true;

    /// Number of random sequences of steps in one run of a test.
    pub const CASES: u32 = 32;

    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("vestibule.db")
    }

    /// Opens the store, as another process or after a restart would.
    pub fn open(&self) -> Store {
        Store::open(&self.path()).expect("a store")
    }

    fn connect(&self) -> Connection {
        Connection::open(self.path()).expect("the database")
    }

    /// Runs statements directly, bypassing the store.
    pub fn run(&self, sql: &str) {
        self.connect().execute_batch(sql).expect(sql);
    }

    /// Reads one number from the database.
    pub fn number(&self, sql: &str) -> i64 {
        let found = self.connect().query_row(sql, [], |row| row.get(0));
        found.expect(sql)
    }

    /// Changes the one row that has this id, `?`, in violation of the checks of the schema. False if this engine
    /// cannot hold such a row.
    #[must_use]
    pub fn damage(&self, sql: &str, id: [u8; 16]) -> bool {
        let connection = self.connect();
        connection
            .pragma_update(None, "ignore_check_constraints", true)
            .expect("a setting");
        let changed = connection.execute(sql, params![id.to_vec()]);
        assert_eq!(changed.expect(sql), 1, "{sql}");
        true
    }

    /// Simulates a crash, optionally while a transaction is being written: the files as they are now are
    /// those of the next [`open`](Self::open), and the old process continues in the old folder unobserved.
    pub fn crash(&mut self, in_the_midst: bool) -> TempDir {
        let doomed = in_the_midst.then(|| {
            let doomed = self.connect();
            doomed
                .execute_batch("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE; DELETE FROM request")
                .and_then(|()| doomed.cache_flush())
                .expect("written, and never committed");
            doomed
        });
        let next = tempfile::tempdir().expect("a folder");
        // The write-ahead log is copied first, so that pages that are checkpointed meanwhile are in both files.
        for name in ["vestibule.db-wal", "vestibule.db"] {
            let from = self.folder.path().join(name);
            if from.exists() {
                std::fs::copy(from, next.path().join(name)).expect("a copy");
            }
        }
        drop(doomed);
        std::mem::replace(&mut self.folder, next)
    }

    /// Files that contain a word.
    pub fn places_with(&self, word: &str) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.folder.path()).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            if !path.is_file() || !name.starts_with("vestibule.db") || name.ends_with("-shm") {
                continue;
            }
            let octets = std::fs::read(&path).expect("a file");
            let mut parts = octets.windows(word.len());
            if parts.any(|part| part == word.as_bytes()) {
                found.push(name.into_owned());
            }
        }
        found
    }
}
