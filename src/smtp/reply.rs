//! All SMTP replies: code, enhanced code and text, in one table.
//!
//! The text is what the peer may know. The cause of a failure goes to the log instead.

use std::fmt;
use std::io::Write;
use std::net::IpAddr;

use super::handler::{DataOutcome, TryLater};
use crate::domain::{Domain, LedgerId};
use crate::observe::events;

/// A reply to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Greeting(Domain),
    Hello(Domain),
    Extensions {
        hostname: Domain,
        offered: Vec<String>,
    },
    Ok,
    Help,
    CannotVerify,
    Goodbye,
    ReadyForTls,
    SenderOk,
    RecipientOk,
    StartBody,
    Queued(LedgerId),

    Starting,
    ShuttingDown,
    TooManyConnections,
    Evicted,
    TimedOut,
    /// The connection is broken: this is only logged.
    ConnectionEnd,
    TooManyErrors,
    NotHttp,
    TooManyRecipients,
    StoreFull,
    StoreFailed,
    StoreClosing,

    Untrusted,
    TlsRequired,
    LineTooLong,
    BareLfInCommand,
    NotText,
    UnknownCommand,
    Arguments,
    NotOffered,
    OutOfOrder,
    AfterStartTls,
    SenderSyntax,
    RecipientSyntax,
    /// The address is for the log only.
    UnknownRecipient(String),
    /// Another node may know it. The address is for the log only.
    RecipientElsewhere(String),
    NeedsSmtpUtf8,
    UnknownParameter,
    MessageTooLarge,
    HeaderTooLarge,
    BareLfInMessage,
}

/// Text of a reply, formatted when it is written or logged.
enum ReplyText<'a> {
    Fixed(&'static str),
    Greeting(&'a Domain),
    Hostname(&'a Domain),
    Queued(LedgerId),
}

impl fmt::Display for ReplyText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(text) => f.write_str(text),
            Self::Greeting(host) => write!(f, "{host} ESMTP Vestibule"),
            Self::Hostname(host) => f.write_str(host.as_str()),
            Self::Queued(id) => write!(f, "Ok: queued as {id}"),
        }
    }
}

impl Reply {
    /// Reply code, enhanced code (RFC 2034, RFC 3463) and text. Greeting, HELO, EHLO and 354 have
    /// no enhanced code (RFC 2034 4).
    fn parts(&self) -> (u16, &'static str, ReplyText<'_>) {
        let (code, enhanced, text) = match self {
            Self::Greeting(host) => return (220, "", ReplyText::Greeting(host)),
            Self::Hello(host) | Self::Extensions { hostname: host, .. } => {
                return (250, "", ReplyText::Hostname(host));
            }
            Self::Queued(id) => return (250, "2.0.0", ReplyText::Queued(*id)),
            Self::Ok => (250, "2.0.0", "Ok"),
            Self::Help => (
                214,
                "2.0.0",
                "EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT; EHLO lists extensions",
            ),
            Self::CannotVerify => (252, "2.0.0", "Send it and see"),
            Self::Goodbye => (221, "2.0.0", "Bye"),
            Self::ReadyForTls => (220, "2.0.0", "Ready to start TLS"),
            Self::SenderOk => (250, "2.1.0", "Ok"),
            Self::RecipientOk => (250, "2.1.5", "Ok"),
            Self::StartBody => (354, "", "End data with <CR><LF>.<CR><LF>"),

            Self::Starting => (421, "4.3.2", "Not ready yet, try again later"),
            Self::ShuttingDown => (421, "4.3.2", "Shutting down, try again later"),
            Self::TooManyConnections => (421, "4.3.2", "Too many connections, try again later"),
            Self::Evicted => (421, "4.3.2", "Idle or slow while others wait, closing"),
            Self::TimedOut => (421, "4.4.2", "Timed out, closing"),
            Self::ConnectionEnd => (421, "4.4.2", "Connection lost"),
            Self::TooManyErrors => (421, "4.7.0", "Too many errors, closing"),
            Self::NotHttp => (421, "4.7.0", "This is not a web server, closing"),
            Self::TooManyRecipients => (
                452,
                "4.5.3",
                "Too many recipients, send the rest separately",
            ),
            Self::StoreFull => (
                452,
                "4.3.1",
                "Not enough space to store the message, try again later",
            ),
            Self::StoreFailed => (
                451,
                "4.3.0",
                "The message could not be stored, try again later",
            ),
            Self::StoreClosing => (451, "4.3.2", "Shutting down, try again later"),

            Self::Untrusted => (554, "5.7.1", "You may not send mail here"),
            Self::TlsRequired => (530, "5.7.0", "Use STARTTLS first"),
            Self::LineTooLong => (500, "5.5.2", "The line is too long"),
            Self::BareLfInCommand => (500, "5.5.2", "A line ends in CR LF, not LF; closing"),
            Self::NotText => (
                500,
                "5.5.2",
                "A command must be text without control characters",
            ),
            Self::UnknownCommand => (500, "5.5.2", "Unknown command"),
            Self::Arguments => (501, "5.5.4", "Bad arguments"),
            Self::NotOffered => (502, "5.5.1", "This command is not offered"),
            Self::OutOfOrder => (503, "5.5.1", "This command is out of order"),
            Self::AfterStartTls => (503, "5.5.1", "Nothing may follow STARTTLS; closing"),
            Self::SenderSyntax => (501, "5.1.7", "Bad sender address syntax"),
            Self::RecipientSyntax => (501, "5.1.3", "Bad recipient address syntax"),
            Self::UnknownRecipient(_) => (550, "5.1.1", "No such mailbox here"),
            Self::RecipientElsewhere(_) => (
                451,
                "4.3.5",
                "No such mailbox here, but the nodes differ; try another or later",
            ),
            Self::NeedsSmtpUtf8 => (553, "5.6.7", "This address needs SMTPUTF8"),
            Self::UnknownParameter => (555, "5.5.4", "Unknown parameter"),
            Self::MessageTooLarge => (552, "5.3.4", "The message is too large"),
            Self::HeaderTooLarge => (552, "5.3.4", "The header of the message is too large"),
            Self::BareLfInMessage => (550, "5.6.0", "The message has a bare LF; closing"),
        };
        (code, enhanced, ReplyText::Fixed(text))
    }

