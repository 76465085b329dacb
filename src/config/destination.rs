//! Destinations of requests and hook calls, and the servers for both. The values are valid;
//! [`sections`](super::sections) reads and checks them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{RetrySchedule, Secret};
use crate::domain::{DestinationName, EmailAddress, EventPattern};

/// The destination of a portal's released requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Smtp(SmtpDestination),
    Maildir(MaildirDestination),
    Webhook(WebhookDestination),
    Command(CommandDestination),
}

impl Destination {
    /// The name of its type in the configuration.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Smtp(_) => "smtp",
            Self::Maildir(_) => "maildir",
            Self::Webhook(_) => "webhook",
            Self::Command(_) => "command",
        }
    }

    #[must_use]
    pub fn retry(&self) -> &RetrySchedule {
        match self {
            Self::Smtp(smtp) => &smtp.retry,
            Self::Maildir(maildir) => &maildir.retry,
            Self::Webhook(webhook) => &webhook.retry,
            Self::Command(command) => &command.retry,
        }
    }
}

/// Encryption of a connection to an SMTP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// `smtp://`: unencrypted.
    None,
    /// `smtp+opportunistic://`: STARTTLS if it is offered and works, otherwise unencrypted (RFC 7435).
    Opportunistic,
    /// `smtp+starttls://`: STARTTLS is required.
    StartTls,
    /// `smtps://`: TLS from the first byte (RFC 8314).
    Tls,
}

/// An SMTP server to send to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpServer {
    pub host: String,
    pub port: u16,
    pub security: SmtpSecurity,
    /// True if the certificate must be valid for the host.
    pub tls_verify: bool,
}

impl SmtpServer {
    /// True if a connection requires a valid certificate. An opportunistic one may be unencrypted anyway, and an
    /// untrusted certificate is no worse.
    #[must_use]
    pub fn verifies_certificate(&self) -> bool {
        self.tls_verify && self.security != SmtpSecurity::Opportunistic
    }
}

/// Login at the server of verification mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmtpLogin {
    Password(PasswordLogin),
    /// For the server of a provider that asks for an access token (XOAUTH2).
    Token(TokenLogin),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordLogin {
    pub user: String,
    pub password: Secret,
}

/// A login with an access token of OAuth 2 instead of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenLogin {
    pub user: String,
    pub source: TokenSource,
}

/// Source of the current access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A file that another program keeps up to date.
    File(PathBuf),
    /// A program that writes the token to its standard output, and its arguments.
    Command(PathBuf, Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpDestination {
    pub server: SmtpServer,
    pub login: Option<PasswordLogin>,
    /// `None`: the portal address of the message.
    pub recipient: Option<EmailAddress>,
    pub envelope_from: EnvelopeFrom,
    pub concurrency: usize,
    pub retry: RetrySchedule,
}

/// The reverse-path of delivered mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvelopeFrom {
    Null,
    Address(EmailAddress),
    /// The sender in From.
    Sender,
    /// An address for each request, so that a bounce identifies its request (VERP): the text before and after
    /// the request's id, in the form of a parsed address.
    Verp(String, String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaildirDestination {
    pub path: PathBuf,
    /// True if the group of the folder may read and remove the messages.
    pub group: bool,
    pub retry: RetrySchedule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookFormat {
    Raw,
    Json,
    /// A form with one field, which is the base64 of the message.
    Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookDestination {
    pub endpoint: Endpoint,
    pub format: WebhookFormat,
    /// The field's name in `form`.
    pub field: String,
    pub concurrency: usize,
    pub retry: RetrySchedule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandDestination {
    pub program: PathBuf,
    pub args: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub timeout: Duration,
    pub concurrency: usize,
    pub retry: RetrySchedule,
}

/// A URL for POST requests, and their settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub url: String,
    /// Standard Webhooks: the base64 text after `whsec_`; decodes to 24 to 64 octets.
    pub secret: Option<Secret>,
    pub credentials: Option<HttpCredentials>,
    pub headers: BTreeMap<String, String>,
    /// Fields whose values are secrets.
    pub secret_headers: BTreeMap<String, Secret>,
    pub timeout: Duration,
    /// True if private addresses may be called.
    pub allow_private: bool,
}

/// A hook and the events that it receives.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Differs from the names of all destinations.
    pub name: DestinationName,
    /// At least one.
    pub events: Vec<EventPattern>,
    pub endpoint: Endpoint,
    pub concurrency: usize,
    pub retry: RetrySchedule,
}

/// Credentials for `Authorization`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpCredentials {
    Bearer(Secret),
    /// A user and a password.
    Basic(String, Secret),
}
