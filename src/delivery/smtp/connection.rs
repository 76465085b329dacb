//! One connection to an SMTP server: commands in, replies out, and a message piece by piece.
//!
//! Replies are bounded. No octet of the server counts as a reply to a later command: input that arrives
//! before TLS begins ends the connection.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::reply::{Fault, Reply};
use super::wire::Wire;
use crate::delivery::Message;
use crate::delivery::message::Place;

/// A reply is a few lines of text (RFC 5321 4.5.3.1.5 gives a line 512 octets).
const LONGEST_REPLY: u64 = 16 * 1024;

/// Time limit of the server's reply to QUIT or before it closes.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection after greeting and EHLO.
pub(super) struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    offers: Offers,
}

/// Extensions that the server announced (RFC 5321 4.1.1.1).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Offers {
    pub eight_bit: bool,
    pub utf8: bool,
    pub starttls: bool,
    /// Maximum message size (RFC 1870); zero if not announced.
    pub size: Option<u64>,
    login: Option<Mechanism>,
}

/// SASL mechanisms in the order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mechanism {
    Plain,
    Login,
}

impl Offers {
    fn of(reply: &Reply) -> Self {
        let mut offers = Self::default();
        for line in reply.lines().skip(1) {
            let line = line.to_ascii_uppercase();
            let mut words = line.split_ascii_whitespace();
            match words.next().unwrap_or_default() {
                "8BITMIME" => offers.eight_bit = true,
                "SMTPUTF8" => offers.utf8 = true,
                "STARTTLS" => offers.starttls = true,
                "SIZE" => offers.size = words.next().map_or(Some(0), |size| size.parse().ok()),
                "AUTH" => {
                    let known = words.filter_map(|word| match word {
                        "PLAIN" => Some(Mechanism::Plain),
                        "LOGIN" => Some(Mechanism::Login),
                        _ => None,
                    });
                    offers.login = known.min();
                }
                _ => {}
            }
        }
        offers
    }
}

/// Causes of a failed transmission.
pub(super) enum Broken {
    /// A fault of the server or the network.
    There(Fault),
    /// The message could not be read to its end, so the final dot was not sent.
    Here(String),
}

impl Connection {
    /// Connects without TLS. Nagle's algorithm is off, so that the end of a message does not wait for an
    /// acknowledgement of the octets before it.
    pub(super) async fn tcp(host: &str, port: u16) -> Result<TcpStream, Fault> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Connects with TLS from the first byte.
    pub(super) async fn wrapped(
        stream: TcpStream,
        tls: Arc<ClientConfig>,
        host: &str,
        hello: &str,
    ) -> Result<Self, Fault> {
        Self::greeted(encrypt(Box::new(stream), tls, host).await?, hello).await
    }

    pub(super) async fn clear(stream: TcpStream, hello: &str) -> Result<Self, Fault> {
        Self::greeted(Box::new(stream), hello).await
    }

    async fn greeted(stream: Box<dyn Stream>, hello: &str) -> Result<Self, Fault> {
        let mut connection = Self {
            stream: BufReader::new(stream),
            offers: Offers::default(),
        };
        connection.reply().await?.expect(2)?;
        connection.introduce(hello).await?;
        Ok(connection)
    }

    async fn introduce(&mut self, hello: &str) -> Result<(), Fault> {
        let reply = self.command(&format!("EHLO {hello}")).await?.expect(2)?;
        self.offers = Offers::of(&reply);
        Ok(())
    }

    /// STARTTLS (RFC 3207), then EHLO again: extensions that were announced before do not count.
    pub(super) async fn upgraded(
        mut self,
        tls: Arc<ClientConfig>,
        host: &str,
        hello: &str,
    ) -> Result<Self, Fault> {
        if !self.offers.starttls {
            return Err(Fault::Broken("the server does not offer it".to_owned()));
        }
        self.command("STARTTLS").await?.expect(2)?;
        if !self.stream.buffer().is_empty() {
            return Err(Fault::Broken(
                "the server said more than it was asked".to_owned(),
            ));
        }
        let stream = encrypt(self.stream.into_inner(), tls, host).await?;
        let mut connection = Self {
            stream: BufReader::new(stream),
            offers: Offers::default(),
        };
        connection.introduce(hello).await?;
        Ok(connection)
    }

    pub(super) fn offers(&self) -> &Offers {
        &self.offers
    }

    /// Logs in (RFC 4954) with PLAIN, or with LOGIN if the server has nothing else.
    pub(super) async fn login(&mut self, user: &str, password: &str) -> Result<(), Fault> {
        match self.offers.login {
            Some(Mechanism::Plain) => {
                let both = STANDARD.encode(format!("\0{user}\0{password}"));
                self.command(&format!("AUTH PLAIN {both}"))
                    .await?
                    .expect(2)?;
            }
            Some(Mechanism::Login) => {
                self.command("AUTH LOGIN").await?.expect(3)?;
                self.command(&STANDARD.encode(user)).await?.expect(3)?;
                self.command(&STANDARD.encode(password)).await?.expect(2)?;
            }
            None => {
                return Err(Fault::Broken(
                    "the server offers neither PLAIN nor LOGIN".to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// Sends one line and returns the reply, whatever it is.
    pub(super) async fn command(&mut self, line: &str) -> Result<Reply, Fault> {
        let stream = self.stream.get_mut();
        stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        stream.flush().await?;
        self.reply().await
    }

    /// Sends the message in its wire format, and the final dot, after DATA.
    pub(super) async fn content(&mut self, message: &Message) -> Result<Reply, Broken> {
        let mut wire = Wire::default();
        let mut place = Place::default();
        loop {
            let piece = message
                .piece(&mut place)
                .await
                .map_err(|e| Broken::Here(e.to_string()))?;
            let (out, is_last) = match piece {
                Some(piece) => (wire.next(&piece), false),
                None => (std::mem::take(&mut wire).end(), true),
            };
            if let Err(fault) = self.write(&out).await {
                // A server may reply and close the connection while we are still writing.
                return match timeout(LAST_WORDS, self.reply()).await {
                    Ok(Ok(reply)) if reply.code >= 400 => Ok(reply),
                    _ => Err(Broken::There(fault)),
                };
            }
            if is_last {
                return self.reply().await.map_err(Broken::There);
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes).await?;
        stream.flush().await?;
        Ok(())
    }

    /// Reads a reply (RFC 5321 4.2.1): lines of one code, all but the last with a hyphen after it.
    async fn reply(&mut self) -> Result<Reply, Fault> {
        let mut source = (&mut self.stream).take(LONGEST_REPLY);
        let mut text = String::new();
        loop {
            let mut line = Vec::new();
            if source.read_until(b'\n', &mut line).await? == 0 {
                return Err(Fault::Broken(match source.limit() {
                    0 => "the server's reply has no end".to_owned(),
                    _ => "the server closed the connection".to_owned(),
                }));
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let (Some(code @ 200..=599), behind) = (code, line.get(3..).unwrap_or_default()) else {
                return Err(Fault::Broken(format!("{line:?} is no SMTP")));
            };
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(behind.get(1..).unwrap_or_default());
            if !behind.starts_with('-') {
                return Ok(Reply { code, text });
            }
        }
    }
}

async fn encrypt(
    stream: Box<dyn Stream>,
    tls: Arc<ClientConfig>,
    host: &str,
) -> Result<Box<dyn Stream>, Fault> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Fault::Broken(format!("{host} is no name that a certificate could have")))?;
    Ok(Box::new(
        TlsConnector::from(tls).connect(name, stream).await?,
    ))
}
