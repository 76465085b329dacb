//! `/scim/v2` against a SCIM client and its conformance tests (scim2-cli, scim2-tester).

use std::path::Path;
use std::process::Command;

use crate::support::harness::{Harness, STANDARD};

/// Python with the packages of `requirements.txt`, which `tests/run` installs.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/scim/bin/python");

/// Runs the command line client of scim2-cli with a longer timeout.
const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/scim/client.py");

/// Number of checks that the tester runs against this interface.
const CHECKS: usize = 44;

/// A daemon whose access settings let every domain in, and a token of the directory.
fn start() -> (Harness, String) {
    assert!(
        Path::new(PYTHON).exists(),
        "{PYTHON} is missing: tests/run installs it"
    );
    let harness = Harness::start(STANDARD);
    let open = harness.run(&["access", "set", "external.restrict_domains=false"]);
    assert_eq!(open.status, 0, "{}", open.err);
    let password = harness.write("password", "correct horse battery\n");
    let add = [
        "operators",
        "add",
        "directory",
        "--role",
        "admin",
        "--password-file",
    ];
    let add = [&add[..], &[password.as_str()]].concat();
    let added = harness.run(&add);
    assert_eq!(added.status, 0, "{}", added.err);
    let made = harness.run(&["operators", "token", "directory", "--scim"]);
    assert_eq!(made.status, 0, "{}", made.err);
    (harness, made.out.trim().to_owned())
}

fn scim(harness: &Harness, token: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(PYTHON)
        .env_clear()
        .env("HOME", harness.folder.path())
        .env("LANG", "C.UTF-8")
        .env("COLUMNS", "300")
        .env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {token}"))
        .args([CLIENT, "--url"])
        .arg(format!("http://{}/scim/v2", harness.admin))
        .args(arguments)
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    (output.status.success(), format!("{text}{errors}"))
}

#[test]
fn the_conformance_tester_finds_nothing_wrong() {
    let (harness, token) = start();
    let (_, said) = scim(&harness, &token, &["test"]);
    let count = |status: &str| said.lines().filter(|line| line.starts_with(status)).count();
    // Checks are counted, because the program would also exit with success if it ran none.
    assert_eq!(
        count("ERROR") + count("CRITICAL") + count("SKIPPED"),
        0,
        "{said}"
    );
    assert!(count("SUCCESS") >= CHECKS, "{said}");
}

#[test]
fn a_client_creates_finds_and_removes_a_user() {
    let (harness, token) = start();
    let created = scim(
        &harness,
        &token,
        &[
            "create",
            "user",
            "--user-name",
            "Dana@corp.example",
            "--active",
            "true",
            "--emails",
            r#"[{"value": "dana@corp.example"}]"#,
        ],
    );
    assert!(created.0, "{}", created.1);
    let dana = harness
        .json(&["customers", "show", "dana@corp.example"])
        .remove(0);
    assert_eq!(dana["status"], "active");
    assert_eq!(dana["verified_by"], "operator:directory");
    let found = scim(
        &harness,
        &token,
        &[
            "query",
            "user",
            "--filter",
            r#"userName eq "dana@CORP.example""#,
        ],
    );
    assert!(
        found.0 && found.1.contains("Dana@corp.example"),
        "{}",
        found.1
    );
    let (_, rest) = found.1.split_once("/scim/v2/Users/").expect("a location");
    let id: String = rest
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    let removed = scim(&harness, &token, &["delete", "user", &id]);
    assert!(removed.0, "{}", removed.1);
    let dana = harness
        .json(&["customers", "show", "dana@corp.example"])
        .remove(0);
    assert_eq!(dana["status"], "blocked");
}
