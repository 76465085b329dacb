//! In: a message. Out: the outcome of sending it to an SMTP server.
//!
//! Each attempt is one transaction, over a connection that is kept for the next one if all went well. A
//! connection that was left in the middle of a transaction is closed and never used again: a late reply must
//! not be taken for the reply to another message.

mod envelope;

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use envelope::{DeliveryEnvelope, Needs};

use crate::config::{SmtpDestination, SmtpSecurity};
use crate::delivery::OutgoingMessage;
use crate::delivery::message::ReadPosition;
use crate::domain::Domain;
use crate::outbound::pool::Pool;
use crate::outbound::smtp::connection::{CLOSING_TIMEOUT, SmtpConnection};
use crate::outbound::smtp::reply::{self, SmtpFault, SmtpStep};
use crate::outbound::tcp::{Addresses, Opening};
use crate::outbound::{AttemptOutcome, Cause, tls};
use crate::store::StoreError;

/// Time for which an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Timeouts for the other side (RFC 5321 4.5.3.2).
#[derive(Debug, Clone, Copy)]
pub(in crate::delivery) struct Timeouts {
    /// Until the server's greeting.
    pub connect: Duration,
    /// For the reply to a command.
    pub command: Duration,
    /// For the transmission and the reply to the final dot.
    pub message: Duration,
}

impl Timeouts {
    pub(in crate::delivery) const DEFAULT: Self = Self {
        connect: Duration::from_secs(30),
        command: Duration::from_mins(5),
        message: Duration::from_mins(10),
    };
}

/// An SMTP server that takes messages.
pub(in crate::delivery) struct SmtpClient {
    config: SmtpDestination,
    time_limit: Timeouts,
    hello: String,
    tls: OnceCell<Arc<ClientConfig>>,
    addresses: Addresses,
    idle: Pool<SmtpConnection>,
}

/// Failure of a transaction.
enum Failure {
    /// The server had closed the connection before this message was announced.
    Stale(AttemptOutcome),
    Failed(AttemptOutcome),
}

impl SmtpClient {
    pub(in crate::delivery) fn new(
        config: &SmtpDestination,
        hostname: &Domain,
        time_limit: Timeouts,
    ) -> Self {
        Self {
            config: config.clone(),
            time_limit,
            hello: hostname.as_str().to_owned(),
            tls: OnceCell::new(),
            addresses: Addresses::default(),
            idle: Pool::new(config.concurrency, IDLE),
        }
    }

    pub(in crate::delivery) async fn attempt(&self, outgoing: &OutgoingMessage) -> AttemptOutcome {
        let envelope = match DeliveryEnvelope::of(&self.config, outgoing) {
            Ok(envelope) => envelope,
            Err(cause) => return AttemptOutcome::Refused(cause),
        };
        let message = outgoing.message();
        let needs = match message.is_ascii().await {
            Ok(is_ascii) => Needs {
                octets: message.size(),
                is_ascii,
                has_utf8_header: outgoing.claim().envelope.smtputf8 && message.has_utf8_header(),
            },
            Err(error) => return error.into(),
        };
        let transact = |connection| self.transact(connection, &envelope, &needs, outgoing);
        if let Some((connection, _)) = self.idle.take() {
            match transact(connection).await {
                Ok(()) => return AttemptOutcome::Delivered,
                Err(Failure::Failed(attempt)) => return attempt,
                Err(Failure::Stale(_)) => {}
            }
        }
        let connection = match self.connect().await {
            Ok(connection) => connection,
            Err(cause) => return AttemptOutcome::Retry(cause),
        };
        match transact(connection).await {
            Ok(()) => AttemptOutcome::Delivered,
            Err(Failure::Stale(attempt) | Failure::Failed(attempt)) => attempt,
        }
    }

    async fn connect(&self) -> Result<SmtpConnection, Cause> {
        let mut session = self.addresses.begin();
        let mut connection = match self.config.server.security {
            SmtpSecurity::None => self.open(&mut session, false).await?,
            SmtpSecurity::Tls => self.open(&mut session, true).await?,
            SmtpSecurity::StartTls => self.upgrade(self.open(&mut session, false).await?).await?,
            SmtpSecurity::Opportunistic => {
                let connection = self.open(&mut session, false).await?;
                if !connection.offers().starttls {
                    connection
                } else if let Ok(connection) = self.upgrade(connection).await {
                    connection
                } else {
                    // RFC 7435: with opportunistic TLS, a TLS failure does not prevent delivery.
                    self.open(&mut session, false).await?
                }
            }
        };
        session.succeed();
        if let Some(login) = &self.config.login {
            let login = connection.login(&login.user, login.password.expose_secret());
            within(self.time_limit.command, login)
                .await
                .map_err(|fault| reply::before_mail(SmtpStep::Auth, &fault))?;
        }
        Ok(connection)
    }

