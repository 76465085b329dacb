//! Tests that `check` contacts servers up to the login, sends nothing, and names the remedy for every obstacle.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;

use super::harness::Harness;
use crate::support::harness::wait_for;
use crate::support::program::{Ran, vestibule};

/// A port without a listener, below the ephemeral range.
const CLOSED: u16 = 1;

/// A certificate authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut made = CertificateParams::new(Vec::new()).expect("no names");
        made.distinguished_name.push(DnType::CommonName, name);
        made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = made.self_signed(&key).expect("a certificate").pem();
        Self {
            issuer: Issuer::new(made, key),
            pem,
        }
    }

    /// A certificate for a name, and its key.
    fn sign(&self, name: &str, is_over: bool) -> (Certificate, KeyPair) {
        let mut made = CertificateParams::new([name.to_owned()]).expect("a name");
        if is_over {
            made.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = made.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate, key)
    }

    /// TLS with a certificate for `localhost`.
    fn tls(&self, is_over: bool) -> Arc<ServerConfig> {
        let (certificate, key) = self.sign("localhost", is_over);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate and its key");
        Arc::new(config)
    }
}

/// Behaviour of a server.
#[derive(Clone)]
enum Manner {
    StartTls(Arc<ServerConfig>),
    /// TLS from the first byte.
    Wrapped(Arc<ServerConfig>),
    Plain,
    Refuses,
    /// Accepts the connection and stays silent.
    Silent,
}

/// A server and the commands that it received. Its threads end with the test's process.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Server {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let heard = Arc::new(Mutex::default());
        let ears = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (manner, ears) = (manner.clone(), Arc::clone(&ears));
                std::thread::spawn(move || serve(stream, &manner, &ears));
            }
        });
        Self { port, heard }
    }

    fn heard(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.clone()
    }
}

fn wrapped(stream: impl Stream + 'static, tls: &Arc<ServerConfig>) -> Box<dyn Stream> {
    let connection = rustls::ServerConnection::new(Arc::clone(tls)).expect("a session");
    Box::new(rustls::StreamOwned::new(connection, stream))
}

/// Runs until the client disconnects; a failed handshake is the client's to report.
fn serve(stream: TcpStream, manner: &Manner, heard: &Mutex<Vec<String>>) -> Option<()> {
    let stream: Box<dyn Stream> = match manner {
        Manner::Wrapped(tls) => wrapped(stream, tls),
        _ => Box::new(stream),
    };
    let mut stream = BufReader::new(stream);
    let say = |stream: &mut BufReader<Box<dyn Stream>>, text: &str| {
        stream.get_mut().write_all(text.as_bytes()).ok()?;
        stream.get_mut().flush().ok()
    };
    match manner {
        Manner::Silent => {
            std::io::copy(&mut stream, &mut std::io::sink()).ok()?;
            return None;
        }
        Manner::Refuses => say(&mut stream, "554 5.7.1 Not you\r\n")?,
        _ => say(&mut stream, "220 desk.corp.example ESMTP\r\n")?,
    }
    let mut in_clear = true;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        let note = |line: &str| {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.push(line.to_owned());
        };
        note(&line);
        let verb = line.split(' ').next().unwrap_or_default();
        match (verb, manner) {
            ("EHLO", Manner::StartTls(_)) if in_clear => {
                say(&mut stream, "250-desk.corp.example\r\n250 STARTTLS\r\n")?;
            }
            ("EHLO", _) => say(&mut stream, "250-desk.corp.example\r\n250 AUTH PLAIN\r\n")?,
            ("STARTTLS", Manner::StartTls(tls)) => {
                say(&mut stream, "220 2.0.0 Go on\r\n")?;
                stream = BufReader::new(wrapped(stream.into_inner(), tls));
                in_clear = false;
            }
            ("AUTH", _) => {
                let login = STANDARD.encode("\0ann\0secret");
                let answer = if line == format!("AUTH PLAIN {login}") {
                    "235 2.7.0 Welcome\r\n"
                } else {
                    "535 5.7.8 Authentication credentials invalid\r\n"
                };
                say(&mut stream, answer)?;
            }
            ("NOOP", _) => say(&mut stream, "250 2.0.0 Ok\r\n")?,
            ("QUIT", _) => return say(&mut stream, "221 2.0.0 Bye\r\n"),
            _ => say(&mut stream, "503 5.5.1 Only a test\r\n")?,
        }
    }
}

/// Findings of a command with these sections beside the portal, whose destination is `help_desk`. Servers are
/// contacted concurrently.
fn find(folder: &Path, authority: &Authority, command: &str, sections: &str) -> Vec<Value> {
    let path = |name: &str| folder.join(name);
    std::fs::write(path("authority.pem"), &authority.pem).expect("a file");
    std::fs::write(path("right"), "secret\n").expect("a file");
    std::fs::write(path("wrong"), "guessed\n").expect("a file");
    let configuration = format!(
        r#"
hostname = "gate.corp.example"
data_dir = "data"
[[portal]]
name = "it"
addresses = ["it-help@corp.example"]
destination = "desk"
[verification]
from = "no-reply@corp.example"
{sections}
"#
    );
    std::fs::write(path("vestibule.toml"), configuration).expect("a file");
    let mut checking = vestibule(folder);
    checking
        .args([command, "--json"])
        .env("VESTIBULE_CONFIG", path("vestibule.toml"))
        .env("SSL_CERT_FILE", path("authority.pem"));
    let ran = Ran::of(&mut checking);
    assert_eq!(ran.status, 1, "{}", ran.err);
    ran.lines()
}

