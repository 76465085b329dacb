//! Compaction: rewrites a database without free pages. Takes a path and returns the sizes before and after.
//! The caller makes sure that no other process has it open.

use std::path::Path;

use crate::store::sqlite::connection;
use crate::store::{Result, StoreError};

/// Size of the file in octets, before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    pub before: u64,
    pub after: u64,
}

/// Rewrites the whole database with the schema of this program. Needs as much free disk space as the result takes,
/// and as much memory: `temp_store` is `MEMORY`, so `SQLite` builds the copy there. Afterwards no deleted data
/// remains in the files, and the file returns free pages by itself, whichever program created it. Blocks.
///
/// # Errors
/// Another process has it open, the disk is full, or it is damaged; then nothing has changed.
pub fn compact(database: &Path) -> Result<Compacted> {
    let connection = connection::writing(database)?;
    let before = connection::octets(&connection)?;
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
