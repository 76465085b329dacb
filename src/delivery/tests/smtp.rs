//! Tests of the SMTP destination: every fault of the table, the envelope, kept connections, exact bytes.

use std::time::Duration;

use serde::Deserialize;

use super::fault_server::{FaultServer, ServerFault};
use super::*;
use crate::config::{
    EnvelopeFrom, PasswordLogin, RetrySchedule, SmtpDestination, SmtpSecurity, SmtpServer,
};
use crate::delivery::destinations::smtp::{SmtpClient, Timeouts};
use crate::domain::EmailAddress;

/// Timeouts that are generous enough for a machine under load.
const TIMEOUT: Timeouts = {
    let time = Duration::from_mins(5);
    Timeouts {
        connect: time,
        command: time,
        message: time,
    }
};

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    at: String,
    #[serde(default)]
    does: String,
    security: Option<String>,
    #[serde(default)]
    verify: bool,
    #[serde(default)]
    login: bool,
    #[serde(flatten)]
    expected: Expected,
}

fn destination(port: u16) -> SmtpDestination {
    SmtpDestination {
        server: SmtpServer {
            host: "127.0.0.1".to_owned(),
            port,
            security: SmtpSecurity::None,
            tls_verify: false,
        },
        login: None,
        recipient: None,
        envelope_from: EnvelopeFrom::Null,
        concurrency: 2,
        retry: RetrySchedule::default(),
    }
}

fn client(config: &SmtpDestination) -> SmtpClient {
    SmtpClient::new(config, &hostname(), TIMEOUT)
}

async fn run(case: &Case) -> Option<String> {
    let security = match case.security.as_deref() {
        None => SmtpSecurity::None,
        Some("opportunistic") => SmtpSecurity::Opportunistic,
        Some("starttls") => SmtpSecurity::StartTls,
        Some("tls") => SmtpSecurity::Tls,
        Some(other) => panic!("{}: {other}", case.name),
    };
    let fault = ServerFault {
        at: case.at.clone(),
        does: case.does.clone(),
    };
    let server = FaultServer::start(fault, security == SmtpSecurity::Tls).await;
    let mut config = destination(server.address.port());
    config.server.security = security;
    config.server.tls_verify = case.verify;
    config.login = case.login.then(|| PasswordLogin {
        user: "ann".to_owned(),
        password: "secret".to_owned().into(),
    });
    let client = client(&config);
    let outgoing = outgoing();
    let attempt = client.attempt(&outgoing);
    let attempt = if case.does == "hang" {
        leave_hanging(attempt, server.hangs()).await
    } else {
        attempt.await
    };
    case.expected.differs_from(&attempt)
}

