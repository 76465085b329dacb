//! Transports of verification mail: an SMTP server, or a folder of `.eml` files. In: a [`ComposedMail`]. Out: an
//! [`AttemptOutcome`].
//!
//! Connections are reused while there is mail to send. One that was interrupted by the time limit is closed,
//! never reused: its next reply would belong to the previous mail.

mod encryption;
mod failure;
mod folder;
mod one_reply_per_command;
mod xoauth2;

use std::path::PathBuf;
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Severity;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use encryption::Encryption;
use failure::SendFailure;
use one_reply_per_command::OneReplyPerCommand;

use super::ComposedMail;
use crate::config::{Outgoing, PasswordLogin, SmtpLogin, SmtpServer};
use crate::domain::Domain;
use crate::observe::events;
use crate::outbound::access_token::AccessTokens;
use crate::outbound::pool::Pool;
use crate::outbound::smtp::reply::SmtpStep;
use crate::outbound::tcp::{Addresses, Opening};
use crate::outbound::{AttemptOutcome, Cause};

/// Time limit for one mail, from connecting to the final reply. A shutdown may end it earlier.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(50);
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// Time limit for STARTTLS if the mail can be sent without it: most of the time of the mail is left.
const UPGRADE_LIMIT: Duration = Duration::from_secs(10);

/// A connection that was idle for longer is tested with NOOP.
const FRESH: Duration = Duration::from_secs(1);
/// Time limit of that test: a firewall may have dropped the connection without a word.
const NOOP_LIMIT: Duration = Duration::from_secs(5);
/// Time for which an idle connection is kept.
const IDLE: Duration = Duration::from_mins(1);

const FAREWELL_LIMIT: Duration = Duration::from_secs(2);

/// The transport that `[outgoing]` describes.
pub struct MailTransport {
    target: Target,
}

enum Target {
    Smtp(Box<Server>),
    Folder(PathBuf),
}

/// An SMTP server and its idle connections.
struct Server {
    settings: SmtpServer,
    login: Option<ServerLogin>,
    encryption: Encryption,
    hello: ClientId,
    addresses: Addresses,
    idle: Pool<AsyncSmtpConnection>,
}

enum ServerLogin {
    Password(PasswordLogin),
    Token(AccessTokens),
}

impl MailTransport {
    /// Keeps at most `connections` idle connections.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(
        outgoing: &Outgoing,
        hostname: &Domain,
        connections: usize,
    ) -> Result<Self, TransportError> {
        let (settings, login) = match outgoing {
            Outgoing::File(folder) => {
                let target = Target::Folder(folder.clone());
                return Ok(Self { target });
            }
            Outgoing::Smtp(settings, login) => (settings, login),
        };
        let login = login.as_ref().map(|login| match login {
            SmtpLogin::Password(login) => ServerLogin::Password(login.clone()),
            SmtpLogin::Token(login) => ServerLogin::Token(AccessTokens::new(login)),
        });
        let target = Target::Smtp(Box::new(Server {
            encryption: Encryption::of(settings)?,
            settings: settings.clone(),
            login,
            hello: ClientId::Domain(hostname.to_string()),
            addresses: Addresses::default(),
            idle: Pool::new(connections, IDLE),
        }));
        Ok(Self { target })
    }

    pub(super) async fn send(&self, mail: &ComposedMail) -> AttemptOutcome {
        match &self.target {
            Target::Smtp(server) => server.send(mail).await,
            Target::Folder(folder) => {
                let (folder, name) = (folder.clone(), mail.id.to_string());
                let content = mail.content.clone();
                match tokio::task::spawn_blocking(move || folder::put(&folder, &name, &content))
                    .await
                {
                    Ok(Ok(())) => AttemptOutcome::Delivered,
                    Ok(Err(cause)) => AttemptOutcome::Retry(Cause::of_destination(&cause)),
                    Err(panic) => AttemptOutcome::Unknown(Cause::internal(&panic.to_string())),
                }
            }
        }
    }

    /// Sends QUIT and closes the idle connections.
    pub(super) async fn close_idle(&self) {
        if let Target::Smtp(server) = &self.target {
            let mut farewells = JoinSet::new();
            for mut connection in server.idle.drain() {
                farewells.spawn(async move {
                    // A connection is closed even if the server does not answer QUIT.
                    let _ = tokio::time::timeout(FAREWELL_LIMIT, connection.quit()).await;
                });
            }
            farewells.join_all().await;
        }
    }
}

/// Reason why the transport cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("outgoing: {0}")]
pub struct TransportError(String);

