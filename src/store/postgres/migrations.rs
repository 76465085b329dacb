//! The schema on the server: creates it, and brings it up to date while other nodes go on.
//!
//! A migration has the number of the other engine's migration with the same change. It runs in one transaction,
//! which holds the lock of the version, and then that of the writer.

use super::connection::{self, Purpose};
use super::wire::{ProtocolConnection, ServerAnswer};
use crate::config::PostgresServer;
use crate::store::StoreError;

/// A released migration never changes.
struct Migration {
    number: usize,
    sql: &'static str,
    /// Programs that know the schema up to this number go on working after it.
    works_with: usize,
}

const fn step(number: usize, works_with: usize, sql: &'static str) -> Migration {
    Migration {
        number,
        sql,
        works_with,
    }
}

/// The first one creates the tables as the other engine has them after its migration of that number.
const MIGRATIONS: &[Migration] = &[
    step(29, 29, include_str!("schema/0001-foundation.sql")),
    step(30, 30, include_str!("schema/0030-nodes.sql")),
    step(31, 31, include_str!("schema/0031-people.sql")),
    step(32, 32, include_str!("schema/0032-moved.sql")),
    // A program that knows of no second factor would let operators in without it.
    step(33, 33, include_str!("schema/0033-sign-in.sql")),
    // Only indexes.
    step(34, 33, include_str!("schema/0034-lists.sql")),
    // A column that programs of before leave out.
    step(35, 33, include_str!("schema/0035-node-sections.sql")),
];

/// Number of the newest migration that this program knows.
pub(super) const KNOWN: usize = MIGRATIONS[MIGRATIONS.len() - 1].number;

/// The version of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    /// Number of its newest migration; 0 where there is no schema yet.
    pub(super) found: usize,
    /// Programs that know the schema up to this number work with it.
    pub(super) works_with: usize,
}

impl Version {
    /// Reads the columns `version` and `works_with`, from this one on.
    pub(super) fn of(answer: &ServerAnswer, column: usize) -> Self {
        Self {
            found: answer.parse(column).unwrap_or(0),
            works_with: answer.parse(column + 1).unwrap_or(0),
        }
    }

    /// # Errors
    /// This program does not work with it.
    pub(super) fn check(self) -> Result<(), StoreError> {
        if self.works_with > KNOWN {
            return Err(StoreError::NewerSchema {
                found: self.found,
                known: KNOWN,
            });
        }
        if self.found < KNOWN {
            return Err(StoreError::OlderSchema {
                found: self.found,
                known: KNOWN,
            });
        }
        Ok(())
    }
}

/// Reads the version.
pub(super) fn version(server: &PostgresServer) -> Result<Version, StoreError> {
    read_version(&mut connection::connect(server, Purpose::Read)?, server)
}

pub(super) fn read_version(
    wire: &mut ProtocolConnection,
    server: &PostgresServer,
) -> Result<Version, StoreError> {
    let table = format!("{}.schema_version", server.quoted_schema());
    let found = wire.simple(&format!("SELECT to_regclass('{table}') IS NOT NULL"))?;
    if found.text(0).as_deref() != Some("t") {
        return Ok(Version {
            found: 0,
            works_with: 0,
        });
    }
    let answer = wire.simple(&format!("SELECT version, works_with FROM {table}"))?;
    Ok(Version::of(&answer, 0))
}

/// Creates the schema and brings it to the newest version.
///
/// # Errors
/// The schema is newer than this program, or the role may not create it.
pub(super) fn migrate(server: &PostgresServer) -> Result<(), StoreError> {
    let mut wire = connection::connect(server, Purpose::Migrate)?;
    let version = read_version(&mut wire, server)?;
    if version.found >= KNOWN {
        return version.check();
    }
    create(&mut wire, server)?;
    let settings = connection::settings(server, Purpose::Migrate, true);
    let schema = server.quoted_schema();
    // A node that migrates at this moment is waited for; the locks of tables are not.
    wire.simple(&format!(
        "BEGIN; {settings} SET LOCAL lock_timeout = 0;
         LOCK TABLE {schema}.schema_version IN EXCLUSIVE MODE; {settings}"
    ))?;
    // Another node may have been first.
    let version = read_version(&mut wire, server)?;
    if version.found >= KNOWN {
        wire.simple("ROLLBACK")?;
        return version.check();
    }
    if version.found > 0 {
        wire.simple("UPDATE writer SET next_number = next_number + 1 WHERE n = 1")?;
    }
    let steps = MIGRATIONS.iter().filter(|step| step.number > version.found);
    let mut works_with = version.works_with;
    for step in steps {
        wire.simple(step.sql)
            .map_err(|error| at_step(step.number, server, &error))?;
        works_with = works_with.max(step.works_with);
    }
    wire.simple(&format!(
        "DELETE FROM {schema}.schema_version;
         INSERT INTO {schema}.schema_version (version, works_with) VALUES ({KNOWN}, {works_with}); COMMIT"
    ))?;
    Ok(())
}

fn at_step(number: usize, server: &PostgresServer, error: &StoreError) -> StoreError {
    StoreError::Open {
        path: server.to_string(),
        cause: format!("migration {number} failed, and nothing has changed: {error}"),
    }
}

/// Creates the schema, and the table of its version. Another node may do so at once, and be first.
fn create(wire: &mut ProtocolConnection, server: &PostgresServer) -> Result<(), StoreError> {
    let schema = server.quoted_schema();
    let sql = format!(
        "DO $do$ BEGIN
             IF to_regnamespace('{schema}') IS NULL THEN CREATE SCHEMA {schema}; END IF;
         EXCEPTION WHEN duplicate_schema OR unique_violation THEN NULL;
         END $do$;
         DO $do$ BEGIN
             IF to_regclass('{schema}.schema_version') IS NULL THEN
                 CREATE TABLE {schema}.schema_version (
                     version bigint NOT NULL, works_with bigint NOT NULL
                 );
             END IF;
         EXCEPTION WHEN duplicate_table OR unique_violation THEN NULL;
         END $do$"
    );
    wire.simple(&sql).map(drop).map_err(|error| match error {
        StoreError::Other(cause) => StoreError::Open {
            path: server.to_string(),
            cause: format!(
                "{cause}; as the owner of the database: CREATE SCHEMA {schema} AUTHORIZATION {}",
                server.user
            ),
        },
        other => other,
    })
}