    /// Connects and reads the greeting.
    async fn open(
        &self,
        session: &mut Opening<'_>,
        wrapped: bool,
    ) -> Result<SmtpConnection, Cause> {
        let server = &self.config.server;
        let tls = if wrapped {
            Some(self.tls().await?)
        } else {
            None
        };
        let opening = SmtpConnection::open(session, &server.host, server.port, tls, &self.hello);
        within(self.time_limit.connect, opening)
            .await
            .map_err(|fault| reply::before_mail(SmtpStep::Connect, &fault))
    }

    async fn upgrade(&self, connection: SmtpConnection) -> Result<SmtpConnection, Cause> {
        let upgrading =
            connection.start_tls(self.tls().await?, &self.config.server.host, &self.hello);
        within(self.time_limit.connect, upgrading)
            .await
            .map_err(|fault| reply::before_mail(SmtpStep::StartTls, &fault))
    }

    async fn transact(
        &self,
        mut connection: SmtpConnection,
        envelope: &DeliveryEnvelope,
        needs: &Needs,
        outgoing: &OutgoingMessage,
    ) -> Result<(), Failure> {
        let mail = envelope
            .mail(connection.offers(), needs)
            .map_err(|cause| Failure::Failed(AttemptOutcome::Refused(cause)))?;
        let time_limit = self.time_limit.command;
        let failed =
            |step| move |fault: SmtpFault| Failure::Failed(reply::in_transaction(step, &fault));

        within(time_limit, connection.command(&mail))
            .await
            .and_then(|reply| reply.expect(2))
            .map_err(
                |fault| match reply::in_transaction(SmtpStep::Mail, &fault) {
                    attempt if fault.is_goodbye() => Failure::Stale(attempt),
                    attempt => Failure::Failed(attempt),
                },
            )?;
        within(time_limit, connection.command(&envelope.rcpt()))
            .await
            .and_then(|reply| reply.expect(2))
            .map_err(failed(SmtpStep::Rcpt))?;
        within(time_limit, connection.command("DATA"))
            .await
            .and_then(|reply| reply.expect(3))
            .map_err(failed(SmtpStep::Data))?;

        let message = outgoing.message();
        let sending = async {
            let mut data = connection.data();
            let mut place = ReadPosition::default();
            while let Some(piece) = message.piece(&mut place).await? {
                data.write(&piece)
                    .await
                    .map_err(failed(SmtpStep::Content))?;
            }
            let reply = data.end().await.and_then(|reply| reply.expect(2));
            reply.map(drop).map_err(failed(SmtpStep::Content))
        };
        let time_limit = self.time_limit.message;
        timeout(time_limit, sending)
            .await
            .unwrap_or_else(|_| Err(failed(SmtpStep::Content)(SmtpFault::Silent(time_limit))))?;
        self.idle.put(connection);
        Ok(())
    }

    #[cfg(test)]
    pub(in crate::delivery) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Sends QUIT and closes the idle connections.
    pub(in crate::delivery) async fn close_idle(&self) {
        for mut connection in self.idle.drain() {
            let _ = timeout(CLOSING_TIMEOUT, connection.command("QUIT")).await;
        }
    }

    async fn tls(&self) -> Result<Arc<ClientConfig>, Cause> {
        let verify = self.config.server.verifies_certificate();
        let build = async || tls::client(verify).map(Arc::new);
        self.tls.get_or_try_init(build).await.cloned()
    }
}

/// Awaits a reply with a timeout.
async fn within<T>(
    time: Duration,
    answer: impl Future<Output = Result<T, SmtpFault>>,
) -> Result<T, SmtpFault> {
    timeout(time, answer)
        .await
        .unwrap_or(Err(SmtpFault::Silent(time)))
}

/// The message could not be read to its end, so the final dot was not sent.
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}
