//! Use of idle time: the log of the engine is extended, so that a burst of mail need not.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// Interval between two looks at the writer.
const INTERVAL: Duration = Duration::from_secs(5);

/// Time without a commit after which the writer counts as idle.
const IDLE: Duration = Duration::from_millis(200);

impl Store {
    /// Extends the log, step by step, while nothing else is written, until `stop`.
    pub async fn extend_log_in_idle_time(self, stop: CancellationToken) {
        stop.run_until_cancelled_owned(async {
            // Only after a commit can another step be useful.
            let mut extended_at = None;
            loop {
                tokio::time::sleep(INTERVAL).await;
                let last = self.health.last_commit();
                if last.is_some() && last > extended_at && is_idle(last) {
                    while is_idle(self.health.last_commit()) && self.writer.extend_log().await {}
                    extended_at = Some(Instant::now());
                }
            }
        })
        .await;
    }
}

fn is_idle(last_commit: Option<Instant>) -> bool {
    last_commit.is_none_or(|at| at.elapsed() >= IDLE)
}
