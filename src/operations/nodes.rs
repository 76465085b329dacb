//! The nodes that share the store: what each does, and how it differs from the others.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::Timestamp;
use crate::store::{Duty, Node, Result, Store};

/// A node as of its last heartbeat, compared with the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Node)]
pub struct NodeStatus {
    /// Empty for a store that only one daemon can use.
    pub id: String,
    /// Name of its machine.
    pub name: String,
    pub version: String,
    /// Digest of the configuration that must be the same on all nodes.
    pub configuration: String,
    /// Sections of the configuration that are not those of most present nodes of its version.
    pub differs: Vec<String>,
    /// Milliseconds by which its clock is ahead of the database's.
    pub clock_offset: i64,
    pub started_at: Timestamp,
    pub seen_at: Timestamp,
    /// False if its next heartbeat is overdue.
    pub present: bool,
    /// Duties that it has for all nodes: `housekeeping`, `operator_log`, `canary`.
    #[schema(value_type = Vec<String>)]
    pub duties: Vec<&'static str>,
}

/// All nodes, by name.
pub async fn list_nodes(store: &Store) -> Result<Vec<NodeStatus>> {
    let now = Timestamp::now();
    let mut nodes = compare_nodes(store.nodes().await?, store.node_timeout(), now);
    if store.duty_interval().is_none() {
        let duties: Vec<_> = Duty::ALL.iter().map(|duty| duty.as_str()).collect();
        for node in &mut nodes {
            node.duties.clone_from(&duties);
        }
        return Ok(nodes);
    }
    for (duty, id) in store.held_duties(now).await? {
        if let Some(holder) = nodes.iter_mut().find(|node| node.id == id) {
            holder.duties.push(duty.as_str());
        }
    }
    Ok(nodes)
}

/// Compares nodes with each other, without their duties.
#[must_use]
pub fn compare_nodes(nodes: Vec<Node>, timeout: Duration, now: Timestamp) -> Vec<NodeStatus> {
    let is_present = |node: &Node| node.seen_at + timeout >= now;
    let present: Vec<_> = nodes
        .iter()
        .filter(|node| is_present(node))
        .cloned()
        .collect();
    let compare = |node: Node| NodeStatus {
        differs: differences(&node, &present),
        present: is_present(&node),
        duties: Vec::new(),
        id: node.id,
        name: node.name,
        version: node.version,
        configuration: node.configuration,
        clock_offset: node.clock_offset,
        started_at: node.started_at,
        seen_at: node.seen_at,
    };
    nodes.into_iter().map(compare).collect()
}

/// Sections that at most half of the nodes of the same version share, this node included.
fn differences(node: &Node, present: &[Node]) -> Vec<String> {
    let peers = present.iter().filter(|peer| peer.version == node.version);
    let peers: Vec<_> = peers.filter(|peer| peer.id != node.id).collect();
    let is_odd = |(name, digest): &(&String, &String)| {
        let same = peers
            .iter()
            .filter(|peer| peer.sections.get(*name) == Some(*digest));
        (same.count() + 1) * 2 <= peers.len() + 1
    };
    let sections = node.sections.iter().filter(is_odd);
    sections.map(|(name, _)| name.clone()).collect()
}

/// Number of present nodes, and of those whose version or configuration is not that of most of them.
#[must_use]
pub fn count_nodes(nodes: &[NodeStatus]) -> (usize, usize) {
    let present = || nodes.iter().filter(|node| node.present);
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for node in present() {
        *versions.entry(&node.version).or_default() += 1;
    }
    let differs = |node: &&NodeStatus| {
        let of_version = versions.get(node.version.as_str()).copied().unwrap_or(0);
        !node.differs.is_empty() || of_version * 2 <= present().count()
    };
    (present().count(), present().filter(differs).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, version: &str, portal: &str, seen_at: i64) -> Node {
        let sections = [("hostname", "h"), ("portal", portal)];
        Node {
            id: id.to_owned(),
            name: format!("gate-{id}"),
            version: version.to_owned(),
            configuration: portal.to_owned(),
            sections: sections
                .map(|(name, digest)| (name.to_owned(), digest.to_owned()))
                .into(),
            clock_offset: 0,
            started_at: Timestamp::UNIX_EPOCH,
            seen_at: Timestamp::from_second(seen_at).expect("a time"),
        }
    }

    /// The differing sections of each node, the number of those that are there, and of those that differ.
    fn compared(nodes: &[Node]) -> (Vec<String>, (usize, usize)) {
        let now = Timestamp::from_second(100).expect("a time");
        let nodes = compare_nodes(nodes.to_vec(), Duration::from_mins(1), now);
        let differing = nodes.iter().map(|node| node.differs.join(","));
        (differing.collect(), count_nodes(&nodes))
    }

    #[test]
    fn the_odd_one_out_is_named_and_two_that_differ_are_both() {
        let (a, b) = (node("a", "1", "x", 90), node("b", "1", "x", 90));
        let odd = node("c", "1", "y", 90);
        let told = |differing: &[&str], counts| {
            (differing.iter().map(ToString::to_string).collect(), counts)
        };
        assert_eq!(compared(std::slice::from_ref(&a)), told(&[""], (1, 0)));
        assert_eq!(compared(&[a.clone(), b.clone()]), told(&["", ""], (2, 0)));
        assert_eq!(
            compared(&[a.clone(), b.clone(), odd.clone()]),
            told(&["", "", "portal"], (3, 1))
        );
        assert_eq!(
            compared(&[a.clone(), odd.clone()]),
            told(&["portal", "portal"], (2, 2))
        );
        // A node that is gone, or has another version, is not compared with the others.
        let gone = Node {
            seen_at: Timestamp::UNIX_EPOCH,
            ..odd.clone()
        };
        assert_eq!(
            compared(&[a.clone(), b.clone(), gone]),
            told(&["", "", "portal"], (2, 0))
        );
        let newer = Node {
            version: "2".to_owned(),
            ..odd
        };
        assert_eq!(
            compared(&[a.clone(), b, newer.clone()]),
            told(&["", "", ""], (3, 1))
        );
        assert_eq!(compared(&[a, newer]), told(&["", ""], (2, 2)));
    }
}
