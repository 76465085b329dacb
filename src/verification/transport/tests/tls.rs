//! Tests of TLS from the start, and of STARTTLS that stalls.

use std::io::Read;
use std::pin::pin;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::sync::oneshot;

use super::injection::{acceptor, next_line};
use super::*;

const HELLO: &str = "220 here\r\n";
const OK: &str = "250 ok\r\n";
/// Greeting, EHLO, MAIL, RCPT, DATA, the content.
const ACCEPTED: [&str; 6] = [HELLO, OK, OK, OK, "354 go\r\n", OK];

#[tokio::test]
async fn tls_from_the_start_and_the_certificate_is_checked() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let tls = acceptor();
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = tls.accept(stream).await else {
                continue;
            };
            let mut stream = BufReader::new(stream);
            for reply in ACCEPTED {
                stream.write_all(reply.as_bytes()).await.expect("written");
                stream.flush().await.expect("written");
                let is_content = reply.starts_with("354");
                while let Ok(Some(line)) = next_line(&mut stream).await {
                    if !is_content || line == ".\r\n" {
                        break;
                    }
                }
            }
        }
    });
    for (tls_verify, is_delivered) in [(true, false), (false, true)] {
        let transport = post(port, SmtpSecurity::Tls, tls_verify);
        let attempt = transport.send(&mail("ann@corp.example")).await;
        assert_eq!(
            attempt == AttemptOutcome::Delivered,
            is_delivered,
            "{attempt:?}"
        );
    }
}

/// The server accepts one connection at a time.
#[tokio::test]
async fn starttls_that_stalls_leaves_time_and_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (stalls, stalled) = oneshot::channel();
    std::thread::spawn(move || {
        let (mut first, _) = listener.accept().expect("a client");
        speak(&first, &[HELLO, "250-here\r\n250 STARTTLS\r\n"]);
        stalls.send(()).expect("a test that waits");
        // Until the client closes it.
        let _ = first.read_to_end(&mut Vec::new());
        let (second, _) = listener.accept().expect("a client");
        speak(&second, &ACCEPTED);
    });
    let transport = post(port, SmtpSecurity::Opportunistic, true);
    let mail = mail("ann@corp.example");
    let mut sending = pin!(transport.send(&mail));
    tokio::select! {
        early = &mut sending => panic!("{early:?}"),
        _ = stalled => {}
    }
    tokio::time::pause();
    tokio::time::advance(UPGRADE_LIMIT).await;
    tokio::time::resume();
    assert_eq!(sending.await, AttemptOutcome::Delivered);
}
