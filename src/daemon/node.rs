//! This node among those that share the store: records at an interval that it is there, and whether its clock
//! can be relied on. Reports another daemon with the same id.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, digest_of};
use crate::domain::Timestamp;
use crate::observe::events;
use crate::store::{NODE_SILENCE, Node, Store};

/// Records this node until `shutdown`.
pub async fn run(config: watch::Receiver<Arc<Config>>, store: Store, shutdown: CancellationToken) {
    let interval = store.node_interval();
    let started_at = Timestamp::now();
    let recording = async {
        let (mut failed, mut is_copied) = (false, false);
        // What a process of before had claimed is not yet taken up, and since when this one is recorded.
        let (mut is_new, mut recorded) = (true, None);
        loop {
            // A reload may have changed it.
            let sections = config.borrow().fingerprint();
            let node = Node {
                id: store.node_id().to_owned(),
                name: machine_name(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                configuration: digest_of(&sections),
                sections,
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
