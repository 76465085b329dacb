//! Valid configurations and their values. Mistakes have their own test, `bad_configs`.

use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;
use vestibule::access::{AccessSettings, Enforcement};
use vestibule::config::{
    Config, Destination, EnvelopeFrom, Outgoing, Secrets, SmtpDestination, SmtpSecurity,
};
use vestibule::domain::{EmailAddress, PortalName, RecipientRole};

const SMALLEST: &str = r#"
hostname = "gate.corp.example"

[[portal]]
name = "it"
addresses = ["it-help@corp.example"]
destination = "helpdesk"

[destination.helpdesk]
type = "smtp"
url = "smtp://127.0.0.1:2526"

[verification]
from = "IT Help <no-reply@corp.example>"

[outgoing]
type = "file"
dir = "outgoing"
"#;

fn config(text: &str) -> Config {
    config_in(Path::new("/etc/vestibule"), text)
}

fn config_in(folder: &Path, text: &str) -> Config {
    let secrets = Secrets::Read {
        credentials: Some(folder.to_owned()),
    };
    Config::parse_with(text, &folder.join("vestibule.toml"), secrets)
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect(text)
}

fn portal(text: &str) -> PortalName {
    PortalName::parse(text).expect(text)
}

#[test]
fn absent_keys_have_the_documented_default() {
    let config = config(SMALLEST);
    let days = |days: u64| Duration::from_hours(24 * days);
    assert_eq!(config.data_dir, Path::new("/var/lib/vestibule"));
    assert_eq!(
        config.smtp.listen,
        ["127.0.0.1:2525".parse().expect("an address")]
    );
    assert_eq!(config.smtp.max_message_size, 25 << 20);
    assert_eq!(config.smtp.memory_budget, 256 << 20);
    assert_eq!(config.smtp.max_connections, 1000);
    assert_eq!(config.smtp.max_recipients, 100);
    assert_eq!(config.smtp.command_timeout, Duration::from_mins(5));
    assert!(config.smtp.tls.is_none());
    assert_eq!(config.smtp.trusted_peers.len(), 2);
    assert_eq!(config.http.public_url, "http://127.0.0.1:8080");
    assert_eq!(config.portals[0].title, "it");
    assert_eq!(config.verification.token_ttl, days(7));
    assert_eq!(config.verification.hold_for, days(14));
    assert_eq!(config.verification.remind_before, days(3));
    assert_eq!(config.verification.quiet_for, days(30));
    assert_eq!(config.verification.limits.total_hour, 500);
    assert_eq!(config.authentication.mode, Enforcement::Report);
    assert_eq!(config.authentication.timeout, Duration::from_secs(5));
    assert!(config.authentication.resolvers.is_empty());
    assert_eq!(config.quota.requests, 50);
    assert_eq!(config.quota.bytes, 100 << 20);
    assert_eq!(config.dropped.keep_content, days(7));
    assert_eq!(config.retention.delivered_content, days(30));
    assert_eq!(config.retention.ledger, days(365));
    assert_eq!(config.retention.pending_accounts, days(90));
    assert_eq!(config.log.level, tracing::Level::INFO);
    assert!(!config.log.redact);
    assert_eq!(config.access, AccessSettings::default());
}

#[test]
fn a_relative_path_starts_from_the_folder_of_the_file() {
    let config = config(SMALLEST);
    assert!(
        matches!(&config.outgoing, Outgoing::File(dir) if dir == Path::new("/etc/vestibule/outgoing"))
    );
}

#[test]
fn a_secret_comes_from_a_file_or_a_credential_without_its_newline() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("desk"), " correct horse \r\n").expect("a file");
    for key in ["password_file", "credential"] {
        let text = SMALLEST.replace(
            "url = \"smtp://127.0.0.1:2526\"",
            &format!("url = \"smtps://desk.internal\"\nusername = \"ann\"\n{key} = \"desk\""),
        );
        let config = config_in(folder.path(), &text);
        let destination = smtp_destination(&config);
        let login = destination.login.as_ref().expect("a login");
        assert_eq!(login.user, "ann");
        assert_eq!(login.password.expose_secret(), " correct horse ");
        assert_eq!(destination.server.security, SmtpSecurity::Tls);
        assert_eq!(destination.server.port, 465);
        assert!(!format!("{config:?}").contains("horse"));
    }
}

/// Commands that only use the database need not be able to read the service's secrets.
#[test]
fn without_secrets_nothing_is_opened() {
    let text = SMALLEST.replace(
        "[verification]",
        "username = \"ann\"\npassword_file = \"/nowhere/password\"\n\n[smtp.tls]\n\
         certificate = \"/nowhere/chain.pem\"\nkey = \"/nowhere/key.pem\"\n\n[verification]",
    );
    let file = Path::new("vestibule.toml");
    assert!(Config::parse_with(&text, file, Secrets::Leave).is_ok());
    let with = Config::parse_with(&text, file, Secrets::Read { credentials: None });
    assert_eq!(with.expect_err("three files").mistakes().len(), 3);
}

