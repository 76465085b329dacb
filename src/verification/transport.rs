//! Transports of verification mail: an SMTP server, or a folder of `.eml` files. In: a [`Mail`]. Out: an
//! [`Attempt`].
//!
//! Connections are reused while there is mail to send. One that was interrupted by the time limit is closed,
//! never reused: its next reply would belong to the previous mail.

mod folder;
mod lockstep;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use lockstep::Lockstep;

use super::Mail;
use crate::config::{Outgoing, SmtpSecurity, SmtpServer};
use crate::domain::Domain;

/// Time limit for one mail, from connecting to the final reply; less than a drain may take.
const TIME_LIMIT: Duration = Duration::from_secs(50);
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// A connection that was idle for longer is tested with NOOP.
const FRESH: Duration = Duration::from_secs(1);
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);

/// Maximum characters of a server's reply that are kept.
const CAUSE_LENGTH: usize = 300;

/// Outcome of one attempt to send a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attempt {
    Sent,
    /// A temporary failure.
    Later(String),
    /// A permanent failure.
    Never(String),
}

/// The transport that `[outgoing]` describes.
pub struct MailTransport {
    way: Way,
}

enum Way {
    Smtp(Box<Server>),
    Folder(PathBuf),
}

/// An SMTP server and its idle connections.
struct Server {
    settings: SmtpServer,
    tls: TlsParameters,
    hello: ClientId,
    resting: Mutex<Vec<Resting>>,
}

struct Resting {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl MailTransport {
    /// # Errors
    /// A server name that no certificate can be valid for.
    pub fn new(outgoing: &Outgoing, hostname: &Domain) -> Result<Self, TransportError> {
        let way = match outgoing {
            Outgoing::File(folder) => Way::Folder(folder.clone()),
            Outgoing::Smtp(settings) => {
                // If the connection may be unencrypted, an untrusted certificate is no worse.
                let verify =
                    settings.tls_verify && settings.security != SmtpSecurity::Opportunistic;
                Way::Smtp(Box::new(Server {
                    tls: TlsParameters::builder(settings.host.clone())
                        .dangerous_accept_invalid_certs(!verify)
                        .dangerous_accept_invalid_hostnames(!verify)
                        .build()
                        .map_err(TransportError)?,
                    settings: settings.clone(),
                    hello: ClientId::Domain(hostname.to_string()),
                    resting: Mutex::default(),
                }))
            }
        };
        Ok(Self { way })
    }

    pub(super) async fn send(&self, mail: &Mail) -> Attempt {
        match &self.way {
            Way::Smtp(server) => server.send(mail).await,
            Way::Folder(folder) => {
                let (folder, name) = (folder.clone(), mail.id.to_string());
                let content = mail.content.clone();
                match tokio::task::spawn_blocking(move || folder::put(&folder, &name, &content))
                    .await
                {
                    Ok(Ok(())) => Attempt::Sent,
                    Ok(Err(cause)) => Attempt::Later(cause),
                    Err(cause) => Attempt::Later(cause.to_string()),
                }
            }
        }
    }

    /// True if there are connections that [`close_idle`](Self::close_idle) would close.
    pub(super) fn holds_connections(&self) -> bool {
        match &self.way {
            Way::Smtp(server) => !server.resting().is_empty(),
            Way::Folder(_) => false,
        }
    }

