//! The database of a store test: a schema of its own in PostgreSQL.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::Stdio;

use tempfile::TempDir;
use vestibule::config::PostgresServer;
use vestibule::store::{Location, Store};

use crate::support::postgres::{Schema, server};

pub struct Database {
    schema: Schema,
    /// The file with the id of the node.
    folder: TempDir,
}

/// Drops the schema, unless it is in use: hundreds would fill a small disk.
impl Drop for Database {
    fn drop(&mut self) {
        let name = &self.schema.name;
        let sql = format!("SET lock_timeout = '1s'; DROP SCHEMA IF EXISTS {name} CASCADE");
        let _ = server().try_run(name, &sql);
    }
}

/// Remains of a crash in the process that crashed: none.
pub struct Ruins;

impl Database {
    /// True if forgetting a person leaves no trace in the tables.
    pub const OVERWRITES: bool = true;

    /// Number of random sequences of steps in one run of a test. Each begins with a new schema, which takes longer
    /// than a file.
    pub const CASES: u32 = 10;

    pub fn new() -> Self {
        Self {
            schema: server().schema(),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub fn location(&self) -> Location {
        let mut place = PostgresServer::parse(&self.schema.url).expect("a location of a store");
        place.node_file = Some(self.folder.path().join("node-id"));
        place.into()
    }

    /// Opens the store, as another process or after a restart would.
    pub fn open(&self) -> Store {
        Store::open(self.location()).expect("a store")
    }

    /// Runs statements directly in the database.
    pub fn run(&self, sql: &str) {
        server().run(&self.schema.name, sql);
    }

    /// Runs a query that returns one number.
    pub fn number(&self, sql: &str) -> i64 {
        let rows = server().run(&self.schema.name, sql);
        rows[0].parse().expect("a number")
    }

    /// Changes the one row that has this id, `?`, against the checks of the schema. False if this engine
    /// cannot hold such a row: a text is always UTF-8.
    #[must_use]
    pub fn damage(&self, sql: &str, id: [u8; 16]) -> bool {
        if sql.contains("CAST(x'ff' AS TEXT)") {
            return false;
        }
        self.run(&format!(
            "DO $$ DECLARE t record; BEGIN
                 FOR t IN SELECT conrelid::regclass AS name, conname FROM pg_constraint
                     WHERE contype = 'c' AND connamespace = '{}'::regnamespace
                 LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', t.name, t.conname); END LOOP;
             END $$",
            self.schema.name
        ));
        let mut octets = String::new();
        for octet in id {
            let _ = write!(octets, "{octet:02x}");
        }
        let sql = sql.replace('?', &format!("'\\x{octets}'"));
        let changed = self.number(&format!(
            "WITH changed AS ({sql} RETURNING 1) SELECT count(*) FROM changed"
        ));
        assert_eq!(changed, 1, "{sql}");
        true
    }

    /// Simulates a crash: the server ends all sessions of the store, optionally while a transaction is being
    /// written.
    pub fn crash(&mut self, in_the_midst: bool) -> Ruins {
        let name = &self.schema.name;
        let mut doomed = in_the_midst.then(|| {
            let mut doomed = server()
                .psql(name)
                .env("PGAPPNAME", format!("vestibule {name}"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("psql");
            let mut input = doomed.stdin.take().expect("a pipe");
            input
                .write_all(b"BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM request;\n\\echo deleted\n")
                .expect("statements");
            let mut said = String::new();
            let output = doomed.stdout.take().expect("a pipe");
            BufReader::new(output).read_line(&mut said).expect("a line");
            assert_eq!(said.trim(), "deleted");
            (doomed, input)
        });
        self.end_sessions();
        if let Some((doomed, _)) = &mut doomed {
            let _ = doomed.kill();
            let _ = doomed.wait();
        }
        Ruins
    }

    /// Ends the sessions of the store, and waits until they are gone.
    pub fn end_sessions(&self) {
        let name = &self.schema.name;
        self.run(&format!(
            "SELECT pg_terminate_backend(pid, 300000) FROM pg_stat_activity
             WHERE application_name = 'vestibule {name}' AND pid <> pg_backend_pid()"
        ));
    }

    /// Tables that contain a word in their rows.
    pub fn places_with(&self, word: &str) -> Vec<String> {
        let mut hex = String::new();
        for octet in word.bytes() {
            let _ = write!(hex, "{octet:02x}");
        }
        let (mut table, mut found) = (String::new(), Vec::new());
        for line in server().dump(&self.schema.name).lines() {
            if let Some(copied) = line.strip_prefix("COPY ") {
                copied
                    .split(' ')
                    .next()
                    .unwrap_or_default()
                    .clone_into(&mut table);
            }
            if (line.contains(word) || line.contains(&hex)) && found.last() != Some(&table) {
                found.push(table.clone());
            }
        }
        found
    }
}
