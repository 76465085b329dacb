//! The only SQL, offered as operations of the domain: accept, prove, claim, settle.
//!
//! One writer thread takes all that waits, up to a bound, into one transaction, and answers each
//! caller when it is synced (WAL, `synchronous = FULL`); readers have connections of their own.
//! Every operation takes the time as an argument, so that a test owns the clock. None of them awaits
//! anything but the writer, and none opens a connection: what is to be sent is a row first.

mod access;
mod accounts;
mod deliveries;
mod error;
mod intake;
mod ledger;
mod letters;
mod proofs;
mod requests;
mod writer;

pub use access::Revision;
pub use accounts::{Added, CustomerFilter};
pub use deliveries::{Claim, Settlement};
pub use error::StoreError;
pub use intake::{Arrival, Entry, Part};
pub use ledger::{Event, LedgerEntry, LedgerFilter};
pub use letters::{ClaimedLetters, Letter, LetterCause, LetterKind, LetterOutcome};
pub use proofs::{Choice, Link, Proved, Refused, WaitingRequest};
pub use requests::{Request, RequestFilter};

use std::path::Path;

/// The database, for as many tasks as want it; a clone is another handle on the same one.
#[derive(Debug, Clone)]
pub struct Store {}

/// A part of a long list: at most `limit` rows after the cursor of the part before.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub limit: usize,
    pub after: Option<String>,
}

/// Rows and where the next part begins; no cursor means that this was the end.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    pub next: Option<String>,
}

impl Store {
    /// Opens the database, makes it where there is none and brings its schema up to date.
    ///
    /// # Errors
    /// A folder that is missing or not writable, a damaged file, a schema newer than this program.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let _ = path;
        unimplemented!()
    }

    /// Whether a transaction can be committed at this moment.
    ///
    /// # Errors
    /// Why not.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn writable(&self) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Resolves when rows may have come that a worker waits for: letters, released requests, or a
    /// change by another process. Spurious wake-ups are allowed, lost ones are not.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn changed(&self) {
        unimplemented!()
    }
}
