//! What SMTP said about a message, apart from the message (RFC 5321 2.3.1).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::PortalName;

/// The reverse-path of MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReversePath {
    /// `MAIL FROM:<>`: nobody wants an answer (RFC 5321 4.5.5).
    Null,
    /// The mailbox as it was given, without angle brackets, source route and parameters.
    Mailbox(String),
    /// A file that was replayed does not say.
    Unknown,
}

/// What a recipient's address means to Vestibule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mailbox {
    Portal(PortalName),
    /// The address that confirms by reply; the detail behind its `+` may carry a token.
    Confirmation,
    /// The address to which reports on our verification mail return (VERP).
    Returns,
}

/// One accepted RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// As it was given, without angle brackets.
    pub address: String,
    pub mailbox: Mailbox,
}

/// The client that the MTA in front spoke to, where it said so by XFORWARD.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardedClient {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helo: Option<String>,
}

/// One mail transaction, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub reverse_path: ReversePath,
    pub recipients: Vec<Recipient>,
    /// The argument of EHLO or HELO.
    pub helo: String,
    /// The other end of the connection; none for a replayed file.
    pub peer: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<ForwardedClient>,
    pub tls: bool,
    /// The MAIL parameter of RFC 6531.
    pub smtputf8: bool,
}

impl Envelope {
    /// What there is of one where a message did not come over SMTP, as from a file.
    #[must_use]
    pub fn of_file(reverse_path: ReversePath) -> Self {
        Self {
            reverse_path,
            recipients: Vec::new(),
            helo: String::new(),
            peer: None,
            client: None,
            tls: false,
            smtputf8: false,
        }
    }
}
