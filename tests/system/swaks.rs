//! swaks, the usual tool to test an SMTP server, STARTTLS included.

use std::fs;
use std::process::Command;

use crate::support::harness::{Harness, STANDARD};

fn swaks(harness: &Harness, more: &[&str]) -> String {
    let output = Command::new("swaks")
        .args(["--server", &harness.smtp.to_string(), "--timeout", "5m"])
        .args([
            "--from",
            "bob@partner.example",
            "--to",
            "it-help@corp.example",
        ])
        .args(more)
        .output()
        .expect("swaks is installed by tests/run");
    let transcript = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{transcript}");
    transcript
}

#[test]
fn swaks_sends_in_the_clear() {
    let harness = Harness::start(STANDARD);
    let transcript = swaks(&harness, &[]);
    assert!(
        transcript.contains("250 2.0.0 Ok: queued as "),
        "{transcript}"
    );
}

#[test]
fn swaks_sends_over_starttls() {
    let key = rcgen::generate_simple_self_signed(vec!["gate.corp.example".to_owned()])
        .expect("a certificate");
    let configuration = STANDARD.replace(
        "listen = [\"127.0.0.1:0\"]\n",
        "listen = [\"127.0.0.1:0\"]\n[smtp.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n\
         required = true\n",
    );
    let harness = Harness::start_with(&configuration, |folder| {
        fs::write(folder.join("cert.pem"), key.cert.pem()).expect("a file");
        fs::write(folder.join("key.pem"), key.signing_key.serialize_pem()).expect("a file");
    });
    let transcript = swaks(&harness, &["--tls"]);
    assert!(transcript.contains("TLS started"), "{transcript}");
    assert!(
        transcript.contains("250 2.0.0 Ok: queued as "),
        "{transcript}"
    );
}
