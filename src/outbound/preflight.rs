//! Checks whether a server is usable, without sending anything.
//!
//! Blocking: for the command line only, never for the daemon.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS, Mechanism};
use lettre::transport::smtp::client::{SmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use rustls::CertificateError;
use secrecy::ExposeSecret;

use super::access_token::AccessTokens;
use crate::config::{SmtpLogin, SmtpSecurity, SmtpServer};
use crate::domain::Domain;

/// The failed step and its error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub obstacle: Obstacle,
    /// One line.
    pub text: String,
}

/// The step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The connection failed.
    Unreachable,
    /// The server does not offer STARTTLS.
    StartTls,
    /// The server does not speak TLS on this port, or no version that we support.
    Tls,
    /// The certificate is not signed by a trusted authority.
    Signature,
    /// The certificate is for another name.
    Name,
    /// The certificate has expired, or is not valid yet.
    Dates,
    /// The server rejected the user or the password.
    Login,
    /// The server refused in another way.
    Refusal,
}

/// A user with their password or current access token.
pub struct LoginCredentials {
    credentials: Credentials,
    is_token: bool,
}

impl LoginCredentials {
    /// Reads the access token if the login has one.
    ///
    /// # Errors
    /// The token is not available: one line without secrets.
    pub fn read(login: &SmtpLogin) -> Result<Self, String> {
        let (user, secret, is_token) = match login {
            SmtpLogin::Password(login) => (
                &login.user,
                login.password.expose_secret().to_owned(),
                false,
            ),
            SmtpLogin::Token(login) => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|error| error.to_string())?;
                let tokens = AccessTokens::new(login);
                let token = runtime.block_on(tokens.get());
                let token = token.map_err(|error| error.to_string())?;
                (&login.user, token.expose_secret().to_owned(), true)
            }
        };
        Ok(Self {
            credentials: Credentials::new(user.clone(), secret),
            is_token,
        })
    }
}

/// Protection of the mail to a server that is usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    AsConfigured,
    /// STARTTLS failed, and the daemon would send in plain text.
    PlainText(Trouble),
}

/// Connects, sends EHLO, negotiates TLS and logs in, as far as the configuration requires. If opportunistic TLS fails,
/// goes on in plain text, as the daemon does (RFC 7435).
///
/// # Errors
/// The step that failed.
pub fn smtp(
    server: &SmtpServer,
    login: Option<&LoginCredentials>,
    hello: &Domain,
    timeout: Duration,
) -> Result<Protection, Trouble> {
    let has_token = login.is_some_and(|login| login.is_token);
    let check = ServerCheck {
        server,
        hello: ClientId::Domain(hello.to_string()),
        timeout,
    };
    let (mut connection, protection) = check.connect()?;
    if let Some(login) = login {
        let mechanisms: &[Mechanism] = if has_token {
            &[Mechanism::Xoauth2]
        } else {
            DEFAULT_MECHANISMS
        };
        connection
            .auth(mechanisms, &login.credentials)
            .map_err(|cause| trouble(&cause, has_token, timeout))?;
    }
    if !connection.test_connected() {
        return Err(Trouble {
            obstacle: Obstacle::Refusal,
            text: "it closed the connection after the greeting".to_owned(),
        });
    }
    connection.abort();
    Ok(protection)
}

/// The part of a check that needs no login.
struct ServerCheck<'a> {
    server: &'a SmtpServer,
    hello: ClientId,
    timeout: Duration,
}

