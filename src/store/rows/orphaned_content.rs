//! Content that no entry needs: several entries may share one, which stays as long as one of them needs it.

use crate::store::Result;
use crate::store::rows::dropped_content::count_if_unwanted;
use crate::store::sql::Tx;

/// Deletes the content of an entry, unless this entry or another of the same message needs it: an unexpired
/// dropped one, or a request that is kept. What only dropped ones need is counted.
pub(crate) fn delete_content(tx: &Tx, n: i64) -> Result<()> {
    let carrier: Option<i64> =
        tx.maybe("SELECT coalesce(message, n) FROM ledger WHERE n = ?", &[&n])?;
    let Some(carrier) = carrier else {
        return Ok(());
    };
    delete_orphaned(tx, carrier)?;
    count_if_unwanted(tx, carrier)
}

/// Deletes the content stored under an entry, unless an entry of the same message needs it.
pub(crate) fn delete_orphaned(tx: &Tx, carrier: i64) -> Result<()> {
    tx.run(
        "DELETE FROM content
             WHERE ledger = ?1
                 AND NOT EXISTS (
                     SELECT 1 FROM ledger AS other
                     LEFT JOIN request AS r ON r.ledger = other.n
                     WHERE (other.n = content.ledger OR other.message = content.ledger)
                         AND coalesce(other.message, other.n) = content.ledger
                         AND (other.forget_at IS NOT NULL OR r.kept = 1)
                 )",
        &[&carrier],
    )?;
    Ok(())
}
