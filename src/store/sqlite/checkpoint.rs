//! Checkpoints: moves committed pages from the write-ahead log into the database without blocking the writer.
//!
//! A thread copies pages while the writer continues. The log can restart only after it was copied to its end,
//! and under load new pages always follow. So the writer copies the small remainder itself from time to time,
//! between two transactions.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::store::sqlite::connection;
use crate::store::sqlite::file_identity::FileIdentity;
use crate::store::{Result, StoreError};

/// Length of the log, in pages, that is worth a copy: 24 MiB. A longer log holds more versions of the same
/// page, of which only one is copied.
const WORTH_A_COPY: i32 = 6144;

/// Length of the log, in pages, at which the writer copies the remainder: 56 MiB.
const TOO_LONG: i32 = 14_336;

/// Length to which the log is extended while the writer is idle, in octets: with frames of 4,120 octets, there is room
/// for some pages beyond `TOO_LONG`.
pub(super) const READY_OCTETS: u64 = 64 << 20;

thread_local! {
    /// Length of the log after the last commit of this thread.
    static LOG_PAGES: Cell<i32> = const { Cell::new(0) };
}

/// The writer's handle of the checkpoint thread. Dropping it waits until the thread has closed its connection: the last
/// connection that is closed deletes the log, and the process may end after the writer.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    /// None while this is dropped.
    notifier: Option<SyncSender<()>>,
    copying: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.notifier = None;
        if let Some(thread) = self.thread.take() {
            // After a panic, its connection is closed as well.
            let _ = thread.join();
        }
    }
}

impl Checkpointer {
    /// Starts the thread.
    pub(crate) fn start(path: PathBuf) -> Result<Self> {
        let (notifier, requests) = sync_channel(1);
        let copying = Arc::new(AtomicBool::new(false));
        let flag = copying.clone();
        let thread = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || copy_when_notified(&path, &requests, &flag))
            .map_err(|error| {
                StoreError::Other(format!("cannot start the checkpoint thread: {error}"))
            })?;
        Ok(Self {
            notifier: Some(notifier),
            copying,
            thread: Some(thread),
        })
    }

    /// Installs a hook that records the length of the log after each commit on this connection.
    pub(crate) fn watch(connection: &Connection) {
        connection.wal_hook(Some(|_, pages| {
            LOG_PAGES.set(pages);
            Ok(())
        }));
    }

    /// Called by the writer between two transactions.
    pub(crate) fn after_commit(&self, connection: &Connection) {
        let pages = LOG_PAGES.get();
        if pages < WORTH_A_COPY {
            return;
        }
        if self.copying.load(Ordering::Acquire) {
            return;
        }
        if pages > TOO_LONG {
            // A failure here recurs at the next commit and is reported there.
            let _ = copy(connection);
            LOG_PAGES.set(0);
        } else {
            self.copying.store(true, Ordering::Release);
            let sent = self.notifier.as_ref().map(|requests| requests.try_send(()));
            if !matches!(sent, Some(Ok(()))) {
                self.copying.store(false, Ordering::Release);
            }
        }
    }
}

fn copy_when_notified(path: &Path, requests: &Receiver<()>, copying: &AtomicBool) {
    let mut connection = None;
    while requests.recv().is_ok() {
        let open = connection
            .take()
            .filter(|(_, identity): &(Connection, FileIdentity)| identity.confirm().is_ok())
            .or_else(|| Some((connection::copying(path).ok()?, FileIdentity::of(path))));
        connection = open.filter(|(open, _)| copy(open).is_ok());
        copying.store(false, Ordering::Release);
    }
}

/// Copies the pages that no reader needs in the log, without waiting for any lock.
fn copy(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