impl ServerCheck<'_> {
    /// Opens a connection, encrypted as far as the configuration requires.
    fn connect(&self) -> Result<(SmtpConnection, Protection), Trouble> {
        let configured = |connection: SmtpConnection| (connection, Protection::AsConfigured);
        match self.server.security {
            SmtpSecurity::None => self.open(None).map(configured),
            SmtpSecurity::Tls => self.open(Some(&self.parameters()?)).map(configured),
            SmtpSecurity::StartTls => {
                let mut connection = self.open(None)?;
                self.start_tls(&mut connection)?;
                Ok(configured(connection))
            }
            SmtpSecurity::Opportunistic => {
                let mut connection = self.open(None)?;
                if !connection.can_starttls() {
                    return Ok(configured(connection));
                }
                let Err(trouble) = self.start_tls(&mut connection) else {
                    return Ok(configured(connection));
                };
                drop(connection);
                Ok((self.open(None)?, Protection::PlainText(trouble)))
            }
        }
    }

    /// Connects, with TLS from the first octet if `tls` is given, and reads greeting and EHLO.
    fn open(&self, tls: Option<&TlsParameters>) -> Result<SmtpConnection, Trouble> {
        let place = (self.server.host.as_str(), self.server.port);
        SmtpConnection::connect(place, Some(self.timeout), &self.hello, tls, None)
            .map_err(|cause| trouble(&cause, false, self.timeout))
    }

    fn start_tls(&self, connection: &mut SmtpConnection) -> Result<(), Trouble> {
        connection
            .starttls(&self.parameters()?, &self.hello)
            .map_err(|cause| trouble(&cause, false, self.timeout))
    }

    fn parameters(&self) -> Result<TlsParameters, Trouble> {
        let verify = self.server.verifies_certificate();
        TlsParameters::builder(self.server.host.clone())
            .dangerous_accept_invalid_certs(!verify)
            .dangerous_accept_invalid_hostnames(!verify)
            .build()
            .map_err(|cause| Trouble {
                obstacle: Obstacle::Tls,
                text: in_one_line(&cause),
            })
    }
}

fn trouble(error: &lettre::transport::smtp::Error, has_token: bool, timeout: Duration) -> Trouble {
    /// RFC 4954 6. 454 is also a reply to STARTTLS, with the same meaning: a temporary failure.
    const LOGIN: [u16; 6] = [432, 454, 530, 534, 535, 538];
    let found = |obstacle, text: String| Trouble { obstacle, text };
    if let Some(code) = error.status() {
        let obstacle = match u16::from(code) {
            code if LOGIN.contains(&code) => Obstacle::Login,
            _ => Obstacle::Refusal,
        };
        return found(obstacle, in_one_line(error));
    }
    // The text that lettre prepends to its source only names a part of lettre.
    let text = error
        .source()
        .map_or_else(|| error.to_string(), in_one_line);
    if error.is_client() {
        // The cause is in the challenge of XOAUTH2, which lettre does not show.
        if has_token && text.contains("challenge") {
            return found(Obstacle::Login, "it refuses the access token".to_owned());
        }
        let obstacle = if text.contains("STARTTLS") {
            Obstacle::StartTls
        } else {
            Obstacle::Login
        };
        return found(obstacle, text);
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(network) = error.downcast_ref::<io::Error>() {
            if let Some(tls) = network.get_ref().and_then(|inner| inner.downcast_ref()) {
                return found(of_tls(tls), text);
            }
            // A socket timeout has one of these two error kinds.
            if matches!(network.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
                let text = format!("it did not answer within {} s", timeout.as_secs());
                return found(Obstacle::Unreachable, text);
            }
        }
        cause = error.source();
    }
    found(Obstacle::Unreachable, text)
}

fn of_tls(error: &rustls::Error) -> Obstacle {
    match error {
        rustls::Error::InvalidCertificate(refusal) => match refusal {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Obstacle::Name
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Obstacle::Dates,
            _ => Obstacle::Signature,
        },
        _ => Obstacle::Tls,
    }
}

/// Checks that a port accepts connections. It only connects, because a webhook would act on any request.
///
/// # Errors
/// A name without an address, and errors of the network.
pub fn tcp(host: &str, port: u16, timeout: Duration) -> Result<(), String> {
    let addresses = (host, port)
        .to_socket_addrs()
        .map_err(|cause| in_one_line(&cause))?;
    let mut last = format!("{host} has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(_) => return Ok(()),
            Err(cause) => last = in_one_line(&cause),
        }
    }
    Err(last)
}

/// The error with its causes. Text of the other side cannot forge a line.
fn in_one_line(cause: &dyn Error) -> String {
    let mut text = cause.to_string();
    let mut source = cause.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text += ": ";
            text += &said;
        }
        source = cause.source();
    }
    let start: String = text.chars().take(300).collect();
    start.replace(char::is_control, " ")
}
