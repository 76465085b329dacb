//! The schema on the server: creates it, and migrates it while other nodes go on working.
//!
//! A migration has the number of the other engine's migration with the same change. Each runs in a transaction of
//! its own under the lock of the writer, for which other nodes wait. An attempt that does not get a table's lock
//! soon is given up and retried later, since later transactions queue behind it.
//!
//! A migration that takes long on a large table has a file that begins with [`APART`]. Its statements run one by
//! one, while other nodes write: each changes some rows under the lock and is repeated while it changes any, or
//! [builds an index](super::index_builds) without that lock. All of them can be run again after an interruption.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::connection::{self, Purpose};
use super::index_builds::IndexBuild;
use super::wire::{ProtocolConnection, ServerAnswer};
use crate::config::PostgresServer;
use crate::store::{Result, StoreError};

/// First line of a migration whose statements run one by one.
const APART: &str = "-- Apart.\n";

/// Keyword of an index build that does not block writers.
const CONCURRENTLY: &str = " CONCURRENTLY";

/// Time for which one attempt waits for a lock: other transactions queue behind it, and give up after 10 s.
const LOCK: &str = "2s";

/// Pause between two attempts, and time after which there is no further one: a report can read for minutes.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
pub(super) const MAX_DURATION: Duration = Duration::from_mins(10);

/// A released migration never changes.
#[derive(Clone, Copy)]
struct Migration {
    number: usize,
    sql: &'static str,
    /// Programs whose newest migration has this number, or a later one, go on working after it.
    works_with: usize,
}

const fn step(number: usize, works_with: usize, sql: &'static str) -> Migration {
    Migration {
        number,
        sql,
        works_with,
    }
}

/// The migrations, one file each, which begins with its purpose, below the line of [`APART`] if it has that. The first
/// one creates the tables as the other engine has them after its migration of that number.
const MIGRATIONS: &[Migration] = &[
    step(29, 29, include_str!("schema/0001-foundation.sql")),
    step(30, 30, include_str!("schema/0030-nodes.sql")),
    step(31, 31, include_str!("schema/0031-people.sql")),
    step(32, 32, include_str!("schema/0032-moved.sql")),
    // A program without the second factor would let operators in without it.
    step(33, 33, include_str!("schema/0033-sign-in.sql")),
    // These are only indexes.
    step(34, 33, include_str!("schema/0034-lists.sql")),
    // A column that older programs leave out.
    step(35, 33, include_str!("schema/0035-node-sections.sql")),
    step(36, 33, include_str!("schema/0036-waiting-lists.sql")),
    // The rows of one statement are counted together.
    step(37, 33, include_str!("schema/0037-counted-together.sql")),
    // An older program would leave the entries of expired accounts out when it erases or exports a person.
    step(38, 38, include_str!("schema/0038-expired-accounts.sql")),
    // An older program would release offered messages that the person refused.
    step(40, 40, include_str!("schema/0040-refused-offers.sql")),
    step(41, 40, include_str!("schema/0041-refused-mail.sql")),
    // A column that older programs leave out.
    step(42, 40, include_str!("schema/0042-requested-waits.sql")),
    step(43, 40, include_str!("schema/0043-stopped-requests.sql")),
    // A column that older programs leave out.
    step(44, 40, include_str!("schema/0044-authenticated.sql")),
];

/// The migrations of this program. In a debug build, `VESTIBULE_NEXT_MIGRATIONS` can name a file with the
/// migrations of the next release, separated by lines of `-- Next.`: programs without them go on working after
/// each.
static KNOWN: LazyLock<Vec<Migration>> = LazyLock::new(|| {
    let mut known = MIGRATIONS.to_vec();
    if cfg!(debug_assertions)
        && let Some(file) = std::env::var_os("VESTIBULE_NEXT_MIGRATIONS")
    {
        let newest = MIGRATIONS[MIGRATIONS.len() - 1].number;
        let text = std::fs::read_to_string(file).unwrap_or_default();
        for (after, sql) in text.leak().split("-- Next.\n").enumerate() {
            known.push(step(newest + 1 + after, newest, sql));
        }
    }
    known
});