#[tokio::test]
async fn every_fault_has_its_outcome() {
    let table: Table<Case> =
        toml::from_str(include_str!("../../../testdata/faults/smtp.toml")).expect("a table");
    let mut wrong = Vec::new();
    for case in &table.case {
        if let Some(found) = run(case).await {
            wrong.push(format!("{}: {found}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_message_arrives_byte_for_byte_over_a_kept_connection() {
    let server = FaultServer::start(ServerFault::default(), false).await;
    let client = client(&destination(server.address.port()));
    let outgoing = outgoing();
    for _ in 0..3 {
        assert_eq!(client.attempt(&outgoing).await, AttemptOutcome::Delivered);
    }
    assert_eq!(server.connections(), 1);
    for taken in server.take_all() {
        assert_eq!(taken.message, whole(&outgoing).await);
        assert_eq!(taken.mail, "MAIL FROM:<> BODY=8BITMIME");
        assert_eq!(taken.rcpt, "RCPT TO:<it-help@corp.example>");
    }
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closed_is_not_a_failure() {
    let server = FaultServer::start(
        ServerFault {
            at: "dot".to_owned(),
            does: "250 2.0.0 queued\r\n421 4.3.2 bye".to_owned(),
        },
        false,
    )
    .await;
    let client = client(&destination(server.address.port()));
    for _ in 0..2 {
        assert_eq!(client.attempt(&outgoing()).await, AttemptOutcome::Delivered);
    }
    assert_eq!(server.connections(), 2);
    assert_eq!(server.take_all().len(), 2);
}

/// Another address of the server is tried first next time.
#[tokio::test]
async fn an_address_is_remembered_if_it_is_not_ready_for_a_message() {
    for (security, at, is_unready) in [
        (SmtpSecurity::None, "greeting", true),
        (SmtpSecurity::None, "EHLO", true),
        (SmtpSecurity::StartTls, "STARTTLS", true),
        // Plain text will do.
        (SmtpSecurity::Opportunistic, "STARTTLS", false),
        (SmtpSecurity::None, "MAIL", false),
        (SmtpSecurity::None, "", false),
    ] {
        let fault = ServerFault {
            at: at.to_owned(),
            does: "454 4.3.2 later".to_owned(),
        };
        let server = FaultServer::start(fault, false).await;
        let mut config = destination(server.address.port());
        config.server.security = security;
        let client = client(&config);
        client.attempt(&outgoing()).await;
        let unready = client.addresses().unready();
        let is_there = unready.contains(&server.address);
        assert_eq!(is_there, is_unready, "{security:?}, {at}");
    }
}

#[tokio::test]
async fn the_envelope_is_as_configured() {
    let address = |text| EmailAddress::parse(text).expect("an address");
    let verp = EnvelopeFrom::Verp("desk+".to_owned(), "@corp.example".to_owned());
    let outgoing = outgoing();
    let returns = format!("<desk+{}@corp.example>", outgoing.claim().request());
    for (envelope_from, recipient, mail, rcpt) in [
        (EnvelopeFrom::Null, None, "<>", "<it-help@corp.example>"),
        (
            EnvelopeFrom::Sender,
            None,
            "<ann@corp.example>",
            "<it-help@corp.example>",
        ),
        (
            EnvelopeFrom::Address(address("gate@corp.example")),
            Some(address("queue@desk.internal.example")),
            "<gate@corp.example>",
            "<queue@desk.internal.example>",
        ),
        (verp, None, returns.as_str(), "<it-help@corp.example>"),
    ] {
        let server = FaultServer::start(ServerFault::default(), false).await;
        let mut config = destination(server.address.port());
        config.envelope_from = envelope_from;
        config.recipient = recipient;
        assert_eq!(
            client(&config).attempt(&outgoing).await,
            AttemptOutcome::Delivered
        );
        let taken = server.take_all();
        assert_eq!(taken[0].mail, format!("MAIL FROM:{mail} BODY=8BITMIME"));
        assert_eq!(taken[0].rcpt, format!("RCPT TO:{rcpt}"));
    }
}

#[tokio::test]
async fn smtputf8_is_requested_if_needed() {
    let server = FaultServer::start(ServerFault::default(), false).await;
    let client = client(&destination(server.address.port()));
    let mut claim = Claim::for_testing();
    claim.envelope.smtputf8 = true;
    for raw in [
        "Subject: caf\u{e9}\r\n\r\nx\r\n",
        "Subject: x\r\n\r\ncaf\u{e9}\r\n",
    ] {
        let outgoing = Arc::new(OutgoingMessage::in_memory(
            claim.clone(),
            raw.into(),
            &hostname(),
        ));
        assert_eq!(client.attempt(&outgoing).await, AttemptOutcome::Delivered);
    }
    claim.recipient = "h\u{fc}lfe@corp.example".to_owned();
    let outgoing = Arc::new(OutgoingMessage::in_memory(
        claim,
        b"A: b\r\n\r\nx\r\n".to_vec(),
        &hostname(),
    ));
    assert_eq!(client.attempt(&outgoing).await, AttemptOutcome::Delivered);
    let mails: Vec<String> = server
        .take_all()
        .into_iter()
        .map(|taken| taken.mail)
        .collect();
    assert_eq!(
        mails,
        [
            "MAIL FROM:<> BODY=8BITMIME SMTPUTF8",
            "MAIL FROM:<> BODY=8BITMIME",
            "MAIL FROM:<> SMTPUTF8"
        ]
    );
}
