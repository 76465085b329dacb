//! An SMTP server that behaves correctly except for one fault, which a test case describes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::NOBODY;

/// Step and kind of the server's fault.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerFault {
    pub at: String,
    pub does: String,
}

/// Received transaction: reverse-path and recipient as given, and the message without dot-stuffing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TakenMessage {
    pub mail: String,
    pub rcpt: String,
    pub message: Vec<u8>,
}

/// The running server; it ends with the test's runtime.
pub(super) struct FaultServer {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    fault: ServerFault,
    /// TLS from the first byte.
    wrapped: bool,
    tls: TlsAcceptor,
    taken: Mutex<Vec<TakenMessage>>,
    connections: Mutex<usize>,
    hangs: Notify,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}
type Connection = BufStream<Box<dyn Stream>>;

/// The session ended.
struct Closed;

impl<E: std::error::Error> From<E> for Closed {
    fn from(_: E) -> Self {
        Closed
    }
}

impl FaultServer {
    pub(super) async fn start(fault: ServerFault, wrapped: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut address = listener.local_addr().expect("bound");
        let state = Arc::new(State {
            fault,
            wrapped,
            tls: acceptor(),
            taken: Mutex::default(),
            connections: Mutex::default(),
            hangs: Notify::new(),
        });
        let serving = Arc::clone(&state);
        if serving.fault.at == "connect" {
            address = NOBODY;
        } else {
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    *serving.connections.lock().expect("unpoisoned") += 1;
                    let state = Arc::clone(&serving);
                    tokio::spawn(async move { state.serve(Box::new(stream)).await });
                }
            });
        }
        Self { address, state }
    }

    pub(super) fn take_all(&self) -> Vec<TakenMessage> {
        self.state.taken.lock().expect("unpoisoned").clone()
    }

    /// Returns once the server leaves a client waiting.
    pub(super) async fn hangs(&self) {
        self.state.hangs.notified().await;
    }

    pub(super) fn connections(&self) -> usize {
        *self.state.connections.lock().expect("unpoisoned")
    }
}

impl State {
    async fn serve(&self, stream: Box<dyn Stream>) -> Result<(), Closed> {
        let stream: Box<dyn Stream> = if self.wrapped {
            Box::new(self.tls.accept(stream).await?)
        } else {
            stream
        };
        let mut connection = BufStream::new(stream);
        self.answer(&mut connection, "greeting", "220 fault.example")
            .await?;
        let (mut mail, mut rcpt) = (String::new(), String::new());
        let mut encrypted = self.wrapped;
        loop {
            let mut line = String::new();
            if connection.read_line(&mut line).await? == 0 {
                return Err(Closed);
            }
            let line = line.trim_end();
            let verb = line.split(' ').next().unwrap_or_default();
            match verb {
                "EHLO" => {
                    let offered = self.fault.does != "unoffered" && !encrypted;
                    let starttls = if offered { "250-STARTTLS\r\n" } else { "" };
                    let extensions = format!(
                        "250-fault.example\r\n{starttls}250-AUTH PLAIN\r\n250-SMTPUTF8\r\n250 8BITMIME"
                    );
                    self.answer(&mut connection, verb, &extensions).await?;
                }
                "STARTTLS" => {
                    self.answer(&mut connection, verb, "220 go ahead").await?;
                    let stream = self.tls.accept(connection.into_inner()).await?;
                    connection = BufStream::new(Box::new(stream));
                    encrypted = true;
                }
                "AUTH" if line == "AUTH LOGIN" => {
                    for (prompt, expected) in
                        [("VXNlcm5hbWU6", "YW5u"), ("UGFzc3dvcmQ6", "c2VjcmV0")]
                    {
                        let prompt = format!("334 {prompt}");
                        self.answer(&mut connection, "prompt", &prompt).await?;
                        let mut said = String::new();
                        connection.read_line(&mut said).await?;
                        assert_eq!(said.trim_end(), expected);
                    }
                    self.answer(&mut connection, verb, "235 2.7.0 welcome")
                        .await?;
                }
                "AUTH" => {
                    self.answer(&mut connection, verb, "235 2.7.0 welcome")
                        .await?;
                }
                "MAIL" => {
                    line.clone_into(&mut mail);
                    self.answer(&mut connection, verb, "250 2.1.0 ok").await?;
                }
                "RCPT" => {
                    line.clone_into(&mut rcpt);
                    self.answer(&mut connection, verb, "250 2.1.5 ok").await?;
                }
                "DATA" => {
                    self.answer(&mut connection, verb, "354 go ahead").await?;
                    let message = self.content(&mut connection).await?;
                    let taken = TakenMessage {
                        mail: mail.clone(),
                        rcpt: rcpt.clone(),
                        message,
                    };
                    self.taken.lock().expect("unpoisoned").push(taken);
                    self.answer(&mut connection, "dot", "250 2.0.0 queued")
                        .await?;
                }
                "QUIT" => {
                    self.answer(&mut connection, verb, "221 2.0.0 bye").await?;
                    return Ok(());
                }
                _ => {
                    self.answer(&mut connection, verb, "502 5.5.2 what?")
                        .await?;
                }
            }
        }
    }

    async fn answer(
        &self,
        connection: &mut Connection,
        at: &str,
        reply: &str,
    ) -> Result<(), Closed> {
        let mut reply = reply;
        if self.fault.at == at {
            match self.fault.does.as_str() {
                "drop" => return Err(Closed),
                "hang" => {
                    self.hangs.notify_one();
                    return std::future::pending().await;
                }
                // In place of the TLS handshake, after a positive reply.
                "garbage" if at == "STARTTLS" => reply = "220 go ahead\r\nnot TLS at all",
                "garbage" => reply = "HTTP/1.1 400 Bad Request",
                "endless" => loop {
                    connection.write_all(b"250-and on\r\n").await?;
                    connection.flush().await?;
                },
                "slow" => return Self::trickle(connection, reply).await,
                "unoffered" => {}
                other => reply = other,
            }
        }
        connection.write_all(reply.as_bytes()).await?;
        connection.write_all(b"\r\n").await?;
        connection.flush().await?;
        Ok(())
    }

    /// Sends a reply octet by octet, like a network that loses most packets.
    async fn trickle(connection: &mut Connection, reply: &str) -> Result<(), Closed> {
        for octet in reply.bytes().chain(*b"\r\n") {
            connection.write_all(&[octet]).await?;
            connection.flush().await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn content(&self, connection: &mut Connection) -> Result<Vec<u8>, Closed> {
        let mut message = Vec::new();
        loop {
            let mut line = Vec::new();
            if connection.read_until(b'\n', &mut line).await? == 0 || self.fault.at == "message" {
                return Err(Closed);
            }
            if line == b".\r\n" {
                return Ok(message);
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }
}

/// TLS with a self-signed certificate for another host.
pub(super) fn acceptor() -> TlsAcceptor {
    let made =
        rcgen::generate_simple_self_signed(["other.example".to_owned()]).expect("a certificate");
    let key = made.signing_key.serialize_der().try_into().expect("a key");
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a key for the certificate");
    TlsAcceptor::from(Arc::new(config))
}
