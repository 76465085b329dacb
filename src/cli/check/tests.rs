mod access;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use jiff::{Span, Timestamp, ToSpan};
use rustls_pki_types::CertificateDer;

use super::*;
use crate::store::DiskSpace;

const OFFLINE: Args = Args { offline: true };
const ONLINE: Args = Args { offline: false };

/// A configuration in its own folder, with unused ports.
struct Trial(tempfile::TempDir);

impl Trial {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn config(&self, smtp: SocketAddr, destination: &str) -> Config {
        let text = format!(
            r#"
hostname = "gate.corp.example"
data_dir = "data"
[smtp]
listen = ["{smtp}"]
[http]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
public_url = "https://gate.corp.example"
[[portal]]
name = "it"
addresses = ["it@corp.example"]
destination = "desk"
[destination.desk]
{destination}
[verification]
from = "no-reply@corp.example"
[outgoing]
type = "file"
dir = "outgoing"
"#
        );
        std::fs::create_dir_all(self.0.path().join("data")).expect("a folder");
        Config::parse(&text, &self.0.path().join("vestibule.toml"))
            .unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn found<'f>(findings: &'f [Finding], check: &str) -> &'f Finding {
    findings
        .iter()
        .find(|finding| finding.check == check)
        .unwrap_or_else(|| panic!("{check} in {findings:#?}"))
}

#[test]
fn a_usable_configuration_has_no_other_findings() {
    let trial = Trial::new();
    let mut config = trial.config(any_port(), "type = \"maildir\"\npath = \"desk\"");
    config.access.site.external.verify = true;
    let findings = of(&config, OFFLINE);
    assert!(
        findings.iter().all(|finding| finding.state == State::Ok),
        "{findings:#?}"
    );
    assert!(found(&findings, "data_dir").detail.contains("free"));
    assert!(!has_problem(&findings));
    assert!(
        !trial.0.path().join("desk").exists(),
        "nothing is left behind"
    );
}

#[test]
fn missing_and_inaccessible_files_are_problems_with_a_remedy() {
    let trial = Trial::new();
    let script = trial.0.path().join("script");
    std::fs::write(&script, "#!/bin/sh\n").expect("a file");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o644)).expect("a mode");
    let mut config = trial.config(any_port(), "type = \"command\"\nprogram = \"./script\"");
    config.data_dir = trial.0.path().join("nowhere/data");
    let findings = of(&config, OFFLINE);
    for (check, detail) in [
        ("data_dir", "does not exist"),
        ("destination.desk (command)", "cannot be run"),
    ] {
        let finding = found(&findings, check);
        assert_eq!(finding.state, State::Problem);
        assert!(finding.detail.contains(detail), "{finding:?}");
        assert!(finding.remedy.is_some());
    }
    assert!(has_problem(&findings));
}

#[test]
fn a_data_folder_that_the_start_creates_is_not_a_problem() {
    let trial = Trial::new();
    let config = trial.config(any_port(), "type = \"maildir\"\npath = \"data/desk\"");
    std::fs::remove_dir(&config.data_dir).expect("its folder");
    let findings = of(&config, OFFLINE);
    let finding = found(&findings, "data_dir");
    assert_eq!(finding.state, State::Warning);
    assert!(finding.detail.contains("does not exist"), "{finding:?}");
    assert!(!has_problem(&findings));
}

#[test]
fn a_disk_that_fills_up_is_reported_before_it_is_full() {
    const MIB: u64 = 1 << 20;
    let total = 1 << 40;
    for (available, state, remedy) in [
        (2000 * MIB, State::Ok, None),
        (1000 * MIB, State::Warning, Some("shorten [retention]")),
        (49 * MIB, State::Problem, Some("mail is refused")),
        (0, State::Problem, Some("free some space")),
    ] {
        let space = DiskSpace { total, available };
        let finding = resources::room("data_dir", String::new(), space, 50 * MIB);
        assert_eq!(finding.state, state, "{available}: {finding:?}");
        let said = finding.remedy.as_deref();
        let fits = match remedy {
            Some(remedy) => said.is_some_and(|said| said.contains(remedy)),
            None => said.is_none(),
        };
        assert!(fits, "{available}: {finding:?}");
    }
    let trial = Trial::new();
    let config = trial.config(any_port(), "type = \"maildir\"\npath = \"desk\"");
    let space = DiskSpace {
        total,
        available: 0,
    };
    let least = resources::least_space(&config, space);
    assert_eq!(least, (512 + 2 * 25) * MIB, "the reserve and a message");
}

