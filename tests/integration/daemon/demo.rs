//! The `demo` command.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::client::http;
use crate::support::harness::{Folder, Signal, send_signal};
use crate::support::program::{PROGRAM, vestibule};

/// The demo, which creates its folder inside this one.
fn demo(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = vestibule(folder.path());
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
    for signal in [Signal::TERM, Signal::INT] {
        let folder = Folder::new();
        let mut child = demo(&folder, &[]).spawn().expect("it runs");
        let output = child.stdout.take().expect("a pipe");
        let shown = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .any(|line| line.starts_with("Ctrl-C ends"));
        assert!(shown, "{:?}", child.wait_with_output());
        assert_eq!(leftovers(&folder), 1);
        send_signal(&child, signal);
        let status = child.wait().expect("an end");
        assert_eq!(status.code(), Some(0), "{signal:?}");
        assert_eq!(leftovers(&folder), 0, "{signal:?}");
    }
}

/// A newcomer pastes what the tour prints, line by line.
#[test]
fn the_tour_can_be_pasted_and_its_operator_can_log_in() {
    let folder = Folder::new();
    let mut child = demo(&folder, &[]).spawn().expect("it runs");
    let output = child.stdout.take().expect("a pipe");
    let mut lines = Vec::new();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let is_last = line.starts_with("Ctrl-C ends");
        lines.push(line);
        if is_last {
            break;
        }
    }
    let tour = lines.join("\n");
    for step in 1..=5 {
        assert!(tour.contains(&format!("\n{step}. ")), "{tour}");
    }
    let commands: Vec<&str> = lines
        .iter()
        .map(|line| line.trim())
        .filter(|line| line.starts_with(PROGRAM))
        .collect();
    assert_eq!(commands.len(), 3, "{tour}");
    for command in &commands[..2] {
        let output = Command::new("sh").arg("-c").arg(command).output();
        let output = output.expect("a shell");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{command}: {said}");
        assert!(said.contains("elsewhere.example"), "{command}: {said}");
    }
    let password = lines
        .iter()
        .find_map(|line| line.trim().strip_prefix("name demo, password "))
        .expect(&tour);
    let place = lines
        .iter()
        .find_map(|line| line.trim().strip_prefix("http://")?.strip_suffix('/'))
        .expect(&tour);
    let admin = place.parse().expect("an address");
    let fields = [("name", "demo"), ("password", password)];
    let (status, page) = http(admin, "POST", "/login", &fields);
    assert_eq!(status, 303, "{page}");
    send_signal(&child, Signal::TERM);
    assert!(child.wait().expect("an end").success());
}
