//! In: the failure of an SMTP transaction. Out: its outcome for the request.
//!
//! | where | 4xx | 5xx | no answer, broken, TLS |
//! |---|---|---|---|
//! | greeting, EHLO, STARTTLS, AUTH | retry, destination | retry, destination | retry, destination |
//! | MAIL, RCPT, DATA | retry | refused | retry, destination |
//! | the message | retry | refused | retry |
//!
//! 421 concerns the destination at any step. Before MAIL, nothing was said about a message, so a 5xx there (a wrong
//! password, a server that rejects this client) must not make requests fail for good; the same holds for later
//! codes that ask for a login. A connection that breaks during the transmission may have broken because of this
//! message, so it does not count against the destination.

use std::io;
use std::time::Duration;

use crate::domain::keywords;
use crate::outbound::{AttemptOutcome, Cause, Scope};

/// The server's reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReply {
    pub code: u16,
    /// The text without the codes, one line for each line of the reply.
    pub text: String,
}

impl ServerReply {
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }

    /// Returns the reply if its code begins with this digit; any other code is an error, even a positive one.
    pub fn expect(self, first_digit: u16) -> Result<Self, SmtpFault> {
        if self.code / 100 == first_digit {
            return Ok(self);
        }
        Err(self.into_fault())
    }

    pub fn into_fault(self) -> SmtpFault {
        SmtpFault::Reply {
            code: self.code,
            text: self.in_one_line(),
        }
    }

    /// Joins the lines. RFC 2034 4: each line begins with the same enhanced status code, which is kept once.
    fn in_one_line(&self) -> String {
        let enhanced = self.text.split(' ').next().unwrap_or_default();
        let again = format!("\n{enhanced} ");
        let is_enhanced = enhanced.starts_with(['2', '4', '5']) && enhanced.contains('.');
        let text = if is_enhanced {
            self.text.replace(&again, "\n")
        } else {
            self.text.clone()
        };
        text.replace('\n', " ")
    }
}

/// Steps of the SMTP session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpStep {
    Connect,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// Between the reply to DATA and the reply to the final dot.
    Content,
}

keywords!(SmtpStep {
    Connect => "connect",
    StartTls => "STARTTLS",
    Auth => "AUTH",
    Mail => "MAIL",
    Rcpt => "RCPT",
    Data => "DATA",
    Content => "message",
});

/// Failures of a step.
#[derive(Debug)]
pub enum SmtpFault {
    /// A negative reply, or one that does not fit the command.
    Reply { code: u16, text: String },
    /// No connection, a broken one, failed TLS, or a server that does not speak SMTP.
    Broken(String),
    /// Timeout.
    Silent(Duration),
}

impl SmtpFault {
    /// True if the server closed the connection, or is about to.
    pub fn is_goodbye(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Reply { code: 421, .. })
    }

    fn cause(&self, step: SmtpStep, scope: Scope) -> Cause {
        let text = match self {
            Self::Reply { code, text } => format!("{step}: {code} {text}"),
            Self::Broken(text) => format!("{step}: {text}"),
            Self::Silent(time) => format!("{step}: no answer within {} s", time.as_secs_f32()),
        };
        Cause::new(&text, scope)
    }
}

impl From<io::Error> for SmtpFault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// The cause of a failure of greeting, EHLO, STARTTLS or AUTH, which precede any message.
pub fn before_mail(step: SmtpStep, fault: &SmtpFault) -> Cause {
    fault.cause(step, Scope::Destination)
}

/// The outcome of a failure between MAIL and the final dot.
pub fn in_transaction(step: SmtpStep, fault: &SmtpFault) -> AttemptOutcome {
    let (refused, scope) = match fault {
        // RFC 4954 6: the server requires a login, another one, or TLS before it.
        SmtpFault::Reply {
            code: 421 | 454 | 530 | 534 | 535 | 538,
            ..
        } => (false, Scope::Destination),
        SmtpFault::Reply { code, .. } => (*code >= 500, Scope::Request),
        SmtpFault::Broken(_) | SmtpFault::Silent(_) if step == SmtpStep::Content => {
            (false, Scope::Request)
        }
        SmtpFault::Broken(_) | SmtpFault::Silent(_) => (false, Scope::Destination),
    };
    let cause = fault.cause(step, scope);
    if refused {
        AttemptOutcome::Refused(cause)
    } else {
        AttemptOutcome::Retry(cause)
    }
}
