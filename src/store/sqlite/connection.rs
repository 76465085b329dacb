//! Connections: takes a path and returns a connection with the right settings and the newest schema.

use std::cmp::Ordering;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::{migrations, vfs};
use crate::store::{Result, StoreError};

/// Time that a transaction waits for a lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Capacity of the statement cache. More than there are statements, so that each is compiled once.
const STATEMENTS: usize = 200;

/// Prepares a connection for the statements of operations. Their plans do not depend on the values of parameters
/// (`SQLITE_DBCONFIG_ENABLE_QPSG`): otherwise each use of a statement with `LIMIT ?`, among others, compiles it again.
fn prepare_for_statements(connection: &Connection) -> Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Creates the file if there is none, with access for its owner only: it holds people's mail.
pub(crate) fn create(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    if !folder.as_os_str().is_empty() && !folder.is_dir() {
        return Err(StoreError::open(
            path.display(),
            format!(
                "the folder {} does not exist; create it, or set data_dir",
                folder.display()
            ),
        ));
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|error| StoreError::open(path.display(), error))
}

/// Opens the writer's connection, to a database with the schema of this program.
pub(crate) fn writing(path: &Path) -> Result<Connection> {
    let connection = open_writing(path)?;
    check(&connection)?;
    Ok(connection)
}

/// Migrates the schema to the newest version, or creates it in a new file.
pub(crate) fn migrate(path: &Path) -> Result<()> {
    migrations::apply(path, &mut open_writing(path)?)
}

fn check(connection: &Connection) -> Result<()> {
    let (found, known) = migrations::schema(connection)?;
    match found.cmp(&known) {
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(StoreError::OlderSchema { found, known }),
        Ordering::Greater => Err(StoreError::NewerSchema { found, known }),
    }
}

/// Opens a connection whose writes are coalesced.
fn open_to_write(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match vfs::register() {
        Some(name) => Connection::open_with_flags_and_vfs(path, flags, name),
        None => Connection::open_with_flags(path, flags),
    }
    .map_err(|error| opening(path, error))
}

fn open_writing(path: &Path) -> Result<Connection> {
    let connection = open_to_write(path)?;
    prepare_for_statements(&connection)?;
    // auto_vacuum comes first: it takes effect only before the first table is created, and journal_mode
    // writes. The log keeps the size that it reaches under load, so that it is not extended again and again.
    connection
        .execute_batch(
            "PRAGMA auto_vacuum = INCREMENTAL;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA secure_delete = FAST;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -8192;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA journal_size_limit = 134217728;
             PRAGMA trusted_schema = OFF;",
        )
        .map_err(|error| opening(path, error))?;
    Ok(connection)
}

/// Opens a connection that only checkpoints.
pub(crate) fn copying(path: &Path) -> Result<Connection> {
    let connection = open_to_write(path)?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")?;
    Ok(connection)
}

/// Time for which one attempt to empty the log may block the writer, and number of attempts.
const EMPTYING: Duration = Duration::from_millis(20);
const ATTEMPTS: u32 = 100;

/// Copies the whole log into the database and truncates it, so that no old data remains in it. Returns false
/// if a reader kept it open throughout. Blocks.
pub(crate) fn empty_log(connection: &Connection) -> Result<bool> {
    connection.busy_timeout(EMPTYING)?;
    for _ in 0..ATTEMPTS {
        // Copy most of it without blocking the writer, and the remainder while it waits.
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        let busy: bool =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if !busy {
            return Ok(true);
        }
        std::thread::sleep(EMPTYING * 5);
    }
    Ok(false)
}

/// Copies the whole log into the database, so that the log restarts before anything relies on it again.
pub(crate) fn begin_log_anew(connection: &Connection) -> Result<()> {
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let is_busy: bool = connection.query_row(checkpoint, [], |row| row.get(0))?;
    if is_busy {
        return Err(StoreError::Busy(
            "a reader still uses the log from before the failure".to_owned(),
        ));
    }
    Ok(())
}

/// Opens a read-only connection.
pub(crate) fn reading(path: &Path) -> Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|error| opening(path, error))?;
    prepare_for_statements(&connection)?;
    connection.execute_batch(
        "PRAGMA query_only = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -2048;",
    )?;
    Ok(connection)
}

/// Size of the database in octets.
pub(super) fn octets(connection: &Connection) -> Result<u64> {
    let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

pub(super) fn opening(path: &Path, error: rusqlite::Error) -> StoreError {
    match StoreError::from(error) {
        StoreError::ReadOnly(_) if is_forbidden(path) => StoreError::open(
            path.display(),
            "this user may not read and write it; run the command as root or as the service's user",
        ),
        StoreError::ReadOnly(cause) | StoreError::Other(cause) => {
            StoreError::open(path.display(), cause)
        }
        known => known,
    }
}

/// True if the permissions of the file or of a folder above it keep this user out. The file is not opened, because
/// closing it would release this process's locks on it (fcntl(2)).
fn is_forbidden(path: &Path) -> bool {
    access(path, Access::READ_OK | Access::WRITE_OK) == Err(Errno::ACCESS)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_statement_with_another_limit_is_not_compiled_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vestibule.db");
        create(&path).expect("a file");
        migrate(&path).expect("a schema");
        for connection in [writing(&path), reading(&path)] {
            let connection = connection.expect("a connection");
            for limit in [1, 2] {
                let sql = "SELECT n FROM ledger WHERE verdict = ? ORDER BY n LIMIT ?";
                let mut statement = connection.prepare_cached(sql).expect(sql);
                assert!(!statement.exists(("dropped", limit)).expect(sql));
                assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
            }
        }
    }
}
