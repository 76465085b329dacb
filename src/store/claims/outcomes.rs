//! Outcomes of claims: what a worker reports about each, and what it learns in the same transaction.

use crate::domain::Timestamp;
use crate::store::StoreError;
use crate::store::sql::sql_types::Millis;

/// Outcome of a worker's transaction: earlier claims are settled, then rows are claimed.
#[derive(Debug, Clone)]
pub struct ClaimRound<T> {
    /// One for each settlement, in order.
    pub settled: Vec<Settled>,
    /// Runs of claims; the claims of a run are processed in order.
    pub runs: Vec<Vec<T>>,
    /// Due rows that are damaged; they count as failed from now on.
    pub set_aside: Vec<SetAside>,
    pub next: NextWork,
    /// Error if the claims could not be read: they must be given back, but the settlements are recorded.
    pub unread: Option<StoreError>,
}

/// Time at which a queue has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextWork {
    Due(Timestamp),
    Nothing,
    /// An operator paused the destination.
    Paused,
}

impl NextWork {
    pub(crate) fn at(due: Option<Millis>) -> Self {
        due.map_or(Self::Nothing, |due| Self::Due(due.timestamp()))
    }
}

/// A damaged row that no longer blocks others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its kind and id, such as `request 01h…`.
    pub what: String,
    pub cause: String,
}

/// Outcome of an attempt.
#[derive(Debug, Clone)]
pub enum Settlement {
    Delivered,
    /// To be tried again at this time.
    Retry {
        at: Timestamp,
        cause: String,
    },
    /// Failed for good.
    Failed {
        cause: String,
    },
    /// No attempt was made: it is due as before.
    Unattempted,
}

/// Outcome of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Recorded,
    /// The row is gone, or its lease expired and this claim no longer holds it: nothing has changed.
    ClaimLost,
}
