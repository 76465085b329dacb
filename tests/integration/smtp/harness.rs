//! A listener on a free port with a recording handler, and a client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;
use vestibule::domain::{Domain, Envelope, LedgerId, PortalName, RecipientRole, ReversePath};
use vestibule::smtp::{
    self, DataOutcome, MessageHandler, ServerSettings, Tls, TryLater, UnknownRecipient,
};

/// Upper bound for every wait, generous for a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);

pub fn settings() -> ServerSettings {
    ServerSettings::new(Domain::parse("gate.corp.example").expect("a domain"))
}

/// The handler's outcome for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Stored,
    TryLater(TryLater),
}

impl Outcome {
    pub fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "stored" => Self::Stored,
            "disk-full" => Self::TryLater(TryLater::DiskFull),
            "internal" => Self::TryLater(TryLater::Internal),
            "shutting-down" => Self::TryLater(TryLater::ShuttingDown),
            _ => bail!("no outcome is called {name}"),
        })
    }
}

/// Records all messages. Messages for an address in `gate` wait for a permit first.
pub struct Recording {
    outcome: Outcome,
    messages: Mutex<Vec<(Envelope, Vec<u8>)>>,
    gate: Option<Semaphore>,
}

impl Recording {
    pub fn count(&self) -> usize {
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// A message in one line: the envelope, and the bytes with escapes.
    pub fn message(&self, index: usize) -> Result<String> {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let (envelope, raw) = messages.get(index).context("no such message came")?;
        let from = match &envelope.reverse_path {
            ReversePath::Null => "<>",
            ReversePath::Mailbox(mailbox) => mailbox,
            ReversePath::Unknown => "?",
        };
        let to: Vec<_> = envelope
            .recipients
            .iter()
            .map(|recipient| recipient.address.as_str())
            .collect();
        let mut line = format!("{from} -> {} helo={}", to.join(","), envelope.helo);
        if envelope.tls {
            line += " tls";
        }
        if envelope.smtputf8 {
            line += " utf8";
        }
        if let Some(client) = &envelope.client {
            let known = |text: Option<String>| text.unwrap_or_else(|| "?".to_owned());
            let address = client.address.map(|address| address.to_string());
            let (name, address) = (known(client.name.clone()), known(address));
            let helo = known(client.helo.clone());
            line = format!("{line} client={name}[{address}] {helo}");
        }
        Ok(format!("{line} | {}", raw.escape_ascii()))
    }

    /// Lets one waiting message pass the gate.
    pub fn let_pass(&self) {
        if let Some(gate) = &self.gate {
            gate.add_permits(1);
        }
    }
}

impl MessageHandler for Recording {
    fn recipient(&self, address: &str) -> Result<RecipientRole, UnknownRecipient> {
        let known = [
            "it-help@corp.example",
            "hr@corp.example",
            "postmaster",
            "\"it help\"@corp.example",
            "dörte@corp.example",
        ];
        if known
            .iter()
            .any(|known| known.to_lowercase() == address.to_lowercase())
        {
            Ok(RecipientRole::Portal(
                PortalName::parse("it").expect("a name"),
            ))
        } else {
            Err(UnknownRecipient)
        }
    }

    fn memory(&self, header: usize) -> usize {
        header
    }

    async fn receive(&self, envelope: Envelope, raw: Vec<u8>) -> DataOutcome {
        if let Some(gate) = &self.gate {
            gate.acquire().await.expect("never closed").forget();
        }
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((envelope, raw));
        match self.outcome {
            Outcome::Stored => DataOutcome::Stored(LedgerId::new()),
            Outcome::TryLater(cause) => DataOutcome::TryLater(cause),
        }
    }
}

/// A running listener.
pub struct Harness {
    pub address: SocketAddr,
    pub handler: Arc<Recording>,
    pub settings: watch::Sender<Arc<ServerSettings>>,
    pub shutdown: CancellationToken,
    pub served: JoinHandle<()>,
}

impl Harness {
    pub async fn open(settings: ServerSettings, outcome: Outcome) -> Result<Self> {
        Self::start(settings, outcome, None).await
    }

