//! Index builds that do not block writers (PostgreSQL's documentation, "Building Indexes Concurrently").
//!
//! In: a statement of a migration. Out: the index is there and valid, or an error. An interrupted build leaves an
//! index that no query uses, but that `IF NOT EXISTS` takes for a built one: only such an index is dropped. Each
//! statement runs outside of a transaction and names its schema, so that it needs no session of its own, and also
//! works behind a pooler.

use std::time::{Duration, Instant};

use super::connection::Purpose;
use super::migrations::{MAX_DURATION, PAUSE};
use super::wire::ProtocolConnection;
use crate::config::PostgresServer;
use crate::store::{Result, StoreError};

/// Maximum duration of a build: it waits for all older transactions, and reads a large table.
const MAX_BUILD: Duration = Duration::from_hours(24);

/// Beginning of a statement that builds an index, up to the index's name.
const CREATE: &str = "CREATE INDEX CONCURRENTLY IF NOT EXISTS ";

/// An index that a migration builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexBuild<'a> {
    name: &'a str,
    table: &'a str,
    /// Columns and condition.
    definition: &'a str,
}

/// State of the index of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IndexState {
    Missing,
    Valid,
    /// Left by an interrupted build.
    Broken,
    /// Another session is building it.
    UnderWay,
}

impl<'a> IndexBuild<'a> {
    /// The build that a statement asks for, after its comments; None if it is another statement.
    pub(super) fn of(statement: &'a str) -> Option<Self> {
        let (_, rest) = statement.split_once(CREATE)?;
        let (name, rest) = rest.split_once(" ON ")?;
        let (table, definition) = rest.split_once(' ')?;
        Some(Self {
            name,
            table,
            definition: definition.trim_end_matches(['\n', ';']),
        })
    }

    /// Builds the index, unless it is there.
    ///
    /// # Errors
    /// Another relation has its name, or another session has been building it for too long.
    pub(super) fn run(&self, wire: &mut ProtocolConnection, server: &PostgresServer) -> Result<()> {
        if self.state(wire, &server.quoted_schema())? == IndexState::Valid {
            return Ok(());
        }
        if server.pooler {
            refuse_limits(wire, server)?;
        } else {
            // The build waits for other transactions, and blocks none meanwhile.
            wire.simple("SET lock_timeout = 0")?;
        }
        wire.set_timeout(MAX_BUILD)?;
        let begin = Instant::now();
        let built = loop {
            match self.try_once(wire, server) {
                Err(StoreError::Busy(_)) if begin.elapsed() < MAX_DURATION => {
                    std::thread::sleep(PAUSE);
                }
                done => break done,
            }
        };
        built.and_then(|()| wire.set_timeout(Purpose::Migrate.timeout()))
    }

    fn try_once(&self, wire: &mut ProtocolConnection, server: &PostgresServer) -> Result<()> {
        let schema = server.quoted_schema();
        let Self {
            name,
            table,
            definition,
        } = self;
        let drop_index = format!("DROP INDEX CONCURRENTLY IF EXISTS {schema}.{name}");
        match self.state(wire, &schema)? {
            IndexState::Valid => return Ok(()),
            IndexState::UnderWay => {
                return Err(StoreError::Busy(format!(
                    "another session is building {name}"
                )));
            }
            IndexState::Broken => drop(wire.simple(&drop_index)?),
            IndexState::Missing => {}
        }
        let built = wire.simple(&format!("{CREATE}{name} ON {schema}.{table} {definition}"));
        if let Err(error @ StoreError::ServerFull(_)) = built {
            // The unfinished index would take disk space that the nodes need, until the next attempt.
            let _ = wire.simple(&drop_index);
            return Err(error);
        }
        built?;
        match self.state(wire, &schema)? {
            IndexState::Valid => Ok(()),
            IndexState::Missing => Err(StoreError::Other(format!(
                "{name} exists but is not an index of {table}; rename it"
            ))),
            IndexState::Broken | IndexState::UnderWay => {
                Err(StoreError::Busy(format!("{name} is not valid yet")))
            }
        }
    }

    fn state(&self, wire: &mut ProtocolConnection, schema: &str) -> Result<IndexState> {
        let answer = wire.simple(&format!(
            "SELECT CASE WHEN indisvalid THEN 'valid'
                 WHEN EXISTS (SELECT FROM pg_stat_progress_create_index AS b WHERE b.index_relid = indexrelid)
                     THEN 'under way' ELSE 'broken' END
             FROM pg_index WHERE indexrelid = to_regclass('{schema}.{}') AND indrelid = to_regclass('{schema}.{}')",
            self.name, self.table
        ))?;
        Ok(match answer.text(0).as_deref() {
            None => IndexState::Missing,
            Some("valid") => IndexState::Valid,
            Some("broken") => IndexState::Broken,
            Some(_) => IndexState::UnderWay,
        })
    }
}

/// Refuses the role's own timeouts, which would end each build: behind a pooler they cannot be overridden.
fn refuse_limits(wire: &mut ProtocolConnection, server: &PostgresServer) -> Result<()> {
    for name in ["statement_timeout", "lock_timeout"] {
        let limit = wire.simple(&format!("SHOW {name}"))?.text(0);
        if let Some(limit) = limit.filter(|limit| limit != "0") {
            return Err(StoreError::open(
                server,
                format!(
                    "{name} = {limit} would end the build of an index behind a pooler; run \
                     `vestibule migrate` with a url that leads directly to the server, or run: \
                     ALTER ROLE {} SET {name} = 0",
                    server.user
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_build_is_distinguished_from_other_statements() {
        let build = "-- Lists.\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a ON t (b, n) WHERE b IS NOT NULL;\n";
        let build = IndexBuild::of(build).expect("a build");
        assert_eq!((build.name, build.table), ("a", "t"));
        assert_eq!(build.definition, "(b, n) WHERE b IS NOT NULL");
        for other in ["UPDATE t SET b = 1", "CREATE INDEX a ON t (b)", ""] {
            assert_eq!(IndexBuild::of(other), None, "{other}");
        }
    }
}
