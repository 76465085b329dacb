//! The drain: at SIGTERM or SIGINT, every part finishes its work, in the reverse order of the start.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Daemon;
use crate::observe::events;

/// Time limits of the stages of the drain; their sum is below the 90 s after which systemd kills the process.
const INTAKE_LIMIT: Duration = Duration::from_secs(45);
const PAGES_LIMIT: Duration = Duration::from_secs(10);
const WORKERS_LIMIT: Duration = Duration::from_secs(30);

/// Tasks that stop together.
#[derive(Default)]
pub(super) struct Stage {
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Stage {
    /// Tells the tasks to finish, and waits for them.
    async fn drain(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Daemon {
    /// Accepts no new transactions, lets the current ones finish, and then stops everything else.
    pub async fn drain(self) {
        self.readiness.listeners_are_up(false);
        for (stage, what, limit) in [
            (&self.intake, "incoming mail", INTAKE_LIMIT),
            (&self.pages, "pages", PAGES_LIMIT),
            (
                &self.workers,
                "deliveries and verification mail",
                WORKERS_LIMIT,
            ),
        ] {
            if tokio::time::timeout(limit, stage.drain()).await.is_err() {
                let cause = format!(
                    "{what}: not finished within {limit:?}; unfinished work will be retried"
                );
                events::fault("daemon.drain", &cause);
            }
        }
        self.store.close().await;
        events::daemon_stopped();
    }
}
