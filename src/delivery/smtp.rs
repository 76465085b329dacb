//! A parcel in; out, a message that an SMTP server has taken.
//!
//! One transaction for each attempt, over a connection that is kept for the next one if all went
//! well. A connection that was left in the middle of anything is dropped, never used again: what
//! the server says late must not be taken for its answer to another message.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Quit};
use lettre::transport::smtp::extension::{ClientId, Extension};
use lettre::transport::smtp::response::{Response, Severity};
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::reply::{self, Fault, Step};
use super::{Attempt, Cause, Parcel};
use crate::config::{EnvelopeFrom, SmtpDestination, SmtpSecurity, SmtpServer};
use crate::domain::{Domain, EmailAddress};

/// How long a connection is kept for the next message.
const IDLE: Duration = Duration::from_secs(30);

/// How long to wait for what a server says while it closes.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long to wait for the other side (RFC 5321 4.5.3.2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until the server greeted us, in each of its addresses.
    pub connect: Duration,
    /// For the answer to a command.
    pub command: Duration,
    /// For the message to be sent and acknowledged.
    pub message: Duration,
}

impl Patience {
    pub(super) const DEFAULT: Self = Self {
        connect: Duration::from_secs(30),
        command: Duration::from_mins(5),
        message: Duration::from_mins(10),
    };
}

/// An SMTP server to hand parcels to.
pub(super) struct Smtp {
    config: SmtpDestination,
    patience: Patience,
    hello: ClientId,
    tls: OnceCell<TlsParameters>,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

/// How a transaction ended that did not deliver.
enum Failure {
    /// The server had closed the connection before it heard of this message.
    Stale(Attempt),
    Failed(Attempt),
}

impl Smtp {
    pub(super) fn new(config: &SmtpDestination, hostname: &Domain, patience: Patience) -> Self {
        Self {
            config: config.clone(),
            patience,
            hello: ClientId::Domain(hostname.as_str().to_owned()),
            tls: OnceCell::new(),
            idle: Mutex::default(),
        }
    }

