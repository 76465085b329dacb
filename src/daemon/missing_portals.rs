//! Warns about requests that wait for a portal that the configuration does not have, at the start and after each
//! reload: nothing delivers them until the portal is restored.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::observe::events;
use crate::operations::count_unreachable;
use crate::store::Store;

/// Runs until `shutdown`.
pub async fn run(
    mut config: watch::Receiver<Arc<Config>>,
    store: Store,
    shutdown: CancellationToken,
) {
    let watching = async {
        loop {
            let current = config.borrow_and_update().clone();
            match count_unreachable(&store, &current).await {
                Ok(found) => {
                    for (portal, requests) in &found {
                        events::portal_missing(portal, *requests);
                    }
                }
                Err(error) => events::fault("daemon.missing_portals", &error),
            }
            if config.changed().await.is_err() {
                return;
            }
        }
    };
    shutdown.run_until_cancelled(watching).await;
}
