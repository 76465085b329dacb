//! Sessions of the embedded engine: a connection with its cached statements, the numbers of its transaction, and
//! the identity of its files.

use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement};

use super::checkpoint::{self, Checkpointer};
use super::row_numbers::Numbers;
use super::{connection, entry_counts, file_identity::FileIdentity, migrations, page_cache, vfs};
use crate::store::engine::driver::{ReaderSession, WriterSession};
use crate::store::engine::notify::Wakeups;
use crate::store::sql::{
    Columns, CountedEntry, EngineSession, Maintenance, Receive, Row, SqlValue, TableShape, ToSql,
    Tx,
};
use crate::store::{Result, StoreError};

/// A connection to the database of this engine.
#[derive(Debug)]
pub(crate) struct SqliteSession {
    pub(super) connection: Connection,
    numbers: Numbers,
    identity: FileIdentity,
    /// Only the writer's session has one.
    checkpointer: Option<Checkpointer>,
}

impl SqliteSession {
    /// Opens the connection of the writer.
    pub(crate) fn writing(path: &Path) -> Result<Self> {
        let connection = connection::writing(path)?;
        Checkpointer::watch(&connection);
        Ok(Self::of(path, connection))
    }

    /// Opens a connection that only reads.
    pub(crate) fn reading(path: &Path) -> Result<Self> {
        Ok(Self::of(path, connection::reading(path)?))
    }

    fn of(path: &Path, connection: Connection) -> Self {
        Self {
            connection,
            numbers: Numbers::default(),
            identity: FileIdentity::of(path),
            checkpointer: None,
        }
    }

    /// Adds the checkpoints that move the commits of this session from the log into the database.
    pub(super) fn with_checkpoints(self, checkpointer: Checkpointer) -> Self {
        Self {
            checkpointer: Some(checkpointer),
            ..self
        }
    }

    /// Copies the whole log into the database, so that the log restarts before anything relies on it again.
    pub(crate) fn begin_log_anew(&self) -> Result<()> {
        connection::begin_log_anew(&self.connection)
    }
}

impl WriterSession for SqliteSession {
    fn begin(&self) -> Result<()> {
        self.run("BEGIN IMMEDIATE", &[])?;
        self.numbers.begin(self)
    }

    fn begin_without_numbers(&self) -> Result<()> {
        self.run("BEGIN IMMEDIATE", &[]).map(drop)
    }

    fn keep_numbers(&self) -> Result<()> {
        self.numbers.keep(self)
    }

    fn commit(&self, _: Wakeups) -> Result<()> {
        let committed = self.run("COMMIT", &[]).map(drop);
        if committed.is_err() {
            self.numbers.give_up();
        }
        committed
    }

    fn roll_back(&self) -> bool {
        self.numbers.give_up();
        !self.is_in_transaction() || self.run("ROLLBACK", &[]).is_ok()
    }

    fn is_in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Always false: a failed statement undoes only itself.
    fn has_failed(&self) -> bool {
        false
    }

    fn begin_savepoint(&self) -> Result<()> {
        self.run("SAVEPOINT part", &[]).map(drop)
    }

    fn roll_back_to_savepoint(&self) -> Result<()> {
        self.run("ROLLBACK TO part", &[]).map(drop)
    }

    fn release_savepoint(&self) -> Result<()> {
        self.run("RELEASE part", &[]).map(drop)
    }

    fn changes(&self) -> u64 {
        self.connection.total_changes()
    }

    /// Checks that the files are still those at their path.
    fn confirm(&self) -> Result<()> {
        self.identity.confirm()
    }

    fn after_commit(&self) {
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.after_commit(&self.connection);
        }
    }

    /// Frees the cached pages and the prepared statements.
    fn free_memory(&self) {
        page_cache::free_all(&self.connection);
    }

    /// Takes the lock of the writer, because another process could write at the end of the log meanwhile.
    fn extend_log(&self) -> Result<bool> {
        self.run("BEGIN IMMEDIATE", &[])?;
        let extended = vfs::extend_log(&self.connection, checkpoint::READY_OCTETS);
        self.run("ROLLBACK", &[])?;
        Ok(extended?)
    }
}

impl ReaderSession for SqliteSession {
    /// Checks that the files are still those at their path.
    fn confirm(&self) -> Result<()> {
        self.identity.confirm()
    }

    fn begin_reading(&self) -> Result<()> {
        self.run("BEGIN DEFERRED", &[]).map(drop)
    }

    fn end_reading(&self) -> Result<()> {
        self.run("COMMIT", &[]).map(drop)
    }

    /// Frees the cached pages.
    fn free_cache(&self) {
        page_cache::free_pages(&self.connection);
    }
}

/// Binds these parameters to a prepared statement.
fn bind(statement: &mut Statement, parameters: &[&dyn ToSql]) -> Result<()> {
    let expected = statement.parameter_count();
    if expected != parameters.len() {
        return Err(StoreError::Other(format!(
            "{} parameters for a statement with {expected}",
            parameters.len()
        )));
    }
    for (place, parameter) in parameters.iter().enumerate() {
        parameter.bind(&mut |value| {
            let value = ToSqlOutput::Borrowed(match value {
                SqlValue::Null => ValueRef::Null,
                SqlValue::Integer(number) => ValueRef::Integer(number),
                SqlValue::Text(text) => ValueRef::Text(text.as_bytes()),
                SqlValue::Blob(octets) => ValueRef::Blob(octets),
            });
            Ok(statement.raw_bind_parameter(place + 1, value)?)
        })?;
    }
    Ok(())
}

