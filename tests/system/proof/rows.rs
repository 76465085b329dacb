//! Rows of a store as text, whichever engine holds it.

use std::fmt::Write;
use std::path::PathBuf;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use vestibule::domain::LedgerId;

use crate::support::harness::{DEADLINE, Harness};
use crate::support::postgres::{Schema, server};

/// Location of a store.
pub enum Rows {
    File(PathBuf),
    Schema(Schema),
}

impl Rows {
    /// Rows of a daemon with a database file of its own.
    pub fn of(harness: &Harness) -> Self {
        Self::File(harness.path("data/vestibule.db"))
    }

    /// Rows of a query that both engines understand, as `psql` prints them: NULL is empty, and octets are
    /// hexadecimal after `\x`. Only the last column may contain a `|`.
    pub fn ask(&self, sql: &str) -> Vec<Vec<String>> {
        match self {
            Self::File(path) => in_file(path, sql),
            Self::Schema(schema) => {
                let columns = sql.split(" FROM ").next().unwrap_or(sql);
                let columns = columns.split(',').count();
                let rows = server().run(&schema.name, sql);
                let split = |row: &String| row.splitn(columns, '|').map(str::to_owned).collect();
                rows.iter().map(split).collect()
            }
        }
    }

    pub fn number(&self, sql: &str) -> i64 {
        self.ask(sql)[0][0].parse().expect("a number")
    }
}

fn in_file(path: &PathBuf, sql: &str) -> Vec<Vec<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags).expect("the database");
    database.busy_timeout(DEADLINE).expect("a setting");
    let mut statement = database.prepare(sql).expect("SQL");
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..columns)
            .map(|column| Ok(shown(row.get_ref(column)?)))
            .collect()
    });
    let rows = rows.expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

fn shown(value: ValueRef) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8(text.to_vec()).expect("UTF-8"),
        ValueRef::Blob(octets) => {
            let mut text = "\\x".to_owned();
            for octet in octets {
                let _ = write!(text, "{octet:02x}");
            }
            text
        }
    }
}

/// Parses the id in the octets of a row.
pub fn ledger_id(shown: &str) -> LedgerId {
    let digits = shown.strip_prefix("\\x").expect("octets");
    let octets = u128::from_str_radix(digits, 16).expect("hexadecimal");
    LedgerId::from_bytes(octets.to_be_bytes())
}
