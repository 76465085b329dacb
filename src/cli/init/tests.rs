use std::io::Cursor;

use super::*;
use crate::access::Enforcement;
use crate::config::{Destination, Outgoing};

fn init(args: &Args, answers: &str) -> (anyhow::Result<()>, String) {
    let mut said = Vec::new();
    let result = run(args, None, &mut Cursor::new(answers.to_owned()), &mut said);
    (result, String::from_utf8(said).expect("text"))
}

fn to(path: &Path) -> Args {
    Args {
        output: Some(path.to_owned()),
        ..Args::default()
    }
}

#[test]
fn the_defaults_make_a_configuration_that_loads() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new/vestibule.toml");
    let args = Args {
        yes: true,
        ..to(&path)
    };
    let (result, said) = init(&args, "");
    result.expect("a configuration");
    assert!(said.contains("vestibule check --config"), "{said}");
    let config = Config::load(Some(&path)).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(config.portals[0].name.as_str(), "help");
    assert!(config.access.site.internal.approved_domains.is_empty());
    assert_eq!(config.authentication.mode, Enforcement::Report);
}

#[test]
fn answers_are_taken_and_wrong_ones_asked_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.toml");
    let (result, said) = init(
        &to(&path),
        "gate.corp.com\nIT Help\nit\nIT \"Help\"\nit-help\n\nhttp://desk\nsmtps://desk.corp.com\n\n\
         smtp+starttls://mx.corp.com\ncom\ncorp.com, *.corp.com\nyes\nenforce\n",
    );
    result.expect("a configuration");
    for refusal in [
        "\"IT Help\" is not a name",
        "an address needs one @",
        "http:// is no SMTP",
        "\"com\" is a public suffix",
        "answer enforce or report",
    ] {
        assert!(said.contains(refusal), "{refusal} in {said}");
    }
    let config = Config::load(Some(&path)).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(config.hostname.as_str(), "gate.corp.com");
    let portal = &config.portals[0];
    assert_eq!(portal.name.as_str(), "it");
    assert_eq!(portal.title, "IT \"Help\"");
    assert_eq!(portal.addresses[0].to_string(), "help@corp.com");
    assert_eq!(
        config.verification.from.name.as_deref(),
        Some("IT \"Help\"")
    );
    assert_eq!(
        config.verification.from.email.to_string(),
        "no-reply@corp.com"
    );
    assert!(
        matches!(&config.outgoing, Outgoing::Smtp(server) if server.host == "mx.corp.com" && server.port == 587)
    );
    assert!(matches!(
        config.destinations.values().next(),
        Some(Destination::Smtp(smtp)) if smtp.server.host == "desk.corp.com"
    ));
    assert_eq!(config.access.site.internal.approved_domains.len(), 2);
    assert_eq!(config.authentication.mode, Enforcement::Enforce);
}

#[test]
fn a_maildir_takes_the_place_of_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.toml");
    let (result, _) = init(&to(&path), "\n\n\n\n/var/mail/desk\n\n\n\n\n");
    result.expect("a configuration");
    let config = Config::load(Some(&path)).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(matches!(
        config.destinations.values().next(),
        Some(Destination::Maildir(maildir)) if maildir.path == Path::new("/var/mail/desk")
    ));
}

#[test]
fn a_file_that_is_there_stays_unless_forced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.toml");
    std::fs::write(&path, "mine").expect("a file");
    let args = Args {
        yes: true,
        ..to(&path)
    };
    let refusal = init(&args, "").0.expect_err("it is there");
    assert!(refusal.to_string().contains("--force"), "{refusal}");
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "mine");
    let args = Args {
        force: true,
        ..args
    };
    init(&args, "").0.expect("overwritten");
    assert!(Config::load(Some(&path)).is_ok());
}

#[test]
fn nothing_is_written_if_the_answers_end_early() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.toml");
    let refusal = init(&to(&path), "gate.corp.com\n")
        .0
        .expect_err("no answers");
    assert!(refusal.to_string().contains("--yes"), "{refusal}");
    assert!(!path.exists());
}