    /// Sends QUIT and closes the idle connections.
    pub(super) async fn close_idle(&self) {
        if let Way::Smtp(server) = &self.way {
            let mut farewells = JoinSet::new();
            for mut resting in std::mem::take(&mut *server.resting()) {
                farewells.spawn(async move {
                    // A connection is closed even if the server does not answer QUIT.
                    let _ = tokio::time::timeout(FAREWELL_LIMIT, resting.connection.quit()).await;
                });
            }
            farewells.join_all().await;
        }
    }
}

/// The transport cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("outgoing: {0}")]
pub struct TransportError(lettre::transport::smtp::Error);

impl Server {
    fn resting(&self) -> std::sync::MutexGuard<'_, Vec<Resting>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, mail: &Mail) -> Attempt {
        match tokio::time::timeout(TIME_LIMIT, self.try_send(mail)).await {
            Ok(Ok(())) => Attempt::Sent,
            Ok(Err(Failure::Smtp(error))) => judge(&error, mail),
            Ok(Err(error)) => Attempt::Later(format!("{}: {error}", self.settings.host)),
            Err(_) => Attempt::Later(format!(
                "{} took longer than {} s",
                self.settings.host,
                TIME_LIMIT.as_secs()
            )),
        }
    }

    async fn try_send(&self, mail: &Mail) -> Result<(), Failure> {
        let mut connection = match self.rested().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let sent = connection.send(&mail.envelope, &mail.content).await;
        if !connection.has_broken() {
            self.resting().push(Resting {
                connection,
                since: Instant::now(),
            });
        }
        sent?;
        Ok(())
    }

    /// An idle connection that is still alive.
    async fn rested(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let Resting {
                mut connection,
                since,
            } = self.resting().pop()?;
            if since.elapsed() < FRESH || connection.test_connected().await {
                return Some(connection);
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let server = (self.settings.host.as_str(), self.settings.port);
        let mut connection = if self.settings.security == SmtpSecurity::Tls {
            let tls = Some(self.tls.clone());
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT_LIMIT), &self.hello, tls, None)
                .await?
        } else {
            let stream = reach(server).await.map_err(Failure::Connect)?;
            let stream: Box<dyn AsyncTokioStream> = match self.settings.security {
                SmtpSecurity::None | SmtpSecurity::Tls => Box::new(stream),
                SmtpSecurity::StartTls | SmtpSecurity::Opportunistic => {
                    Box::new(Lockstep::over(stream))
                }
            };
            AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await?
        };
        let upgrades = match self.settings.security {
            SmtpSecurity::StartTls => true,
            SmtpSecurity::Opportunistic => connection.can_starttls(),
            SmtpSecurity::None | SmtpSecurity::Tls => false,
        };
        if upgrades {
            connection.starttls(self.tls.clone(), &self.hello).await?;
        }
        if let Some((name, password)) = &self.settings.login {
            let credentials = Credentials::new(name.clone(), password.expose_secret().to_owned());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
        }
        Ok(connection)
    }
}

/// Connects without Nagle's algorithm: lettre writes the final dot separately, and the server's delayed
/// acknowledgement would hold it back for 40 ms.
async fn reach(server: (&str, u16)) -> std::io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(server)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Causes of a failed attempt.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    #[error(transparent)]
    Smtp(#[from] lettre::transport::smtp::Error),
}

/// A 5xx is permanent, unless it concerns our client rather than the mail (RFC 4954 6: the login). Everything
/// else, from a refused connection to a bad certificate, is temporary.
fn judge(error: &lettre::transport::smtp::Error, mail: &Mail) -> Attempt {
    let cause: String = error.to_string().chars().take(CAUSE_LENGTH).collect();
    let about_us = error
        .status()
        .is_some_and(|code| ["530", "534", "535", "538"].contains(&code.to_string().as_str()));
    // lettre refuses to send a non-ASCII address to a server without SMTPUTF8 (RFC 6531 3.2).
    let address_unfit = error.is_client()
        && mail
            .envelope
            .to()
            .iter()
            .any(|address| !AsRef::<str>::as_ref(address).is_ascii());
    if (error.is_permanent() && !about_us) || address_unfit {
        Attempt::Never(cause)
    } else {
        Attempt::Later(cause)
    }
}

impl std::fmt::Debug for MailTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.way {
            Way::Smtp(server) => write!(f, "Post(smtp to {})", server.settings.host),
            Way::Folder(folder) => write!(f, "Post(folder {})", folder.display()),
        }
    }
}

#[cfg(test)]
mod tests;
