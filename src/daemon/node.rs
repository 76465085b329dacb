//! This node among those that share the store. Records at an interval that the node is alive, and whether its clock
//! is reliable. Reports another daemon with the same id. Ends the leases of the node's previous process, once it is
//! certain that no other daemon has its id.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, digest_of};
use crate::domain::Timestamp;
use crate::observe::events;
use crate::store::{NODE_SILENCE, Node, Store};

/// Records this node if others may share the store. To be called before its hooks are subscribed: a node unsubscribes
/// the hooks that no listed node has.
pub async fn record_start(config: &Config, store: &Store, started_at: Timestamp) {
    if store.duty_interval().is_none() {
        return;
    }
    if let Err(error) = store.record_node(describe(config, store, started_at)).await {
        events::fault("daemon.node", &error);
    }
}

/// Records this node until `shutdown`.
pub async fn run(
    mut config: watch::Receiver<Arc<Config>>,
    store: Store,
    started_at: Timestamp,
    shutdown: CancellationToken,
) {
    let interval = store.node_interval();
    let recording = async {
        let (mut failed, mut is_copied) = (false, false);
        // The previous process's claims still await release.
        let (mut is_new, mut alone) = (true, Alone::default());
        loop {
            let node = describe(&config.borrow_and_update(), &store, started_at);
            match store.record_node(node).await {
                Ok(replaced) => {
                    failed = false;
                    if let Some(other) = replaced.filter(|_| alone.has_begun() && !is_copied) {
                        is_copied = true;
                        events::fault("daemon.node", &cause_of_copy(&other));
                    }
                    alone.record(Instant::now());
                    if is_new && !is_copied && alone.is_certain() {
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
            // After a reload, other nodes compare with the new configuration.
            if let Ok(Err(_)) = timeout(interval, config.changed()).await {
                return;
            }
        }
    };
    shutdown.run_until_cancelled(recording).await;
}

/// This node as it is now.
fn describe(config: &Config, store: &Store, started_at: Timestamp) -> Node {
    let sections = config.fingerprint();
    Node {
        id: store.node_id().to_owned(),
        name: machine_name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        configuration: digest_of(&sections),
        sections,
        clock_offset: store.clock_offset(),
        started_at,
        seen_at: Timestamp::now(),
    }
}

/// Span of records without a gap. After a gap it starts anew: if the database was unreachable, a copy of this node
/// could not record itself either.
#[derive(Debug, Default)]
struct Alone {
    /// Times of the first record after the last gap, and of the latest record.
    span: Option<(Instant, Instant)>,
}

impl Alone {
    /// Longest interval between records that is not a gap; a copy records itself three times in [`NODE_SILENCE`].
    const GAP: Duration = Duration::from_secs(15);

    fn record(&mut self, now: Instant) {
        let span = self
            .span
            .filter(|(_, last)| now.duration_since(*last) <= Self::GAP);
        self.span = Some((span.map_or(now, |(first, _)| first), now));
    }

    /// True after the first record.
    fn has_begun(&self) -> bool {
        self.span.is_some()
    }

    /// True if a copy would have recorded itself meanwhile.
    fn is_certain(&self) -> bool {
        self.span
            .is_some_and(|(first, last)| last.duration_since(first) > NODE_SILENCE)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_alone_after_records_without_a_gap() {
        let begin = Instant::now();
        let after = |seconds: &[u64]| {
            let mut alone = Alone::default();
            for second in seconds {
                alone.record(begin + Duration::from_secs(*second));
            }
            alone.is_certain()
        };
        assert!(after(&[0, 10, 20, 31]));
        assert!(!after(&[0, 10, 20, 30]), "a copy may just be about to");
        // The database was unreachable, or did not answer.
        assert!(!after(&[0, 40]));
        assert!(!after(&[0, 10, 20, 60]));
        assert!(!after(&[0, 10, 40, 50, 60]));
        assert!(after(&[0, 10, 40, 50, 60, 71]));
    }
}