fn smtp_destination(config: &Config) -> &SmtpDestination {
    match config.destinations.values().next() {
        Some(Destination::Smtp(destination)) => destination,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_envelope_sender_has_four_forms() {
    let verp = |before: &str, behind: &str| EnvelopeFrom::Verp(before.into(), behind.into());
    for (written, meant) in [
        ("\"\"", EnvelopeFrom::Null),
        ("\"sender\"", EnvelopeFrom::Sender),
        (
            "\"desk@corp.example\"",
            EnvelopeFrom::Address(address("desk@corp.example")),
        ),
        (
            "\"Desk+{request}.x@Corp.example\"",
            verp("Desk+", ".x@corp.example"),
        ),
        (
            "'\"r-{request}\"@b\u{fc}cher.example.'",
            verp("r-", "@xn--bcher-kva.example"),
        ),
        (
            "'\"r..{request}\"@corp.example'",
            verp("\"r..", "\"@corp.example"),
        ),
    ] {
        let text = SMALLEST.replace(
            "[verification]",
            &format!("envelope_from = {written}\n[verification]"),
        );
        match config(&text).destinations.values().next() {
            Some(Destination::Smtp(destination)) => assert_eq!(destination.envelope_from, meant),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn access_is_read_with_dots_or_as_tables_and_portals_override_it() {
    let dots = "[access]\ninternal.approved_domains = [\"Corp.Example\"]\nexternal.verify = true\n";
    let tables = "[access.internal]\napproved_domains = [\"corp.example\"]\n\
                  [access.external]\nverify = true\n";
    let own = SMALLEST.replace(
        "destination = \"helpdesk\"\n",
        "destination = \"helpdesk\"\n[portal.access]\nexternal.verify = false\n",
    );
    for access in [dots, tables] {
        let config = config(&format!("{own}\n{access}"));
        let site = config.access.effective(None);
        assert_eq!(
            site.internal.approved_domains[0].to_string(),
            "corp.example"
        );
        assert!(site.external.verify);
        let it = config.access.effective(Some(&portal("it")));
        assert!(!it.external.verify);
        assert_eq!(it.internal, site.internal);
    }
}

#[test]
fn mail_for_a_subaddress_is_for_the_mailbox_unless_it_is_one_itself() {
    let text = SMALLEST.replace(
        "[verification]",
        "[[portal]]\nname = \"vpn\"\naddresses = [\"it-help+vpn@corp.example\"]\n\
         destination = \"helpdesk\"\n\n[verification]\nreply_address = \"confirm@corp.example\"\n\
         return_address = \"returns@corp.example\"",
    );
    let config = config(&text);
    for (recipient, mailbox) in [
        (
            "it-help@corp.example",
            Some(RecipientRole::Portal(portal("it"))),
        ),
        (
            "IT-Help+42@Corp.Example",
            Some(RecipientRole::Portal(portal("it"))),
        ),
        (
            "it-help+vpn@corp.example",
            Some(RecipientRole::Portal(portal("vpn"))),
        ),
        (
            "confirm+abc@corp.example",
            Some(RecipientRole::Confirmation),
        ),
        ("returns+abc@corp.example", Some(RecipientRole::Bounces)),
        ("other@corp.example", None),
    ] {
        assert_eq!(
            config.recipient_role(&address(recipient)),
            mailbox,
            "{recipient}"
        );
    }
    assert!(config.is_ours(&address("no-reply@corp.example")));
    assert!(!config.is_ours(&address("ann@corp.example")));
}

#[test]
fn every_address_that_we_send_from_or_to_is_ours() {
    let text = SMALLEST
        .replace(
            "[verification]",
            "recipient = \"Desk@helpdesk.example\"\n\
             envelope_from = \"it-help+r-{request}.x@Corp.example\"\n\n\
             [destination.other]\ntype = \"smtp\"\nurl = \"smtp://127.0.0.1:2527\"\n\
             envelope_from = \"sends@corp.example\"\n\n[verification]\n\
             reply_address = \"confirm@corp.example\"",
        )
        .replace(
            "destination = \"helpdesk\"\n",
            "destination = \"helpdesk\"\nfrom = \"IT <it-author@corp.example>\"\n",
        );
    let config = config(&text);
    for (other, is_ours) in [
        ("it-help@corp.example", true),
        ("no-reply@corp.example", true),
        ("NO-Reply+x@corp.example", true),
        ("it-author@corp.example", true),
        ("desk@helpdesk.example", true),
        ("desk+1@helpdesk.example", true),
        ("sends@corp.example", true),
        ("confirm+token@corp.example", true),
        ("it-help+r-01ABC.x@corp.example", true),
        ("desk@corp.example", false),
        ("sends+x@helpdesk.example", false),
        ("it-authors@corp.example", false),
        ("r-01abc.x@corp.example", false),
    ] {
        assert_eq!(config.is_ours(&address(other)), is_ours, "{other}");
    }
    let verp = SMALLEST.replace(
        "[verification]",
        "envelope_from = \"r-{request}@corp.example\"\n[verification]",
    );
    let config = self::config(&verp);
    for (other, is_ours) in [
        ("R-01abc@corp.example", true),
        ("r-@corp.example", true),
        ("r-01abc@mail.corp.example", false),
        ("x-r-01abc@corp.example", false),
    ] {
        assert_eq!(config.is_ours(&address(other)), is_ours, "{other}");
    }
    let config = self::config(&verp.replace("corp.example\"\n[v", "b\u{fc}cher.example\"\n[v"));
    for other in [
        "r-01abc@xn--bcher-kva.example",
        "R-01ABC@B\u{dc}CHER.example",
    ] {
        assert!(config.is_ours(&address(other)), "{other}");
    }
}

const DOCUMENTED: &str = include_str!("../../config/vestibule.toml");

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        failure_persistence: None,
        ..proptest::test_runner::Config::with_cases(200)
    })]

    /// Any file is a configuration, or has mistakes with existing line numbers.
    #[test]
    fn no_text_makes_the_reader_panic(
        cut in 0..DOCUMENTED.len(),
        put in "\\PC{0,30}|[\\[\\]{}=\",.#\r\n a-z0-9-]{0,60}",
        uncomment: bool,
    ) {
        let (before, after) = DOCUMENTED.split_at(DOCUMENTED.floor_char_boundary(cut));
        let mut text = format!("{before}{put}{after}");
        if uncomment {
            text = text.replace("\n#   ", "\n").replace("\n#", "\n");
        }
        let read = Config::parse_with(&text, Path::new("vestibule.toml"), Secrets::Leave);
        if let Err(mistakes) = read {
            let lines = text.split('\n').count();
            proptest::prop_assert!(!mistakes.mistakes().is_empty());
            for mistake in mistakes.mistakes() {
                let line = mistake.line.unwrap_or_default();
                proptest::prop_assert!((1..=lines).contains(&line), "{mistake}");
            }
        }
    }
}

#[test]
fn other_editors_line_ends_and_marks_do_no_harm() {
    let text = format!("\u{feff}{}", SMALLEST.replace('\n', "\r\n"));
    assert_eq!(config(&text).hostname.as_str(), "gate.corp.example");
}

#[test]
fn a_dns_server_has_port_53_where_none_is_given() {
    let text = format!(
        "{SMALLEST}\n[authentication]\nresolvers = [\"192.0.2.53\", \"127.0.0.1:5353\", \"::1\", \"[::1]:5353\"]\n"
    );
    let servers: Vec<String> = config(&text)
        .authentication
        .resolvers
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        servers,
        ["192.0.2.53:53", "127.0.0.1:5353", "[::1]:53", "[::1]:5353"]
    );
}