impl Server {
    async fn send(&self, mail: &ComposedMail) -> AttemptOutcome {
        let host = &self.settings.host;
        let mut is_content_sent = false;
        let sending = self.try_send(mail, &mut is_content_sent);
        let cause = match tokio::time::timeout(TIME_LIMIT, sending).await {
            Ok(Ok(())) => return AttemptOutcome::Delivered,
            Ok(Err(SendFailure::Unfit(extension))) => {
                let cause = format!("{host} does not offer {extension}, which this mail needs");
                return AttemptOutcome::Refused(Cause::of_request(&cause));
            }
            Ok(Err(failure)) => match failure.judge_reply() {
                Some(outcome) => return outcome,
                None => format!("{host}: {failure}"),
            },
            Err(_) => format!("{host} took longer than {} s", TIME_LIMIT.as_secs()),
        };
        let cause = Cause::of_destination(&cause);
        if is_content_sent {
            // The server may have accepted the mail (RFC 5321 4.5.3.2.6).
            AttemptOutcome::Unknown(cause)
        } else {
            AttemptOutcome::Retry(cause)
        }
    }

    /// Sets `is_content_sent` before the content is sent: from then on only a reply tells the outcome. If the server
    /// has closed an idle connection, or closes it at the next mail, the mail is sent over a new one.
    async fn try_send(
        &self,
        mail: &ComposedMail,
        is_content_sent: &mut bool,
    ) -> Result<(), SendFailure> {
        if let Some(connection) = self.take_idle().await {
            match self.send_over(connection, mail, is_content_sent).await {
                Err(failure) if failure.is_goodbye() => {}
                done => return done,
            }
        }
        let connection = self.connect().await?;
        self.send_over(connection, mail, is_content_sent).await
    }

