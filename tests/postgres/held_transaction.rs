//! A transaction of another session that stays open, with its locks, until a test ends it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use crate::support::postgres::{Schema, server};

pub struct Held(Child);

impl Held {
    /// Begins a transaction with these statements.
    pub fn begin(schema: &Schema, sql: &str) -> Self {
        let mut psql = server().psql(&schema.name);
        let mut psql = psql
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql");
        let sql = format!("BEGIN; {sql}; SELECT 'held';\n");
        let input = psql.stdin.as_mut().expect("a pipe");
        input.write_all(sql.as_bytes()).expect("written");
        let output = psql.stdout.as_mut().expect("a pipe");
        let mut said = BufReader::new(output).lines().map_while(Result::ok);
        assert!(said.any(|line| line.trim() == "held"), "{sql}");
        Self(psql)
    }

    /// The lock of the writer.
    pub fn lock(schema: &Schema) -> Self {
        Self::begin(schema, "UPDATE writer SET next_number = next_number")
    }

    /// Commits the transaction.
    pub fn commit(mut self) {
        let input = self.0.stdin.as_mut().expect("a pipe");
        input.write_all(b"COMMIT;\n").expect("written");
        self.end();
    }

    /// Ends the session: what was not committed is rolled back.
    pub fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().expect("psql").success());
    }
}

/// Releases the locks even if the test fails.
impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