#[test]
fn the_concurrency_of_outgoing_mail_is_that_of_the_file_and_has_limits() {
    let outgoing =
        |keys: &str| SMALLEST.replace("[outgoing]\ntype = \"file\"\ndir = \"outgoing\"\n", keys);
    let smtp = |concurrency: u32| {
        outgoing(&format!(
            "[outgoing]\ntype = \"smtp\"\nurl = \"smtp://127.0.0.1:25\"\nconcurrency = {concurrency}\n"
        ))
    };
    assert_eq!(config(SMALLEST).outgoing_concurrency, 16);
    for concurrency in [1, 3, 100] {
        let read = config(&smtp(concurrency)).outgoing_concurrency;
        assert_eq!(u32::try_from(read), Ok(concurrency));
    }
    let file = "[outgoing]\ntype = \"file\"\ndir = \"outgoing\"\nconcurrency = 3\n";
    for (text, mistake) in [
        (smtp(0), "concurrency: 0 is not between 1 and 100"),
        (smtp(101), "concurrency: 101 is not between 1 and 100"),
        (
            outgoing(file),
            "concurrency: type file has no such key; valid keys: type, dir",
        ),
    ] {
        let mistakes = Config::parse(&text, Path::new("vestibule.toml")).expect_err("a mistake");
        let said = mistakes.to_string();
        assert!(said.contains(mistake), "{said}");
    }
}
