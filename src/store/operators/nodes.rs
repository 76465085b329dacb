//! Nodes that share the store: each records itself at an interval, with its version, its clock offset, and a digest
//! of the configuration that must be the same on all nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::{Millis, from_row};
use crate::store::{Result, Store};

/// A node as it last recorded itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Kept in its data folder.
    pub id: String,
    /// Name of its machine.
    pub name: String,
    pub version: String,
    /// Digest of the configuration that must be the same on all nodes.
    pub configuration: String,
    /// Digests of its parts, by the names of the sections.
    pub sections: BTreeMap<String, String>,
    /// Milliseconds by which its clock is ahead of the database's.
    pub clock_offset: i64,
    pub started_at: Timestamp,
    /// By the clock of the database, once it is recorded.
    pub seen_at: Timestamp,
}

/// Time after which a node that is gone is forgotten, with the records of its commits.
const FORGET_AFTER: Duration = Duration::from_hours(24 * 7);

/// Interval at which a node records itself if other nodes can share the store.
const RECORD_EVERY: Duration = Duration::from_secs(10);
/// Time after its last record at which such a node counts as gone: several records are missing.
pub const NODE_TIMEOUT: Duration = Duration::from_mins(1);
/// Interval at which a node records itself if no other node can share the store.
const ALONE: Duration = Duration::from_mins(15);

/// All nodes, by name.
pub(crate) fn all(tx: &Tx) -> Result<Vec<Node>> {
    tx.all("SELECT * FROM node ORDER BY name, id", &[])
}

from_row!(
    Node, row: id, name, version, configuration,
    // Written by nodes of other versions, too.
    sections = serde_json::from_str(row.value("sections")?.text_or_empty()).unwrap_or_default(),
    clock_offset, started_at, seen_at,
);

impl Store {
    /// Records this node, and deletes nodes that were not seen for a week. Returns the record that it replaced, if
    /// another daemon wrote it: an earlier daemon of this node or, if this one had recorded itself before, another
    /// daemon with the same id.
    pub async fn record_node(&self, node: Node) -> Result<Option<Node>> {
        self.write(move |work| {
            // The transaction has just compared the clocks.
            let offset = work.driver.clock_offset();
            let (tx, seen) = (work.tx, Millis::from(node.seen_at).behind(offset));
            let sql = "SELECT * FROM node WHERE id = ?";
            let replaced: Option<Node> = tx.maybe(sql, &[&node.id])?;
            let started = Millis::from(node.started_at);
            let sections = serde_json::to_string(&node.sections).unwrap_or_default();
            let replaced = replaced.filter(|other| {
                other.name != node.name || Millis::from(other.started_at) != started
            });
            tx.run(
                "INSERT INTO node (id, name, version, configuration, clock_offset, started_at, seen_at, sections)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (id) DO UPDATE SET name = ?2, version = ?3, configuration = ?4,
                     clock_offset = ?5, started_at = ?6, seen_at = ?7, sections = ?8",
                &[
                    &node.id,
                    &node.name,
                    &node.version,
                    &node.configuration,
                    &node.clock_offset,
                    &started,
                    &seen,
                    &sections,
                ],
            )?;
            let long_ago = seen.minus(FORGET_AFTER);
            tx.run("DELETE FROM node WHERE seen_at < ?", &[&long_ago])?;
            tx.run("DELETE FROM committed WHERE written_at < ?", &[&long_ago])?;
            Ok(replaced)
        })
        .await
    }

    /// All nodes, by name.
    pub async fn nodes(&self) -> Result<Vec<Node>> {
        self.read(all).await
    }

    /// Time after its last record at which a node counts as gone.
    #[must_use]
    pub fn node_timeout(&self) -> Duration {
        self.duty_interval().map_or(ALONE * 2, |_| NODE_TIMEOUT)
    }

    /// Interval at which a node records itself.
    #[must_use]
    pub fn node_interval(&self) -> Duration {
        self.duty_interval().map_or(ALONE, |_| RECORD_EVERY)
    }

    /// Id of this node.
    #[must_use]
    pub fn node_id(&self) -> &str {
        self.holder.node()
    }

    /// Milliseconds by which the clock of this machine was ahead of the database's at the last commit.
    #[must_use]
    pub fn clock_offset(&self) -> i64 {
        self.driver.clock_offset()
    }

    /// False if this machine must not decide by its clock when something is due.
    #[must_use]
    pub fn is_clock_right(&self) -> bool {
        self.driver.is_clock_right()
    }
}
