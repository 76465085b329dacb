//! Threads that the storage blocks beyond the end of their attempts, by Maildir. They belong to the process: a
//! reload does not end them.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

static HUNG: Mutex<Vec<(PathBuf, AbortHandle)>> = Mutex::new(Vec::new());

/// The thread of an attempt, for as long as the attempt lasts.
pub(super) struct Thread {
    pub(super) path: PathBuf,
    pub(super) handle: AbortHandle,
    pub(super) stop: CancellationToken,
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop.cancel();
        if !self.handle.is_finished() {
            let hung = (std::mem::take(&mut self.path), self.handle.clone());
            HUNG.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(hung);
        }
    }
}

/// True while a thread hangs at this Maildir.
pub(super) fn is_at(path: &Path) -> bool {
    let mut hung = HUNG.lock().unwrap_or_else(PoisonError::into_inner);
    hung.retain(|(_, handle)| !handle.is_finished());
    hung.iter().any(|(at, _)| at == path)
}
