//! A consistent copy of the database, made and examined while other processes write to it.
//!
//! The source is only read and its schema is not migrated, so a newer program can back up before its own
//! upgrade.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::store::sqlite::connection;
use crate::store::{Examination, StoreError};

/// Pages copied between two progress reports.
const PAGES: i32 = 1024;

/// Pause before a retry when another process holds a lock on the source.
const PAUSE: Duration = Duration::from_millis(10);

/// Copies `database` to `file`, which must not exist, and examines the copy. The copy gets its final name
/// only when it is complete and on disk. `progress` receives the octets copied and the total. Blocks.
///
/// # Errors
/// The file exists, the folder is not writable, or the copy is damaged; then no file is left over.
pub fn backup(
    database: &Path,
    file: &Path,
    progress: impl FnMut(u64, u64),
) -> Result<Examination, StoreError> {
    if file.exists() {
        return Err(failed(file, &io::ErrorKind::AlreadyExists.into()));
    }
    let draft = Draft::beside(file)?;
    copy(database, &draft.0, progress)?;
    let found = crate::store::examine(&draft.0)?;
    if let Some(damage) = found.damage() {
        return Err(StoreError::Damaged(format!("{damage}; nothing was kept")));
    }
    draft.finish(file)?;
    Ok(found)
}

/// An unfinished copy, deleted on drop unless it is finished.
struct Draft(PathBuf);

impl Draft {
    /// Creates the file with access for its owner only: it holds people's mail.
    fn beside(file: &Path) -> Result<Self, StoreError> {
        let mut name = file.as_os_str().to_owned();
        name.push(".incomplete");
        let draft = PathBuf::from(name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .map_err(|error| failed(&draft, &error))?;
        Ok(Self(draft))
    }

    fn finish(self, file: &Path) -> Result<(), StoreError> {
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(&self.0)
            .and_then(|draft| draft.sync_all())
            .and_then(|()| {
                // Another process may have created a file of this name meanwhile.
                Ok(renameat_with(
                    CWD,
                    &self.0,
                    CWD,
                    file,
                    RenameFlags::NOREPLACE,
                )?)
            })
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(|error| failed(file, &error))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn copy(
    database: &Path,
    draft: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<(), StoreError> {
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
    // A single file, without the two extra files of a write-ahead log.
    target.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    target.close().map_err(|(_, error)| error)?;
    Ok(())
}

fn failed(file: &Path, error: &io::Error) -> StoreError {
    let cause = match error.kind() {
        io::ErrorKind::AlreadyExists => {
            "it is there already, and is not overwritten; choose another name".to_owned()
        }
        _ => error.to_string(),
    };
    StoreError::Open {
        path: file.display().to_string(),
        cause,
    }
}
