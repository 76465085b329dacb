//! Output at 80 columns: no line is wider, short ids are shown and accepted, and subjects get the remaining width.

use crate::support::program::{PROGRAM, Ran, run};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::harness::Harness;

const SENDERS: [&str; 3] = [
    "a.person.with.a.long.name@corp.example",
    "bob@partner.example",
    "eve@elsewhere.example",
];

/// An installation with held, accepted and dropped messages, and long subjects.
fn installation() -> Harness {
    let harness = Harness::new();
    for from in SENDERS {
        let subject =
            "The printer on the third floor is on fire again and nobody comes to put it out";
        harness.receive(from, &format!("Subject: {subject}\r\n"));
    }
    harness
}

fn run_at(harness: &Harness, columns: &str, arguments: &[&str]) -> Ran {
    let config = harness.path("vestibule.toml").display().to_string();
    let environment = [("VESTIBULE_CONFIG", config.as_str()), ("COLUMNS", columns)];
    run(arguments, &environment)
}

const COMMANDS: &[&[&str]] = &[
    &["requests", "list"],
    &["dropped", "list"],
    &["dropped", "domains"],
    &["audit"],
    &["find", "corp"],
    &["customers", "list"],
    &["customers", "show", SENDERS[0]],
    &["explain", SENDERS[0]],
    &["explain", SENDERS[2]],
    &["deliveries", "list"],
    &["customers", "mail"],
    &["operators", "list"],
    &["access", "show"],
    &["access", "history"],
    &["stats"],
    &["access", "test", SENDERS[0]],
];

#[test]
fn no_line_is_wider_than_the_terminal() {
    let harness = installation();
    for columns in [80, 100, 132] {
        for command in COMMANDS {
            let ran = run_at(&harness, &columns.to_string(), command);
            assert_eq!(ran.status, 0, "{command:?}: {}", ran.err);
            for line in ran.out.lines() {
                let width = line.chars().count();
                assert!(
                    width <= columns,
                    "{command:?} at {columns}: {width}: {line}"
                );
            }
        }
    }
}

#[test]
fn an_explanation_is_complete_at_60_columns() {
    let harness = Harness::new();
    let ledger = harness
        .receive("eve@elsewhere.example", "")
        .ledger
        .to_string();
    let ran = run_at(&harness, "60", &["explain", &ledger]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(!ran.out.contains('…'), "{}", ran.out);
    for line in ran.out.lines() {
        assert!(line.chars().count() <= 60, "{line}");
    }
}

#[test]
fn a_list_has_one_line_for_each_row_and_the_subject_gets_the_rest() {
    let harness = installation();
    let ran = run_at(&harness, "80", &["requests", "list"]);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ran.out);
    assert!(lines[0].starts_with("ID        STATE"), "{}", ran.out);
    assert!(lines[0].ends_with("SUBJECT"), "{}", ran.out);
    // The address is not shortened, and the subject is partly visible.
    let long = lines.iter().find(|line| line.contains(SENDERS[0]));
    assert!(
        long.is_some_and(|line| line.contains("  The ")),
        "{}",
        ran.out
    );
    let bob = lines.iter().find(|line| line.contains(SENDERS[1]));
    assert!(bob.is_some_and(|line| line.contains('…')), "{}", ran.out);
}

#[test]
fn a_dropped_message_has_its_sender_reason_and_subject_in_one_line() {
    let harness = installation();
    let sender = "a.person.with.a.name@elsewhere.example";
    harness.receive(sender, "Subject: An offer you cannot refuse\r\n");
    let ran = run_at(&harness, "80", &["dropped", "list"]);
    let line = ran.out.lines().find(|line| line.contains("An offer"));
    let line = line.expect(&ran.out);
    assert!(
        line.contains(sender) && line.contains("domain_not_allowed"),
        "{}",
        ran.out
    );
    let ran = run_at(&harness, "80", &["audit"]);
    assert!(!ran.out.contains("operator:"), "{}", ran.out);
}

#[test]
fn a_short_id_is_accepted_wherever_an_id_is() {
    let harness = installation();
    let listed = harness.run(&["requests", "list", "--json"]).objects();
    let id = listed[0]["id"].as_str().expect("an id").to_owned();
    let (begin, end) = (&id[..24], &id[18..]);
    for part in [begin, end, &end.to_lowercase(), &id] {
        let shown = harness.run(&["requests", "show", part, "--json"]);
        assert_eq!(shown.objects()[0]["id"], listed[0]["id"], "{part}");
        let explained = harness.run(&["explain", part, "--json"]);
        assert_eq!(
            explained.objects()[0]["ledger"],
            listed[0]["ledger"],
            "{part}"
        );
    }
    let dropped = harness.run(&["dropped", "list", "--json"]).objects();
    let ledger = dropped[0]["ledger"].as_str().expect("an id");
    let raw = harness.run(&["dropped", "raw", &ledger[18..]]);
    assert!(raw.out.contains("eve@elsewhere.example"), "{}", raw.err);
    let released = harness.run(&["requests", "release", end]);
    assert!(released.status <= 1, "{}", released.err);
    assert!(!released.err.contains("there is no"), "{}", released.err);
}

