//! In: released requests. Out: [`Attempt`]s to deliver them to the help desk, and to notify hooks.
//!
//! A request arrives as a [`Claim`](crate::store::Claim), which only the store creates, and only for a
//! released request. It is delivered at least once, under one stable id: the original bytes, after fields
//! that tell who sent them. Every attempt has one of three outcomes, from which the [`schedule`] derives the
//! next step. A destination that is down does not delay others.

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

/// Outcome of an attempt to deliver one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The destination confirmed that it has the request.
    Delivered,
    /// A temporary failure.
    Retry(Cause),
    /// A permanent failure of this request.
    Refused(Cause),
}

/// Cause of a failure, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// One line with the step and the answer of the destination.
    pub text: String,
    pub scope: Scope,
    /// Earliest time of the next attempt that the destination accepts.
    pub not_before: Option<Timestamp>,
}

/// Scope of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Concerns this request; others may succeed.
    Request,
    /// Concerns the destination as a whole: unreachable, refusing the login, overloaded.
    Destination,
}

impl Cause {
    fn of_request(text: &str) -> Self {
        Self::new(text, Scope::Request)
    }

    fn of_destination(text: &str) -> Self {
        Self::new(text, Scope::Destination)
    }

    /// Text of others becomes one printable line of bounded length.
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
