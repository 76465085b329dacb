//! Findings about the nodes that share the store: each is compared with this program and this configuration.

use std::collections::BTreeMap;

use super::Finding;
use crate::cli::output::count_of;
use crate::config::Config;
use crate::domain::Timestamp;
use crate::store::{self, Location, MAX_CLOCK_OFFSET, NODE_TIMEOUT, Node};

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    match store::nodes_of(&Location::of(config)) {
        Ok(nodes) => of_nodes(&nodes, config, Timestamp::now()),
        // A schema that is not this program's is reported by another finding.
        Err(_) => Vec::new(),
    }
}

fn of_nodes(nodes: &[Node], config: &Config, now: Timestamp) -> Vec<Finding> {
    let is_present = |node: &&Node| node.seen_at + NODE_TIMEOUT >= now;
    let present: Vec<_> = nodes.iter().filter(is_present).collect();
    let names: Vec<_> = present.iter().map(|node| node.name.as_str()).collect();
    let detail = match names.len() {
        0 => "no node is running".to_owned(),
        count => format!("{}: {}", count_of(count, "node"), names.join(", ")),
    };
    let mut findings = vec![Finding::ok("nodes", detail)];
    let own = config.fingerprint();
    findings.extend(present.into_iter().flat_map(|node| of_node(node, &own)));
    findings
}

fn of_node(node: &Node, own: &BTreeMap<String, String>) -> Vec<Finding> {
    let check = || format!("node {}", node.name);
    let mut findings = Vec::new();
    let offset = node.clock_offset;
    if u128::from(offset.unsigned_abs()) > MAX_CLOCK_OFFSET.as_millis() {
        let side = if offset < 0 { "behind" } else { "ahead of" };
        let seconds = offset.unsigned_abs() / 1000;
        findings.push(Finding::problem(
            check(),
            format!("its clock is {seconds} s {side} the database's: it is not ready, and claims no work"),
            "synchronize its clock with NTP",
        ));
    }
    if node.version != VERSION {
        findings.push(Finding::warning(
            check(),
            format!(
                "its version is {}, and this program's is {VERSION}",
                node.version
            ),
            "install the same version on all nodes; configurations of different versions are not compared",
        ));
        return findings;
    }
    let differing = own
        .iter()
        .filter(|(name, digest)| node.sections.get(*name) != Some(digest));
    let differing: Vec<_> = differing.map(|(name, _)| name.as_str()).collect();
    if !differing.is_empty() {
        findings.push(Finding::warning(
            check(),
            format!("its configuration differs from this one in {}", differing.join(", ")),
            "use the same configuration on all nodes, and reload or restart them; a reload takes some seconds to show here",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::check::State;
    use crate::config::Secrets;

    #[test]
    fn a_differing_node_is_named_with_the_differences() {
        let text = include_str!("../../../config/vestibule.toml");
        let config = Config::parse_with(text, Path::new("/x/vestibule.toml"), Secrets::Leave);
        let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let now = Timestamp::from_second(100).expect("a time");
        let same = Node {
            id: "1".to_owned(),
            name: "gate-a".to_owned(),
            version: VERSION.to_owned(),
            configuration: String::new(),
            sections: config.fingerprint(),
            clock_offset: 5000,
            started_at: Timestamp::UNIX_EPOCH,
            seen_at: now,
        };
        let told = |node: Node| -> Vec<(State, String)> {
            let nodes = [node, same.clone()];
            let found = of_nodes(&nodes, &config, now).into_iter();
            found.skip(1).map(|one| (one.state, one.detail)).collect()
        };
        assert_eq!(told(same.clone()), []);
        let mut other = same.clone();
        other.sections.insert("portal".to_owned(), "x".to_owned());
        other.sections.remove("quota");
        let differs = "its configuration differs from this one in portal, quota";
        assert_eq!(told(other.clone()), [(State::Warning, differs.to_owned())]);
        other.version = "0.0.1".to_owned();
        assert!(
            matches!(&told(other.clone())[..], [(State::Warning, detail)] if detail.contains("0.0.1"))
        );
        other.clock_offset = -7100;
        assert!(
            matches!(&told(other.clone())[..], [(State::Problem, detail), _] if detail.contains("7 s behind"))
        );
        other.seen_at = Timestamp::UNIX_EPOCH;
        assert_eq!(told(other), [], "it is gone");
    }
}
