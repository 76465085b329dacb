//! The other copy of a request's message. After a request was discarded, expired or failed, the same message is
//! accepted again, and the destination must not get both.

use crate::domain::{RequestId, RequestState};
use crate::store::Result;
use crate::store::error::readable;
use crate::store::rows::duplicates::{StoredMessage, find_original};
use crate::store::sql::{FromRow, Tx};

/// Finds another request of the same message that is held, released or delivered.
pub(super) fn find_other_copy(tx: &Tx, n: i64) -> Result<Option<(RequestId, RequestState)>> {
    let found = tx.maybe_with(
        "SELECT r.portal, l.sender, l.facts, l.received_at
         FROM request AS r JOIN ledger AS l ON l.n = r.ledger WHERE r.ledger = ?",
        &[&n],
        |row| readable(StoredMessage::from_row(row)),
    )?;
    // A damaged request cannot be compared with others.
    let Some(message) = found.flatten() else {
        return Ok(None);
    };
    let Some(copy) = find_original(tx, &message.likeness(), Some(n))? else {
        return Ok(None);
    };
    let state: Option<RequestState> =
        tx.maybe("SELECT state FROM request WHERE ledger = ?", &[&copy.n])?;
    Ok(copy.original.request.zip(state))
}
