//! The `demo` command.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::harness::Folder;

/// The demo, with its folder in this one.
fn demo(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn leftovers(folder: &Folder) -> usize {
    let entries = std::fs::read_dir(folder.path()).expect("a folder");
    entries.count()
}

#[test]
fn once_it_shows_every_verdict_and_what_reaches_the_help_desk() {
    let folder = Folder::new();
    let output = demo(&folder, &["--once"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}{wrong}");
    let decided = said.lines().filter(|line| line.contains("held")).count();
    assert!(decided >= 2, "{said}");
    let (_, help_desk) = said
        .split_once("At the help desk now:")
        .expect("what reached it");
    let rows = |word: &str| help_desk.lines().filter(|row| row.contains(word)).count();
    assert_eq!(rows("internal  link"), 2, "{said}");
    assert_eq!(rows("external  no"), 1, "{said}");
    assert_eq!(rows("  "), 4, "a heading and three requests: {said}");
    assert_eq!(leftovers(&folder), 0);
}

#[test]
fn a_signal_ends_it_and_removes_its_folder() {
    for signal in ["-TERM", "-INT"] {
        let folder = Folder::new();
        let mut child = demo(&folder, &[]).spawn().expect("it runs");
        let output = child.stdout.take().expect("a pipe");
        let shown = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .any(|line| line.starts_with("Ctrl-C ends"));
        assert!(shown, "{:?}", child.wait_with_output());
        assert_eq!(leftovers(&folder), 1);
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
        let status = child.wait().expect("an end");
        assert_eq!(status.code(), Some(0), "{signal}");
        assert_eq!(leftovers(&folder), 0, "{signal}");
    }
}