    /// Sends the mail over this connection, which is kept if all went well.
    async fn send_over(
        &self,
        mut connection: AsyncSmtpConnection,
        mail: &ComposedMail,
        is_content_sent: &mut bool,
    ) -> Result<(), SendFailure> {
        match transact(&mut connection, mail, is_content_sent).await {
            Ok(()) => self.idle.put(connection),
            Err(error) => {
                if error.is_reply() {
                    // A server that has just replied may wait for the QUIT; one that is slow is left alone.
                    let _ = tokio::time::timeout(FAREWELL_LIMIT, connection.quit()).await;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// An idle connection that is still alive. If one no longer answers, the others are dropped with it, because a test
    /// of each would use up the time of the mail.
    async fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        while let Some((mut connection, idle)) = self.idle.take() {
            if idle < FRESH {
                return Some(connection);
            }
            let tested = tokio::time::timeout(NOOP_LIMIT, connection.test_connected()).await;
            match tested {
                Ok(true) => return Some(connection),
                Ok(false) => {}
                Err(_) => drop(self.idle.drain()),
            }
        }
        None
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendFailure> {
        let login = match &self.login {
            None => return self.open().await,
            Some(ServerLogin::Token(tokens)) => return self.connect_with_token(tokens).await,
            Some(ServerLogin::Password(login)) => login,
        };
        let mut connection = self.open().await?;
        let password = login.password.expose_secret().to_owned();
        let credentials = Credentials::new(login.user.clone(), password);
        connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
        Ok(connection)
    }

    /// Logs in with the current token. If the server refuses it and a newer one is available by now, tries that on
    /// a new connection.
    async fn connect_with_token(
        &self,
        tokens: &AccessTokens,
    ) -> Result<AsyncSmtpConnection, SendFailure> {
        let token = tokens.get().await?;
        let mut connection = self.open().await?;
        let refusal = match xoauth2::log_in(&mut connection, tokens.user(), &token).await {
            Ok(()) => return Ok(connection),
            Err(refusal) if refusal.is_of_token => refusal,
            Err(refusal) => return Err(refusal.into()),
        };
        connection.abort().await;
        let Some(token) = tokens.replace(&token).await else {
            return Err(refusal.into());
        };
        let mut connection = self.open().await?;
        xoauth2::log_in(&mut connection, tokens.user(), &token).await?;
        Ok(connection)
    }

    /// Opens a connection, encrypted as far as the configuration requires, before the login.
    async fn open(&self) -> Result<AsyncSmtpConnection, SendFailure> {
        let mut session = self.addresses.begin();
        let connection = match &self.encryption {
            Encryption::None => {
                let stream = self.reach(&mut session).await?;
                self.greet(Box::new(stream)).await?
            }
            Encryption::Implicit(tls) => {
                let stream = tls.encrypt(self.reach(&mut session).await?).await;
                self.greet(Box::new(stream.map_err(SendFailure::Connect)?))
                    .await?
            }
            Encryption::StartTls(tls) => {
                let mut connection = self.open_before_tls(&mut session).await?;
                connection.starttls(tls.clone(), &self.hello).await?;
                connection
            }
            Encryption::Opportunistic(tls) => self.open_opportunistic(&mut session, tls).await?,
        };
        session.succeed();
        Ok(connection)
    }

    async fn open_opportunistic(
        &self,
        session: &mut Opening<'_>,
        tls: &TlsParameters,
    ) -> Result<AsyncSmtpConnection, SendFailure> {
        let mut connection = self.open_before_tls(session).await?;
        if !connection.can_starttls() {
            return Ok(connection);
        }
        let upgrading = connection.starttls(tls.clone(), &self.hello);
        let upgraded = tokio::time::timeout(UPGRADE_LIMIT, upgrading).await;
        if matches!(upgraded, Ok(Ok(()))) {
            return Ok(connection);
        }
        // RFC 7435: with opportunistic TLS, a TLS failure does not prevent delivery. The server may limit the
        // connections of a client, so this one is closed first.
        drop(connection);
        self.open_before_tls(session).await
    }

    /// Opens a connection on which STARTTLS may follow.
    async fn open_before_tls(
        &self,
        session: &mut Opening<'_>,
    ) -> Result<AsyncSmtpConnection, SendFailure> {
        let stream = OneReplyPerCommand::over(self.reach(session).await?);
        self.greet(Box::new(stream)).await
    }

    /// Reads the greeting and sends EHLO.
    async fn greet(
        &self,
        stream: Box<dyn AsyncTokioStream>,
    ) -> Result<AsyncSmtpConnection, SendFailure> {
        Ok(AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await?)
    }

    /// Connects without Nagle's algorithm: lettre writes the final dot separately, and the server's delayed
    /// acknowledgement would hold it back for 40 ms.
    async fn reach(&self, session: &mut Opening<'_>) -> Result<TcpStream, SendFailure> {
        let connecting = session.connect(&self.settings.host, self.settings.port);
        let connected = match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
            Ok(connected) => connected,
            Err(late) => Err(late.into()),
        };
        let stream = connected.map_err(SendFailure::Connect)?;
        stream.set_nodelay(true).map_err(SendFailure::Connect)?;
        Ok(stream)
    }
}

/// One transaction (RFC 5321 3.3), with the extensions that the mail needs.
async fn transact(
    connection: &mut AsyncSmtpConnection,
    mail: &ComposedMail,
    is_content_sent: &mut bool,
) -> Result<(), SendFailure> {
    let (from, to) = (mail.envelope.from(), mail.envelope.to());
    let mut addresses = from.into_iter().chain(to);
    let mut parameters = Vec::new();
    if !addresses.all(|address| AsRef::<str>::as_ref(address).is_ascii()) {
        if !connection
            .server_info()
            .supports_feature(Extension::SmtpUtfEight)
        {
            return Err(SendFailure::Unfit("SMTPUTF8 (RFC 6531)"));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !mail.content.is_ascii() {
        if !connection
            .server_info()
            .supports_feature(Extension::EightBitMime)
        {
            return Err(SendFailure::Unfit("8BITMIME (RFC 6152)"));
        }
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    connection
        .command(Mail::new(from.cloned(), parameters))
        .await
        .map_err(SendFailure::at(SmtpStep::Mail))?;
    let mut refused = None;
    let mut count = 0;
    for address in to {
        let reply = connection.command(Rcpt::new(address.clone(), Vec::new()));
        match reply.await {
            Ok(_) => {}
            Err(error) if error.status().is_some() => {
                count += 1;
                if to.len() > 1 {
                    let cause = format_args!("a recipient was refused: {error}");
                    events::fault("verification.mail", &cause);
                }
                refused = Some(error);
            }
            Err(error) => return Err(SendFailure::Transaction(SmtpStep::Rcpt, error)),
        }
    }
    // A refused recipient does not keep the mail from the others.
    if let Some(error) = refused
        && count == to.len()
    {
        return Err(SendFailure::Transaction(SmtpStep::Rcpt, error));
    }
    connection
        .command(Data)
        .await
        .map_err(SendFailure::at(SmtpStep::Data))?;
    *is_content_sent = true;
    let reply = connection
        .message(&mail.content)
        .await
        .map_err(SendFailure::at(SmtpStep::Content))?;
    if reply.code().severity != Severity::PositiveCompletion {
        return Err(SendFailure::Reply(reply.code()));
    }
    Ok(())
}

impl std::fmt::Debug for MailTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.target {
            Target::Smtp(server) => write!(f, "MailTransport(smtp to {})", server.settings.host),
            Target::Folder(folder) => write!(f, "MailTransport(folder {})", folder.display()),
        }
    }
}

#[cfg(test)]
mod tests;
