//! Tests against a real SMTP server of another implementation: mailin-embedded. It accepts no null
//! reverse-path, so this mail has a return address.

mod addresses;
mod idle;
mod injection;
mod tls;
mod xoauth2;

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex};

use lettre::address::{Address, Envelope};
use mailin_embedded::{Handler, Response, Server as Mailin, SslConfig, response};

use super::*;
use crate::config::SmtpSecurity;
use crate::domain::MailId;
use crate::outbound::Scope;

/// Received mail, and one reply for each local part that is refused.
#[derive(Clone, Default)]
struct Sink {
    content: Vec<u8>,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    greetings: Arc<Mutex<usize>>,
}

impl Handler for Sink {
    fn helo(&mut self, _: IpAddr, _: &str) -> Response {
        *self.greetings.lock().expect("a lock") += 1;
        response::OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        match to.split('@').next() {
            Some("451") => Response::custom(451, "4.7.1 later".to_owned()),
            Some("550") => Response::custom(550, "5.1.1 nobody".to_owned()),
            _ => response::OK,
        }
    }

    fn data(&mut self, line: &[u8]) -> std::io::Result<()> {
        self.content.extend_from_slice(line);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let content = std::mem::take(&mut self.content);
        self.received.lock().expect("a lock").push(content);
        response::OK
    }
}

/// Starts the server on a free port; it lives as long as the test.
fn sink(ssl: SslConfig) -> (Sink, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let sink = Sink::default();
    let mut server = Mailin::new(sink.clone());
    server
        .with_name("sink.example")
        .with_ssl(ssl)
        .expect("a certificate")
        .with_num_threads(4)
        .with_tcp_listener(listener);
    std::thread::spawn(move || {
        server.serve().expect("a server that runs");
    });
    (sink, port)
}

pub(super) fn post(port: u16, security: SmtpSecurity, tls_verify: bool) -> MailTransport {
    let server = SmtpServer {
        host: "localhost".to_owned(),
        port,
        security,
        tls_verify,
    };
    let hostname = Domain::parse("gate.corp.example").expect("a domain");
    MailTransport::new(&Outgoing::Smtp(server, None), &hostname, 16).expect("a way out")
}

pub(super) fn mail(to: &str) -> ComposedMail {
    let address = |text: &str| text.parse::<Address>().expect("an address");
    ComposedMail {
        id: MailId::new(),
        envelope: Envelope::new(Some(address("return@corp.example")), vec![address(to)])
            .expect("a recipient"),
        content: b"Subject: x\r\n\r\nline\r\n.dot\r\n".to_vec(),
    }
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written_and_the_connection_is_used_again() {
    let (sink, port) = sink(SslConfig::None);
    let way_out = post(port, SmtpSecurity::None, true);
    for _ in 0..3 {
        assert_eq!(
            way_out.send(&mail("ann@corp.example")).await,
            AttemptOutcome::Delivered
        );
    }
    assert_eq!(*sink.greetings.lock().expect("a lock"), 1);
    way_out.close_idle().await;
    assert_eq!(
        way_out.send(&mail("ann@corp.example")).await,
        AttemptOutcome::Delivered
    );
    assert_eq!(*sink.greetings.lock().expect("a lock"), 2);
    let received = sink.received.lock().expect("a lock");
    assert_eq!(received.len(), 4);
    assert!(String::from_utf8_lossy(&received[0]).starts_with("Subject: x\r\n\r\nline\r\n"));
}

#[tokio::test]
async fn the_reply_of_the_server_decides() {
    let (_sink, port) = sink(SslConfig::None);
    let way_out = post(port, SmtpSecurity::None, true);
    let later = way_out.send(&mail("451@corp.example")).await;
    assert!(
        matches!(&later, AttemptOutcome::Retry(cause) if cause.text.contains("4.7.1")),
        "{later:?}"
    );
    let never = way_out.send(&mail("550@corp.example")).await;
    assert!(
        matches!(&never, AttemptOutcome::Refused(cause) if cause.text.contains("5.1.1")),
        "{never:?}"
    );
    assert_eq!(
        way_out.send(&mail("ann@corp.example")).await,
        AttemptOutcome::Delivered
    );
    let unfit = way_out.send(&mail("dörte@corp.example")).await;
    assert!(
        matches!(unfit, AttemptOutcome::Refused(_)),
        "no SMTPUTF8 there: {unfit:?}"
    );
}

/// A server that speaks as scripted, one reply to the greeting and to each command, and to the content; an
/// empty reply closes the connection. Returns its port.
fn scripted(replies: &'static [&'static str]) -> u16 {
    scripted_connections(vec![replies])
}

