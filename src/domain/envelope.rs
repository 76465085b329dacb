//! The envelope: information from SMTP about a message, apart from its content (RFC 5321 2.3.1).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::PortalName;

/// The reverse-path of MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReversePath {
    /// `MAIL FROM:<>`: no reply wanted (RFC 5321 4.5.5).
    Null,
    /// The mailbox as given, without angle brackets, source route and parameters.
    Mailbox(String),
    /// Unknown, for a replayed file.
    Unknown,
}

/// The meaning of a recipient address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientRole {
    Portal(PortalName),
    /// The address that receives replies to verification mail; the detail after its `+` may contain a token.
    Confirmation,
    /// The address to which bounces of our verification mail return (VERP).
    #[serde(rename = "returns")]
    Bounces,
}

/// One accepted RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// As given, without angle brackets.
    pub address: String,
    #[serde(rename = "mailbox")]
    pub role: RecipientRole,
}

/// The client of the MTA in front of us, if XFORWARD named it.
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
    /// Address of the connected client; None for a replayed file.
    pub peer: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<ForwardedClient>,
    pub tls: bool,
    /// The MAIL parameter of RFC 6531.
    pub smtputf8: bool,
}

impl Envelope {
    /// The envelope of a message that did not come over SMTP, such as a file.
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