    pub(super) async fn attempt(&self, parcel: &Parcel) -> Attempt {
        let route = match Route::of(&self.config, parcel) {
            Ok(route) => route,
            Err(cause) => return Attempt::Refused(cause),
        };
        if let Some(mut connection) = self.take_idle() {
            match self.transact(&mut connection, &route, parcel).await {
                Ok(()) => {
                    self.keep(connection);
                    return Attempt::Delivered;
                }
                Err(Failure::Failed(attempt)) => return attempt,
                Err(Failure::Stale(_)) => {}
            }
        }
        let mut connection = match self.connect().await {
            Ok(connection) => connection,
            Err(cause) => return Attempt::Retry(cause),
        };
        match self.transact(&mut connection, &route, parcel).await {
            Ok(()) => {
                self.keep(connection);
                Attempt::Delivered
            }
            Err(Failure::Stale(attempt) | Failure::Failed(attempt)) => attempt,
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Cause> {
        let server = &self.config.server;
        let address = (server.host.as_str(), server.port);
        let (wrapped, upgrade) = match server.security {
            SmtpSecurity::None => (None, None),
            SmtpSecurity::StartTls => (None, Some(self.tls().await?)),
            SmtpSecurity::Tls => (Some(self.tls().await?), None),
        };
        let connecting = AsyncSmtpConnection::connect_tokio1(
            address,
            Some(self.patience.connect),
            &self.hello,
            wrapped,
            None,
        );
        let failed = |step| move |fault: Fault| reply::before_mail(step, &fault);
        let mut connection = within(self.patience.connect, connecting)
            .await
            .map_err(failed(Step::Connect))?;
        if let Some(parameters) = upgrade {
            let upgrading = connection.starttls(parameters, &self.hello);
            within(self.patience.connect, upgrading)
                .await
                .map_err(failed(Step::StartTls))?;
        }
        if let Some((user, password)) = &server.login {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            let login = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
            within(self.patience.command, login)
                .await
                .map_err(failed(Step::Auth))?;
        }
        Ok(connection)
    }

    async fn transact(
        &self,
        connection: &mut AsyncSmtpConnection,
        route: &Route,
        parcel: &Parcel,
    ) -> Result<(), Failure> {
        let message = parcel.message();
        let mail = route
            .mail(connection, parcel)
            .map_err(|cause| Failure::Failed(Attempt::Refused(cause)))?;
        let patience = self.patience.command;
        let failed =
            |step| move |fault: Fault| Failure::Failed(reply::in_transaction(step, &fault));

        within(patience, connection.command(mail))
            .await
            .map_err(|fault| match reply::in_transaction(Step::Mail, &fault) {
                attempt if fault.is_goodbye() => Failure::Stale(attempt),
                attempt => Failure::Failed(attempt),
            })?;
        within(patience, connection.command(route.rcpt()))
            .await
            .map_err(failed(Step::Rcpt))?;
        within(patience, connection.command(Data))
            .await
            .and_then(|reply| expect(&reply, Severity::PositiveIntermediate))
            .map_err(failed(Step::Data))?;

        let sending = connection.message_iter(message.lines_of_smtp());
        let sent = match within(self.patience.message, sending).await {
            // A server that has seen enough answers and closes while we are still writing.
            Err(Fault::Broken(text)) => {
                match within(LAST_WORDS, connection.read_response()).await {
                    Err(reply @ Fault::Reply { .. }) => Err(reply),
                    _ => Err(Fault::Broken(text)),
                }
            }
            sent => sent,
        };
        sent.and_then(|reply| expect(&reply, Severity::PositiveCompletion))
            .map_err(failed(Step::Content))
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle();
        idle.retain(|kept| kept.since.elapsed() < IDLE);
        idle.pop().map(|kept| kept.connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle();
        if idle.len() < self.config.concurrency {
            idle.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// Says goodbye to the servers while there is nothing to send.
    pub(super) async fn rest(&self) {
        let idle = std::mem::take(&mut *self.idle());
        for mut kept in idle {
            let _ = timeout(LAST_WORDS, kept.connection.command(Quit)).await;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tls(&self) -> Result<TlsParameters, Cause> {
        let build = async || tls_parameters(&self.config.server);
        self.tls.get_or_try_init(build).await.cloned()
    }
}

/// Waits for an answer, but not for ever.
async fn within<T>(
    time: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Fault> {
    match timeout(time, answer).await {
        Ok(answer) => answer.map_err(Fault::from),
        Err(_) => Err(Fault::Silent(time)),
    }
}

/// An answer that says yes in place of "go on", or the other way round, is none.
fn expect(reply: &Response, severity: Severity) -> Result<(), Fault> {
    if reply.code().severity == severity {
        Ok(())
    } else {
        Err(Fault::unexpected(reply))
    }
}

fn tls_parameters(server: &SmtpServer) -> Result<TlsParameters, Cause> {
    TlsParameters::builder(server.host.clone())
        .dangerous_accept_invalid_certs(!server.tls_verify)
        .dangerous_accept_invalid_hostnames(!server.tls_verify)
        .build()
        .map_err(|e| Cause::of_destination(&format!("TLS: {e}")))
}

/// The envelope of one parcel.
struct Route {
    /// Empty: null.
    reverse_path: String,
    recipient: String,
}

impl Route {
    fn of(config: &SmtpDestination, parcel: &Parcel) -> Result<Self, Cause> {
        let reverse_path = match &config.envelope_from {
            EnvelopeFrom::Null => String::new(),
            EnvelopeFrom::Address(address) => address.to_string(),
            EnvelopeFrom::Sender => parcel.claim().address.to_string(),
        };
        let recipient = match &config.recipient {
            Some(recipient) => recipient.clone(),
            // Parsed, so that nothing in it can end the command.
            None => EmailAddress::parse(&parcel.claim().recipient)
                .map_err(|e| Cause::of_request(&format!("RCPT: {e}")))?,
        };
        Ok(Self {
            reverse_path,
            recipient: recipient.to_string(),
        })
    }

    /// The MAIL command with the parameters that this server knows and this message needs.
    ///
    /// A message of 8-bit octets goes even to a server that does not announce 8BITMIME: there are
    /// hardly any that would not take it, and to recode it would be to change it.
    fn mail(&self, connection: &AsyncSmtpConnection, parcel: &Parcel) -> Result<String, Cause> {
        let offers = |extension| connection.server_info().supports_feature(extension);
        let message = parcel.message();
        let mut command = format!("MAIL FROM:<{}>", self.reverse_path);
        if !message.is_ascii() && offers(Extension::EightBitMime) {
            command.push_str(" BODY=8BITMIME");
        }
        let address_needs_utf8 = !self.reverse_path.is_ascii() || !self.recipient.is_ascii();
        let header_needs_utf8 = parcel.claim().envelope.smtputf8 && message.has_utf8_header();
        if offers(Extension::SmtpUtfEight) && (address_needs_utf8 || header_needs_utf8) {
            command.push_str(" SMTPUTF8");
        } else if address_needs_utf8 {
            return Err(Cause::of_request(
                "MAIL: an address is not ASCII and the server does not offer SMTPUTF8; \
                 set recipient or envelope_from of the destination to an ASCII address",
            ));
        }
        command.push_str("\r\n");
        Ok(command)
    }

    fn rcpt(&self) -> String {
        format!("RCPT TO:<{}>\r\n", self.recipient)
    }
}
