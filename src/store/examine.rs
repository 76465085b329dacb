//! A look through a whole database without changing it: a path in, what is there and what should not
//! be out. Works on the daemon's own and on a copy alike, and beside a running daemon.

use std::path::Path;

use rusqlite::Connection;

use super::counts::{self, RequestCount};
use super::invariants::{self, Violation};
use super::sql_types::Millis;
use super::{StoreError, connection};
use crate::domain::{DestinationName, Timestamp};

/// What was found.
#[derive(Debug, Clone)]
pub struct Examination {
    /// The steps of the schema that the database has, and that this program knows.
    pub schema: usize,
    pub known_schema: usize,
    pub octets: u64,
    /// Of these, what could be given back.
    pub unused_octets: u64,
    /// Whether the file gives unused pages back by itself.
    pub shrinks: bool,
    pub entries: u64,
    /// When the newest entry of the ledger was made.
    pub newest: Option<Timestamp>,
    pub requests: Vec<RequestCount>,
    pub paused: Vec<DestinationName>,
    pub violations: Vec<Violation>,
}

impl Examination {
    /// The first sign that the file itself is not whole.
    pub fn damage(&self) -> Option<&str> {
        let damaged = self
            .violations
            .iter()
            .find(|violation| violation.invariant == invariants::WHOLE);
        damaged.map(|violation| violation.place.as_str())
    }
}

/// Reads all of it; takes long where there is much. Blocks.
///
/// # Errors
/// No database of ours, a schema that this program does not know, or one too damaged to be read.
pub fn examine(database: &Path) -> Result<Examination, StoreError> {
    let connection = connection::reading(database)?;
    // One state of the database, whatever is committed meanwhile.
    let moment = connection.unchecked_transaction()?;
    let number = |sql| moment.query_row(sql, [], |row| row.get::<_, u64>(0));
    let page = number("PRAGMA page_size")?;
    let (schema, known_schema) = connection::schema(&moment)?;
    if schema > known_schema {
        return Err(StoreError::NewerSchema {
            found: schema,
            find_account: known_schema,
        });
    }
    let octets = number("PRAGMA page_count")? * page;
    let unused_octets = number("PRAGMA freelist_count")? * page;
    let shrinks = number("PRAGMA auto_vacuum")? == 2;
    // What the rows must be like is known of the newest schema only.
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

/// Whether any account was ever verified; false where there is no database yet. Blocks.
///
/// # Errors
/// No database of ours, or one that cannot be read.
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