/// A server that occupies a port and greets every client with this text.
fn greeter(greeting: &'static str) -> SocketAddr {
    server(greeting, "250 desk.corp.example\r\n")
}

/// The same with another reply to EHLO. STARTTLS is refused even if it is offered.
fn server(greeting: &'static str, offers: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(any_port()).expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().expect("the stream"));
            let mut stream = stream;
            let mut say = |text: &str| stream.write_all(text.as_bytes());
            let mut answer = say(greeting);
            let mut line = String::new();
            while answer.is_ok() && lines.read_line(&mut line).is_ok_and(|octets| octets > 0) {
                answer = say(match line.get(..4) {
                    Some("EHLO") => offers,
                    Some("NOOP") => "250 2.0.0 Ok\r\n",
                    Some("QUIT") => "221 2.0.0 Bye\r\n",
                    _ => "503 5.5.1 Only a test\r\n",
                });
                line.clear();
            }
        }
    });
    address
}

#[test]
fn a_port_may_already_be_our_own() {
    let trial = Trial::new();
    for (greeting, state, said) in [
        (
            "220 gate.corp.example ESMTP Vestibule\r\n",
            State::Ok,
            "the running Vestibule",
        ),
        (
            "220 mx.corp.example ESMTP\r\n",
            State::Problem,
            "another program",
        ),
    ] {
        let config = trial.config(greeter(greeting), "type = \"maildir\"\npath = \"desk\"");
        let findings = of(&config, OFFLINE);
        let finding = found(&findings, "smtp.listen");
        assert_eq!(finding.state, state, "{finding:?}");
        assert!(finding.detail.contains(said), "{finding:?}");
    }
}

#[test]
fn servers_are_contacted_unless_offline() {
    let trial = Trial::new();
    let there = greeter("220 desk.corp.example ESMTP\r\n");
    // Below the ephemeral range, so that no other test listens on it.
    let closed = SocketAddr::from(([127, 0, 0, 1], 1));
    let refusing = greeter("554 5.7.1 Not you\r\n");
    let without_key = server(
        "220 desk.corp.example ESMTP\r\n",
        "250-desk.corp.example\r\n250 STARTTLS\r\n",
    );
    let check = "destination.desk (smtp)";
    for (scheme, server, state, said) in [
        ("smtp", there, State::Ok, "answers without TLS"),
        ("smtp+starttls", there, State::Problem, "STARTTLS"),
        ("smtp+opportunistic", there, State::Ok, "with TLS if"),
        ("smtp+starttls", without_key, State::Problem, "Only a test"),
        (
            "smtp+opportunistic",
            without_key,
            State::Warning,
            "plain text: permanent error (503): 5.5.1 Only",
        ),
        ("smtp", closed, State::Problem, "refused"),
        ("smtp", refusing, State::Problem, "Not you"),
    ] {
        let destination = format!("type = \"smtp\"\nurl = \"{scheme}://{server}\"");
        let config = trial.config(any_port(), &destination);
        let findings = of(&config, ONLINE);
        let finding = found(&findings, check);
        assert_eq!(finding.state, state, "{finding:?}");
        assert!(finding.detail.contains(said), "{finding:?}");
        assert!(
            of(&config, OFFLINE)
                .iter()
                .all(|finding| finding.check != check)
        );
    }
    let destination =
        format!("type = \"webhook\"\nallow_private = true\nurl = \"http://{closed}/\"");
    let findings = of(&trial.config(any_port(), &destination), ONLINE);
    assert_eq!(
        found(&findings, "destination.desk (webhook)").state,
        State::Problem
    );
}

