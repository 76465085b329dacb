//! Released requests in, [`Attempt`]s out: handing over to the help desk, and telling hooks.
//!
//! A request comes here as a [`Claim`](crate::store::Claim), which only the store makes, and only of
//! a request that was released. It is handed on at least once, under one stable id: the original
//! bytes, under fields that say who is behind them. Every attempt has one of three outcomes, and
//! the [`schedule`] says what follows from it. A destination that is down holds up no other one.

mod added_headers;
mod breaker;
mod command;
mod destination;
mod flow;
mod hook_queue;
mod http;
mod maildir;
mod message;
mod original;
mod outgoing_message;
pub mod preflight;
mod request_queue;
pub mod schedule;
mod settlement;
pub mod signature;
mod smtp;
mod stripped_headers;
mod supervisor;
#[cfg(test)]
mod tests;
mod tls;
mod webhook;
mod webhook_json;
mod worker;

pub use destination::Destination;
pub use message::Message;
pub use original::Original;
pub use outgoing_message::OutgoingMessage;
pub use supervisor::run;

use crate::domain::Timestamp;

/// What came of handing one request to its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The destination has it, and said so.
    Delivered,
    /// Not now.
    Retry(Cause),
    /// Never, for this request as it is.
    Refused(Cause),
}

/// Why a request was not taken, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// One line; names the step and what the other side said.
    pub text: String,
    pub scope: Scope,
    /// The other side asked not to be called before.
    pub not_before: Option<Timestamp>,
}

/// Whom a failure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This request; others may well get through.
    Request,
    /// The destination as a whole: unreachable, not letting us in, overloaded.
    Destination,
}

impl Cause {
    fn of_request(text: &str) -> Self {
        Self::new(text, Scope::Request)
    }

    fn of_destination(text: &str) -> Self {
        Self::new(text, Scope::Destination)
    }

    /// What others said goes into one printable line of bounded length.
    fn new(text: &str, scope: Scope) -> Self {
        const LONGEST: usize = 500;
        let mut line: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(LONGEST)
            .collect();
        line.truncate(line.trim_end().len());
        Self {
            text: line,
            scope,
            not_before: None,
        }
    }
}
