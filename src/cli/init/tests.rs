use std::io::Cursor;

use super::*;
use crate::access::Enforcement;
use crate::config::{Destination, Outgoing};
use crate::domain::BUILT_IN_LANGUAGES;

fn init(args: &Args, answers: &str) -> (CommandResult, String) {
    let mut output = Vec::new();
    let result = run(
        args,
        None,
        &mut Cursor::new(answers.to_owned()),
        &mut output,
    );
    (result, String::from_utf8(output).expect("text"))
}

fn to(path: &Path) -> Args {
    Args {
        output: Some(path.to_owned()),
        ..Args::default()
    }
}

fn with_options(path: &Path, options: &[(&'static str, &str)]) -> Args {
    let given = options
        .iter()
        .fold(GivenAnswers::default(), |given, (option, answer)| {
            given.with(option, answer)
        });
    Args {
        yes: true,
        given,
        ..to(path)
    }
}

fn load(path: &Path) -> Config {
    Config::load(Some(path)).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn the_defaults_admit_nobody_and_the_file_is_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new/vestibule.toml");
    let (result, output) = init(&with_options(&path, &[]), "");
    result.expect("a configuration");
    assert!(output.contains("vestibule check --config"), "{output}");
    assert!(output.contains("Nobody may write yet"), "{output}");
    let approve = format!("access approve DOMAIN --config {}", path.display());
    assert!(output.contains(&approve), "{output}");
    let config = load(&path);
    assert_eq!(config.portals[0].name.as_str(), "help");
    let access = &config.access.site;
    assert!(access.internal.approved_domains.is_empty());
    assert!(!access.external.allow_portal_only_accounts);
    assert_eq!(config.authentication.mode, Enforcement::Report);
    let mode = std::fs::metadata(&path)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn the_question_about_the_language_names_all_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.toml");
    let (_, output) = init(&to(&path), "\n\n\n\n");
    let (last, others) = BUILT_IN_LANGUAGES.split_last().expect("languages");
    let all = format!("{} or {last}.", others.join(", "));
    assert!(output.contains(&all), "{output}");
}

#[test]
fn answers_are_accepted_and_invalid_ones_requested_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.toml");
    let (result, output) = init(
        &to(&path),
        "gate.corp.com\ndata\n/srv/vestibule\nCorp \"Help\" GmbH\nxx\nde\nMars\nEurope/Berlin\n\
         +49 30 1234\nhttp://help.corp.com\nhttps://help.corp.com\nIT Help\nit\nIT \"Help\"\nit-help\n\n\
         ftp\nsmtp\nhttp://desk\nsmtps://desk.corp.com\nqueue@desk.corp.com\nhelp@corp.com\n\n\
         smtp+starttls://mx.corp.com\ncom\ncorp.com, *.corp.com\nyes\nlisted\npartner.com, bob@gmail.com\n\
         mx corp\nmx.corp.com\nyes\nenforce\n\n",
    );
    result.unwrap_or_else(|failure| panic!("{failure}: {output}"));
    for refusal in [
        "\"data\" is not a full path",
        "no texts in \"xx\"",
        "\"Mars\" is not a time zone",
        "links in mail must be https://",
        "\"IT Help\" is not a name",
        "an address needs one @",
        "answer smtp or maildir",
        "http:// is not an SMTP scheme",
        "is the portal's own address",
        "\"com\" is a public suffix",
        "answer nobody or listed or verified or everyone",
        "is not an authserv-id",
        "answer enforce or report",
    ] {
        assert!(output.contains(refusal), "{refusal} in {output}");
    }
    let config = load(&path);
    assert_eq!(config.hostname.as_str(), "gate.corp.com");
    assert_eq!(config.data_dir, Path::new("/srv/vestibule"));
    assert_eq!(config.site.name, "Corp \"Help\" GmbH");
    assert_eq!(config.site.language.as_str(), "de");
    assert_eq!(config.site.time_zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(config.site.contact.as_deref(), Some("+49 30 1234"));
    assert_eq!(config.http.public_url, "https://help.corp.com");
    let portal = &config.portals[0];
    assert_eq!(portal.name.as_str(), "it");
    assert_eq!(portal.title, "IT \"Help\"");
    assert_eq!(portal.addresses[0].to_string(), "help@corp.com");
    let from = &config.verification.from;
    assert_eq!(from.name.as_deref(), Some("IT \"Help\""));
    assert_eq!(from.email.to_string(), "no-reply@corp.com");
    assert!(
        matches!(&config.outgoing, Outgoing::Smtp(server, None) if server.host == "mx.corp.com" && server.port == 587)
    );
    let Some(Destination::Smtp(smtp)) = config.destinations.values().next() else {
        panic!("another destination");
    };
    assert_eq!(smtp.server.host, "desk.corp.com");
    let recipient = smtp.recipient.as_ref().map(ToString::to_string);
    assert_eq!(recipient.as_deref(), Some("queue@desk.corp.com"));
    let access = &config.access.site;
    assert_eq!(access.internal.approved_domains.len(), 2);
    assert!(access.external.allow_portal_only_accounts && access.external.restrict_domains);
    assert_eq!(access.external.allowed_domains.len(), 2);
    assert_eq!(
        config.authentication.authserv_id.as_deref(),
        Some("mx.corp.com")
    );
    assert_eq!(config.authentication.mode, Enforcement::Enforce);
}

#[test]
fn all_types_of_destination_can_be_chosen() {
    for (kind, place) in [
        ("smtp", "smtp://desk.corp.com"),
        ("maildir", "/var/mail/desk"),
        ("webhook", "https://desk.corp.com/hook"),
        ("webhook", "http://127.0.0.1:3000/hook"),
        ("command", "/usr/bin/true"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vestibule.toml");
        let options = [("destination", kind), ("destination-place", place)];
        init(&with_options(&path, &options), "")
            .0
            .expect("a configuration");
        let config = load(&path);
        let destination = config.destinations.values().next().expect("a destination");
        assert_eq!(destination.kind(), kind);
        let text = match destination {
            Destination::Smtp(smtp) => smtp.server.host.clone(),
            Destination::Maildir(maildir) => maildir.path.display().to_string(),
            Destination::Webhook(webhook) => webhook.endpoint.url.clone(),
            Destination::Command(command) => command.program.display().to_string(),
        };
        assert!(place.contains(&text), "{text}");
    }
}

#[test]
fn only_the_requested_senders_are_admitted() {
    for (others, (accounts, restrict, verify)) in [
        ("nobody", (false, false, false)),
        ("listed", (true, true, false)),
        ("verified", (true, false, true)),
        ("everyone", (true, false, false)),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vestibule.toml");
        init(&with_options(&path, &[("others", others)]), "")
            .0
            .expect("a configuration");
        let external = load(&path).access.site.external;
        assert_eq!(
            (
                external.allow_portal_only_accounts,
                external.restrict_domains,
                external.verify
            ),
            (accounts, restrict, verify),
            "{others}"
        );
    }
}

#[test]
fn a_maildir_is_in_the_data_folder_by_default() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.toml");
    let options = [("data-dir", "/srv/mail/"), ("destination", "maildir")];
    let (result, output) = init(&with_options(&path, &options), "");
    result.unwrap_or_else(|failure| panic!("{failure}: {output}"));
    let config = load(&path);
    let destination = config.destinations.values().next().expect("one");
    let Destination::Maildir(maildir) = destination else {
        panic!("{destination:?}");
    };
    assert_eq!(maildir.path, Path::new("/srv/mail/helpdesk"));
}

#[test]
fn an_invalid_or_inapplicable_option_is_named() {
    for (options, refusal) in [
        (&[("language", "xx")][..], "--language: there are no texts"),
        (&[("allow", "corp.com")], "--allow: needs --others listed"),
        (
            &[("destination", "maildir"), ("recipient", "a@corp.com")],
            "--recipient: needs --destination smtp",
        ),
        (
            &[("destination", "command"), ("destination-place", "true")],
            "--destination-place: \"true\" is not a full path",
        ),
        (&[("approve", "co.uk")], "--approve: \"co.uk\""),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vestibule.toml");
        let failure = init(&with_options(&path, options), "")
            .0
            .expect_err(refusal);
        assert!(matches!(&failure, CommandError::Usage(_)), "{failure:?}");
        assert!(failure.to_string().starts_with(refusal), "{failure}");
        assert!(!path.exists());
    }
}

#[test]
fn an_existing_file_is_kept_unless_forced() {
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
    load(&path);
    let mode = std::fs::metadata(&path)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn the_file_of_the_package_is_replaced_while_nobody_has_changed_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.toml");
    let shipped = include_str!("../../../config/vestibule.toml");
    std::fs::write(&path, shipped).expect("a file");
    init(&with_options(&path, &[("portal", "vpn")]), "")
        .0
        .expect("replaced");
    assert_eq!(load(&path).portals[0].name.as_str(), "vpn");
    let changed = format!("{shipped}\n# Mine.\n");
    std::fs::write(&path, &changed).expect("a file");
    let refusal = init(&with_options(&path, &[]), "").0.expect_err("changed");
    assert!(refusal.to_string().contains("--force"), "{refusal}");
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), changed);
}

