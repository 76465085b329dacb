//! The other copy of a request's message. After a request was discarded, expired or failed, the same message is
//! accepted again, and the destination must not get both.

use crate::domain::{PortalName, RequestId, RequestState};
use crate::mail::Facts;
use crate::store::Result;
use crate::store::error::readable;
use crate::store::rows::duplicates::{Likeness, find_original};
use crate::store::sql::sql_types::{Millis, from_row};
use crate::store::sql::{FromRow, Tx};

/// Values that identify the message of a request.
struct Message {
    portal: PortalName,
    sender: Option<String>,
    facts: Facts,
    received_at: Millis,
}
from_row!(Message, row: portal, sender, facts, received_at);

/// Finds another request of the same message that is held, released or delivered.
pub(super) fn find_other_copy(tx: &Tx, n: i64) -> Result<Option<(RequestId, RequestState)>> {
    let found = tx.maybe_with(
        "SELECT r.portal, l.sender, l.facts, l.received_at
         FROM request AS r JOIN ledger AS l ON l.n = r.ledger WHERE r.ledger = ?",
        &[&n],
        |row| readable(Message::from_row(row)),
    )?;
    // A damaged request cannot be compared with others.
    let Some(message) = found.flatten() else {
        return Ok(None);
    };
    let sender_key = message.sender.as_deref();
    let like = Likeness::of(
        &message.facts,
        &message.portal,
        sender_key,
        message.received_at,
    );
    let Some(copy) = find_original(tx, &like, Some(n))? else {
        return Ok(None);
    };
    let state: Option<RequestState> =
        tx.maybe("SELECT state FROM request WHERE ledger = ?", &[&copy.n])?;
    Ok(copy.original.request.zip(state))
}
