//! Nodes that share the store: each records itself at an interval, with its version, its clock offset, and a digest
//! of the configuration that must be the same on all nodes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::config::Config;
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

/// Time for which a node that is gone may come back with its mailboxes.
const MAY_RETURN: Duration = Duration::from_hours(24);
/// Sections of the configuration with the addresses at which a node takes mail.
const MAILBOXES: [&str; 2] = [PORTALS, "verification"];
/// Section of the configuration with the portals.
const PORTALS: &str = "portal";

/// State of the other nodes, as of this node's last heartbeat: true if they may have mailboxes or portals that this one
/// lacks. Until the first heartbeat has compared the nodes, they may.
#[derive(Debug)]
pub(crate) struct OtherNodes {
    mailboxes: AtomicBool,
    portals: AtomicBool,
}

impl OtherNodes {
    /// State before the first heartbeat; `may_exist` is false if no other node can share the store.
    pub(crate) fn new(may_exist: bool) -> Self {
        Self {
            mailboxes: AtomicBool::new(may_exist),
            portals: AtomicBool::new(may_exist),
        }
    }
}

/// True if one of these sections differs.
fn differ(
    sections: &BTreeMap<String, String>,
    others: &BTreeMap<String, String>,
    names: &[&str],
) -> bool {
    names
        .iter()
        .any(|name| sections.get(*name) != others.get(*name))
}

/// True if a node other than `own` may have mailboxes that `own` lacks. Digests of other versions cannot be compared.
fn may_have_mailboxes(nodes: &[Node], own: &Node, now: Millis) -> bool {
    let since = now.minus(MAY_RETURN);
    nodes.iter().any(|node| {
        node.id != own.id
            && node.version == own.version
            && Millis::from(node.seen_at) > since
            && differ(&node.sections, &own.sections, &MAILBOXES)
    })
}

/// True if a node other than `own` may have portals that `own` lacks. A node of another version always may.
fn may_have_portals(nodes: &[Node], own: &Node) -> bool {
    let mut others = nodes.iter().filter(|node| node.id != own.id);
    others.any(|node| differ(&node.sections, &own.sections, &[PORTALS]))
}

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
        let recorded = self.write(move |work| {
            // The transaction has just compared the clocks.
            let offset = work.driver.clock_offset();
            let (tx, seen) = (work.tx, Millis::from(node.seen_at).behind(offset));
            let nodes = all(tx)?;
            let is_shared = work.driver.duty_lease().is_some();
            let mailboxes = is_shared && may_have_mailboxes(&nodes, &node, seen);
            let portals = is_shared && may_have_portals(&nodes, &node);
            let started = Millis::from(node.started_at);
            let sections = serde_json::to_string(&node.sections).unwrap_or_default();
            let replaced = nodes.into_iter().find(|other| {
                let is_other = other.name != node.name || Millis::from(other.started_at) != started;
                other.id == node.id && is_other
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
            Ok((replaced, mailboxes, portals))
        });
        let (replaced, mailboxes, portals) = recorded.await?;
        let others = &self.other_nodes;
        others.mailboxes.store(mailboxes, Ordering::Relaxed);
        others.portals.store(portals, Ordering::Relaxed);
        Ok(replaced)
    }

    /// True if another node may take mail for addresses that this one does not have: as of the last heartbeat, a node
    /// that was seen within a day has other portals or verification addresses.
    #[must_use]
    pub fn others_may_have_mailbox(&self) -> bool {
        self.other_nodes.mailboxes.load(Ordering::Relaxed)
    }

    /// True if another listed node may have portals that this one lacks. A node of another version always may. Reads
    /// the nodes only if they differed at the last heartbeat, or if this handle records no heartbeats.
    pub async fn others_may_have_portals(&self, config: &Config) -> Result<bool> {
        if !self.other_nodes.portals.load(Ordering::Relaxed) {
            return Ok(false);
        }
        self.another_node_differs(config, &[PORTALS]).await
    }

    /// True if another listed node has one of these sections of the configuration in another form. A node of another
    /// version always differs.
    pub async fn another_node_differs(&self, config: &Config, sections: &[&str]) -> Result<bool> {
        if self.duty_interval().is_none() {
            return Ok(false);
        }
        let nodes = self.nodes().await?;
        let own = config.fingerprint();
        let mut others = nodes.iter().filter(|node| node.id != self.node_id());
        Ok(others.any(|node| differ(&node.sections, &own, sections)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_may_be_at_a_recent_node_of_the_same_version_and_portals_at_any_other() {
        let now = Timestamp::from_second(1_000_000).expect("a time");
        let node = |id: &str, version: &str, portal: &str, mail: &str, hours_ago: i64| Node {
            id: id.to_owned(),
            name: "gate".to_owned(),
            version: version.to_owned(),
            configuration: String::new(),
            sections: [("portal", portal), ("mail", mail)]
                .map(|(name, digest)| (name.to_owned(), digest.to_owned()))
                .into(),
            clock_offset: 0,
            started_at: now,
            seen_at: now - jiff::SignedDuration::from_hours(hours_ago),
        };
        let own = node("a", "1", "x", "x", 0);
        for (other, expected) in [
            (node("b", "1", "y", "x", 0), true),
            (node("b", "1", "y", "x", 23), true),
            (node("b", "1", "y", "x", 24), false),
            (node("b", "1", "x", "y", 0), false),
            (node("b", "2", "y", "x", 0), false),
            // Its own record, before it was reloaded.
            (node("a", "1", "y", "x", 0), false),
        ] {
            let found = may_have_mailboxes(&[own.clone(), other.clone()], &own, now.into());
            assert_eq!(found, expected, "{other:?}");
        }
        for (other, expected) in [
            (node("b", "1", "x", "y", 0), false),
            (node("b", "1", "y", "x", 100), true),
            (node("b", "2", "y", "x", 0), true),
            (node("a", "1", "y", "x", 0), false),
        ] {
            let found = may_have_portals(&[own.clone(), other.clone()], &own);
            assert_eq!(found, expected, "{other:?}");
        }
    }
}
