//! In: the failure of an attempt to send a mail. Out: its outcome, as far as a reply of the server decides it.
//!
//! | step | 4xx | 5xx |
//! |---|---|---|
//! | greeting, EHLO, STARTTLS, AUTH | retry, server | retry, server |
//! | MAIL | retry, server | retry, server |
//! | RCPT | retry | retry; refused if it says that the address does not exist |
//! | DATA, the content | retry | retry |
//!
//! The server is our own relay. Most of its 5xx replies are about this installation (a client that it does not
//! know, a sender that it does not accept, a policy), and an operator can change that. MAIL names nobody but us, so
//! its refusal is that of every mail. 421, and the codes that ask for a login, concern the server at any step.

use std::error::Error as _;

use lettre::transport::smtp;
use lettre::transport::smtp::response::Code;

use super::xoauth2::LoginRefusal;
use crate::mail::is_unknown_recipient;
use crate::outbound::access_token::TokenFailure;
use crate::outbound::smtp::reply::SmtpStep;
use crate::outbound::{AttemptOutcome, Cause, Scope};

/// Causes of a failed attempt.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendFailure {
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    #[error("no access token: {0}")]
    Token(#[from] TokenFailure),
    #[error(transparent)]
    Login(#[from] LoginRefusal),
    /// A reply to the greeting or to a command before MAIL, or no usable one.
    #[error(transparent)]
    Session(#[from] smtp::Error),
    /// A reply to MAIL or to a later command, or no usable one.
    #[error("{0}: {1}")]
    Transaction(SmtpStep, smtp::Error),
    /// The server lacks the extension of this name.
    #[error("no {0}")]
    Unfit(&'static str),
    /// A reply to the content that is neither success nor failure.
    #[error("{0} after the content")]
    Reply(Code),
}

impl SendFailure {
    /// Makes an error of this step a failure.
    pub(super) fn at(step: SmtpStep) -> impl FnOnce(smtp::Error) -> Self {
        move |error| Self::Transaction(step, error)
    }

    /// True if the server replied with a 4xx or a 5xx.
    pub(super) fn is_reply(&self) -> bool {
        self.code().is_some()
    }

    /// True if the server closed the connection before it accepted a mail, or is about to.
    pub(super) fn is_goodbye(&self) -> bool {
        matches!(self, Self::Transaction(SmtpStep::Mail, _))
            && matches!(self.code(), None | Some(421))
    }

    /// The outcome, if a 4xx or a 5xx decides it.
    pub(super) fn judge_reply(&self) -> Option<AttemptOutcome> {
        // RFC 4954 6: the server requires a login, another one, or TLS before it.
        const ABOUT_US: [u16; 7] = [421, 432, 454, 530, 534, 535, 538];
        let code = self.code()?;
        let scope = match self {
            Self::Transaction(step, error)
                if *step != SmtpStep::Mail && !ABOUT_US.contains(&code) =>
            {
                // lettre keeps the text of the reply as the source.
                let text = error.source().map(ToString::to_string).unwrap_or_default();
                if *step == SmtpStep::Rcpt && is_unknown_recipient(code, &text) {
                    Scope::Recipient
                } else {
                    Scope::Request
                }
            }
            _ => Scope::Destination,
        };
        let cause = Cause::new(&self.to_string(), scope);
        Some(match scope {
            Scope::Recipient => AttemptOutcome::Refused(cause),
            Scope::Request | Scope::Destination | Scope::Internal => AttemptOutcome::Retry(cause),
        })
    }

    /// The code of a 4xx or a 5xx.
    fn code(&self) -> Option<u16> {
        match self {
            Self::Session(error) | Self::Transaction(_, error) => error.status().map(u16::from),
            _ => None,
        }
    }
}