/// Number of the newest migration that this program knows.
pub(super) fn newest() -> usize {
    KNOWN.last().map_or(0, |newest| newest.number)
}

/// The version of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    /// Number of its newest migration; 0 where there is no schema yet.
    pub(super) found: usize,
    /// Programs whose newest migration has this number, or a later one, work with it.
    pub(super) works_with: usize,
}

impl Version {
    /// Reads the columns `version` and `works_with`, which start at `column`.
    pub(super) fn of(answer: &ServerAnswer, column: usize) -> Self {
        Self {
            found: answer.parse(column).unwrap_or(0),
            works_with: answer.parse(column + 1).unwrap_or(0),
        }
    }

    /// # Errors
    /// `NewerSchema` or `OlderSchema` if this program does not work with it.
    pub(super) fn check(self) -> Result<()> {
        let (found, known) = (self.found, newest());
        if self.works_with > known {
            return Err(StoreError::NewerSchema { found, known });
        }
        if found < known {
            return Err(StoreError::OlderSchema { found, known });
        }
        Ok(())
    }
}

/// Reads the version.
pub(super) fn version(server: &PostgresServer) -> Result<Version> {
    read_version(&mut connection::connect(server, Purpose::Read)?, server)
}

pub(super) fn read_version(
    wire: &mut ProtocolConnection,
    server: &PostgresServer,
) -> Result<Version> {
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
pub(super) fn migrate(server: &PostgresServer) -> Result<()> {
    let mut wire = connection::connect(server, Purpose::Migrate)?;
    let version = read_version(&mut wire, server)?;
    if version.found >= newest() {
        return version.check();
    }
    create(&mut wire, server)?;
    // One node migrates at a time; others wait until it is done, and find the newest version then.
    let schema = server.quoted_schema();
    let mut guard = connection::connect(server, Purpose::Migrate)?;
    let settings = connection::settings(server, Purpose::Migrate, true);
    let lock = format!(
        "BEGIN; {settings} SET LOCAL lock_timeout = '30s';
         LOCK TABLE {schema}.schema_version IN SHARE UPDATE EXCLUSIVE MODE"
    );
    guard.simple(&lock).map_err(|error| match error {
        StoreError::Busy(_) => StoreError::Busy(
            "another node is migrating the schema, or hangs while doing so".to_owned(),
        ),
        other => other,
    })?;
    let before = read_version(&mut wire, server)?;
    let mut works_with = before.works_with;
    for step in KNOWN.iter().filter(|step| step.number > before.found) {
        let number = step.number;
        works_with = works_with.max(step.works_with);
        let sql = match step.sql.strip_prefix(APART) {
            None => step.sql.to_owned(),
            // A store that is just being created has no writers.
            Some(statements) if before.found == 0 => statements.replace(CONCURRENTLY, ""),
            Some(statements) => {
                run_apart(&mut wire, server, number, statements)
                    .map_err(|error| at_step(number, server, error))?;
                String::new()
            }
        };
        // The version is written in the transaction that completes the migration.
        let sql = format!(
            "{sql}; DELETE FROM {schema}.schema_version;
             INSERT INTO {schema}.schema_version (version, works_with) VALUES ({number}, {works_with})"
        );
        run_locked(&mut wire, server, number, before.found == 0, &sql)
            .map_err(|error| at_step(number, server, error))?;
    }
    // The end of the guard lets the other nodes go on.
    drop(guard);
    read_version(&mut wire, server)?.check()
}

/// Runs statements of a migration in a transaction under the lock of the writer, if its table exists yet. Returns
/// the number of rows that the last of them changed; 0 if another node has applied this migration meanwhile, after
/// the guard's connection was lost.
fn run_locked(
    wire: &mut ProtocolConnection,
    server: &PostgresServer,
    number: usize,
    is_new: bool,
    sql: &str,
) -> Result<usize> {
    let settings = connection::settings(server, Purpose::Migrate, true);
    let lock = if is_new {
        ""
    } else {
        "UPDATE writer SET next_number = next_number + 1 WHERE n = 1"
    };
    let begin = Instant::now();
    loop {
        // A process that hangs while it holds the lock loses it.
        let sql_of_begin = format!(
            "BEGIN; {settings} SET LOCAL idle_in_transaction_session_timeout = '10s';
             SET LOCAL lock_timeout = '{LOCK}'; {lock}"
        );
        let outcome = wire
            .simple(&sql_of_begin)
            .and_then(|_| read_version(wire, server))
            .and_then(|version| {
                let count = if version.found < number {
                    wire.simple(sql)?.count
                } else {
                    0
                };
                wire.simple("COMMIT").map(|_| count)
            });
        match outcome {
            Err(StoreError::Busy(_)) if begin.elapsed() < MAX_DURATION => {
                wire.simple("ROLLBACK")?;
                std::thread::sleep(PAUSE);
            }
            Err(error) => {
                // If this fails, the end of the connection rolls it back as well.
                let _ = wire.simple("ROLLBACK");
                return Err(error);
            }
            done => return done,
        }
    }
}

/// Runs statements one by one, and repeats each for as long as it changes rows.
fn run_apart(
    wire: &mut ProtocolConnection,
    server: &PostgresServer,
    number: usize,
    statements: &str,
) -> Result<()> {
    for statement in split(statements) {
        if let Some(build) = IndexBuild::of(statement) {
            build.run(wire, server)?;
        } else {
            while run_locked(wire, server, number, false, statement)? > 0 {}
        }
    }
    Ok(())
}

fn split(statements: &str) -> impl Iterator<Item = &str> {
    let statements = statements.split(";\n");
    statements.filter(|text| !text.trim().is_empty())
}

/// Builds the indexes of applied migrations that are missing, or that an interruption left invalid.
///
/// # Errors
/// The server cannot be reached, or an index cannot be built.
pub(super) fn repair(server: &PostgresServer) -> Result<()> {
    let mut wire = connection::connect(server, Purpose::Migrate)?;
    let found = read_version(&mut wire, server)?.found;
    for step in KNOWN.iter().filter(|step| step.number <= found) {
        let statements = step.sql.strip_prefix(APART).unwrap_or_default();
        for build in split(statements).filter_map(IndexBuild::of) {
            build
                .run(&mut wire, server)
                .map_err(|error| at_step(step.number, server, error))?;
        }
    }
    Ok(())
}

/// Adds the number of the migration. A temporary error keeps its kind, so that the caller retries.
fn at_step(number: usize, server: &PostgresServer, error: StoreError) -> StoreError {
    let of_step = |cause| format!("migration {number}: {cause}");
    match error {
        StoreError::Away(cause) => StoreError::Away(of_step(cause)),
        StoreError::Busy(cause) => StoreError::Busy(of_step(cause)),
        StoreError::ServerFull(cause) => StoreError::ServerFull(of_step(cause)),
        StoreError::ReadOnly(cause) => StoreError::ReadOnly(of_step(cause)),
        error => StoreError::Open {
            path: server.to_string(),
            cause: format!("migration {number} failed: {error}"),
        },
    }
}

/// Creates the schema, and the table of its version. Another node may do so concurrently, and be first.
fn create(wire: &mut ProtocolConnection, server: &PostgresServer) -> Result<()> {
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
                "{cause}; run as the owner of the database: CREATE SCHEMA {schema} AUTHORIZATION {}",
                server.user
            ),
        },
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first migration that nodes of an earlier release could run beside.
    const FIRST: usize = 34;

    /// A plain build blocks writes to its table, and runs under the lock of the writer.
    #[test]
    fn no_index_of_a_table_with_rows_is_built_under_the_lock() {
        for step in MIGRATIONS.iter().filter(|step| step.number >= FIRST) {
            let is_of_new_table = |statement: &str| {
                let table = statement.split_once(" ON ").map(|(_, rest)| rest);
                let table = table.and_then(|rest| rest.split(' ').next());
                table.is_some_and(|table| step.sql.contains(&format!("CREATE TABLE {table} (")))
            };
            for statement in split(step.sql).filter(|sql| sql.contains(" INDEX ")) {
                let is_apart = step.sql.starts_with(APART) && IndexBuild::of(statement).is_some();
                assert!(is_apart || is_of_new_table(statement), "{statement}");
            }
        }
    }
}
