//! Podman with storage of its own, so that this machine's images, containers and networks are neither read nor
//! changed. With these options containers start on a machine without systemd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::harness::Folder;

const RUN: [&str; 6] = [
    "--network",
    "host",
    "--ulimit",
    "nofile=20000:20000",
    "--ulimit",
    "nproc=4096:4096",
];

pub struct Podman {
    pub folder: Folder,
}

impl Podman {
    pub fn new() -> Self {
        assert!(
            Path::new("/usr/bin/podman").exists() && Path::new("/usr/sbin/runc").exists(),
            "podman and runc are missing: tests/run installs them"
        );
        let folder = Folder::new();
        let at = folder.path().display();
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{at}/graph\"\nrunroot = \"{at}/run\"\n"
        );
        fs::write(folder.path().join("storage.conf"), storage).expect("a file");
        Self { folder }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("podman");
        command
            .args(["--runtime", "runc", "--cgroup-manager", "cgroupfs"])
            .env(
                "CONTAINERS_STORAGE_CONF",
                self.folder.path().join("storage.conf"),
            );
        command
    }

    pub fn try_run(&self, args: &[&str]) -> Output {
        self.command().args(args).output().expect("podman runs")
    }

    /// A command that must succeed; returns its output.
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.try_run(args);
        assert!(
            output.status.success(),
            "podman {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Starts a container by a documented command: the words after `podman run`, with what the test's machine
    /// needs before them.
    pub fn start(&self, words: &[String]) -> String {
        let mut args = vec!["run"];
        args.extend(RUN);
        args.extend(words.iter().map(String::as_str));
        self.run(&args)
    }

    /// The folder of a named volume.
    pub fn volume(&self, name: &str) -> PathBuf {
        let format = "{{.Mountpoint}}";
        self.run(&["volume", "inspect", "--format", format, name])
            .trim()
            .into()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let names = self.try_run(&["ps", "--all", "--quiet"]);
            for name in String::from_utf8_lossy(&names.stdout).split_whitespace() {
                let log = self.try_run(&["logs", name]);
                eprintln!("{}", String::from_utf8_lossy(&log.stderr));
            }
        }
        self.try_run(&["rm", "--all", "--force", "--time", "1"]);
    }
}
