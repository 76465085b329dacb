//! Lock of the data folder: one daemon per folder. A second one would take the first one's leases and wakeup
//! socket.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, bail};
use rustix::fs::{AtFlags, CWD, FlockOperation, StatxAttributes, StatxFlags, flock, statx};
use rustix::io::Errno;

/// The lock, held as long as the daemon lives. The kernel releases it, however the daemon ends.
#[derive(Debug)]
pub struct Lock {
    _files: Vec<File>,
}

impl Lock {
    /// Locks the data folder. If the database is a symbolic link to a file in another folder, locks that folder, too: it
    /// may be the data folder of another daemon.
    ///
    /// # Errors
    /// Another daemon holds the lock; or the file of the database is mounted alone, without its folder. Its
    /// write-ahead log is then not beside the file itself, and neither is the lock of another daemon that uses it.
    pub fn take(data_dir: &Path, database: &Path) -> anyhow::Result<Self> {
        if is_mount(database) {
            bail!(
                "{} is mounted without its folder, and thus without its write-ahead log; mount the \
                 folder instead",
                database.display()
            );
        }
        let mut files = vec![lock(data_dir)?];
        // A database that does not exist yet is no link.
        if let (Ok(data_dir), Ok(file)) = (fs::canonicalize(data_dir), fs::canonicalize(database))
            && let Some(folder) = file.parent()
            && folder != data_dir
        {
            files.push(lock(folder)?);
        }
        Ok(Self { _files: files })
    }
}

/// True if something is mounted at exactly this path. False before Linux 5.8, which does not tell.
fn is_mount(path: &Path) -> bool {
    statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS)
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("data_dir: cannot write {}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => bail!(
            "another vestibule uses {}; stop it first (systemctl stop vestibule), or set another \
             data_dir to run both",
            folder.display()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_database_that_is_mounted_alone_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        // No test may mount a file, but this is a mount everywhere.
        let refused = Lock::take(folder.path(), Path::new("/proc"));
        let refused = refused.expect_err("a mount").to_string();
        assert!(refused.contains("mounted without its folder"), "{refused}");
        assert!(!folder.path().join("lock").exists());
    }

    #[test]
    fn one_process_uses_a_database_by_whatever_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let [data, linked, elsewhere] =
            ["data", "linked", "elsewhere"].map(|name| folder.path().join(name));
        fs::create_dir(&data).expect("a folder");
        fs::create_dir(&elsewhere).expect("a folder");
        symlink(&data, &linked).expect("a link");
        let database = data.join("vestibule.db");
        symlink(&database, elsewhere.join("vestibule.db")).expect("a link");
        let take = |folder: &Path| Lock::take(folder, &folder.join("vestibule.db"));

        drop(take(&data).expect("before there is a database"));
        fs::write(&database, "").expect("a file");
        for first in [&data, &linked, &elsewhere] {
            let lock = take(first).expect("free");
            for second in [&data, &linked, &elsewhere] {
                let refused = take(second).expect_err("in use").to_string();
                assert!(refused.contains("another vestibule uses"), "{refused}");
            }
            drop(lock);
        }
    }
}
