//! Use of idle time: the log of the engine is extended, so that a burst of mail need not.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// Time between a commit and the first step.
const PAUSE: Duration = Duration::from_secs(5);

/// Time without a commit after which the writer counts as idle.
const IDLE: Duration = Duration::from_millis(200);

impl Store {
    /// Extends the log, step by step, while nothing else is written, until `stop`. Only after a commit can another step
    /// be useful.
    pub async fn extend_log_in_idle_time(self, stop: CancellationToken) {
        stop.run_until_cancelled_owned(async {
            loop {
                self.health.wait_for_commit().await;
                tokio::time::sleep(PAUSE).await;
                while self.health.has_been_idle_for(IDLE) && self.writer.extend_log().await {}
            }
        })
        .await;
    }
}
