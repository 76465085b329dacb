//! The API keeps the promises of its document: schemathesis sends valid and invalid requests, and compares
//! each answer with the document.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::fill;
use crate::support::harness::{Harness, STANDARD, token_of};

/// Installed by `tests/run` with Debian's python3-venv, from `tests/system/api/schemathesis.txt`.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/schemathesis/bin/st");
const CONFIGURATION: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/system/api/schemathesis.toml"
);

#[test]
fn the_api_answers_as_its_document_says() {
    assert!(
        Path::new(PROGRAM).exists(),
        "schemathesis is missing: tests/run installs it (with Debian's package python3-venv)"
    );
    let harness = Harness::start(STANDARD);
    fill(&harness);
    let long = std::env::var_os("VESTIBULE_LONG").is_some();
    // The example operator of the document has another name, because the requests end that operator's access.
    let token = token_of(&harness, "tester");
    let report = fs::File::create(harness.path("schemathesis.log")).expect("a file");
    let status = Command::new(PROGRAM)
        .args(["--config-file", CONFIGURATION, "run"])
        .arg(format!("http://{}/api/v1/openapi.json", harness.admin))
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", "all", "--continue-on-failure"])
        .args(["--max-examples", if long { "300" } else { "3" }])
        // One worker, so that a seed gives the same requests in every run; the timeout is generous, since
        // generating requests takes time.
        .args(["--workers", "1", "--request-timeout", "300", "--no-color"])
        .args(["--suppress-health-check", "all"])
        .args(if long {
            [].as_slice()
        } else {
            &["--seed", "1"]
        })
        .current_dir(harness.folder.path())
        .stdin(Stdio::null())
        .stdout(report.try_clone().expect("the same file"))
        .stderr(report)
        .status()
        .expect("schemathesis runs");
    let report = fs::read_to_string(harness.path("schemathesis.log")).expect("UTF-8");
    assert!(status.success(), "{report}\n{}", harness.log());
    println!("{report}");
}
