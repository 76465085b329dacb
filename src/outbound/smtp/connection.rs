//! One connection to an SMTP server: commands in, replies out, and a message piece by piece.
//!
//! Replies are bounded. Octets that arrive before TLS begins never count as replies within TLS: they end the
//! connection.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::reply::{ServerReply, SmtpFault};
use super::wire::Wire;
use crate::outbound::tcp::Opening;

/// Maximum octets of a reply, which is a few lines of text (RFC 5321 4.5.3.1.5 gives a line 512 octets).
const MAX_REPLY: u64 = 16 * 1024;

/// Timeout for the reply to QUIT, and for a last reply before the server closes.
pub const CLOSING_TIMEOUT: Duration = Duration::from_secs(2);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection after greeting and EHLO.
pub struct SmtpConnection {
    stream: BufReader<Box<dyn Stream>>,
    offers: Offers,
}

/// Extensions that the server announced (RFC 5321 4.1.1.1).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Offers {
    pub eight_bit: bool,
    pub utf8: bool,
    pub starttls: bool,
    /// Maximum message size (RFC 1870), zero for no fixed maximum; `None` if SIZE is not offered.
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
    fn of(reply: &ServerReply) -> Self {
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

impl SmtpConnection {
    /// Connects, with TLS from the first octet if `tls` is given, and reads greeting and EHLO. Nagle's
    /// algorithm is off, so that the end of a message does not wait for an acknowledgement of the octets
    /// before it.
    pub async fn open(
        opening: &mut Opening<'_>,
        host: &str,
        port: u16,
        tls: Option<Arc<ClientConfig>>,
        hello: &str,
    ) -> Result<Self, SmtpFault> {
        let stream = opening.connect(host, port).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match tls {
            Some(tls) => encrypt(Box::new(stream), tls, host).await?,
            None => Box::new(stream),
        };
        let mut connection = Self {
            stream: BufReader::new(stream),
            offers: Offers::default(),
        };
        connection.reply().await?.expect(2)?;
        connection.introduce(hello).await?;
        Ok(connection)
    }

    async fn introduce(&mut self, hello: &str) -> Result<(), SmtpFault> {
        let reply = self.command(&format!("EHLO {hello}")).await?.expect(2)?;
        self.offers = Offers::of(&reply);
        Ok(())
    }

    /// Sends STARTTLS (RFC 3207), then EHLO again: extensions announced before it do not count.
    pub async fn start_tls(
        mut self,
        tls: Arc<ClientConfig>,
        host: &str,
        hello: &str,
    ) -> Result<Self, SmtpFault> {
        if !self.offers.starttls {
            return Err(SmtpFault::Broken("the server does not offer it".to_owned()));
        }
        self.command("STARTTLS").await?.expect(2)?;
        if !self.stream.buffer().is_empty() {
            return Err(SmtpFault::Broken(
                "the server sent data before TLS began".to_owned(),
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

    pub fn offers(&self) -> &Offers {
        &self.offers
    }

    /// Logs in (RFC 4954) with PLAIN, or with LOGIN if the server offers nothing else.
    pub async fn login(&mut self, user: &str, password: &str) -> Result<(), SmtpFault> {
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
                return Err(SmtpFault::Broken(
                    "the server offers neither PLAIN nor LOGIN".to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// Sends one line and returns the reply, whatever it is.
    pub async fn command(&mut self, line: &str) -> Result<ServerReply, SmtpFault> {
        let stream = self.stream.get_mut();
        stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        stream.flush().await?;
        self.reply().await
    }

    /// Begins the message, after the server accepted DATA.
    pub fn data(&mut self) -> Data<'_> {
        Data {
            connection: self,
            wire: Wire::default(),
        }
    }

    async fn write_content(&mut self, bytes: &[u8]) -> Result<(), SmtpFault> {
        let stream = self.stream.get_mut();
        let written = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        let Err(error) = written.await else {
            return Ok(());
        };
        // A server may reply and close the connection while we are still writing.
        match timeout(CLOSING_TIMEOUT, self.reply()).await {
            Ok(Ok(reply)) if reply.code >= 400 => Err(reply.into_fault()),
            _ => Err(error.into()),
        }
    }

    /// Reads a reply (RFC 5321 4.2.1): lines with the same code, followed by a hyphen on all but the last.
    async fn reply(&mut self) -> Result<ServerReply, SmtpFault> {
        let mut source = (&mut self.stream).take(MAX_REPLY);
        let mut text = String::new();
        loop {
            let mut line = Vec::new();
            if source.read_until(b'\n', &mut line).await? == 0 {
                return Err(SmtpFault::Broken(match source.limit() {
                    0 => "the server's reply has no end".to_owned(),
                    _ => "the server closed the connection".to_owned(),
                }));
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let (Some(code @ 200..=599), behind) = (code, line.get(3..).unwrap_or_default()) else {
                return Err(SmtpFault::Broken(format!("{line:?} is not an SMTP reply")));
            };
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(behind.get(1..).unwrap_or_default());
            if !behind.starts_with('-') {
                return Ok(ServerReply { code, text });
            }
        }
    }
}

/// A message that is being sent. It is complete only after [`end`](Self::end): dropping it before leaves the
/// connection in the middle of the message, so that it cannot be used again.
pub struct Data<'a> {
    connection: &'a mut SmtpConnection,
    wire: Wire,
}

impl Data<'_> {
    /// Sends one piece in its wire format.
    ///
    /// # Errors
    /// The connection broke, or the server refused the message before its end.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), SmtpFault> {
        let out = self.wire.next(piece);
        self.connection.write_content(&out).await
    }

    /// Sends the final dot and returns the reply.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub async fn end(self) -> Result<ServerReply, SmtpFault> {
        self.connection.write_content(&self.wire.end()).await?;
        self.connection.reply().await
    }
}

async fn encrypt(
    stream: Box<dyn Stream>,
    tls: Arc<ClientConfig>,
    host: &str,
) -> Result<Box<dyn Stream>, SmtpFault> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| SmtpFault::Broken(format!("{host} is not a valid server name for TLS")))?;
    Ok(Box::new(
        TlsConnector::from(tls).connect(name, stream).await?,
    ))
}