fn found<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    findings
        .iter()
        .find(|finding| finding["check"] == check)
        .unwrap_or_else(|| panic!("{check} in {findings:#?}"))
}

fn has(finding: &Value, key: &str, text: &str) -> bool {
    finding[key].as_str().unwrap_or_default().contains(text)
}

fn destination(name: &str, url: &str, password: &str) -> String {
    format!(
        "[destination.{name}]\ntype = \"smtp\"\nurl = \"{url}\"\nusername = \"ann\"\n\
         password_file = \"{password}\"\n"
    )
}

#[test]
fn servers_are_contacted_up_to_the_login_and_each_obstacle_has_a_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("Corp");
    let good = authority.tls(false);
    let starttls = Server::start(Manner::StartTls(Arc::clone(&good)));
    let tls = Server::start(Manner::Wrapped(Arc::clone(&good)));
    let over = Server::start(Manner::Wrapped(authority.tls(true)));
    let stranger = Server::start(Manner::Wrapped(Authority::new("Somebody").tls(false)));
    let plain = Server::start(Manner::Plain);
    let refuses = Server::start(Manner::Refuses);

    let at = |scheme: &str, port: u16| format!("{scheme}://localhost:{port}");
    let misnamed = format!("smtps://127.0.0.1:{}", tls.port);
    // Name, section, password; then the finding, and the remedy if it is a problem.
    let cases = [
        (
            "desk",
            at("smtp+starttls", starttls.port),
            "right",
            "answers with STARTTLS and accepts the login",
            None,
        ),
        (
            "tls",
            at("smtps", tls.port),
            "right",
            "answers with TLS and accepts the login",
            None,
        ),
        (
            "password",
            at("smtps", tls.port),
            "wrong",
            "credentials invalid",
            Some("check that username"),
        ),
        (
            "stranger",
            at("smtps", stranger.port),
            "right",
            "UnknownIssuer",
            Some("update-ca-certificates"),
        ),
        (
            "misnamed",
            misnamed,
            "right",
            "not valid for name",
            Some("the name that is in the certificate"),
        ),
        (
            "over",
            at("smtps", over.port),
            "right",
            "expired",
            Some("renew the server's certificate"),
        ),
        (
            "no-starttls",
            at("smtp+starttls", plain.port),
            "right",
            "STARTTLS is not supported",
            Some("write smtps://"),
        ),
        (
            "no-tls",
            at("smtps", plain.port),
            "right",
            "corrupt message",
            Some("write smtp+starttls://"),
        ),
        (
            "refuses",
            at("smtp+starttls", refuses.port),
            "right",
            "Not you",
            Some("allow this machine on the server"),
        ),
        (
            "closed",
            at("smtps", CLOSED),
            "right",
            "refused",
            Some("check that the server is running"),
        ),
    ];
    let destinations = cases
        .iter()
        .map(|(name, url, password, ..)| destination(name, url, password));
    let outgoing = format!(
        "[outgoing]\ntype = \"smtp\"\nurl = \"smtp+starttls://localhost:{}\"\n\
         username = \"ann\"\npassword_file = \"right\"\n",
        starttls.port
    );
    let sections: String = destinations.chain([outgoing]).collect();
    // The time limit of a server may be too short for a machine under load.
    let findings = wait_for("an answer of every server", || {
        let findings = find(folder.path(), &authority, "check", &sections);
        let is_late = |finding: &Value| has(finding, "detail", "did not answer within");
        (!findings.iter().any(is_late)).then_some(findings)
    });
    for (name, _, _, said, remedy) in cases {
        let finding = found(&findings, &format!("destination.{name} (smtp)"));
        assert!(has(finding, "detail", said), "{said}: {finding}");
        assert!(has(finding, "detail", " port "), "{finding}");
        match remedy {
            None => assert_eq!(finding["state"], "ok", "{finding}"),
            Some(remedy) => {
                assert_eq!(finding["state"], "problem", "{finding}");
                assert!(has(finding, "remedy", remedy), "{remedy}: {finding}");
            }
        }
    }
    assert_eq!(found(&findings, "outgoing (smtp)")["state"], "ok");

    let heard = starttls.heard();
    assert!(heard.iter().any(|line| line == "STARTTLS"), "{heard:?}");
    for server in [&starttls, &tls, &over, &stranger, &plain, &refuses] {
        for line in server.heard() {
            let verb = line.split(' ').next().unwrap_or_default();
            let is_talk = ["EHLO", "STARTTLS", "AUTH", "NOOP", "QUIT"].contains(&verb);
            assert!(is_talk, "it was told {line:?}");
        }
    }
}

