//! Tests against a server with an attacker who injects replies into its plain text.

use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use super::{mail, post};

/// Enough replies for lettre to believe that the whole mail was accepted.
const FORGED: &str = "250 hello\r\n250 sender ok\r\n250 recipient ok\r\n354 go\r\n250 taken\r\n";

/// Octets that are appended to each plain-text reply.
#[derive(Clone, Copy, Default)]
struct Injected {
    greeting: &'static str,
    hello: &'static str,
    starttls: &'static str,
}

/// A server that refuses every mail inside TLS. Returns its port, and the commands that it received there.
async fn refusing(injected: Injected) -> (u16, Arc<Mutex<Vec<String>>>) {
    let tls = acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let commands = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The client may disconnect at any point.
            let _ = serve(stream, &tls, injected, &commands).await;
        }
    });
    (port, heard)
}

/// TLS of a server with a self-signed certificate.
pub(super) fn acceptor() -> TlsAcceptor {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a key");
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .expect("a certificate");
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(
    stream: TcpStream,
    tls: &TlsAcceptor,
    injected: Injected,
    commands: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut plain = BufReader::new(stream);
    plain
        .write_all(format!("220 sink\r\n{}", injected.greeting).as_bytes())
        .await?;
    next_line(&mut plain).await?;
    plain
        .write_all(format!("250-sink\r\n250 STARTTLS\r\n{}", injected.hello).as_bytes())
        .await?;
    next_line(&mut plain).await?;
    plain
        .write_all(format!("220 go\r\n{}", injected.starttls).as_bytes())
        .await?;
    let mut secret = BufReader::new(tls.accept(plain).await?);
    while let Some(command) = next_line(&mut secret).await? {
        let reply = match command.get(..4) {
            Some("EHLO") => "250 sink\r\n",
            Some("QUIT") => "221 bye\r\n",
            _ => "550 5.7.1 no\r\n",
        };
        commands.lock().expect("a lock").push(command);
        secret.write_all(reply.as_bytes()).await?;
        secret.flush().await?;
    }
    Ok(())
}

pub(super) async fn next_line<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let length = stream.read_line(&mut line).await?;
    Ok((length > 0).then_some(line))
}

#[tokio::test]
async fn replies_from_before_tls_answer_nothing() {
    let none = Injected::default();
    for (place, injected) in [
        (
            "greeting",
            Injected {
                greeting: FORGED,
                ..none
            },
        ),
        (
            "EHLO",
            Injected {
                hello: FORGED,
                ..none
            },
        ),
        (
            "EHLO, with the answer to STARTTLS",
            Injected {
                hello: "220 go\r\n250 hello\r\n250 ok\r\n",
                ..none
            },
        ),
        (
            "STARTTLS",
            Injected {
                starttls: FORGED,
                ..none
            },
        ),
        (
            "STARTTLS, one octet",
            Injected {
                starttls: "2",
                ..none
            },
        ),
    ] {
        for security in [SmtpSecurity::StartTls, SmtpSecurity::Opportunistic] {
            let (port, heard) = refusing(injected).await;
            let attempt = post(port, security, false)
                .send(&mail("ann@corp.example"))
                .await;
            assert!(
                matches!(attempt, AttemptOutcome::Retry(_)),
                "{place}: {attempt:?}"
            );
            let heard = heard.lock().expect("a lock");
            assert!(
                !heard.iter().any(|command| command.starts_with("MAIL")),
                "{place}: {heard:?}"
            );
        }
    }
}

#[tokio::test]
async fn without_injected_replies_the_servers_reply_counts() {
    let (port, heard) = refusing(Injected::default()).await;
    let attempt = post(port, SmtpSecurity::StartTls, false)
        .send(&mail("ann@corp.example"))
        .await;
    assert!(
        matches!(&attempt, AttemptOutcome::Retry(cause) if cause.text.contains("5.7.1")),
        "{attempt:?}"
    );
    assert!(heard.lock().expect("a lock")[1].starts_with("MAIL FROM"));
}