impl EngineSession for SqliteSession {
    fn query(&self, sql: &str, parameters: &[&dyn ToSql], receive: &mut Receive<'_>) -> Result<()> {
        let mut statement = self.connection.prepare_cached(sql)?;
        bind(&mut statement, parameters)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            if let ControlFlow::Break(()) = receive(&Row::of(row))? {
                break;
            }
        }
        Ok(())
    }

    fn run(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(sql)?;
        bind(&mut statement, parameters)?;
        Ok(statement.raw_execute()?)
    }

    fn count_entry(&self, entry: &CountedEntry<'_>) -> Result<()> {
        entry_counts::add(self, entry)
    }

    fn is_among(&self, number: &str, list: &str) -> String {
        format!("{number} IN (SELECT value FROM json_each('[' || {list} || ']'))")
    }

    fn next_number(&self) -> Result<i64> {
        self.numbers.give()
    }

    fn read_content(&self, entry: i64, offset: usize, buffer: &mut [u8]) -> Result<()> {
        let content = self
            .connection
            .blob_open("main", "content", "raw", entry, true)?;
        Ok(content.read_at_exact(buffer, offset)?)
    }
}

impl Maintenance for SqliteSession {
    fn touch(&self) -> Result<()> {
        // Rewrites the same value: it still dirties a page, so COMMIT must sync.
        let (version, _) = self.schema()?;
        Ok(self
            .connection
            .pragma_update(None, "user_version", version)?)
    }

    fn size(&self) -> Result<u64> {
        connection::octets(&self.connection)
    }

    fn schema(&self) -> Result<(usize, usize)> {
        migrations::schema(&self.connection)
    }

    fn unused_octets(&self) -> Result<u64> {
        let tx: &Tx = self;
        let sql = "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size";
        tx.one(sql, &[])
    }

    fn shrinks(&self) -> Result<bool> {
        let kind: i64 = self
            .connection
            .query_row("PRAGMA auto_vacuum", [], |row| row.get(0))?;
        Ok(kind == 2)
    }

    fn find_damage(&self, most: usize) -> Result<Vec<String>> {
        let tx: &Tx = self;
        let mut places: Vec<String> = tx.all(&format!("PRAGMA integrity_check({most})"), &[])?;
        places.retain(|place| place != "ok");
        Ok(places)
    }

    fn find_orphans(&self) -> Result<Vec<String>> {
        let tx: &Tx = self;
        tx.all_with("PRAGMA foreign_key_check", &[], |row| {
            let (table, row): (String, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok(format!("{table} {}", row.unwrap_or_default()))
        })
    }

    fn columns_that_cascade(&self, table: &str) -> Result<Vec<(String, String)>> {
        let tx: &Tx = self;
        tx.all(
            "SELECT tables.name, keys.\"from\"
             FROM sqlite_schema AS tables, pragma_foreign_key_list(tables.name) AS keys
             WHERE tables.type = 'table' AND keys.\"table\" = ? AND keys.on_delete = 'CASCADE'
             ORDER BY tables.name DESC",
            &[&table],
        )
    }

    fn tables(&self) -> Result<Vec<TableShape>> {
        TableShape::of_tables(
            self,
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'
             ORDER BY name",
            "SELECT name FROM pragma_table_info(?) ORDER BY cid",
            "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk",
            "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?)",
        )
    }

    fn overwrite_what_is_freed(&self, all: bool) -> Result<()> {
        let sql = format!("PRAGMA secure_delete = {}", if all { "ON" } else { "FAST" });
        Ok(self.connection.query_row(&sql, [], |_| Ok(()))?)
    }

    fn free_pages(&self) -> Result<i64> {
        Ok(self
            .connection
            .query_row("PRAGMA freelist_count", [], |row| row.get(0))?)
    }

    fn give_pages_back(&self, most: i64) -> Result<()> {
        Ok(self
            .connection
            .pragma(None, "incremental_vacuum", most, |_| Ok(()))?)
    }
}

impl Columns for rusqlite::Row<'_> {
    fn value(&self, column: usize) -> Result<SqlValue<'_>> {
        Ok(match self.get_ref(column)? {
            ValueRef::Null => SqlValue::Null,
            ValueRef::Integer(number) => SqlValue::Integer(number),
            ValueRef::Blob(octets) => SqlValue::Blob(octets),
            ValueRef::Text(octets) => SqlValue::Text(
                std::str::from_utf8(octets)
                    .map_err(|_| StoreError::DamagedRow("a text is not UTF-8".to_owned()))?,
            ),
            ValueRef::Real(number) => {
                return Err(StoreError::DamagedRow(format!(
                    "{number} has the unsupported type REAL"
                )));
            }
        })
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.as_ref().column_index(name).ok()
    }
}
