//! Fills the index that `find` searches, off the mail path.
//!
//! It looks for new messages once a second and indexes them in short steps. While there are many, it pauses
//! for a multiple of the duration of each step, so that mail comes first.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::observe::events;
use crate::store::Store;

/// Interval between checks for new messages.
const INTERVAL: Duration = Duration::from_secs(1);

/// The pause between two steps, as a multiple of the duration of a step.
const PAUSE_FACTOR: u32 = 4;

/// Maximum messages per step: about as many as a step can write within its time slice.
const STEP: usize = 25;

/// Runs until `shutdown`.
pub async fn run(store: Store, shutdown: CancellationToken) {
    let mut failed = false;
    while !shutdown.is_cancelled() {
        let begin = Instant::now();
        let pause = match store.index_entries(STEP).await {
            Ok(step) if step.more => begin.elapsed() * PAUSE_FACTOR,
            Ok(_) => {
                failed = false;
                INTERVAL
            }
            Err(error) => {
                // Reported once: the database reports its failures itself.
                if !failed {
                    events::fault("housekeeping.index", &error);
                }
                failed = true;
                INTERVAL
            }
        };
        let pause = tokio::time::sleep(pause);
        shutdown.run_until_cancelled(pause).await;
    }
}
