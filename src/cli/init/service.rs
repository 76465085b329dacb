//! The user of the service, who must be able to read the configuration and to write to the data folder.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown, lchown};
use std::path::Path;

/// The data folder of the service, which belongs to its user.
const DATA_FOLDER: &str = "/var/lib/vestibule";

/// The name of the user and the group, as `systemd/vestibule.sysusers` makes them.
const NAME: &str = "vestibule";

/// The user and the group that the service runs as.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServiceUser {
    uid: u32,
    gid: u32,
}

impl ServiceUser {
    /// The service's user in passwd(5).
    pub fn find() -> Option<Self> {
        let users = std::fs::read_to_string("/etc/passwd").ok()?;
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let mut numbers = fields.skip(1);
            (name == NAME).then_some(())?;
            Some(Self {
                uid: numbers.next()?.parse().ok()?,
                gid: numbers.next()?.parse().ok()?,
            })
        })
    }

    /// Lets the service's group read a file that root owns.
    pub fn may_read(self, path: &Path) -> io::Result<()> {
        chown(path, None, Some(self.gid))
    }
}

/// Creates the data folder for the service unless it exists. Returns false if the service could not use what this
/// process writes into the folder, because the service's user does not exist yet.
pub(super) fn create_data_folder(folder: &Path) -> io::Result<bool> {
    let is_root = rustix::process::geteuid().is_root();
    if folder.is_dir() {
        // Root can give files to the owner of the folder.
        return Ok(is_root || folder.metadata()?.uid() == rustix::process::geteuid().as_raw());
    }
    let user = if is_root { ServiceUser::find() } else { None };
    if is_root && user.is_none() && folder == Path::new(DATA_FOLDER) {
        return Ok(false);
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    if let Some(user) = user {
        chown(folder, Some(user.uid), Some(user.gid))?;
    }
    Ok(true)
}

/// Gives the new files of the database to the owner of their folder, so that the service can write what root
/// made. Follows no symbolic link, because the service can make them in its folder.
pub(super) fn give_to_owner(database: &Path) -> io::Result<()> {
    let Some((folder, name)) = database.parent().zip(database.file_name()) else {
        return Ok(());
    };
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = folder.metadata()?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let is_of_database = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(name.as_encoded_bytes());
        if is_of_database {
            lchown(entry.path(), Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(())
}
