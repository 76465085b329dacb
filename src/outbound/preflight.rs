//! Checks whether a server is usable, without sending anything.
//!
//! Blocking: for the command line only, never for the daemon.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use lettre::SmtpTransport;
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Tls, TlsParameters};
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

/// Connects, sends EHLO, negotiates TLS and logs in, as far as the configuration requires.
///
/// # Errors
/// The step that failed.
pub fn smtp(
    server: &SmtpServer,
    login: Option<&LoginCredentials>,
    hello: &Domain,
    timeout: Duration,
) -> Result<(), Trouble> {
    let verify = server.verifies_certificate();
    let parameters = || {
        TlsParameters::builder(server.host.clone())
            .dangerous_accept_invalid_certs(!verify)
            .dangerous_accept_invalid_hostnames(!verify)
            .build()
            .map_err(|cause| Trouble {
                obstacle: Obstacle::Tls,
                text: in_one_line(&cause),
            })
    };
    let tls = match server.security {
        SmtpSecurity::None => Tls::None,
        SmtpSecurity::Opportunistic => Tls::Opportunistic(parameters()?),
        SmtpSecurity::StartTls => Tls::Required(parameters()?),
        SmtpSecurity::Tls => Tls::Wrapper(parameters()?),
    };
    let mut transport = SmtpTransport::builder_dangerous(&server.host)
        .port(server.port)
        .tls(tls)
        .hello_name(ClientId::Domain(hello.to_string()))
        .timeout(Some(timeout))
        .pool_config(PoolConfig::new().min_idle(0).max_size(1));
    let has_token = login.is_some_and(|login| login.is_token);
    if let Some(login) = login {
        transport = transport.credentials(login.credentials.clone());
    }
    if has_token {
        transport = transport.authentication(vec![Mechanism::Xoauth2]);
    }
    match transport.build().test_connection() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Trouble {
            obstacle: Obstacle::Refusal,
            text: "it closed the connection after the greeting".to_owned(),
        }),
        Err(cause) => Err(trouble(&cause, has_token, timeout)),
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
