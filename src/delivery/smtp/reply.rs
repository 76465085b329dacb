//! What went wrong in an SMTP dialogue in; out, what it means for the request.
//!
//! | where | 4xx | 5xx | no answer, broken, TLS |
//! |---|---|---|---|
//! | greeting, EHLO, STARTTLS, AUTH | retry, destination | retry, destination | retry, destination |
//! | MAIL, RCPT, DATA | retry | refused | retry, destination |
//! | the message | retry | refused | retry |
//!
//! 421 is about the destination anywhere. Before MAIL nothing was said about a message yet, so a
//! 5xx there (a wrong password, a server that wants other clients) must not make requests fail for
//! good; nor must those codes later that ask for a login. A connection that breaks while the
//! message is being sent can be this message's doing, and is not held against the destination.

use std::io;
use std::time::Duration;

use crate::delivery::{Attempt, Cause, Scope};

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub code: u16,
    /// Without the codes, a line for each of its lines.
    pub text: String,
}

impl Reply {
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }

    /// An answer of another kind is none, even where it says yes.
    pub(super) fn expect(self, first_digit: u16) -> Result<Self, Fault> {
        if self.code / 100 == first_digit {
            return Ok(self);
        }
        Err(Fault::Reply {
            code: self.code,
            text: self.in_one_line(),
        })
    }

    /// RFC 2034 4: each line begins with the same enhanced code, which is worth saying once.
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

/// Where in the dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// Between the answer to DATA and the answer to the final dot.
    Content,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Content => "message",
        }
    }
}

/// What went wrong.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server said no, or something that is no answer to what it was asked.
    Reply { code: u16, text: String },
    /// No connection, a broken one, TLS, or no SMTP.
    Broken(String),
    /// No answer within this time.
    Silent(Duration),
}

impl Fault {
    /// Whether the server closed the connection, or is about to.
    pub(super) fn is_goodbye(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Reply { code: 421, .. })
    }

    fn cause(&self, step: Step, scope: Scope) -> Cause {
        let step = step.name();
        let text = match self {
            Self::Reply { code, text } => format!("{step}: {code} {text}"),
            Self::Broken(text) => format!("{step}: {text}"),
            Self::Silent(time) => format!("{step}: no answer within {} s", time.as_secs_f32()),
        };
        Cause::new(&text, scope)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Of greeting, EHLO, STARTTLS and AUTH: nothing was said about a message.
pub(super) fn before_mail(step: Step, fault: &Fault) -> Cause {
    fault.cause(step, Scope::Destination)
}

/// From MAIL to the final dot.
pub(super) fn in_transaction(step: Step, fault: &Fault) -> Attempt {
    let (refused, scope) = match fault {
        // RFC 4954 6: the server wants a login, another one, or TLS before it.
        Fault::Reply {
            code: 421 | 454 | 530 | 534 | 535 | 538,
            ..
        } => (false, Scope::Destination),
        Fault::Reply { code, .. } => (*code >= 500, Scope::Request),
        Fault::Broken(_) | Fault::Silent(_) if step == Step::Content => (false, Scope::Request),
        Fault::Broken(_) | Fault::Silent(_) => (false, Scope::Destination),
    };
    let cause = fault.cause(step, scope);
    if refused {
        Attempt::Refused(cause)
    } else {
        Attempt::Retry(cause)
    }
}
