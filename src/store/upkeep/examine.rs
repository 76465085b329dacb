//! Examination of a whole database without changing it: takes a path, returns its numbers and the violated
//! invariants. Works on a copy and on the live database, beside a running daemon.

use std::path::Path;

use rusqlite::Connection;

use crate::domain::{DestinationName, Timestamp};
use crate::store::StoreError;
use crate::store::ledger::counts::{self, RequestCount};
use crate::store::sql::sql_types::Millis;
use crate::store::sqlite::connection;
use crate::store::upkeep::invariants::{self, Violation};

/// Result of an examination.
#[derive(Debug, Clone)]
pub struct Examination {
    /// Schema migrations that the database has, and that this program knows.
    pub schema: usize,
    pub known_schema: usize,
    pub octets: u64,
    /// The part of these that could be returned to the file system.
    pub unused_octets: u64,
    /// True if the file returns unused pages by itself.
    pub shrinks: bool,
    pub entries: u64,
    /// Time of the newest ledger entry.
    pub newest: Option<Timestamp>,
    pub requests: Vec<RequestCount>,
    pub paused: Vec<DestinationName>,
    pub violations: Vec<Violation>,
}

impl Examination {
    /// The first sign that the file itself is damaged.
    pub fn damage(&self) -> Option<&str> {
        let damaged = self
            .violations
            .iter()
            .find(|violation| violation.invariant == invariants::WHOLE);
        damaged.map(|violation| violation.place.as_str())
    }
}

/// Reads the whole database, so it takes long on a large one. Blocks.
///
/// # Errors
/// Not a Vestibule database, a schema that this program does not know, or a database too damaged to be read.
pub fn examine(database: &Path) -> Result<Examination, StoreError> {
    let connection = connection::reading(database)?;
    // One snapshot of the database, whatever is committed meanwhile.
    let moment = connection.unchecked_transaction()?;
    let number = |sql| moment.query_row(sql, [], |row| row.get::<_, u64>(0));
    let page = number("PRAGMA page_size")?;
    let (schema, known_schema) = connection::schema(&moment)?;
    if schema > known_schema {
        return Err(StoreError::NewerSchema {
            found: schema,
            known: known_schema,
        });
    }
    let octets = number("PRAGMA page_count")? * page;
    let unused_octets = number("PRAGMA freelist_count")? * page;
    let shrinks = number("PRAGMA auto_vacuum")? == 2;
    // The invariants are those of the newest schema only.
    if schema < known_schema {
        return Ok(Examination {
            schema,
            known_schema,
            octets,
            unused_octets,
            shrinks,
            entries: 0,
            newest: None,
            requests: Vec::new(),
            paused: Vec::new(),
            violations: invariants::check_file(&moment)?,
        });
    }
    Ok(Examination {
        schema,
        known_schema,
        octets,
        unused_octets,
        shrinks,
        entries: number("SELECT count(*) FROM ledger")?,
        newest: newest(&moment)?,
        requests: counts::requests(&moment)?,
        paused: paused(&moment)?,
        violations: invariants::check(&moment)?,
    })
}

/// True if any account was ever verified; false if there is no database yet. Blocks.
///
/// # Errors
/// Not a Vestibule database, or one that cannot be read.
pub fn has_verified_accounts(database: &Path) -> Result<bool, StoreError> {
    if !database.exists() {
        return Ok(false);
    }
    let connection = connection::reading(database)?;
    let found = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM account WHERE verified_at IS NOT NULL)",
        [],
        |row| row.get(0),
    )?;
    Ok(found)
}

fn newest(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let newest: Option<Millis> =
        connection.query_row("SELECT max(received_at) FROM ledger", [], |row| row.get(0))?;
    Ok(newest.map(Millis::timestamp))
}

fn paused(connection: &Connection) -> Result<Vec<DestinationName>, StoreError> {
    let mut statement =
        connection.prepare("SELECT destination FROM paused_destination ORDER BY destination")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