    /// Starts one whose handler accepts a message only after [`Recording::let_pass`].
    pub async fn with_gate(settings: ServerSettings) -> Result<Self> {
        Self::start(settings, Outcome::Stored, Some(Semaphore::new(0))).await
    }

    /// Starts one at a unique address, so that no other server answers there afterwards.
    pub async fn alone(settings: ServerSettings) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.77:0").await?;
        Self::on(listener, settings, Outcome::Stored, None)
    }

    async fn start(
        settings: ServerSettings,
        outcome: Outcome,
        gate: Option<Semaphore>,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Self::on(listener, settings, outcome, gate)
    }

    fn on(
        listener: TcpListener,
        settings: ServerSettings,
        outcome: Outcome,
        gate: Option<Semaphore>,
    ) -> Result<Self> {
        let address = listener.local_addr()?;
        let handler = Arc::new(Recording {
            outcome,
            messages: Mutex::default(),
            gate,
        });
        let (settings, receiver) = watch::channel(Arc::new(settings));
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(smtp::serve(
            vec![listener],
            receiver,
            Arc::clone(&handler),
            shutdown.clone(),
        ));
        Ok(Self {
            address,
            handler,
            settings,
            shutdown,
            served,
        })
    }

    /// Shuts the listener down and waits for its end.
    pub async fn close(self) -> Result<()> {
        self.shutdown.cancel();
        timeout(PATIENCE, self.served)
            .await
            .context("the listener does not end")??;
        Ok(())
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A client that reads lines.
pub struct Client(BufReader<Box<dyn Stream>>);

impl Client {
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(Box::new(stream))))
    }

    /// Sends, in one write or one for each byte. A server that has closed is not an error here: its earlier
    /// replies count.
    pub async fn send(&mut self, bytes: &[u8], byte_by_byte: bool) {
        let size = if byte_by_byte { 1 } else { bytes.len().max(1) };
        for piece in bytes.chunks(size) {
            if self.0.get_mut().write_all(piece).await.is_err() {
                return;
            }
            let _ = self.0.get_mut().flush().await;
        }
    }

    /// The next line, which must end in CRLF, without it.
    pub async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.0.read_line(&mut line)).await;
        ensure!(read.context("no reply")?? > 0, "closed instead of a reply");
        let line = line.strip_suffix("\r\n").context("a reply ends in CRLF")?;
        Ok(line.to_owned())
    }

    /// Sends a line and returns the whole reply.
    pub async fn say(&mut self, line: &str) -> Result<String> {
        self.send(format!("{line}\r\n").as_bytes(), false).await;
        self.reply().await
    }

    /// The last line of a reply of one or more.
    pub async fn reply(&mut self) -> Result<String> {
        loop {
            let line = self.line().await?;
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }

    /// Asserts that the server closes without another reply.
    pub async fn closed(&mut self) -> Result<()> {
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        // A reset also counts as closed, and so does TLS without close_notify.
        let _ = read.context("the connection stays open")?;
        ensure!(rest.is_empty(), "not closed but: {}", rest.escape_ascii());
        Ok(())
    }

    pub async fn start_tls(self) -> Result<Self> {
        ensure!(self.0.buffer().is_empty(), "something came before TLS");
        let mut roots = RootCertStore::empty();
        roots.add(certificate().0.clone())?;
        let config = ClientConfig::builder_with_provider(Arc::new(
            tokio_rustls::rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
        let name = ServerName::try_from("gate.corp.example")?;
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, self.0.into_inner());
        let stream = timeout(PATIENCE, handshake)
            .await
            .context("no handshake")??;
        Ok(Self(BufReader::new(Box::new(stream))))
    }
}

/// The certificate of all tests, and the contents of its files.
fn certificate() -> &'static (CertificateDer<'static>, String, String) {
    static MADE: OnceLock<(CertificateDer<'static>, String, String)> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["gate.corp.example".to_owned()])
            .expect("a certificate");
        let pem = (made.cert.pem(), made.signing_key.serialize_pem());
        (made.cert.der().clone(), pem.0, pem.1)
    })
}

pub fn tls(required: bool) -> Result<Tls> {
    let (_, chain, key) = certificate();
    let config = smtp::tls::server_config(chain.as_bytes(), key.as_bytes())?;
    Ok(Tls { config, required })
}
