//! Tells of changes to the access settings, whoever made them: the command line has no log.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::observe::events;
use crate::store::Store;

/// Between two looks: the database changes with every message, the settings rarely.
const PAUSE: Duration = Duration::from_secs(1);

/// More revisions than anybody makes within a pause.
const AT_ONCE: usize = 100;

/// Runs until `shutdown`.
pub async fn run(store: Store, shutdown: CancellationToken) {
    let mut changes = store.subscribe();
    let mut known = store.access().await.map_or(0, |revision| revision.number);
    let watching = async {
        loop {
            changes.wait().await;
            match store.access_history(AT_ONCE).await {
                Ok(revisions) => {
                    let new = revisions.iter().rev().filter(|one| one.number > known);
                    for revision in new {
                        events::access_changed(revision.number, &revision.by, &revision.origin);
                    }
                    known = revisions.first().map_or(known, |newest| newest.number);
                }
                Err(error) => events::fault("daemon.herald", &error),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    shutdown.run_until_cancelled(watching).await;
}
