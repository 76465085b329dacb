//! Facts about a server on which promises depend, for `check` and `doctor`.

use super::connection::{self, Purpose};
use super::migrations;
use crate::config::PostgresServer;
use crate::domain::Timestamp;
use crate::store::Result;

/// Settings and state of a PostgreSQL server, as a session of ours sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// As in `server_version_num`: 150004 is 15.4.
    pub version: u32,
    pub encoding: String,
    pub fsync: bool,
    pub full_page_writes: bool,
    pub synchronous_commit: String,
    /// The standbys that a commit waits for; empty where it waits for none.
    pub synchronous_standbys: String,
    /// Number of synchronous standbys that are connected; of all standbys if the role may not see which are
    /// synchronous.
    pub standbys: u32,
    /// Milliseconds by which the clock of this machine is ahead of the server's.
    pub clock_offset: i64,
    /// Numbers of schema migrations: applied to the database (0 for none yet), and known to this program.
    pub schema: usize,
    pub known_schema: usize,
}

pub(in crate::store) fn inspect(server: &PostgresServer) -> Result<ServerFacts> {
    let mut session = connection::connect(server, Purpose::Read)?;
    let schema = migrations::read_version(&mut session, server)?.found;
    let answer = session.simple(
        "SELECT current_setting('server_version_num'), current_setting('server_encoding'),
             current_setting('fsync'), current_setting('full_page_writes'),
             current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
             (SELECT count(*) FROM pg_stat_replication
                 WHERE sync_state IS NULL OR sync_state = 'sync' OR sync_state = 'quorum'),
             floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
    )?;
    let now = Timestamp::now().as_millisecond();
    let column = |number| answer.text(number).unwrap_or_default();
    Ok(ServerFacts {
        version: answer.parse(0).unwrap_or_default(),
        encoding: column(1),
        fsync: column(2) == "on",
        full_page_writes: column(3) == "on",
        synchronous_commit: column(4),
        synchronous_standbys: column(5),
        standbys: answer.parse(6).unwrap_or_default(),
        clock_offset: answer.parse(7).map_or(0, |server: i64| now - server),
        schema,
        known_schema: migrations::newest(),
    })
}