#[test]
fn settings_of_a_database_stay_in_force_and_init_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.toml");
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("a folder");
    let args = with_options(&path, &[("data-dir", data.to_str().expect("text"))]);
    let (result, output) = init(&args, "");
    result.expect("a configuration");
    assert!(!output.contains("access apply"), "{output}");
    assert!(output.contains("Nobody may write yet"), "{output}");

    let config = load(&path);
    let store = crate::store::Store::open(&config.database()).expect("a database");
    let settings = config.access.clone();
    let seeded = crate::cli::wait(async {
        let now = crate::domain::Timestamp::now();
        assert!(store.seed_access(settings, now).await?);
        Ok(())
    });
    seeded.expect("a revision");
    drop(store);
    let args = Args {
        force: true,
        ..args
    };
    let (result, output) = init(&args, "");
    result.expect("a configuration");
    let advice = format!("vestibule access apply {}", path.display());
    assert!(
        output.contains("[access] in this file does not apply"),
        "{output}"
    );
    assert!(output.contains(&advice), "{output}");
    assert!(!output.contains("Nobody may write yet"), "{output}");
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

#[test]
fn the_first_operator_sees_the_rule_before_the_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.toml");
    let data = folder.path().join("data");
    let args = Args {
        yes: false,
        ..with_options(&path, &[("data-dir", data.to_str().expect("text"))])
    };
    let enter = "\n".repeat(18);
    let answers = format!(
        "{enter}ann\nshort\nfifteen letters or more\nnot the same one\ncorrect horse battery\ncorrect horse battery\n"
    );
    let (result, output) = init(&args, &answers);
    result.unwrap_or_else(|failure| panic!("{failure}: {output}"));
    let rule = output.find("at least 15 characters").expect(&output);
    let question = output.find("Password for ann").expect(&output);
    assert!(rule < question);
    assert!(output.contains("but this one has 5; try again"), "{output}");
    assert!(output.contains("do not match; try again"), "{output}");
    assert!(
        output.contains("ann may log in at http://127.0.0.1:8081/"),
        "{output}"
    );
    assert!(!output.contains("correct horse"), "{output}");
    let mode = std::fs::metadata(&data)
        .expect("a folder")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    let store = crate::store::Store::open_existing(&load(&path).database()).expect("a database");
    let operators = crate::cli::wait(async {
        let operators = store.operators(crate::domain::Timestamp::now()).await?;
        assert_eq!(operators.len(), 1);
        assert_eq!(operators[0].name.as_str(), "ann");
        Ok(())
    });
    operators.expect("one operator");
}
