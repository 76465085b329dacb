//! Lock of the data folder and of the database: one daemon per folder. A second one would take the first one's leases
//! and wakeup socket.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{AtFlags, CWD, FlockOperation, StatxAttributes, StatxFlags, flock, statx};
use rustix::io::Errno;

/// Maximum number of symbolic links from the path of a database to its file.
const MAX_LINKS: usize = 40;

/// The lock, held as long as the daemon lives. The kernel releases it, however the daemon ends.
#[derive(Debug)]
pub struct Lock {
    _files: Vec<File>,
}

impl Lock {
    /// Locks the data folder. If the database is a symbolic link, locks its file, too: another daemon may use it.
    ///
    /// # Errors
    /// Another daemon holds the lock; or the file of the database is [mounted alone](refuse_lone_mount).
    pub fn take(data_dir: &Path, database: &Path) -> anyhow::Result<Self> {
        refuse_lone_mount(database)?;
        let own = data_dir.join("lock");
        let mut files = vec![lock(&own, data_dir)?];
        if let Some(file) = follow_links(database)
            && let Some(path) = lock_of(&file, database)
            && follow_links(&own).as_ref() != Some(&path)
        {
            files.push(lock(&path, &file)?);
        }
        Ok(Self { _files: files })
    }
}

/// Refuses a database whose file is mounted alone, without its folder.
///
/// # Errors
/// It is. Its write-ahead log, with mail that was acknowledged, is then not beside the file itself, and neither are the
/// locks of other processes that use it.
pub fn refuse_lone_mount(database: &Path) -> anyhow::Result<()> {
    if is_mount(database) {
        bail!(
            "{} is mounted without its folder, and thus without its write-ahead log; mount the folder \
             instead",
            database.display()
        );
    }
    Ok(())
}

/// True if something is mounted at exactly this path. False before Linux 5.8, which does not tell.
fn is_mount(path: &Path) -> bool {
    statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS)
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// The file that a path leads to through symbolic links. It may not exist yet: the first start creates it there. None
/// if its folder does not exist.
fn follow_links(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let folder = fs::canonicalize(path.parent()?).ok()?;
        let file = folder.join(path.file_name()?);
        match fs::read_link(&file) {
            Ok(target) => path = folder.join(target),
            Err(_) => return Some(file),
        }
    }
    None
}

/// The lock of the file of a database: that of its folder if this is the data folder of a daemon that would use the
/// file, or else one of its own, because a folder can contain the databases of several daemons.
fn lock_of(file: &Path, database: &Path) -> Option<PathBuf> {
    let name = file.file_name()?;
    if Some(name) == database.file_name() {
        return Some(file.with_file_name("lock"));
    }
    let mut lock = name.to_owned();
    lock.push(".lock");
    Some(file.with_file_name(lock))
}

/// Locks the file `path`. `used` is what the lock stands for.
fn lock(path: &Path, used: &Path) -> anyhow::Result<File> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("data_dir: cannot write {}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => bail!(
            "another vestibule uses {}; stop it first (systemctl stop vestibule), or set another \
             data_dir to run both",
            used.display()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn take(data_dir: &Path) -> anyhow::Result<Lock> {
        Lock::take(data_dir, &data_dir.join("vestibule.db"))
    }

    fn refusal(data_dir: &Path) -> String {
        take(data_dir).expect_err("in use").to_string()
    }

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
        symlink("../data/vestibule.db", elsewhere.join("vestibule.db")).expect("a link");
        for exists in [false, true] {
            if exists {
                fs::write(data.join("vestibule.db"), "").expect("a file");
            }
            for first in [&data, &linked, &elsewhere] {
                let lock = take(first).expect("free");
                for second in [&data, &linked, &elsewhere] {
                    let refused = refusal(second);
                    assert!(refused.contains("another vestibule uses"), "{refused}");
                }
                drop(lock);
            }
        }
    }

    #[test]
    fn databases_in_one_folder_have_a_lock_each() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = folder.path().join("files");
        fs::create_dir(&files).expect("a folder");
        let data_dir = |name: &str, file: &str| {
            let data_dir = folder.path().join(name);
            fs::create_dir(&data_dir).expect("a folder");
            symlink(files.join(file), data_dir.join("vestibule.db")).expect("a link");
            data_dir
        };
        let [first, second, same] = [("a", "one.db"), ("b", "two.db"), ("c", "one.db")]
            .map(|(name, file)| data_dir(name, file));
        let locks = [&first, &second, &files].map(|folder| take(folder).expect("free"));
        let refused = refusal(&same);
        assert!(refused.contains("files/one.db"), "{refused}");
        drop(locks);
        take(&same).expect("free again");
    }
}
