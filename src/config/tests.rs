//! Tests that `config/vestibule.toml` documents every key with its default.
//!
//! A line `#key = value` shows a default; `#   line` is an example, and also a default if it ends in `#
//! default`; other lines that begin with `#` are prose.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::document::Document;
use super::load::read;
use super::{Config, Secrets};

const DOCUMENTED: &str = include_str!("../../config/vestibule.toml");

/// Keys that exclude each other within a section, or belong to another type of section.
const ALTERNATIVES: [&str; 21] = [
    "destination smtp.credential",
    "destination webhook.bearer_credential",
    "destination webhook.credential",
    "destination webhook.header_credentials",
    "destination webhook.secret_credential",
    "hook.bearer_credential",
    "hook.credential",
    "hook.header_credentials",
    "hook.secret_credential",
    "outgoing smtp.password_file",
    "outgoing smtp.token_command",
    "outgoing smtp.token_file",
    "store.ca_file",
    "store.credential",
    "store.long_readers",
    "store.password_file",
    "store.pooler",
    "store.readers",
    "store.schema",
    "store.url",
    "sso.client_secret_credential",
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Line {
    Active,
    Default,
    Example,
    ExampleOfDefault,
    Prose,
}

fn lines() -> Vec<(Line, &'static str)> {
    DOCUMENTED
        .lines()
        .map(|line| match line.strip_prefix('#') {
            None => (Line::Active, line),
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => {
                (Line::Default, rest)
            }
            Some(rest) if rest.starts_with("     ") => (Line::Prose, rest),
            Some(rest) if rest.starts_with("   ") && rest.ends_with("# default") => {
                (Line::ExampleOfDefault, rest)
            }
            Some(rest) if rest.starts_with("   ") => (Line::Example, rest),
            Some(rest) => (Line::Prose, rest),
        })
        .collect()
}

/// The file with lines of these kinds uncommented, except for the line `but`.
fn text(kinds: &[Line], but: Option<usize>) -> String {
    lines()
        .into_iter()
        .enumerate()
        .map(|(place, (kind, line))| match line {
            line if kinds.contains(&kind) && but != Some(place) => format!("{line}\n"),
            _ => "\n".to_owned(),
        })
        .collect()
}

/// A folder with the files that the examples name, instead of `/etc/vestibule`.
struct Etc(tempfile::TempDir);

impl Etc {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        let made = rcgen::generate_simple_self_signed(["gate.corp.example".to_owned()])
            .expect("a certificate");
        write("tls/fullchain.pem", &made.cert.pem());
        write("tls/privkey.pem", &made.signing_key.serialize_pem());
        write("helpdesk.password", "one\n");
        write("desk-api.token", "two\n");
        write("desk-api.key", "three\n");
        write("sso.secret", "four\n");
        write(
            "desk-api.secret",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        );
        write("credentials/outgoing.password", "three");
        std::fs::create_dir(folder.path().join("templates")).expect("a folder");
        Self(folder)
    }

    fn secrets(&self) -> Secrets {
        Secrets::Read {
            credentials: Some(self.0.path().join("credentials")),
        }
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("vestibule.toml")
    }

    fn here(&self, text: &str) -> String {
        text.replace("/etc/vestibule", &self.0.path().display().to_string())
    }

    /// The configuration in a comparable form.
    fn render(&self, text: &str) -> String {
        match Config::parse_with(&self.here(text), &self.file(), self.secrets()) {
            Ok(config) => format!("{config:#?}"),
            Err(mistakes) => panic!("the documented configuration has mistakes:\n{mistakes}"),
        }
    }
}

const EVERYTHING: [Line; 4] = [
    Line::Active,
    Line::Default,
    Line::Example,
    Line::ExampleOfDefault,
];

#[test]
fn the_documented_file_is_a_valid_configuration() {
    let config = Config::parse(DOCUMENTED, Path::new("vestibule.toml"))
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(config.hostname.as_str(), "gate.corp.example");
    assert_eq!(config.portals.len(), 1);
    // A package installs this file: nobody may write until an operator says who.
    assert!(!config.access.site.external.allow_portal_only_accounts);
    assert!(config.access.site.internal.approved_domains.is_empty());
}

#[test]
fn each_documented_default_is_the_default() {
    let etc = Etc::new();
    assert_eq!(
        etc.render(&text(&[Line::Active], None)),
        etc.render(&text(&[Line::Active, Line::Default], None))
    );
    let everything = etc.render(&text(&EVERYTHING, None));
    let mut defaults = 0;
    for (place, (kind, line)) in lines().into_iter().enumerate() {
        if matches!(kind, Line::Default | Line::ExampleOfDefault) {
            defaults += 1;
            let without = etc.render(&text(&EVERYTHING, Some(place)));
            assert_eq!(without, everything, "line {}: {line}", place + 1);
        }
    }
    assert!(defaults > 40, "{defaults} defaults were found");
}

