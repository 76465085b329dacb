//! A newcomer has only the README: its commands, taken verbatim, lead from the configuration to the first request
//! at the help desk.

use std::fs;
use std::path::Path;

use crate::support::client::{Smtp, http};
use crate::support::harness::{Harness, wait_for};
use crate::support::program::vestibule;

/// The lines of the README that run a command of Vestibule, without `sudo`, in their order.
fn commands() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(path).expect("README.md");
    let (_, steps) = text
        .split_once("## Ten minutes behind Postfix")
        .expect("the steps");
    let (steps, _) = steps.split_once("\n## ").expect("the next heading");
    let mut found = Vec::new();
    // In code, with or without an explanation after it.
    for piece in steps.split(['`', '\n']) {
        for command in piece.split("&&") {
            let command = command.split("  #").next().unwrap_or_default().trim();
            if let Some(rest) = command.strip_prefix("sudo vestibule ") {
                found.push(rest.to_owned());
            }
        }
    }
    found
}

/// Arguments after `swaks`.
fn swaks() -> (String, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(path).expect("README.md");
    let (_, line) = text.split_once("`swaks ").expect("a line with swaks");
    let words: Vec<&str> = line
        .split('`')
        .next()
        .expect("its end")
        .split(' ')
        .collect();
    let after = |option: &str| {
        let place = words.iter().position(|word| *word == option);
        words[place.expect(option) + 1].to_owned()
    };
    (after("--from"), after("--to"))
}

/// The configuration that `init` writes for the address of the README, with ports of this test, a DNS server that
/// knows no name, and mail as files.
fn configuration(folder: &Path, to: &str) -> String {
    let file = folder.join("written.toml");
    let (_, domain) = to.split_once('@').expect("an address");
    let output = vestibule(folder)
        .args(["init", "--yes", "--output"])
        .arg(&file)
        .args(["--address", to, "--approve", domain])
        .args(["--destination", "maildir", "--destination-place"])
        .arg(folder.join("desk"))
        .arg("--data-dir")
        .arg(folder.join("data"))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let mut text = fs::read_to_string(&file).expect("the configuration");
    for (line, by) in [
        (
            "#listen = [\"127.0.0.1:2525\"]",
            "listen = [\"127.0.0.1:0\"]",
        ),
        ("#listen = \"127.0.0.1:8080\"", "listen = \"127.0.0.1:0\""),
        (
            "#admin_listen = \"127.0.0.1:8081\"",
            "admin_listen = \"127.0.0.1:0\"",
        ),
        ("#resolvers = []", "resolvers = [\"127.0.0.1:9\"]"),
        (
            "type = \"smtp\"\nurl = \"smtp://127.0.0.1:25\"",
            "type = \"file\"\ndir = \"letters\"",
        ),
    ] {
        assert_eq!(text.matches(line).count(), 1, "{line}");
        text = text.replace(line, by);
    }
    text
}

#[test]
fn the_readme_alone_leads_to_the_first_released_request() {
    let readme = commands();
    let (from, to) = swaks();
    for word in [
        "init",
        "check",
        "access approve",
        "access allow",
        "access test",
        "tail",
    ] {
        let is_there = readme.iter().any(|command| command.starts_with(word));
        assert!(is_there, "{word}: {readme:?}");
    }
    let mut harness = Harness::at_rest("");
    let text = configuration(harness.folder.path(), &to);
    fs::write(harness.path("vestibule.toml"), text).expect("written");
    let checked = harness.run(&["check"]);
    assert_eq!(checked.status, 0, "{}{}", checked.out, checked.err);
    harness.restart();
    for command in readme
        .iter()
        .filter(|command| command.starts_with("access "))
    {
        let words: Vec<&str> = command.split_whitespace().collect();
        let ran = harness.run(&words);
        assert_eq!(ran.status, 0, "{command}: {}{}", ran.out, ran.err);
        if command.starts_with("access test") {
            assert!(ran.out.contains("accepted"), "{}", ran.out);
        }
    }
    let message = format!("From: {from}\r\nTo: {to}\r\nSubject: test\r\n\r\nHello.\r\n");
    let reply = Smtp::connect(harness.smtp)
        .and_then(|mut client| client.send(&from, &to, message.as_bytes()))
        .expect("an answer");
    assert!(reply.starts_with("250"), "{reply}");
    let held = harness.run(&["requests", "list", "--state", "held"]);
    assert!(held.out.contains(&from), "{}", held.out);
    // The person confirms by the link.
    let link = harness.link_for(&from);
    let (status, page) = http(harness.http, "POST", &link, &[("action", "confirm")]);
    assert_eq!(status, 200, "{page}");
    let delivered = wait_for("the request at the help desk", || {
        let delivered = harness.delivered();
        (!delivered.is_empty()).then(|| delivered[0].clone())
    });
    let delivered = String::from_utf8_lossy(&delivered);
    assert!(
        delivered.contains("X-Vestibule-Verified: link "),
        "{delivered}"
    );
    // The everyday query: why did this message arrive?
    let listed = harness.json(&["requests", "list"]);
    let id = listed[0]["id"].as_str().expect("an id").to_owned();
    let explained = harness.run(&["explain", &id]);
    assert!(
        explained.out.contains("delivery.succeeded"),
        "{}",
        explained.out
    );
}
