//! The recipes of `docs/recipes`, each against the real product if it can be installed: a message of an
//! employee arrives over SMTP, the employee presses the button, and the help desk has a ticket.

mod django_helpdesk;
mod dovecot;
mod hosted;
mod posts;
mod roundup;
mod rt;
mod stand_in;

use std::path::PathBuf;
use std::process::Command;

use crate::support::client::{http, send};
use crate::support::harness::{Harness, STANDARD, wait_for};

/// The standard configuration with this help desk instead of the Maildir.
fn config_with_desk(help_desk: &str) -> String {
    let (before, rest) = STANDARD.split_once("[destination.desk]").expect("a part");
    let (_, behind) = rest.split_once("[verification]").expect("another");
    format!("{before}[destination.desk]\n{help_desk}\n\n[verification]{behind}")
}

/// An employee writes, gets the verification mail, and presses the button. Returns the request's id.
fn ask(harness: &Harness, from: &str, marker: &str) -> String {
    let address = from.rsplit('<').next().expect("a part");
    let address = address.trim_end_matches('>');
    send(harness.smtp, from, marker);
    let link = harness.link_for(address);
    let (status, page) = http(harness.http, "POST", &link, &[("action", "confirm")]);
    assert_eq!(status, 200, "{page}");
    harness.json(&["requests", "list", "--account", address])[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

/// Waits until a request is delivered; reports the cause of a failure.
fn delivered(harness: &Harness, request: &str) {
    wait_for("the delivery", || {
        let shown = &harness.json(&["requests", "show", request])[0];
        assert!(
            shown["state"] != "failed" && shown["last_error"].is_null(),
            "{shown}"
        );
        (shown["state"] == "delivered").then_some(())
    });
}

/// A program that `tests/run` installs below `target/recipes`.
fn installed(program: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("target/recipes/bin")
        .join(program);
    assert!(
        path.exists(),
        "{} is missing; tests/run installs it from PyPI",
        path.display()
    );
    path
}

/// The output of a command that must succeed.
fn output(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}
