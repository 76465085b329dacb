//! `demo --nodes 2`: a server of its own, two nodes, and one of them killed.

use std::fs::{Permissions, set_permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::support::harness::{Folder, Signal, send_signal};
use crate::support::program::{PROGRAM, vestibule};

/// A folder that the server's user may traverse.
fn folder() -> Folder {
    let folder = Folder::new();
    set_permissions(folder.path(), Permissions::from_mode(0o711)).expect("permissions");
    folder
}

fn demo(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = vestibule(folder.path());
    command
        .args(["demo", "--nodes", "2"])
        .args(arguments)
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn leftovers(folder: &Folder) -> usize {
    std::fs::read_dir(folder.path()).expect("a folder").count()
}

#[test]
fn a_node_is_killed_and_nothing_is_lost() {
    let folder = folder();
    let output = demo(&folder, &["--once"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}{wrong}");
    let count = |what: &str| -> usize {
        let line = said.lines().find_map(|line| line.strip_prefix(what));
        let number = line.unwrap_or_else(|| panic!("no {what}: {said}"));
        number.trim().parse().expect("a number")
    };
    let by_first = count("answered 250 by node a, before it was killed");
    assert!((8..40).contains(&by_first), "{said}");
    assert_eq!(by_first + count("answered 250 by node b"), 40, "{said}");
    assert!(
        count("of these, resent because the connection to node a broke") > 0,
        "{said}"
    );
    assert_eq!(count("at the help desk"), 40, "{said}");
    assert_eq!(count("lost"), 0, "{said}");
    assert_eq!(count("twice at the help desk"), 0, "{said}");
    assert_eq!(leftovers(&folder), 0);
}

#[test]
fn a_signal_ends_the_server_and_the_nodes_and_removes_the_folder() {
    let folder = folder();
    let mut child = demo(&folder, &[]).spawn().expect("it runs");
    let output = child.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let listed = lines.find(|line| line.ends_with("nodes list"));
    let listed = listed.expect("the command that lists the nodes");
    assert!(lines.any(|line| line.starts_with("Ctrl-C ends")));
    // The command that it prints works.
    let output = Command::new("sh").args(["-c", listed.trim()]).output();
    let output = output.expect("a shell");
    assert!(output.status.success(), "{output:?}");
    send_signal(&child, Signal::TERM);
    assert_eq!(child.wait().expect("an end").code(), Some(0));
    assert_eq!(leftovers(&folder), 0);
}

#[test]
fn the_demo_names_the_package_of_the_missing_server_programs() {
    let folder = folder();
    let hidden = "mount -t tmpfs tmpfs /usr/lib/postgresql && exec \"$0\" demo --nodes 2 --once";
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            hidden,
            PROGRAM,
        ])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("TMPDIR", folder.path())
        .output()
        .expect("unshare");
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{wrong}");
    assert!(wrong.contains("apt-get install postgresql"), "{wrong}");
    assert_eq!(leftovers(&folder), 0);
}
