//! Writing a database anew, without the gaps that years leave in it: a path in, its size before and
//! after out. Nobody else may have it open, which the caller sees to.

use std::path::Path;

use super::{StoreError, connection};

/// Octets of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    pub before: u64,
    pub after: u64,
}

/// Rewrites all of it, brought to the schema of this program. Needs as much room again as it takes.
/// What was deleted stands nowhere in the files afterwards, and the file gives pages back by itself
/// from then on, whoever made it. Blocks.
///
/// # Errors
/// Somebody has it open, the disk is full, or it is damaged; then nothing has changed.
pub fn compact(database: &Path) -> Result<Compacted, StoreError> {
    let connection = connection::writing(database)?;
    let octets = || -> rusqlite::Result<u64> {
        connection.query_row(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
            [],
            |row| row.get(0),
        )
    };
    let before = octets()?;
    connection.execute_batch("VACUUM")?;
    if !connection::empty_log(&connection)? {
        return Err(StoreError::Busy(
            "somebody has the database open; stop the service and every command".to_owned(),
        ));
    }
    Ok(Compacted {
        before,
        after: octets()?,
    })
}
