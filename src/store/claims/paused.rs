//! Destinations and hooks that an operator paused: nothing is claimed for them.

use rusqlite::Connection;

use crate::domain::DestinationName;
use crate::store::StoreError;

/// True if an operator paused the destination or hook.
pub(crate) fn is_paused(
    connection: &Connection,
    name: &DestinationName,
) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM paused_destination WHERE destination = ?")?
        .exists([name])?)
}