#[test]
fn a_silent_server_is_reported_after_the_time_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("Corp");
    let silent = Server::start(Manner::Silent);
    let url = format!("smtps://localhost:{}", silent.port);
    let sections = format!(
        "{}[outgoing]\ntype = \"file\"\ndir = \"letters\"\n",
        destination("desk", &url, "right")
    );
    let findings = find(folder.path(), &authority, "check", &sections);
    let finding = found(&findings, "destination.desk (smtp)");
    assert_eq!(finding["state"], "problem", "{finding}");
    assert!(
        has(finding, "detail", "did not answer within 10 s"),
        "{finding}"
    );
    assert!(has(finding, "detail", " port "), "{finding}");
    assert!(
        has(finding, "remedy", "check that the server is running"),
        "{finding}"
    );
}

/// `doctor` includes the checks of `check`: the certificate, the servers.
#[test]
fn doctor_reports_the_certificate_and_a_help_desk_that_is_down() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("Corp");
    let (certificate, key) = authority.sign("gate.corp.example", true);
    std::fs::write(folder.path().join("certificate.pem"), certificate.pem()).expect("a file");
    std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).expect("a file");
    let sections = format!(
        "[smtp.tls]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n\
         [destination.desk]\ntype = \"smtp\"\nurl = \"smtp://127.0.0.1:{CLOSED}\"\n\
         [outgoing]\ntype = \"file\"\ndir = \"letters\"\n"
    );
    let findings = find(folder.path(), &authority, "doctor", &sections);
    let finding = found(&findings, "smtp.tls");
    assert_eq!(finding["state"], "problem", "{finding}");
    assert!(
        has(finding, "detail", "it expired on 2020-01-01"),
        "{finding}"
    );
    assert!(
        has(finding, "remedy", "systemctl reload vestibule"),
        "{finding}"
    );
    let finding = found(&findings, "destination.desk (smtp)");
    assert_eq!(finding["state"], "problem", "{finding}");
    assert!(
        has(finding, "remedy", "check that the server is running"),
        "{finding}"
    );
}

#[test]
fn without_certificate_authorities_the_missing_package_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let nobody = Authority {
        pem: String::new(),
        ..Authority::new("Nobody")
    };
    let sections = "[destination.desk]\ntype = \"maildir\"\npath = \"desk\"\n\
                    [outgoing]\ntype = \"file\"\ndir = \"letters\"\n";
    let findings = find(folder.path(), &nobody, "check", sections);
    let finding = found(&findings, "authorities");
    assert_eq!(finding["state"], "problem", "{finding}");
    assert_eq!(finding["remedy"], "install ca-certificates", "{finding}");
}

/// Runs `check` with this program as `postconf` in PATH, or without one.
fn with_postconf(script: Option<&str>) -> Vec<Value> {
    let harness = Harness::new();
    let bin = tempfile::tempdir().expect("a folder");
    if let Some(script) = script {
        let program = bin.path().join("postconf");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("a program");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("its mode");
    }
    let path = bin.path().display().to_string();
    let arguments = ["check", "--offline", "--json"];
    Ran::of(harness.command(&arguments).env("PATH", &path)).lines()
}

#[test]
fn a_postfix_that_routes_by_local_parts_is_a_warning() {
    // Without an answer in time there is no warning.
    let finding = wait_for("the warning", || {
        let findings = with_postconf(Some("for name; do echo \"$name = yes\"; done"));
        let mut findings = findings.into_iter();
        findings.find(|finding| finding["check"] == "Postfix")
    });
    assert_eq!(finding["state"], "warning", "{finding}");
    assert!(
        has(
            &finding,
            "remedy",
            "postconf -e allow_percent_hack=no swap_bangpath=no"
        ),
        "{finding}"
    );
    for quiet in [
        Some("for name; do echo \"$name = no\"; done"),
        Some("for name; do echo \"$name = yes\"; done; exit 1"),
        Some("echo nonsense"),
        None,
    ] {
        let findings = with_postconf(quiet);
        assert!(
            findings.iter().all(|finding| finding["check"] != "Postfix"),
            "{quiet:?}: {findings:#?}"
        );
    }
}

#[test]
fn a_folder_of_outgoing_mail_of_another_user_is_a_warning() {
    const NOBODY: u32 = 65_534;
    for (owner, mode, is_warned_about) in [
        (Some(NOBODY), 0o755, true),
        (Some(NOBODY), 0o770, true),
        (Some(NOBODY), 0o700, false),
        (None, 0o755, false),
    ] {
        let harness = Harness::new();
        let folder = harness.path("letters");
        std::fs::create_dir_all(&folder).expect("a folder");
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&folder, mode).expect("its mode");
        std::os::unix::fs::chown(&folder, owner, None).expect("the tests run as root");
        let ran = harness.run(&["check", "--offline", "--json"]);
        let warned = ran.out.lines().any(|line| {
            let finding: Value = serde_json::from_str(line).expect(line);
            finding["state"] == "warning" && has(&finding, "detail", "other users can read it")
        });
        assert_eq!(warned, is_warned_about, "{}", ran.out);
    }
}