#[test]
fn a_certificate_is_judged_by_its_dates_and_names() {
    let now = Timestamp::now();
    let hours = |hours: i64| hours.hours();
    for (begin, end, hostname, state, said) in [
        (
            hours(-1),
            hours(24 * 90 + 1),
            "gate.corp.example",
            State::Ok,
            "for 90 more days",
        ),
        (
            hours(-1),
            hours(24 * 5 + 1),
            "gate.corp.example",
            State::Warning,
            "for 5 more days",
        ),
        (
            hours(-48),
            hours(-24),
            "gate.corp.example",
            State::Problem,
            "expired on",
        ),
        (
            hours(24),
            hours(48),
            "gate.corp.example",
            State::Problem,
            "not valid before",
        ),
        (
            hours(-1),
            hours(24 * 90),
            "mx.corp.example",
            State::Warning,
            "not for mx.corp.example",
        ),
    ] {
        let der = certificate_of(now, begin, end);
        let finding = certificate::judge("smtp.tls", &der, hostname, now);
        assert_eq!(finding.state, state, "{finding:?}");
        assert!(finding.detail.contains(said), "{finding:?}");
        let has_remedy = finding.remedy.is_some_and(|remedy| !remedy.is_empty());
        assert_eq!(has_remedy, state != State::Ok);
    }
}

fn certificate_of(now: Timestamp, begin: Span, end: Span) -> CertificateDer<'static> {
    let mut made = rcgen::CertificateParams::new(["gate.corp.example".to_owned()]).expect("a name");
    let date = |span: Span| {
        let seconds = (now + span).as_second().unsigned_abs();
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    made.not_before = date(begin);
    made.not_after = date(end);
    let key = rcgen::KeyPair::generate().expect("a key");
    made.self_signed(&key).expect("a certificate").der().clone()
}

#[test]
fn the_table_is_aligned_and_json_is_one_object_a_line() {
    let findings = [
        Finding::ok("data_dir", "fine"),
        Finding::problem("http.listen", "taken", "choose another"),
    ];
    let shown = |json| {
        let mut out = Vec::new();
        show(&findings, json, None, &mut out).expect("memory");
        String::from_utf8(out).expect("text")
    };
    assert_eq!(
        shown(false),
        "ok       data_dir     fine\n\
         PROBLEM  http.listen  taken\n\
        \x20                     → choose another\n"
    );
    assert_eq!(
        shown(true),
        "{\"check\":\"data_dir\",\"state\":\"ok\",\"detail\":\"fine\",\"remedy\":null}\n\
         {\"check\":\"http.listen\",\"state\":\"problem\",\"detail\":\"taken\",\"remedy\":\"choose another\"}\n"
    );
}

#[test]
fn unintended_settings_that_work_are_warnings() {
    let trial = Trial::new();
    let config = trial.config(
        any_port(),
        "type = \"maildir\"\npath = \"desk\"\n[destination.other]\ntype = \"maildir\"\npath = \"other\"\n\
         [access]\ninternal.approved_domains = [\"gmail.com\"]\n",
    );
    let config = Config {
        http: crate::config::Http {
            public_url: "http://127.0.0.1:8080".to_owned(),
            ..config.http.clone()
        },
        ..config
    };
    let findings = of(&config, OFFLINE);
    for check in ["http.public_url", "destination.other", "access"] {
        assert_eq!(found(&findings, check).state, State::Warning);
    }
    assert!(!has_problem(&findings));
}

#[test]
fn details_and_remedies_are_wrapped_at_the_width_of_the_terminal() {
    let finding = Finding::warning(
        "http.public_url",
        "links in mail begin with http://127.0.0.1:8080, which only this machine can reach",
        "set http.public_url to the https:// address under which people reach the pages",
    );
    for width in [60, 49, 40] {
        let mut out = Vec::new();
        show(std::slice::from_ref(&finding), false, Some(width), &mut out).expect("memory");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(
            text.lines().count(),
            if width == 60 { 6 } else { 7 },
            "{text}"
        );
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{line}");
        }
    }
}