/// A server with a script for each of its connections, one after the other.
fn scripted_connections(scripts: Vec<&'static [&'static str]>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for replies in scripts {
            let (stream, _) = listener.accept().expect("a client");
            speak(&stream, replies);
        }
    });
    port
}

fn speak(mut stream: &std::net::TcpStream, replies: &[&str]) {
    let mut lines = BufReader::new(stream).lines();
    for reply in replies {
        if reply.is_empty() {
            return;
        }
        stream.write_all(reply.as_bytes()).expect("written");
        let in_content = reply.starts_with("354");
        let mut received = lines.by_ref().map_while(Result::ok);
        let _ = received.find(|line| !in_content || line == ".");
    }
}

#[tokio::test]
async fn after_the_content_only_a_reply_tells_the_outcome() {
    const OK: &str = "250 ok\r\n";
    const GO: &str = "354 go\r\n";
    let hello = "220 here\r\n";
    let outcome = async |replies| {
        let port = scripted(replies);
        post(port, SmtpSecurity::None, true)
            .send(&mail("ann@corp.example"))
            .await
    };
    // Greeting, EHLO, MAIL, RCPT, DATA, the content.
    let attempt = outcome(vec![hello, OK, OK, OK, ""].leak()).await;
    assert!(matches!(&attempt, AttemptOutcome::Retry(_)), "{attempt:?}");
    for silent in ["", "354 again\r\n", "nonsense\r\n"] {
        let attempt = outcome(vec![hello, OK, OK, OK, GO, silent].leak()).await;
        let AttemptOutcome::Unknown(_) = &attempt else {
            panic!("{silent:?}: {attempt:?}");
        };
        assert!(attempt.destination_failure().is_some());
    }
    let attempt = outcome(vec![hello, OK, OK, OK, GO, "451 later\r\n"].leak()).await;
    assert!(matches!(&attempt, AttemptOutcome::Retry(_)), "{attempt:?}");
    let attempt = outcome(vec![hello, OK, OK, OK, GO, "554 no\r\n"].leak()).await;
    assert!(matches!(&attempt, AttemptOutcome::Retry(_)), "{attempt:?}");
    let attempt = outcome(vec![hello, OK, OK, OK, GO, OK].leak()).await;
    assert_eq!(attempt, AttemptOutcome::Delivered);
}

#[tokio::test]
async fn only_an_address_that_does_not_exist_is_refused_for_good() {
    const HELLO: &str = "220 here\r\n";
    const OK: &str = "250 ok\r\n";
    const GO: &str = "354 go\r\n";
    // Greeting, EHLO, MAIL, RCPT, DATA, the content.
    let before = [HELLO, OK, OK, OK, GO];
    for (step, reply, scope) in [
        (0, "554 5.7.1 no\r\n", Scope::Destination),
        (2, "550 5.7.1 no\r\n", Scope::Destination),
        (2, "550 5.1.1 no\r\n", Scope::Destination),
        (2, "451 4.3.0 later\r\n", Scope::Destination),
        (2, "530 5.7.0 log in\r\n", Scope::Destination),
        (3, "530 5.7.0 log in\r\n", Scope::Destination),
        (3, "554 5.7.1 relay denied\r\n", Scope::Request),
        (3, "550 no\r\n", Scope::Request),
        (3, "550 4.1.1 no\r\n", Scope::Request),
        // The sender is unknown, says Postfix with smtpd_delay_reject.
        (3, "550 5.1.0 no\r\n", Scope::Request),
        (3, "550 5.1.8 no\r\n", Scope::Request),
        (3, "552 5.2.2 full\r\n", Scope::Request),
        (3, "450 4.1.1 later\r\n", Scope::Request),
        (3, "450 5.1.1 later\r\n", Scope::Request),
        (3, "550 5.1.1 nobody\r\n", Scope::Recipient),
        (3, "550 No such user here\r\n", Scope::Recipient),
        (3, "550 Sender refused: user unknown\r\n", Scope::Request),
        (
            3,
            "550-5.1.1 nobody\r\n550 5.1.1 here\r\n",
            Scope::Recipient,
        ),
        (4, "554 5.5.1 no\r\n", Scope::Request),
        (4, "550 5.1.1 nobody\r\n", Scope::Request),
        (5, "554 5.7.1 spam\r\n", Scope::Request),
        (5, "550 5.1.1 nobody\r\n", Scope::Request),
    ] {
        let mut replies = before[..step].to_vec();
        replies.push(reply);
        let port = scripted(replies.leak());
        let attempt = post(port, SmtpSecurity::None, true)
            .send(&mail("ann@corp.example"))
            .await;
        let (cause, is_refused) = match &attempt {
            AttemptOutcome::Retry(cause) => (cause, false),
            AttemptOutcome::Refused(cause) => (cause, true),
            other => panic!("{step} {reply:?}: {other:?}"),
        };
        assert_eq!(cause.scope, scope, "{step} {reply:?}: {cause:?}");
        assert_eq!(is_refused, scope == Scope::Recipient, "{step} {reply:?}");
        let is_failure = attempt.destination_failure().is_some();
        assert_eq!(is_failure, scope == Scope::Destination, "{step} {reply:?}");
    }
}

