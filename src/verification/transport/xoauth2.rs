//! The login with an access token of OAuth 2, as Microsoft and Google implement it (XOAUTH2).
//!
//! A server that refuses a token says why in a challenge (334), which is answered by an empty line; the reply to
//! that is the refusal.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use secrecy::{ExposeSecret, SecretString};

/// The server did not take the login. The text is a line of the server, without the token.
#[derive(Debug, thiserror::Error)]
#[error("login: {text}")]
pub(super) struct LoginRefusal {
    text: String,
    /// True if another token may be accepted (RFC 4954 6).
    pub(super) is_of_token: bool,
}

impl LoginRefusal {
    /// Removes the secrets from the error, since a server may repeat what it was sent.
    fn of(error: &lettre::transport::smtp::Error, secrets: [&str; 2]) -> Self {
        let code = error.status().map(u16::from);
        let text = secrets
            .into_iter()
            .fold(error.to_string(), |text, secret| text.replace(secret, "…"));
        Self {
            text,
            is_of_token: matches!(code, Some(534 | 535)),
        }
    }
}

pub(super) async fn log_in(
    connection: &mut AsyncSmtpConnection,
    user: &str,
    token: &SecretString,
) -> Result<(), LoginRefusal> {
    let offers = connection.server_info();
    if !offers.supports_auth_mechanism(Mechanism::Xoauth2) {
        return Err(LoginRefusal {
            text: "the server does not offer XOAUTH2".to_owned(),
            is_of_token: false,
        });
    }
    let response = format!(
        "user={user}\x01auth=Bearer {}\x01\x01",
        token.expose_secret()
    );
    let response = STANDARD.encode(response);
    let command = format!("AUTH XOAUTH2 {response}\r\n");
    let refused = |error| LoginRefusal::of(&error, [&response, token.expose_secret()]);
    let reply = connection.command(command).await.map_err(refused)?;
    if !reply.has_code(334) {
        return Ok(());
    }
    connection.command("\r\n").await.map_err(refused)?;
    Err(LoginRefusal {
        text: "the server continued the XOAUTH2 exchange after the token".to_owned(),
        is_of_token: false,
    })
}
