//! Warns once when the free space on the disk with the database comes close to the reserve that is kept from mail, and
//! logs when there is enough again.

use tokio_util::sync::CancellationToken;

use crate::observe::events;
use crate::store::Store;

/// Runs until `shutdown`.
pub async fn run(store: Store, shutdown: CancellationToken) {
    let mut low = store.watch_low_disk();
    let watching = async {
        while low.wait_for(|is_low| *is_low).await.is_ok() {
            if let Some(space) = store.free_space() {
                events::disk_low(space.octets, space.reserve);
            }
            if low.wait_for(|is_low| !*is_low).await.is_err() {
                return;
            }
            if let Some(space) = store.free_space() {
                events::disk_recovered(space.octets);
            }
        }
    };
    shutdown.run_until_cancelled(watching).await;
}