#[tokio::test]
async fn one_refused_recipient_does_not_affect_the_others() {
    let (sink, port) = sink(SslConfig::None);
    let way_out = post(port, SmtpSecurity::None, true);
    let to = ["550@corp.example", "ann@corp.example", "550@corp.example"];
    let to = to.map(|to| to.parse::<Address>().expect("an address"));
    for (count, arrived) in [(1, 0), (2, 1), (3, 2)] {
        let mut mail = mail("ann@corp.example");
        let from = mail.envelope.from().cloned();
        mail.envelope = Envelope::new(from, to[..count].to_vec()).expect("recipients");
        let attempt = way_out.send(&mail).await;
        assert_eq!(
            attempt == AttemptOutcome::Delivered,
            count > 1,
            "{attempt:?}"
        );
        assert_eq!(sink.received.lock().expect("a lock").len(), arrived);
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_temporary_failure() {
    // A port below the ephemeral range, so that no other process takes it meanwhile.
    let attempt = post(1, SmtpSecurity::None, true)
        .send(&mail("ann@corp.example"))
        .await;
    assert!(matches!(attempt, AttemptOutcome::Retry(_)), "{attempt:?}");
}

#[tokio::test]
async fn starttls_is_required_where_configured_and_the_certificate_checked() {
    let (_plain, port) = sink(SslConfig::None);
    let attempt = post(port, SmtpSecurity::StartTls, false)
        .send(&mail("ann@corp.example"))
        .await;
    assert!(
        matches!(attempt, AttemptOutcome::Retry(_)),
        "never in the clear: {attempt:?}"
    );

    // mailin-embedded uses the provider of the process; another test may have set it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a key");
    let (cert_path, key_path) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&cert_path, key.cert.pem()).expect("writable");
    std::fs::write(&key_path, key.signing_key.serialize_pem()).expect("writable");
    let (sink, port) = sink(SslConfig::SelfSigned {
        cert_path: cert_path.display().to_string(),
        key_path: key_path.display().to_string(),
    });
    let attempt = post(port, SmtpSecurity::StartTls, true)
        .send(&mail("ann@corp.example"))
        .await;
    assert!(
        matches!(attempt, AttemptOutcome::Retry(_)),
        "nobody vouches for it: {attempt:?}"
    );
    assert!(sink.received.lock().expect("a lock").is_empty());
    let attempt = post(port, SmtpSecurity::StartTls, false)
        .send(&mail("ann@corp.example"))
        .await;
    assert_eq!(attempt, AttemptOutcome::Delivered);
    assert_eq!(sink.received.lock().expect("a lock").len(), 1);
}

#[tokio::test]
async fn opportunistic_tls_that_fails_does_not_keep_the_mail_back() {
    const HELLO: &str = "220 here\r\n";
    const OFFER: &str = "250-here\r\n250 STARTTLS\r\n";
    const OK: &str = "250 ok\r\n";
    // As Postfix answers without a usable key.
    const NO_TLS: &[&str] = &[HELLO, OFFER, "454 4.7.0 TLS not available\r\n"];
    const ACCEPTED: &[&str] = &[HELLO, OFFER, OK, OK, "354 go\r\n", OK];
    for (security, is_delivered) in [
        (SmtpSecurity::Opportunistic, true),
        (SmtpSecurity::StartTls, false),
    ] {
        let port = scripted_connections(vec![NO_TLS, ACCEPTED]);
        let attempt = post(port, security, true)
            .send(&mail("ann@corp.example"))
            .await;
        assert_eq!(
            attempt == AttemptOutcome::Delivered,
            is_delivered,
            "{attempt:?}"
        );
    }
}

#[tokio::test]
async fn a_folder_gets_one_whole_file_for_each_mail() {
    let folder = tempfile::tempdir().expect("a folder");
    let inside = folder.path().join("made/when/needed");
    let hostname = Domain::parse("gate.corp.example").expect("a domain");
    let post =
        MailTransport::new(&Outgoing::File(inside.clone()), &hostname, 16).expect("a way out");
    let mail = mail("ann@corp.example");
    assert_eq!(post.send(&mail).await, AttemptOutcome::Delivered);
    let names: Vec<_> = std::fs::read_dir(&inside)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(
        names,
        [std::ffi::OsString::from(format!("{}.eml", mail.id))]
    );
    let content = std::fs::read(inside.join(&names[0])).expect("the file");
    assert_eq!(content, mail.content);
}
