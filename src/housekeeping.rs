//! What time does: holds expire, people are reminded once, content and old entries are forgotten.
//!
//! Every step is bounded, so that the writer is never kept from a message for long; a step that found
//! as much as it may take is followed by another at once. The clock is only ever compared with times
//! in the database, so that one that jumps makes things happen early or late and never twice.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::domain::Timestamp;
use crate::observe::events;
use crate::store::{Store, StoreError};

/// How often somebody looks whether something is due. Holds last for days, so a minute is soon.
const INTERVAL: Duration = Duration::from_mins(1);

/// Rows a step may touch.
const STEP: usize = 100;

/// Runs until `shutdown`.
pub async fn run(config: watch::Receiver<Arc<Config>>, store: Store, shutdown: CancellationToken) {
    loop {
        let now = config.borrow().clone();
        if let Err(error) = tidy(&now, &store, &shutdown).await {
            events::fault("housekeeping", &error);
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// Does all that is due.
async fn tidy(
    config: &Config,
    store: &Store,
    shutdown: &CancellationToken,
) -> Result<(), StoreError> {
    let now = Timestamp::now();
    while !shutdown.is_cancelled() {
        let expired = store.expire_holds(now, STEP).await?;
        for &request in &expired {
            events::request_expired(request);
        }
        let reminded = store
            .owe_reminders(now, config.verification.remind_before, STEP)
            .await?;
        let forgotten = store
            .forget_content(now, config.retention.delivered_content, STEP)
            .await?;
        let erased = store
            .forget_ledger(now, config.retention.ledger, STEP)
            .await?;
        if [expired.len(), reminded, forgotten, erased]
            .iter()
            .all(|&done| done < STEP)
        {
            break;
        }
    }
    Ok(())
}
