//! Compaction: rewrites a database without free pages. Takes a path and returns the sizes before and after.
//! The caller makes sure that no other process has it open.

use std::path::Path;

use rusqlite::Connection;

use crate::store::sqlite::connection;
use crate::store::{Result, StoreError};

/// Size of the file in octets, before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    pub before: u64,
    pub after: u64,
}

/// Rewrites the whole database with the schema of this program. Needs free disk space for two copies of the result:
/// `VACUUM` builds one in a temporary file, then writes it to the log. The temporary file has no name, is readable by
/// its owner only and is in the database's folder. Afterwards no deleted data remains in the files, and the file
/// returns free pages by itself, whichever program created it. Blocks.
///
/// # Errors
/// Another process has it open, the disk is full, or it is damaged; then nothing has changed.
pub fn compact(database: &Path) -> Result<Compacted> {
    let connection = connection::writing(database)?;
    let before = connection::octets(&connection)?;
    keep_copy_on_disk(&connection, database)?;
    connection.execute_batch("VACUUM")?;
    if !connection::empty_log(&connection)? {
        return Err(StoreError::Busy(
            "another process has the database open; stop the service and every vestibule command"
                .to_owned(),
        ));
    }
    Ok(Compacted {
        before,
        after: connection::octets(&connection)?,
    })
}

/// Makes `VACUUM` build its copy in a file beside the database: in memory it would be as large as the database, and
/// the system's temporary folder can be small, in memory, or missing (a container with a read-only root).
fn keep_copy_on_disk(connection: &Connection, database: &Path) -> Result<()> {
    connection.execute_batch("PRAGMA temp_store = FILE")?;
    // Applies to the whole process, in which other connections keep temporary data in memory. SQLite deprecates this
    // pragma; a build without it uses SQLITE_TMPDIR, TMPDIR, /var/tmp or /tmp.
    let folder = match database.parent().and_then(Path::to_str) {
        None | Some("") => ".",
        Some(folder) => folder,
    };
    connection.pragma_update(None, "temp_store_directory", folder)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_made_beside_the_database() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("vestibule.db");
        let connection = Connection::open(&database).expect("a database");
        for (database, beside) in [
            (&*database, folder.path().to_str().expect("UTF-8")),
            (Path::new("vestibule.db"), "."),
        ] {
            keep_copy_on_disk(&connection, database).expect("set");
            let kind: i64 = connection
                .pragma_query_value(None, "temp_store", |row| row.get(0))
                .expect("a number");
            let place: String = connection
                .pragma_query_value(None, "temp_store_directory", |row| row.get(0))
                .expect("a folder");
            assert_eq!((kind, &*place), (1, beside));
        }
    }
}
