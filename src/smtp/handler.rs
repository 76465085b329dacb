//! What the protocol asks of the house. No policy lives in `smtp`.

use std::future::Future;

use crate::domain::{Envelope, LedgerId, Mailbox};

/// The house behind the door. One of these serves all connections.
pub trait MessageHandler: Send + Sync + 'static {
    /// The mailbox behind a RCPT address. Asked for every RCPT, so it looks nothing up outside
    /// of memory.
    ///
    /// # Errors
    /// There is none; the client is told `550 5.1.1`.
    fn recipient(&self, address: &str) -> Result<Mailbox, UnknownRecipient>;

    /// Octets that [`receive`](Self::receive) takes for a while beside a message with a header of this
    /// size. They are reserved first.
    fn memory(&self, header: usize) -> usize;

    /// Takes a complete message. Returns only when it is on disk, or it is not taken.
    fn receive(&self, envelope: Envelope, raw: Vec<u8>)
    -> impl Future<Output = DataOutcome> + Send;
}

/// The address is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such mailbox")]
pub struct UnknownRecipient;

/// What became of a message that was handed to the reception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataOutcome {
    /// Committed and synced under this id.
    Stored(LedgerId),
    /// Nothing was kept; the MTA does.
    TryLater(TryLater),
}

/// Why a message cannot be taken now. The cause is for the log of the one who knows it; this much
/// the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryLater {
    /// `452 4.3.1`
    DiskFull,
    /// `451 4.3.0`
    Internal,
    /// `451 4.3.2`
    ShuttingDown,
}
