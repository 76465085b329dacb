//! Identity of the database files: checks that the files a connection has open are still those at their path.
//!
//! If the folder is unmounted, moved or deleted, writes to the open files still succeed, but the data is lost at
//! the next restart.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::store::{Result, StoreError};

/// The database and its write-ahead log, as identified when a connection was opened.
#[derive(Debug)]
pub(crate) struct FileIdentity {
    files: [(PathBuf, Option<Identity>); 2],
}

/// Device and inode: no two files have both in common.
type Identity = (u64, u64);

impl FileIdentity {
    /// Identifies the files. Call it after the first read of the connection: the log exists only from then on.
    pub(crate) fn of(path: &Path) -> Self {
        // The log is beside the database itself, not beside a symbolic link to it.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut log = real.into_os_string();
        log.push("-wal");
        let files = [path.to_owned(), log.into()].map(|file| {
            let identity = identity(&file);
            (file, identity)
        });
        Self { files }
    }

    /// Compares the files with those at the path.
    ///
    /// # Errors
    /// Names the file that is missing or was replaced.
    pub(crate) fn confirm(&self) -> Result<()> {
        for (file, identity_then) in &self.files {
            let cause = match identity(file) {
                now if now == *identity_then => continue,
                None => "no longer exists; put it back, or restore a backup",
                Some(_) => "was replaced while it was open",
            };
            return Err(StoreError::open(file.display(), cause));
        }
        Ok(())
    }
}

fn identity(file: &Path) -> Option<Identity> {
    let found = fs::metadata(file).ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_replaced_file_is_detected() {
        let folder = tempfile::tempdir().expect("a folder");
        let [path, log] = ["a.db", "a.db-wal"].map(|name| folder.path().join(name));
        for file in [&path, &log] {
            fs::write(file, "").expect("a file");
        }
        let identity = FileIdentity::of(&path);
        identity.confirm().expect("nothing has changed");
        fs::write(&path, "more").expect("written");
        identity.confirm().expect("the same file");

        let aside = folder.path().join("aside");
        for file in [&path, &log] {
            fs::rename(file, &aside).expect("moved");
            let gone = identity.confirm().expect_err("gone").to_string();
            assert!(gone.contains("no longer exists"), "{gone}");
            fs::write(file, "more").expect("another");
            let other = identity.confirm().expect_err("another").to_string();
            assert!(other.contains("was replaced"), "{other}");
            fs::rename(&aside, file).expect("put back");
            identity.confirm().expect("as before");
        }

        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        let identity = FileIdentity::of(&link);
        fs::rename(&log, &aside).expect("moved");
        let gone = identity.confirm().expect_err("gone").to_string();
        assert!(gone.contains("a.db-wal: no longer exists"), "{gone}");
    }
}
