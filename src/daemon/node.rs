//! This node among those that share the store: records at an interval that it is there, and whether its clock
//! can be relied on. Reports another daemon with the same id.

use std::fmt::Write as _;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::domain::Timestamp;
use crate::observe::events;
use crate::store::{NODE_SILENCE, Node, Store};

/// Interval between two records where other nodes can be there, and where none can.
const INTERVAL: Duration = Duration::from_secs(10);
const ALONE: Duration = Duration::from_mins(15);

/// Records this node until `shutdown`.
pub async fn run(config: std::sync::Arc<Config>, store: Store, shutdown: CancellationToken) {
    let interval = store.duty_interval().map_or(ALONE, |_| INTERVAL);
    let started_at = Timestamp::now();
    let configuration = digest(&config);
    let recording = async {
        let (mut failed, mut is_copied) = (false, false);
        // What a process of before had claimed is not yet taken up, and since when this one is recorded.
        let (mut is_new, mut recorded) = (true, None);
        loop {
            let node = Node {
                id: store.node_id().to_owned(),
                name: machine_name(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                configuration: configuration.clone(),
                clock_offset: store.clock_offset(),
                started_at,
                seen_at: Timestamp::now(),
            };
            match store.record_node(node).await {
                Ok(replaced) => {
                    failed = false;
                    if let Some(other) = replaced.filter(|_| recorded.is_some() && !is_copied) {
                        is_copied = true;
                        events::fault("daemon.node", &cause_of_copy(&other));
                    }
                    let since = *recorded.get_or_insert_with(Instant::now);
                    if is_new && !is_copied && since.elapsed() > NODE_SILENCE {
                        is_new = store.end_leases_alone(Timestamp::now()).await.is_err();
                    }
                }
                // Reported once: the database reports its failures itself.
                Err(error) if !failed => {
                    failed = true;
                    events::fault("daemon.node", &error);
                }
                Err(_) => {}
            }
            tokio::time::sleep(interval).await;
        }
    };
    shutdown.run_until_cancelled(recording).await;
}

fn cause_of_copy(other: &Node) -> String {
    format!(
        "the daemon on {}, started at {}, has this node's id, {}: its data_dir is a copy; stop one of them, remove \
         the file node-id from its data_dir, and start it again",
        other.name, other.started_at, other.id
    )
}

fn machine_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// Digest of what must be the same on all nodes: the name against loops, the portals with their addresses and
/// destinations, the hooks with their events, and the types of the destinations.
fn digest(config: &Config) -> String {
    let mut hash = Sha256::new();
    hash.update(config.hostname.as_str());
    for portal in &config.portals {
        let addresses: Vec<_> = portal.addresses.iter().map(ToString::to_string).collect();
        let line = format!(
            "\n{} {} {}",
            portal.name.as_str(),
            addresses.join(" "),
            portal.destination.as_str()
        );
        hash.update(line);
    }
    for hook in &config.hooks {
        let events: Vec<_> = hook.events.iter().map(ToString::to_string).collect();
        hash.update(format!("\n{} {}", hook.name.as_str(), events.join(" ")));
    }
    for (name, destination) in &config.destinations {
        hash.update(format!("\n{} {}", name.as_str(), destination.kind()));
    }
    let mut digest = String::new();
    for octet in hash.finalize().iter().take(8) {
        let _ = write!(digest, "{octet:02x}");
    }
    digest
}
