//! A consistent copy of the database, made and examined while other processes write to it.
//!
//! The source is only read and its schema is not migrated, so a newer program can back up before its own
//! upgrade.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::store::sql::Tx;
use crate::store::sqlite::online_backup::{copy, leave_single_file};
use crate::store::upkeep::copy_rows::{count, tables};
use crate::store::upkeep::transfer::{self, Count};
use crate::store::{Examination, Location, Result, StoreError};

/// Copies `database` to `file`, which must not exist, and examines the copy. The copy gets its final name
/// only when it is complete and on disk. `progress` receives the octets copied and the total. Blocks.
///
/// # Errors
/// The file exists, the folder is not writable, or the copy is damaged; then no file is left over.
pub fn backup(
    database: &Location,
    file: &Path,
    progress: impl FnMut(u64, u64),
) -> Result<Examination> {
    if file.exists() {
        return Err(error_of(file, &io::ErrorKind::AlreadyExists.into()));
    }
    let draft = Draft::beside(file)?;
    let filled = match database {
        Location::File(path) => copy(path, &draft.0, progress),
        Location::Server(_) => copy_rows(database, &draft.0, progress),
    };
    filled.map_err(|error| name_copy_if_full(file, error))?;
    let examined =
        leave_single_file(&draft.0).and_then(|()| crate::store::examine(&Location::from(&draft.0)));
    let found = examined.map_err(|error| match error {
        StoreError::Damaged(damage) => of_damaged_copy(file, &damage),
        error => name_copy_if_full(file, error),
    })?;
    if let Some(damage) = found.damage() {
        return Err(of_damaged_copy(file, damage));
    }
    draft.finish(file)?;
    Ok(found)
}

/// Names the copy if its disk is full: the database is only read, and a server has a disk of its own.
fn name_copy_if_full(file: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Full(_) => StoreError::open(
            file.display(),
            "the disk is full; the unfinished copy was deleted",
        ),
        error => error,
    }
}

/// The error for a copy that is damaged. The database need not be.
fn of_damaged_copy(file: &Path, damage: &str) -> StoreError {
    StoreError::open(
        file.display(),
        format!(
            "the copy was damaged, and was deleted: {damage}; vestibule doctor says whether the database is damaged, too"
        ),
    )
}

/// Fills a new file with the rows of another engine's database, in one snapshot, and compares them.
fn copy_rows(database: &Location, draft: &Path, mut progress: impl FnMut(u64, u64)) -> Result<()> {
    let (source, target) = (database.driver(), Location::from(draft).driver());
    source.check_schema()?;
    target.migrate()?;
    let writer = target.open_copy_writer()?;
    let reader = source.open_copy_reader()?;
    reader.begin_reading()?;
    let tx: &Tx = &*reader;
    let tables = tables(tx)?;
    let next_number = tx.one("SELECT next_number FROM writer", &[])?;
    let mut count = Count {
        done: 0,
        all: 2 * count(tx, &tables)?,
        progress: &mut progress,
    };
    transfer::copy(tx, &*target, &*writer, &tables, next_number, &mut count)?;
    reader.end_reading()
}

/// An unfinished copy, deleted on drop unless it is finished.
struct Draft(PathBuf);

impl Draft {
    /// Creates the file with access for its owner only: it holds people's mail.
    fn beside(file: &Path) -> Result<Self> {
        let mut name = file.as_os_str().to_owned();
        name.push(".incomplete");
        let draft = PathBuf::from(name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => StoreError::open(
                    draft.display(),
                    "it is left over from a backup that was interrupted, unless one is in progress: remove it",
                ),
                _ => error_of(&draft, &error),
            })?;
        Ok(Self(draft))
    }

    fn finish(self, file: &Path) -> Result<()> {
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
            .map_err(|error| error_of(file, &error))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn error_of(file: &Path, error: &io::Error) -> StoreError {
    let cause = match error.kind() {
        io::ErrorKind::AlreadyExists => {
            "the file already exists and is not overwritten; choose another name".to_owned()
        }
        _ => error.to_string(),
    };
    StoreError::open(file.display(), cause)
}