#[test]
fn every_key_that_is_read_is_documented() {
    let etc = Etc::new();
    let text = etc.here(&text(&EVERYTHING, None));
    let file = etc.file();
    let document = Document::new(&text, &file, etc.secrets());
    assert!(read(&document).is_some(), "{:?}", document.into_mistakes());

    let known = document.known.borrow();
    let given = document.given.borrow();
    let missing: BTreeSet<_> = known.difference(&given).map(String::as_str).collect();
    let words: Vec<_> = DOCUMENTED
        .split(|c: char| !c.is_ascii_lowercase() && c != '_')
        .collect();
    for alternative in &missing {
        let key = alternative.rsplit('.').next().unwrap_or_default();
        assert!(words.contains(&key), "{alternative} is not documented");
    }
    let own = known.iter().any(|key| key == "portal.access");
    assert!(own, "{known:?}");
    let unexpected: Vec<_> = missing
        .into_iter()
        .filter(|key| !ALTERNATIVES.contains(key))
        .collect();
    assert!(unexpected.is_empty(), "not in the file: {unexpected:?}");
}

#[test]
fn the_other_type_of_store_is_documented_with_its_defaults() {
    let keys = |kept: &[&str]| {
        let store = DOCUMENTED.split("\n[store]\n").nth(1).expect("a section");
        let section = store.split("\n\n\n").next().unwrap_or_default();
        let lines = section
            .lines()
            .filter_map(|line| line.strip_prefix("#     "));
        let lines = lines.filter(|line| kept.iter().any(|key| line.starts_with(key)));
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines.len(), kept.len(), "{section}");
        let text = text(&[Line::Active], None).replace(
            "[store]\n",
            &format!("[store]\ntype = \"postgres\"\n{}\n", lines.join("\n")),
        );
        let file = Path::new("/etc/vestibule/vestibule.toml");
        let config = Config::parse_with(&text, file, Secrets::Leave);
        let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let super::StoreConfig::Postgres(server) = config.store else {
            panic!("{text}");
        };
        *server
    };
    let server = keys(&["url"]);
    assert_eq!(server.hosts.len(), 2);
    assert_eq!(
        keys(&["url", "schema", "pooler", "readers", "long_readers"]),
        server
    );
    let ca_file = keys(&["url", "ca_file"]).ca_file;
    assert_eq!(
        ca_file.as_deref(),
        Some(Path::new("/etc/vestibule/postgres-ca.pem"))
    );
}

#[test]
fn a_file_of_another_kind_has_a_bounded_number_of_mistakes() {
    let unknown: Vec<_> = (0..1000).map(|n| format!("key-{n} = 1")).collect();
    let domains = "\"no domain\", ".repeat(1000);
    for text in [
        unknown.join("\n"),
        "a = 1\n".repeat(1000),
        format!("[internal]\napproved_domains = [{domains}]"),
    ] {
        let errors = super::parse_access_settings(&text, Path::new("access.toml"));
        let errors = errors.expect_err("no access settings");
        assert!(errors.mistakes().len() <= 100, "{errors}");
    }
}

#[test]
fn a_large_file_that_is_not_toml_has_one_mistake() {
    for (count, expected) in [(10, 10..=100), (100_000, 1..=1)] {
        let text = "=\n".repeat(count);
        let errors = super::parse_access_settings(&text, Path::new("access.toml"));
        let errors = errors.expect_err("no access settings");
        assert!(expected.contains(&errors.mistakes().len()), "{errors}");
    }
}

/// Each mistake in a section, and each item of a list in it, has a copy of its name.
#[test]
fn a_long_name_is_cut_in_mistakes() {
    let name = "é".repeat(10_000);
    let unknown: Vec<_> = (0..1000).map(|n| format!("key-{n} = 1")).collect();
    let unknown = unknown.join("\n");
    for text in [
        format!("[portal.\"{name}\"]\n{unknown}"),
        format!("[portal.\"{name}\".internal]\n{unknown}"),
        format!("\"{name}\" = 1"),
    ] {
        let errors = super::parse_access_settings(&text, Path::new("access.toml"));
        let errors = errors.expect_err("no access settings");
        let longest = errors.mistakes().iter().map(|mistake| mistake.key.len());
        assert!(longest.max().unwrap_or_default() < 250, "{errors}");
    }
}

#[test]
fn the_other_type_of_outgoing_is_named() {
    let text = text(&[Line::Active], None).replace(
        "[outgoing]\ntype = \"smtp\"\nurl = \"smtp://127.0.0.1:25\"",
        "[outgoing]\ntype = \"file\"\ndir = \"mails\"",
    );
    let config = Config::parse(&text, Path::new("/etc/vestibule/vestibule.toml"))
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(
        matches!(&config.outgoing, super::Outgoing::File(folder) if folder == Path::new("/etc/vestibule/mails")),
        "{:?}",
        config.outgoing
    );
}
