//! The container image, built as `just release` builds it but from the program under test, and started by the
//! command of `docs/container.md`.

mod podman;

use crate::support::program::PROGRAM;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use podman::Podman;
use serde_json::Value;

use crate::support::client::{http, send};
use crate::support::harness::{link_in, wait_for};

/// File system that `tests/run` makes with `packaging/base-image`.
const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/container/base.tar");

/// The daemon binds ports of the machine, whose network the container shares here.
const CONFIGURATION: &str = r#"
hostname = "gate.corp.example"
data_dir = "/var/lib/vestibule"

[smtp]
listen = ["127.0.0.1:0"]

[http]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"

[[portal]]
name = "it"
addresses = ["it-help@corp.example"]
destination = "desk"

[destination.desk]
type = "maildir"
path = "/var/lib/vestibule/desk"

[verification]
from = "no-reply@corp.example"

[outgoing]
type = "file"
dir = "/var/lib/vestibule/letters"

[authentication]
mode = "off"

[access]
internal.approved_domains = ["corp.example"]
"#;

fn must(command: &mut Command) {
    let output = command.output().expect("it runs");
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Builds an image of the program under test, without the debugging information.
fn image(folder: &Path, program: &Path, name: &str) -> PathBuf {
    assert!(
        Path::new(BASE).exists(),
        "{BASE} is missing: tests/run makes it with packaging/base-image"
    );
    let image = folder.join(name);
    must(
        Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/packaging/build-image"
        ))
        .arg(program)
        .arg(BASE)
        .arg("0.0.0-test")
        .arg(&image)
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env("TMPDIR", folder),
    );
    image
}

fn stripped(folder: &Path) -> PathBuf {
    let program = folder.join("vestibule");
    must(Command::new("strip").arg("-o").arg(&program).arg(PROGRAM));
    program
}

