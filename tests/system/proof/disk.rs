//! A separate disk for the data folder: small, and with every kind of failure.
//!
//! It is a file system in a file, mounted over the folder, which requires root. Without root, the tests fail here
//! with an explanation.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::harness::Harness;

/// `FS_IOC_SHUTDOWN`, which ext4 supports as well, with its flag for "write nothing more, not even the journal".
/// Then everything that was not synced is lost.
const POWER_CUT: &str = r#"
    open(my $disk, "<", $ARGV[0]) or die "open: $!";
    my $flag = pack("L", 2);
    ioctl($disk, 0x8004587d, $flag) or die "shutdown: $!";
"#;

/// The file system that holds the data.
pub struct Disk {
    image: PathBuf,
    folder: PathBuf,
}

impl Disk {
    /// Creates and mounts it.
    pub fn of(harness: &Harness) -> Self {
        const SIZE: u64 = 64 * 1024 * 1024;
        let disk = Self {
            image: harness.path("disk"),
            folder: harness.path("data"),
        };
        disk.make_folder();
        File::create(&disk.image)
            .and_then(|image| image.set_len(SIZE))
            .expect("an image");
        run("mkfs.ext4", &["-q", "-F", text(&disk.image)]);
        disk.mount();
        disk
    }

    pub fn mount(&self) {
        // After an I/O error a device is read-only. So each disk gets a new device: one that is still in use keeps
        // its faults.
        let device = output("losetup", &["--find", "--show", text(&self.image)]);
        let options = "errors=remount-ro";
        run("mount", &["-o", options, &device, text(&self.folder)]);
        // The device is freed when it is unmounted.
        run("losetup", &["--detach", &device]);
    }

    pub fn remove_folder(&self) {
        fs::remove_dir(&self.folder).expect("an empty folder");
    }

    pub fn make_folder(&self) {
        fs::create_dir(&self.folder).expect("a folder");
    }

    /// Works even while files are open.
    pub fn unmount(&self) {
        run("umount", &["--lazy", text(&self.folder)]);
    }

    /// Simulates a power failure: nothing more is written. The daemon must be killed then.
    pub fn cut_the_power(&self) {
        run("perl", &["-e", POWER_CUT, text(&self.folder)]);
    }

    /// Simulates the next boot: the journal is replayed.
    pub fn power_on(&self) {
        self.unmount();
        self.mount();
    }

    /// Blocks all writes until it is thawed.
    pub fn freeze(&self) {
        run("fsfreeze", &["--freeze", text(&self.folder)]);
    }

    pub fn thaw(&self) {
        run("fsfreeze", &["--unfreeze", text(&self.folder)]);
    }

    /// Writes a file until the disk is full.
    pub fn fill(&self) {
        let mut ballast = File::create(self.folder.join("ballast")).expect("a file");
        for size in [1024 * 1024, 4096, 512] {
            while ballast.write_all(&vec![7; size]).is_ok() {}
        }
        ballast.sync_all().expect("synced");
    }

    pub fn make_room(&self) {
        fs::remove_file(self.folder.join("ballast")).expect("the ballast");
    }

    /// Simulates an error that the kernel finds: it makes the file system read-only, as for a failing device.
    pub fn fail(&self) {
        let device = output("findmnt", &["-no", "SOURCE", text(&self.folder)]);
        let name = device.rsplit('/').next().expect("a name");
        fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "1").expect("an error");
    }

    /// Repairs it and mounts it again as an operator would, while the daemon runs.
    pub fn repair(&self) {
        self.unmount();
        let repaired = Command::new("e2fsck")
            .args(["-f", "-p", text(&self.image)])
            .output()
            .expect("e2fsck, of the package e2fsprogs");
        // Status 1 means that errors were corrected.
        assert!(
            matches!(repaired.status.code(), Some(0 | 1)),
            "{repaired:?}"
        );
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A failed test may have left it frozen, or not mounted at all.
        for (program, flag) in [("fsfreeze", "--unfreeze"), ("umount", "--lazy")] {
            let _ = Command::new(program)
                .args([flag, text(&self.folder)])
                .stderr(std::process::Stdio::null())
                .status();
        }
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Runs a program that must succeed.
pub fn run(program: &str, args: &[&str]) {
    output(program, args);
}

/// Runs a program that must succeed, and returns its output.
fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| {
            panic!("{program}, of the package util-linux or e2fsprogs: {error}")
        });
    assert!(
        output.status.success(),
        "{program} {args:?}, which only root may: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    said.trim().to_owned()
}
