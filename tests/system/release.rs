//! Output of `just release`, made from the program under test: the same bytes each time, a complete SBOM, and a
//! Debian package that can be installed, upgraded with its data, and removed.

use crate::support::program::PROGRAM;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Runs a command that must succeed in the project's folder; returns its output.
fn run(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(ROOT)
        .envs(environment.iter().copied())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The program under test without debugging information, which would only be copied and compressed.
fn stripped(folder: &Path) -> PathBuf {
    let program = folder.join("vestibule");
    run("strip", &["-o", text(&program), PROGRAM], &[]);
    program
}

#[test]
fn one_program_packed_twice_gives_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = stripped(folder.path());
    let base = Path::new(ROOT).join("target/container/base.tar");
    assert!(base.exists(), "tests/run makes {}", base.display());
    // Settings that differ between machines.
    let machines = [("Asia/Tokyo", "C.UTF-8"), ("UTC", "C")];
    let sums = machines.map(|(zone, locale)| {
        let output = folder.path().join(zone.replace('/', "-"));
        let arguments = ["--fast", "yes", "--program", text(&program), "--base"];
        let arguments = [&arguments[..], &[text(&base), "--output", text(&output)]].concat();
        let environment = [
            ("TZ", zone),
            ("LC_ALL", locale),
            ("SOURCE_DATE_EPOCH", "1700000000"),
            ("TMPDIR", text(folder.path())),
        ];
        run("packaging/release", &arguments, &environment);
        run(
            "sh",
            &[
                "-c",
                "cd \"$1\" && sha256sum --check SHA256SUMS",
                "sh",
                text(&output),
            ],
            &[],
        );
        fs::read_to_string(output.join("SHA256SUMS")).expect("the checksums")
    });
    assert_eq!(sums[0], sums[1]);
    assert_eq!(sums[0].lines().count(), 4, "{}", sums[0]);

    let output = folder.path().join("UTC");
    let file = |end: &str| {
        let files = fs::read_dir(&output).expect("the files");
        let mut paths = files.map(|entry| entry.expect("an entry").path());
        paths.find(|path| text(path).ends_with(end)).expect(end)
    };
    sbom_names_what_is_built(&file(".cdx.json"));
    let archive = run(
        "tar",
        &["-tvf", text(&file("64.tar.gz")), "--numeric-owner"],
        &[("TZ", "UTC")],
    );
    for name in [
        "vestibule",
        "man/vestibule.1",
        "completions/vestibule.bash",
        "systemd/vestibule.service",
        "config/vestibule.toml",
        "docs/install.md",
        "examples/compose/compose.yaml",
        "examples/open-ticket",
        "sbom.cdx.json",
        "LICENSE-MIT",
    ] {
        assert!(
            archive
                .lines()
                .any(|line| line.ends_with(&format!("64/{name}"))),
            "{name} is not in {archive}"
        );
    }
    for line in archive.lines() {
        assert!(
            line.contains(" 0/0 ") && line.contains(" 2023-11-14 "),
            "{line}"
        );
    }
}

/// Checks that the SBOM names every crate that cargo builds into the program, and no other, each with its license
/// and hash.
fn sbom_names_what_is_built(file: &Path) {
    let sbom: Value = serde_json::from_slice(&fs::read(file).expect("the SBOM")).expect("its JSON");
    assert_eq!(sbom["bomFormat"], "CycloneDX");
    let listed: BTreeSet<String> = sbom["components"]
        .as_array()
        .expect("components")
        .iter()
        .map(|component| {
            assert!(
                component["licenses"][0]["expression"].is_string(),
                "{component}"
            );
            assert_eq!(component["hashes"][0]["alg"], "SHA-256", "{component}");
            let part = |key: &str| component[key].as_str().expect(key);
            format!("{} v{}", part("name"), part("version"))
        })
        .collect();
    let tree = [
        "tree",
        "--locked",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
    ];
    let tree = run(env!("CARGO"), &[&tree[..], &["{p}"]].concat(), &[]);
    let built: BTreeSet<String> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some(format!("{} {}", words.next()?, words.next()?))
        })
        .filter(|name| !name.starts_with("vestibule "))
        .collect();
    assert_eq!(listed, built);
    assert!(listed.iter().any(|name| name.starts_with("rusqlite ")));
    let references: BTreeSet<_> = sbom["dependencies"]
        .as_array()
        .expect("dependencies")
        .iter()
        .map(|dependency| dependency["ref"].as_str())
        .collect();
    assert_eq!(references.len(), listed.len() + 1);
}

/// Runs in a small Debian of its own, without any network but its loopback.
#[test]
fn the_debian_package_can_be_installed_upgraded_and_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = stripped(folder.path());
    let versions = ["0.0.1~old-1", "0.0.2~new-1"];
    let packages = versions.map(|version| {
        let arguments = ["--program", text(&program), version];
        run(
            "packaging/build-package",
            &arguments,
            &[("DEB_COMPRESSION", "none")],
        );
        let architecture = run("dpkg", &["--print-architecture"], &[]);
        format!(
            "target/packages/vestibule_{version}_{}.deb",
            architecture.trim()
        )
    });
    let script = "ip link set lo up && exec packaging/test-package \"$@\"";
    let inside = [
        "--net",
        "sh",
        "-euc",
        script,
        "sh",
        &packages[0],
        &packages[1],
    ];
    let printed = run("unshare", &inside, &[]);
    assert!(printed.contains("== purge: nothing stays"), "{printed}");
    for package in packages {
        let _ = fs::remove_file(Path::new(ROOT).join(package));
    }
}
