//! Outcome of one attempt to send something, for any kind of item and destination.

use crate::domain::Timestamp;
use crate::observe::events;
use crate::store::StoreError;

/// Outcome of an attempt to deliver one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The destination confirmed that it has the request.
    Delivered,
    /// A temporary failure.
    Retry(Cause),
    /// A permanent failure of this request.
    Refused(Cause),
    /// It may have been delivered: an internal error, or no reply to the content.
    Unknown(Cause),
}

impl AttemptOutcome {
    /// The outcome of an attempt that panicked.
    #[must_use]
    pub fn of_panic(panic: &str) -> Self {
        events::fault("outbound", &panic);
        Self::Unknown(Cause::internal("internal error in vestibule"))
    }

    /// The cause of a failure of the destination as a whole.
    #[must_use]
    pub fn destination_failure(&self) -> Option<&Cause> {
        match self {
            Self::Retry(cause) | Self::Unknown(cause) if cause.scope == Scope::Destination => {
                Some(cause)
            }
            _ => None,
        }
    }

    /// True if the attempt ended for a reason of our own, so that it says nothing about the destination.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        match self {
            Self::Delivered => false,
            Self::Retry(cause) | Self::Refused(cause) | Self::Unknown(cause) => {
                cause.scope == Scope::Internal
            }
        }
    }
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
    /// The recipient's address does not exist, whatever is sent to it.
    Recipient,
    /// Concerns this installation: the message could not be read or composed, or an internal error.
    Internal,
}

impl Cause {
    #[must_use]
    pub fn of_request(text: &str) -> Self {
        Self::new(text, Scope::Request)
    }

    #[must_use]
    pub fn of_destination(text: &str) -> Self {
        Self::new(text, Scope::Destination)
    }

    #[must_use]
    pub fn internal(text: &str) -> Self {
        Self::new(text, Scope::Internal)
    }

    /// Creates a cause. Foreign text becomes one printable line of bounded length.
    #[must_use]
    pub fn new(text: &str, scope: Scope) -> Self {
        const MAX_LENGTH: usize = 500;
        let line: String = text.chars().take(MAX_LENGTH).collect();
        let mut line = line.replace(char::is_control, " ");
        line.truncate(line.trim_end().len());
        Self {
            text: line,
            scope,
            not_before: None,
        }
    }
}

/// A failure of the store, which says nothing about the destination.
impl From<StoreError> for Cause {
    fn from(error: StoreError) -> Self {
        Self::internal(&error.to_string())
    }
}

impl From<StoreError> for AttemptOutcome {
    fn from(error: StoreError) -> Self {
        Self::Retry(error.into())
    }
}
