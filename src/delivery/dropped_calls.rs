//! Queues hook calls for dropped messages, off the mail path. Checks for new messages once a second.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::Timestamp;
use crate::observe::events;
use crate::store::Store;

/// Interval between checks for new messages.
const INTERVAL: Duration = Duration::from_secs(1);

/// Pause between two steps while there is a backlog.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs until `shutdown`.
pub async fn run(store: Store, shutdown: CancellationToken) {
    let mut failed = false;
    while !shutdown.is_cancelled() {
        let pause = match store.tell_dropped(Timestamp::now()).await {
            Ok(more) => {
                failed = false;
                if more { PAUSE } else { INTERVAL }
            }
            Err(error) => {
                // Reported once: the database reports its failures itself.
                if !failed {
                    events::fault("delivery.hooks", &error);
                }
                failed = true;
                INTERVAL
            }
        };
        let pause = tokio::time::sleep(pause);
        shutdown.run_until_cancelled(pause).await;
    }
}
