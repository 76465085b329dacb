//! Numbers and ids of ledger entries.

use crate::domain::LedgerId;
use crate::store::Result;
use crate::store::sql::Tx;
use crate::store::sql::page_builder::unknown_cursor;

/// Number of the entry with this id, which is the cursor of a list.
///
/// # Errors
/// `NotFound`.
pub(crate) fn n_of(tx: &Tx, cursor: &str) -> Result<i64> {
    let id: LedgerId = cursor.parse().map_err(|_| unknown_cursor(cursor))?;
    tx.maybe("SELECT n FROM ledger WHERE id = ?", &[&id])?
        .ok_or_else(|| unknown_cursor(cursor))
}

/// Id of the entry with this number.
pub(crate) fn id_of(tx: &Tx, n: i64) -> Result<LedgerId> {
    tx.one("SELECT id FROM ledger WHERE n = ?", &[&n])
}

/// Number of the entry under which the content of this entry is stored.
pub(crate) fn carrier_of(tx: &Tx, n: i64) -> Result<i64> {
    tx.one("SELECT coalesce(message, n) FROM ledger WHERE n = ?", &[&n])
}
