//! Tests of idle connections that the server closes, or that no longer answer.

use std::pin::pin;

use tokio::sync::mpsc;

use super::*;

const HELLO: &str = "220 here\r\n";
const OK: &str = "250 ok\r\n";
const GO: &str = "354 go\r\n";
/// Greeting, EHLO, MAIL, RCPT, DATA, the content.
const ACCEPTED: &[&str] = &[HELLO, OK, OK, OK, GO, OK];

/// One mail is accepted, and the next MAIL gets this reply.
fn accepted_and(reply: &'static str) -> &'static [&'static str] {
    ACCEPTED
        .iter()
        .copied()
        .chain([reply])
        .collect::<Vec<_>>()
        .leak()
}

/// Many servers limit the mails of a connection: the next MAIL is answered 421, or not at all.
#[tokio::test]
async fn a_connection_that_the_server_closes_at_the_next_mail_is_no_failure() {
    for goodbye in ["421 4.7.0 too many messages\r\n", ""] {
        let port = scripted_connections(vec![accepted_and(goodbye), ACCEPTED]);
        let transport = post(port, SmtpSecurity::None, true);
        for _ in 0..2 {
            let attempt = transport.send(&mail("ann@corp.example")).await;
            assert_eq!(attempt, AttemptOutcome::Delivered, "{goodbye:?}");
        }
    }
}

/// A mail that is refused for another reason is not sent again at once.
#[tokio::test]
async fn a_refusal_over_a_kept_connection_is_one() {
    let port = scripted_connections(vec![accepted_and("451 later\r\n"), ACCEPTED]);
    let transport = post(port, SmtpSecurity::None, true);
    let attempt = transport.send(&mail("ann@corp.example")).await;
    assert_eq!(attempt, AttemptOutcome::Delivered);
    let attempt = transport.send(&mail("ann@corp.example")).await;
    assert!(matches!(attempt, AttemptOutcome::Retry(_)), "{attempt:?}");
}

/// A firewall may have dropped all of them, of which there are as many as mails were sent at the same time.
#[tokio::test]
async fn connections_that_no_longer_answer_leave_time_for_another() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (stalls, mut stalled) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for _ in 0..2 {
            let (stream, _) = listener.accept().expect("a client");
            let stalls = stalls.clone();
            std::thread::spawn(move || {
                // Returns at the command after the mail.
                speak(&stream, ACCEPTED);
                // The test waits for one of them.
                let _ = stalls.send(stream);
            });
        }
        let (stream, _) = listener.accept().expect("a client");
        speak(&stream, ACCEPTED);
    });
    let transport = post(port, SmtpSecurity::None, true);
    let mail = mail("ann@corp.example");
    let (first, second) = tokio::join!(transport.send(&mail), transport.send(&mail));
    assert_eq!(first, AttemptOutcome::Delivered);
    assert_eq!(second, AttemptOutcome::Delivered);
    // Long enough to be tested; the pool follows the clock of the system.
    std::thread::sleep(FRESH);
    let mut sending = pin!(transport.send(&mail));
    let _open = tokio::select! {
        early = &mut sending => panic!("{early:?}"),
        stream = stalled.recv() => stream,
    };
    tokio::time::pause();
    tokio::time::advance(NOOP_LIMIT).await;
    tokio::time::resume();
    let sent = tokio::time::timeout(NOOP_LIMIT, sending).await;
    assert_eq!(sent.expect("one test"), AttemptOutcome::Delivered);
}
