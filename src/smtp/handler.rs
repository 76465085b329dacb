//! The interface between the protocol and the application. `smtp` contains no policy.

use std::future::Future;

use crate::domain::{Envelope, LedgerId, RecipientRole};

/// Policy and storage behind the SMTP server. One instance serves all connections.
pub trait MessageHandler: Send + Sync + 'static {
    /// Finds the mailbox of a RCPT address. Called for every RCPT, so it reads memory only.
    ///
    /// # Errors
    /// There is no such mailbox; the client gets `550 5.1.1`.
    fn recipient(&self, address: &str) -> Result<RecipientRole, UnknownRecipient>;

    /// True if another node may have a mailbox that this one does not know; the client gets `451 4.3.5` then.
    fn may_be_elsewhere(&self) -> bool {
        false
    }

    /// Octets that [`receive`](Self::receive) temporarily needs for a message with a header of this size.
    /// They are reserved first.
    fn memory(&self, header: usize) -> usize;

    /// Takes a complete message. Returns only once it is on disk, or refused.
    fn receive(&self, envelope: Envelope, raw: Vec<u8>)
    -> impl Future<Output = DataOutcome> + Send;
}

/// The address is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such mailbox")]
pub struct UnknownRecipient;

/// Outcome of a complete message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataOutcome {
    /// Committed and synced under this id.
    Stored(LedgerId),
    /// Nothing was stored; the MTA keeps the message.
    TryLater(TryLater),
}

/// Reason for a temporary refusal, as far as the client may know it. The handler logs the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryLater {
    /// `452 4.3.1`
    DiskFull,
    /// `451 4.3.0`
    Internal,
    /// `451 4.3.2`
    ShuttingDown,
}
