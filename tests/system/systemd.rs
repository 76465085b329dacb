//! The units in `systemd/` are valid, and sandbox the service.

use std::path::{Path, PathBuf};
use std::process::Command;

use vestibule::config::{Config, Secrets};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd");

const SOCKETS: [&str; 3] = ["smtp", "http", "admin"];

fn unit() -> String {
    std::fs::read_to_string(Path::new(FOLDER).join("vestibule.service")).expect("the unit")
}

/// Writes the unit with an existing program, so that only the unit itself is checked.
fn runnable_unit(folder: &Path) -> PathBuf {
    let path = folder.join("vestibule.service");
    let text = unit().replace("/usr/bin/vestibule", "/bin/true");
    std::fs::write(&path, text).expect("a file");
    path
}

/// The result of `systemd-analyze`, and its output.
fn analyze(arguments: &[&str], unit: &Path) -> (bool, String) {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .arg(unit)
        .output()
        .expect("systemd-analyze is missing: tests/run installs it");
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (output.status.success(), said.concat())
}

#[test]
fn systemd_accepts_the_unit_and_rates_it_as_sandboxed() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = runnable_unit(folder.path());
    let (good, said) = analyze(&["verify", "--man=no"], &unit);
    assert!(good, "{said}");
    assert!(!said.contains("vestibule.service"), "{said}");
    for name in SOCKETS {
        // The socket unit lies beside the service that it names.
        let file = format!("vestibule-{name}.socket");
        let socket = folder.path().join(&file);
        std::fs::copy(Path::new(FOLDER).join(&file), &socket).expect("a file");
        let (good, said) = analyze(&["verify", "--man=no"], &socket);
        assert!(good, "{said}");
        assert!(!said.contains(&file), "{said}");
    }
    // In tenths: a score above 1.5 is a failure.
    let security = ["security", "--offline=true", "--no-pager", "--threshold=15"];
    let (good, said) = analyze(&security, &unit);
    assert!(good, "{said}");
}

/// The daemon ignores an error of setpriority, so no other test would notice that it is not allowed.
#[test]
fn the_sandbox_lets_long_reads_lower_their_priority() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = runnable_unit(folder.path());
    let security = ["security", "--offline=true", "--no-pager", "--json=short"];
    let (_, said) = analyze(&security, &unit);
    assert!(said.contains("setpriority is allowed"), "{said}");
}

/// The daemon knows its sockets by these names, and the units listen at the configuration's default
/// addresses.
#[test]
fn the_socket_units_have_the_names_and_addresses_of_the_configuration() {
    let configuration = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/vestibule.toml");
    let config = Config::load_with(Some(&configuration), Secrets::Leave)
        .expect("the documented configuration");
    let addresses = [
        config.smtp.listen[0],
        config.http.listen,
        config.http.admin_listen,
    ];
    for (name, address) in SOCKETS.iter().zip(addresses) {
        let file = Path::new(FOLDER).join(format!("vestibule-{name}.socket"));
        let unit = std::fs::read_to_string(file).expect("the unit");
        for line in [
            format!("FileDescriptorName={name}"),
            format!("ListenStream={address}"),
            "Service=vestibule.service".to_owned(),
        ] {
            assert!(
                unit.lines().any(|own| own == line),
                "{name}: {line} is missing"
            );
        }
    }
}

/// Properties that the daemon relies on, and that `systemd-analyze` does not check.
#[test]
fn the_unit_says_what_the_daemon_needs() {
    let unit = unit();
    for line in [
        "After=network-online.target nss-lookup.target postgresql.service",
        "Type=notify",
        "ExecStart=/usr/bin/vestibule serve",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "RestartPreventExitStatus=2",
        "WatchdogSec=60s",
        "StateDirectory=vestibule",
        "User=vestibule",
    ] {
        assert!(unit.lines().any(|own| own == line), "{line} is missing");
    }
}
