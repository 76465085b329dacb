//! Counts of new entries by day: in `day_count`, and in `shut_out` for those that the access settings dropped.
//!
//! The caller that inserts an entry counts it in the same transaction. Triggers count only changed and deleted
//! entries: with a trigger on INSERT, SQLite copies each page that the insert changes, so that it can undo the insert
//! alone.

use crate::access::RuleGroup;
use crate::store::Result;
use crate::store::sql::{CountedEntry, Tx};

/// Adds a new entry to the counts.
pub(super) fn add(tx: &Tx, entry: &CountedEntry<'_>) -> Result<()> {
    tx.run(
        "INSERT INTO day_count (day, portal, verdict, rule, messages)
         VALUES (?1 / 86400000 * 86400000, coalesce(?2, ''), ?3, ?4, 1)
         ON CONFLICT DO UPDATE SET messages = messages + 1",
        &[
            &entry.received_at,
            &entry.portal,
            &entry.verdict,
            &entry.reason,
        ],
    )?;
    if let Some(domain) = entry.domain
        && RuleGroup::Refuses
            .reasons()
            .any(|reason| reason == entry.reason)
    {
        tx.run(
            "INSERT INTO shut_out (day, domain, messages)
             VALUES (?1 / 86400000 * 86400000, ?2, 1)
             ON CONFLICT DO UPDATE SET messages = messages + 1",
            &[&entry.received_at, &domain],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