/// Words of the documented command after `podman run`, with this configuration and this image, and without
/// published ports, since the container shares the network of the machine.
fn documented_command(configuration: &Path) -> Vec<String> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/container.md"))
        .expect("the page");
    let start = page.find("podman run -d").expect("the command");
    let command = page[start..].split("```").next().expect("its block");
    let command = command.replace("\\\n", " ");
    let mut words = Vec::new();
    let mut all = command.split_whitespace().skip(2);
    while let Some(word) = all.next() {
        match word {
            "-p" => drop(all.next()),
            "/etc/vestibule:/etc/vestibule:ro" => {
                words.push(format!("{}:/etc/vestibule:ro", configuration.display()));
            }
            _ if word.starts_with("localhost/vestibule:") => {
                words.push("localhost/vestibule:0.0.0-test".to_owned());
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// An address of the ready file in the volume.
fn bound(volume: &Path, listener: &str) -> Option<std::net::SocketAddr> {
    let ready = fs::read_to_string(volume.join("ready.json")).ok()?;
    let ready: Value = serde_json::from_str(&ready).ok()?;
    let address = ready[listener].get(0).unwrap_or(&ready[listener]);
    address.as_str()?.parse().ok()
}

#[test]
fn one_command_starts_a_container_that_holds_and_releases_a_request() {
    let podman = Podman::new();
    let folder = podman.folder.path();
    let image = image(folder, &stripped(folder), "image.tar");
    podman.run(&["load", "--quiet", "--input", image.to_str().expect("UTF-8")]);
    let etc = folder.join("etc");
    fs::create_dir(&etc).expect("a folder");
    fs::write(etc.join("vestibule.toml"), CONFIGURATION).expect("a file");

    podman.start(&documented_command(&etc));
    let volume = podman.volume("vestibule-data");
    let smtp = wait_for("the ready file", || bound(&volume, "smtp"));
    let public = bound(&volume, "http").expect("the public pages");

    // A mail arrives over SMTP, the person opens the link and presses the button.
    send(smtp, "ann@corp.example", "printer");
    let link = wait_for("the verification mail", || {
        let file = fs::read_dir(volume.join("letters"))
            .ok()?
            .flatten()
            .next()?;
        link_in(&fs::read_to_string(file.path()).ok()?)
    });
    let (status, page) = http(public, "GET", &link, &[]);
    assert!(status == 200 && page.contains("About printer"), "{page}");
    let (status, page) = http(public, "POST", &link, &[("action", "confirm")]);
    assert_eq!(status, 200, "{page}");
    let delivered = wait_for("the delivery", || {
        let file = fs::read_dir(volume.join("desk/new"))
            .ok()?
            .flatten()
            .next()?;
        fs::read_to_string(file.path()).ok()
    });
    assert!(
        delivered.contains("X-Vestibule-Verified: link "),
        "{delivered}"
    );

    // Nothing but the volume can be written, and the process has no privilege.
    let status = podman.run(&["exec", "vestibule", "cat", "/proc/1/status"]);
    for field in [
        "Uid:\t925\t925\t925\t925",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(
            status.lines().any(|line| line == field),
            "{field} is not in {status}"
        );
    }
    for place in ["/usr/bin/x", "/etc/x", "/etc/vestibule/x", "/x"] {
        let touched = podman.try_run(&["exec", "--user", "0", "vestibule", "touch", place]);
        assert!(!touched.status.success(), "{place} can be written");
    }

    // The health check queries the running daemon, and fails if nothing answers.
    wait_for("health", || {
        let checked = podman.try_run(&["healthcheck", "run", "vestibule"]);
        checked.status.success().then_some(())
    });
    let check = "/usr/libexec/vestibule/health-check";
    fs::write(
        volume.join("wrong"),
        r#"{"smtp":[],"http":"127.0.0.1:1","admin":"127.0.0.1:1"}"#,
    )
    .expect("a file");
    for file in ["/var/lib/vestibule/wrong", "/var/lib/vestibule/none"] {
        let checked = podman.try_run(&["exec", "vestibule", check, file]);
        assert!(!checked.status.success(), "healthy by {file}");
    }

    // It stops cleanly, and the next container finds everything in the volume.
    podman.run(&["stop", "--time", "300", "vestibule"]);
    let exit = podman.run(&["inspect", "--format", "{{.State.ExitCode}}", "vestibule"]);
    assert_eq!(exit.trim(), "0");
    podman.run(&["rm", "vestibule"]);
    fs::remove_file(volume.join("ready.json")).expect("the ready file");
    podman.start(&documented_command(&etc));
    wait_for("the ready file", || bound(&volume, "smtp"));
    let requests = podman.run(&[
        "exec",
        "vestibule",
        "vestibule",
        "requests",
        "list",
        "--json",
    ]);
    assert!(requests.contains(r#""state":"delivered""#), "{requests}");
}

/// `examples/compose`, started by podman-compose in a network of its own.
#[test]
fn the_installation_of_the_compose_file_releases_a_request() {
    test_compose(&["postfix.tar"]);
}

/// `examples/compose-postgres` in the same way: one node is killed, and the other releases the requests that it
/// accepted.
#[test]
fn each_node_of_the_compose_file_releases_requests_of_the_other() {
    test_compose(&["postfix.tar", "postgres.tar"]);
}

/// Runs `packaging/test-compose` with these file systems.
fn test_compose(images: &[&str]) {
    let folder = crate::support::harness::Folder::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tools = root.join("target/compose/bin");
    let images = images
        .iter()
        .map(|name| root.join("target/container").join(name));
    let images: Vec<_> = images.collect();
    for path in images.iter().chain([&tools]) {
        assert!(path.exists(), "tests/run makes {}", path.display());
    }
    let path = std::env::var("PATH").expect("PATH");
    must(
        Command::new(root.join("packaging/test-compose"))
            .arg(stripped(folder.path()))
            .arg(BASE)
            .args(images)
            .env("PATH", format!("{}:{path}", tools.display()))
            .env("TMPDIR", folder.path()),
    );
}
