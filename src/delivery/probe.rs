//! Whether a server could be handed something, found out without sending anything.
//!
//! Blocking: it is for a person at a command line, never for the daemon.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use lettre::SmtpTransport;
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret;

use crate::config::{SmtpSecurity, SmtpServer};
use crate::domain::Domain;

/// Connects, says EHLO, negotiates TLS and logs in as far as the configuration says so.
///
/// # Errors
/// The step that failed, in one line.
pub fn smtp(server: &SmtpServer, hello: &Domain, patience: Duration) -> Result<(), String> {
    let verify = server.tls_verify && server.security != SmtpSecurity::Opportunistic;
    let parameters = || {
        TlsParameters::builder(server.host.clone())
            .dangerous_accept_invalid_certs(!verify)
            .dangerous_accept_invalid_hostnames(!verify)
            .build()
            .map_err(|cause| in_one_line(&cause))
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
        .timeout(Some(patience))
        .pool_config(PoolConfig::new().min_idle(0).max_size(1));
    if let Some((user, password)) = &server.login {
        transport = transport.credentials(Credentials::new(
            user.clone(),
            password.expose_secret().to_owned(),
        ));
    }
    match transport.build().test_connection() {
        Ok(true) => Ok(()),
        Ok(false) => Err("it closed the connection after the greeting".to_owned()),
        Err(cause) => Err(in_one_line(&cause)),
    }
}

/// Only connects: any request to a webhook would be one that it acts on.
///
/// # Errors
/// A name that has no address, and what the network says.
pub fn tcp(host: &str, port: u16, patience: Duration) -> Result<(), String> {
    let addresses = (host, port)
        .to_socket_addrs()
        .map_err(|cause| in_one_line(&cause))?;
    let mut last = format!("{host} has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(_) => return Ok(()),
            Err(cause) => last = in_one_line(&cause),
        }
    }
    Err(last)
}

/// The error with its causes. What the other side said cannot forge a line.
fn in_one_line(cause: &dyn std::error::Error) -> String {
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
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect()
}
