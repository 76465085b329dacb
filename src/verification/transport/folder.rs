//! Outgoing mail as files: one complete `NAME.eml` each, readable by the daemon's user only.
//!
//! Each holds a live link, and everyone who reads it can confirm in the person's place. Files are 0600, and
//! the folder is 0700, even if its mode was wider before.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Writes `NAME.eml` so that it is complete whenever it is visible, and survives a crash.
///
/// # Errors
/// Errors of the system, with the folder's path.
pub(super) fn put(folder: &Path, name: &str, content: &[u8]) -> Result<(), String> {
    let write = || -> io::Result<()> {
        prepare(folder)?;
        let unfinished = folder.join(format!(".{name}.tmp"));
        let mut file = create(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, folder.join(format!("{name}.eml")))?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|cause| format!("{}: {cause}", folder.display()))
}

/// Creates the missing part of the folder's path, and removes the permissions of others. A folder of another
/// user keeps its mode; `vestibule check` warns about it.
fn prepare(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(folder)?;
    let mode = fs::metadata(folder)?.permissions().mode();
    if mode.trailing_zeros() >= 6 {
        // The group and others have no permissions.
        return Ok(());
    }
    match fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)) {
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

/// Creates a new file and never opens an existing one: the remains of a crash are removed, and so is a link
/// that another user placed there.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o7777
    }

    #[test]
    fn only_the_owner_can_read_the_files() {
        let parent = tempfile::tempdir().expect("a folder");
        let made = parent.path().join("made/when/needed");
        let wide = parent.path().join("wide");
        fs::create_dir(&wide).expect("a folder");
        fs::set_permissions(&wide, Permissions::from_mode(0o2777)).expect("ours");
        let elsewhere = parent.path().join("elsewhere");
        fs::write(&elsewhere, "kept").expect("writable");
        std::os::unix::fs::symlink(&elsewhere, wide.join(".a.tmp")).expect("a link");
        fs::write(wide.join(".b.tmp"), "left by a crash").expect("writable");
        for folder in [&made, &wide] {
            for name in ["a", "b"] {
                put(folder, name, b"content").unwrap_or_else(|cause| panic!("{cause}"));
                let file = folder.join(format!("{name}.eml"));
                assert_eq!(mode(&file), FILE_MODE);
                assert_eq!(fs::read(&file).expect("readable"), b"content");
            }
            assert_eq!(mode(folder), FOLDER_MODE);
        }
        assert_eq!(fs::read(&elsewhere).expect("readable"), b"kept");
    }
}
