//! The backup of a database into a file, made while other processes write to it.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::connection;
use crate::store::Result;

/// Pages copied between two progress reports.
const PAGES: i32 = 1024;

/// Pause before a retry when another process holds a lock on the source.
const PAUSE: Duration = Duration::from_millis(10);

/// Copies `database` into the file `draft`, which exists and needs [`leave_single_file`] afterwards. `progress` receives
/// the octets copied and the total.
pub(crate) fn copy(
    database: &Path,
    draft: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<()> {
    let source = connection::reading(database)?;
    let page: u64 = source.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    // One read transaction for all pages: writers continue, and the copy need not restart.
    let moment = source.unchecked_transaction()?;
    let mut target = Connection::open(draft)?;
    {
        let backup = Backup::new(&moment, &mut target)?;
        loop {
            let step = backup.step(PAGES)?;
            let pages = backup.progress();
            let all = u64::try_from(pages.pagecount).unwrap_or(0);
            let left = u64::try_from(pages.remaining).unwrap_or(0);
            progress((all - left.min(all)) * page, all * page);
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => std::thread::sleep(PAUSE),
            }
        }
    }
    target.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Makes a single file of a database, without the two extra files of a write-ahead log.
pub(crate) fn leave_single_file(path: &Path) -> Result<()> {
    let target = Connection::open(path)?;
    target.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    target.close().map_err(|(_, error)| error)?;
    Ok(())
}