#[test]
fn an_ambiguous_short_id_lists_its_matches_and_an_unknown_one_is_not_found() {
    let harness = installation();
    let listed = harness.run(&["requests", "list", "--json"]).objects();
    let ids: Vec<&str> = listed
        .iter()
        .map(|row| row["id"].as_str().expect("an id"))
        .collect();
    // All ids begin with the same characters, because they were made within a year.
    let ambiguous = harness.run(&["requests", "show", &ids[0][..4]]);
    assert_eq!(ambiguous.status, 2, "{}", ambiguous.err);
    for id in &ids {
        assert!(ambiguous.err.contains(id), "{}", ambiguous.err);
    }
    for (part, status) in [("ZZZZZZZZ", 3), ("abc", 2), ("not-an-id", 2)] {
        let ran = harness.run(&["requests", "show", part]);
        assert_eq!(ran.status, status, "{part}: {}", ran.err);
    }
}

/// Runs the command at a terminal of that width. `script` (bsdutils, which every Debian has) makes the terminal.
fn terminal(harness: &Harness, columns: u16, arguments: &str) -> Command {
    let mut command = Command::new("script");
    command
        .arg("-qec")
        .arg(format!("stty cols {columns}; exec {PROGRAM} {arguments}"))
        .arg("/dev/null")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TERM", "xterm")
        .env("VESTIBULE_CONFIG", harness.path("vestibule.toml"))
        .stdin(Stdio::null());
    command
}

/// Output of the command at a terminal of that width.
fn in_a_terminal(harness: &Harness, columns: u16, arguments: &str) -> String {
    let output = terminal(harness, columns, arguments)
        .output()
        .expect("script runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

/// The text without the codes of its colours (ECMA-48 8.3.117).
fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}

#[test]
fn the_width_is_that_of_the_terminal() {
    let harness = installation();
    for columns in [60, 80] {
        let text = in_a_terminal(&harness, columns, "requests list");
        assert!(text.contains("\x1b["), "a terminal has colours: {text}");
        let plain = without_colours(&text);
        let lines: Vec<&str> = plain
            .lines()
            .filter(|line| !line.starts_with("columns hidden"))
            .collect();
        assert_eq!(lines.len(), 3, "{plain}");
        for line in lines {
            assert!(line.chars().count() <= usize::from(columns), "{line}");
        }
    }
}

/// The first lines that `tail` prints at a terminal of that width.
fn tail_in_a_terminal(harness: &Harness, columns: u16, count: usize) -> Vec<String> {
    let mut process = terminal(harness, columns, "tail")
        .stdout(Stdio::piped())
        .spawn()
        .expect("script runs");
    let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
    let lines = lines
        .take(count)
        .map(|line| without_colours(line.expect("UTF-8").trim_end()));
    let lines = lines.collect();
    process.kill().expect("ended");
    process.wait().expect("ended");
    lines
}

#[test]
fn tail_has_one_line_for_each_message_with_its_subject_unless_redacted() {
    let harness = installation();
    for columns in [60, 80, 132] {
        let lines = tail_in_a_terminal(&harness, columns, SENDERS.len());
        for (line, sender) in lines.iter().zip(SENDERS) {
            assert!(
                line.chars().count() <= usize::from(columns),
                "{columns}: {line}"
            );
            let shown = if columns < 80 { &sender[..12] } else { sender };
            assert!(line.contains(shown), "{columns}: {line}");
        }
        if columns >= 80 {
            assert!(
                lines[1].contains("  The printer on"),
                "{columns}: {lines:?}"
            );
            assert!(
                lines[2].contains("domain_not_allowed: The"),
                "{columns}: {lines:?}"
            );
        }
    }
    let file = harness.path("vestibule.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    std::fs::write(&file, format!("{text}\n[log]\nredact = true\n")).expect("written");
    for line in tail_in_a_terminal(&harness, 80, SENDERS.len()) {
        assert!(
            !line.contains("The p") && line.contains("example"),
            "{line}"
        );
    }
}
