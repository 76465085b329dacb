//! The dependency tree against `deny.toml`, without the network and without cargo-deny, which `tests/run
//! --long` runs as well: licences, sources, bans, and single versions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Two versions of these in one program would be incompatible, or would double the audit.
const ONE_VERSION: &[&str] = &[
    "rustls",
    "ring",
    "tokio",
    "tokio-rustls",
    "hyper",
    "rusqlite",
    "libsqlite3-sys",
    "mail-parser",
    "axum",
];

fn policy() -> toml::Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    let text = fs::read_to_string(file).expect("deny.toml");
    toml::from_str(&text).expect("TOML")
}

/// The strings of a list of the policy.
fn list<'a>(policy: &'a toml::Value, table: &str, key: &str) -> Vec<&'a str> {
    let list = policy[table][key].as_array().expect("a list");
    list.iter()
        .filter_map(|entry| entry.get("crate").unwrap_or(entry).as_str())
        .collect()
}

/// The licences that an exception allows for a package.
fn exception<'a>(policy: &'a toml::Value, name: &str) -> Vec<&'a str> {
    let exceptions = policy["licenses"]["exceptions"].as_array();
    let of_it = exceptions
        .into_iter()
        .flatten()
        .filter(|exception| exception["crate"].as_str() == Some(name));
    of_it
        .flat_map(|exception| exception["allow"].as_array().expect("a list"))
        .filter_map(toml::Value::as_str)
        .collect()
}

/// All packages but our own, for the current platform.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version=1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let mut metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let used: BTreeSet<_> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| node["id"].to_string())
        .collect();
    let Value::Array(packages) = metadata["packages"].take() else {
        panic!("no packages");
    };
    packages
        .into_iter()
        .filter(|package| used.contains(&package["id"].to_string()))
        .filter(|package| package["name"] != "vestibule")
        .collect()
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

/// True if one of the alternatives of an SPDX expression consists of allowed licences only. `/` is an old
/// form of `OR`.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest, allowed) && rest.is_empty()
}

/// `A OR B`, which has a lower precedence than AND (SPDX 2.3, annex D).
fn any(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut good = all(words, allowed);
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        good |= all(words, allowed);
    }
    good
}

fn all(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut good = one(words, allowed);
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        good &= one(words, allowed);
    }
    good
}

fn one(words: &mut &[&str], allowed: &[&str]) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let good = any(words, allowed);
            let [")", rest @ ..] = *words else {
                return false;
            };
            *words = rest;
            good
        }
        [licence, "WITH", exception, rest @ ..] => {
            *words = rest;
            allowed.contains(&format!("{licence} WITH {exception}").as_str())
        }
        [licence, rest @ ..] => {
            *words = rest;
            allowed.contains(licence)
        }
        [] => false,
    }
}

#[test]
fn every_package_has_a_licence_and_a_source_that_the_policy_allows() {
    let policy = policy();
    let licences = list(&policy, "licenses", "allow");
    let sources = list(&policy, "sources", "allow-registry");
    let banned = list(&policy, "bans", "deny");
    let packages = packages();
    assert!(packages.len() > 100, "only {} packages", packages.len());
    let mut wrong = Vec::new();
    for package in &packages {
        let (name, version) = (text(package, "name"), text(package, "version"));
        let licence = text(package, "license");
        let allowed = [licences.as_slice(), &exception(&policy, name)].concat();
        if !is_allowed(licence, &allowed) {
            wrong.push(format!("{name} {version} is under {licence:?}"));
        }
        let source = text(package, "source");
        if !sources.contains(&source.trim_start_matches("registry+")) {
            wrong.push(format!("{name} {version} comes from {source:?}"));
        }
        if banned.contains(&name) {
            wrong.push(format!("{name} {version} is banned"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_that_must_be_unique_have_one_version() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let name = text(&package, "name").to_owned();
        let version = text(&package, "version").to_owned();
        versions.entry(name).or_default().insert(version);
    }
    for name in ONE_VERSION {
        let found = versions.get(*name);
        assert_eq!(found.map(BTreeSet::len), Some(1), "{name}: {found:?}");
    }
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let allowed = ["MIT", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"];
    for (expression, good) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
        ("MIT OR GPL-3.0 AND Unicode-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
        ("(MIT", false),
        ("MIT MIT", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), good, "{expression:?}");
    }
}
