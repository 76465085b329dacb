//! Clients that two generators make from the document: each lists the held requests, releases one, reads its
//! message, and handles a problem response.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::fill;
use crate::support::client::http;
use crate::support::harness::{Harness, STANDARD, token, wait_for};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/api");

/// A folder into which `tests/run` installs programs.
fn installed(folder: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target")
        .join(folder);
    assert!(
        path.exists(),
        "{} is missing: tests/run installs it",
        path.display()
    );
    path
}

/// Runs a program in the harness's folder; it must succeed. Returns its output.
fn run(harness: &Harness, command: &mut Command) -> String {
    let output = command.current_dir(harness.folder.path()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {out}{err}");
    assert!(
        !err.contains("WARNING") && !out.contains("WARNING"),
        "{out}{err}"
    );
    out
}

/// A daemon with mail, and its document in a file.
fn start() -> Harness {
    let harness = Harness::start(STANDARD);
    fill(&harness);
    let (status, answer) = http(harness.admin, "GET", "/api/v1/openapi.json", &[]);
    assert_eq!(status, 200, "{answer}");
    let (_, document) = answer.split_once("\r\n\r\n").expect("a body");
    harness.write("openapi.json", document);
    harness
}

/// Runs the program with the address of the API and a token as its arguments, and checks its report.
fn use_client(harness: &Harness, program: &mut Command) {
    let held = harness.json(&["requests", "list", "--state", "held"]).len();
    let base = format!("http://{}/api/v1", harness.admin);
    let said = run(harness, program.arg(base).arg(token(harness)));
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["held"], held, "{said}");
    assert_eq!(said["sender"], "ann@corp.example", "{said}");
    assert_eq!(said["state"], "released", "{said}");
    assert_eq!(
        said["again"], "urn:vestibule:problem:not-possible",
        "{said}"
    );
    assert_eq!(said["unknown"], "urn:vestibule:problem:not-found", "{said}");
    let raw = said["raw"].as_str().expect("a message");
    assert!(raw.starts_with("From: ann@corp.example\r\n"), "{raw}");
    let id = said["id"].as_str().expect("an id");
    wait_for("the delivery", || {
        let request = harness.json(&["requests", "show", id]).remove(0);
        (request["state"] == "delivered").then_some(())
    });
}

#[test]
fn a_generated_python_client_releases_a_request() {
    let harness = start();
    let bin = installed("openapi-python/bin");
    // The generator formats its output with ruff, which it looks for on the path.
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let mut generate = Command::new(bin.join("openapi-python-client"));
    generate
        .env("PATH", path)
        .args([
            "generate",
            "--path",
            "openapi.json",
            "--output-path",
            "client",
        ])
        .arg("--config")
        .arg(Path::new(FOLDER).join("python/generator.yml"))
        .arg("--fail-on-warning");
    run(&harness, &mut generate);
    let mut program = Command::new(bin.join("python"));
    program
        .env("PYTHONPATH", harness.path("client"))
        .arg(Path::new(FOLDER).join("python/release.py"));
    use_client(&harness, &mut program);
}

#[test]
fn a_generated_typescript_client_releases_a_request() {
    let harness = start();
    let modules = installed("openapi-typescript/node_modules");
    symlink(&modules, harness.path("node_modules")).expect("a link");
    for name in ["package.json", "tsconfig.json", "release.ts"] {
        let from = Path::new(FOLDER).join("typescript").join(name);
        fs::copy(from, harness.path(name)).expect("a copy");
    }
    let bin = modules.join(".bin");
    let mut generate = Command::new(bin.join("openapi-typescript"));
    run(
        &harness,
        generate.args(["openapi.json", "--output", "schema.d.ts"]),
    );
    // Strict: a field or a value that the document does not have is an error.
    run(&harness, &mut Command::new(bin.join("tsc")));
    use_client(&harness, Command::new("node").arg("release.js"));
}
