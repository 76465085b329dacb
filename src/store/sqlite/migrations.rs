//! The schema of the file: the list of migrations, and what is applied of it.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};
use rusqlite_migration::{M, MigrationDefinitionError, Migrations};

use super::connection::opening;
use crate::store::{Result, StoreError};

/// Schema migrations, one file each, which begins with its purpose. A released migration never changes.
const STEPS: &[M] = &[
    M::up(include_str!("schema/0001-foundation.sql")),
    M::up(include_str!("schema/0002-operators.sql")),
    M::up(include_str!("schema/0003-forgotten.sql")),
    M::up(include_str!("schema/0004-pages.sql")),
    M::up(include_str!("schema/0005-hooks.sql")),
    M::up(include_str!("schema/0006-api.sql")),
    M::up(include_str!("schema/0007-reasons.sql")),
    M::up(include_str!("schema/0008-fair-mail.sql")),
    M::up(include_str!("schema/0009-offers.sql")),
    M::up(include_str!("schema/0010-dropped-content.sql")),
    M::up(include_str!("schema/0011-unverified.sql")),
    M::up(include_str!("schema/0012-stopped.sql")),
    M::up(include_str!("schema/0013-mailboxes.sql")),
    M::up(include_str!("schema/0014-message-links.sql")),
    M::up(include_str!("schema/0015-passed.sql")),
    M::up(include_str!("schema/0016-address-keys.sql")),
    M::up(include_str!("schema/0017-numbers.sql")),
    M::up(include_str!("schema/0018-languages.sql")),
    M::up(include_str!("schema/0019-named-senders.sql")),
    M::up(include_str!("schema/0020-request-counts.sql")),
    M::up(include_str!("schema/0021-taken-back.sql")),
    M::up(include_str!("schema/0022-claims.sql")),
    M::up(include_str!("schema/0023-actors.sql")),
    M::up(include_str!("schema/0024-notices.sql")),
    M::up(include_str!("schema/0025-placeholders.sql")),
    M::up(include_str!("schema/0026-unanswered-mail.sql")),
    M::up(include_str!("schema/0027-destinations.sql")),
    M::up(include_str!("schema/0028-search.sql")),
    M::up(include_str!("schema/0029-queue-depths.sql")),
    M::up(include_str!("schema/0030-nodes.sql")),
    M::up(include_str!("schema/0031-people.sql")),
    M::up(include_str!("schema/0032-moved.sql")),
    M::up(include_str!("schema/0033-sign-in.sql")),
    M::up(include_str!("schema/0034-lists.sql")),
    M::up(include_str!("schema/0035-node-sections.sql")),
    M::up(include_str!("schema/0036-waiting-lists.sql")),
    M::up(include_str!("schema/0037-counted-together.sql")),
    M::up(include_str!("schema/0038-expired-accounts.sql")),
    M::up(include_str!("schema/0039-counted-by-the-writer.sql")),
    M::up(include_str!("schema/0040-refused-offers.sql")),
    M::up(include_str!("schema/0041-refused-mail.sql")),
    M::up(include_str!("schema/0042-requested-waits.sql")),
    M::up(include_str!("schema/0043-stopped-requests.sql")),
    M::up(include_str!("schema/0044-authenticated.sql")),
];
const MIGRATIONS: Migrations = Migrations::from_slice(STEPS);

/// Numbers of schema migrations: applied to a database, and known to this program.
pub(crate) fn schema(connection: &Connection) -> Result<(usize, usize)> {
    let found = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok((found, STEPS.len()))
}

/// Applies the migrations that the database lacks.
///
/// # Errors
/// A newer schema, or a migration that fails.
pub(super) fn apply(path: &Path, connection: &mut Connection) -> Result<()> {
    // Another process may migrate at the same time, and the version is read outside of the migration's
    // transaction. The process that comes second then finds the migration done, so it tries once more.
    for last in [false, true] {
        let (found, known) = schema(connection)?;
        if found == known {
            return Ok(());
        }
        connection.set_transaction_behavior(TransactionBehavior::Immediate);
        let outcome = MIGRATIONS.to_latest(connection);
        connection.set_transaction_behavior(TransactionBehavior::Deferred);
        match outcome {
            Ok(()) => return Ok(()),
            Err(rusqlite_migration::Error::MigrationDefinition(
                MigrationDefinitionError::DatabaseTooFarAhead,
            )) => {
                return Err(StoreError::NewerSchema { found, known });
            }
            Err(rusqlite_migration::Error::RusqliteError { err, .. }) if last => {
                return Err(opening(path, err));
            }
            Err(other) if last => {
                return Err(StoreError::open(path.display(), other));
            }
            Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