    /// The three-digit code.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.parts().0
    }

    /// True for a 4xx or 5xx reply.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.code() >= 400
    }

    /// Logs this refusal, with its cause if that is more than the client is told.
    pub fn log(&self, peer: IpAddr, cause: Option<&str>) {
        let (code, enhanced, text) = self.parts();
        let recipient = match self {
            Self::UnknownRecipient(address) | Self::RecipientElsewhere(address) => {
                Some(address.as_str())
            }
            _ => None,
        };
        let code = format!("{code} {enhanced}");
        let text = text.to_string();
        events::smtp_rejected(peer, &code, cause.unwrap_or(&text), recipient);
    }

    /// Appends the reply in wire format.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let (code, enhanced, text) = self.parts();
        let more: &[String] = match self {
            Self::Extensions { offered, .. } => offered,
            _ => &[],
        };
        let separator = |is_last: bool| if is_last { ' ' } else { '-' };
        let space = if enhanced.is_empty() { "" } else { " " };
        // Writing to a vector does not fail.
        let first = separator(more.is_empty());
        let _ = write!(out, "{code}{first}{enhanced}{space}{text}\r\n");
        for (i, text) in more.iter().enumerate() {
            let next = separator(i + 1 == more.len());
            let _ = write!(out, "{code}{next}{text}\r\n");
        }
    }
}

impl From<DataOutcome> for Reply {
    fn from(outcome: DataOutcome) -> Self {
        match outcome {
            DataOutcome::Stored(id) => Self::Queued(id),
            DataOutcome::TryLater(TryLater::DiskFull) => Self::StoreFull,
            DataOutcome::TryLater(TryLater::Internal) => Self::StoreFailed,
            DataOutcome::TryLater(TryLater::ShuttingDown) => Self::StoreClosing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).expect("replies are text")
    }

    #[test]
    fn one_line_and_many() {
        let hostname = Domain::parse("gate.corp.example").expect("a domain");
        assert_eq!(wire(&Reply::SenderOk), "250 2.1.0 Ok\r\n");
        let id = LedgerId::new();
        assert_eq!(
            wire(&Reply::Queued(id)),
            format!("250 2.0.0 Ok: queued as {id}\r\n")
        );
        assert_eq!(
            wire(&Reply::Hello(hostname.clone())),
            "250 gate.corp.example\r\n"
        );
        assert_eq!(
            wire(&Reply::Extensions {
                hostname: hostname.clone(),
                offered: vec!["PIPELINING".to_owned(), "SIZE 100".to_owned()],
            }),
            "250-gate.corp.example\r\n250-PIPELINING\r\n250 SIZE 100\r\n"
        );
        assert_eq!(
            wire(&Reply::Greeting(hostname)),
            "220 gate.corp.example ESMTP Vestibule\r\n"
        );
    }

    #[test]
    fn the_enhanced_class_matches_the_code() {
        for reply in [
            Reply::Ok,
            Reply::Help,
            Reply::Goodbye,
            Reply::ReadyForTls,
            Reply::Queued(LedgerId::new()),
            Reply::TimedOut,
            Reply::StoreFull,
            Reply::StoreFailed,
            Reply::StoreClosing,
            Reply::TooManyRecipients,
            Reply::RecipientElsewhere(String::new()),
            Reply::Untrusted,
            Reply::NeedsSmtpUtf8,
            Reply::UnknownParameter,
            Reply::HeaderTooLarge,
            Reply::BareLfInMessage,
        ] {
            let (code, enhanced, text) = reply.parts();
            assert_eq!(
                code.to_string().as_bytes()[0],
                enhanced.as_bytes()[0],
                "{reply:?}"
            );
            let text = text.to_string();
            assert!(text.is_ascii() && !text.contains(['\r', '\n']), "{reply:?}");
        }
    }
}
