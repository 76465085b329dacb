//! Destinations and hooks that an operator paused: nothing is claimed for them.

use crate::domain::DestinationName;
use crate::store::Result;
use crate::store::sql::Tx;

/// True if an operator paused the destination or hook.
pub(crate) fn is_paused(tx: &Tx, name: &DestinationName) -> Result<bool> {
    let sql = "SELECT 1 FROM paused_destination WHERE destination = ?";
    tx.exists(sql, &[&name])
}
