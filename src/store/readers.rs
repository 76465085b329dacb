//! Reading: a few connections that cannot write, each used by one thread at a time.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::rest::{self, Rest};
use super::whereabouts::Whereabouts;
use super::{StoreError, connection};

/// As many as read at one moment; each has a page cache of its own.
const CONNECTIONS: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Idle>>,
    permits: Semaphore,
    /// After how long one that nobody used is closed.
    long: Duration,
}

/// A connection that nobody reads with.
#[derive(Debug)]
struct Idle {
    connection: Connection,
    whereabouts: Whereabouts,
    rest: Rest,
}

impl Readers {
    pub(super) fn of(path: PathBuf) -> Self {
        Self::that_rest(path, rest::LONG)
    }

    /// Readers for which so long a rest is a long one.
    pub(super) fn that_rest(path: PathBuf, long: Duration) -> Self {
        Self {
            path,
            idle: Mutex::new(Vec::new()),
            permits: Semaphore::new(CONNECTIONS),
            long,
        }
    }

    /// Room for one more reader, as soon as there is.
    pub(super) async fn permit(&self) -> Result<tokio::sync::SemaphorePermit<'_>, StoreError> {
        self.permits.acquire().await.map_err(|_| StoreError::Closed)
    }

    /// Runs `read` on one state of the database, whatever is committed meanwhile. Blocks.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.lock().pop();
        let (connection, whereabouts) = match idle {
            Some(idle) if idle.whereabouts.confirm().is_ok() => {
                if idle.rest.is_long() {
                    rest::forget_pages(&idle.connection);
                }
                (idle.connection, idle.whereabouts)
            }
            _ => {
                // What was open on a file that is gone is closed, all of it.
                self.close();
                let connection = connection::reading(&self.path)?;
                (connection, Whereabouts::of(&self.path))
            }
        };
        let snapshot = connection.unchecked_transaction()?;
        let found = read(&snapshot);
        let ended = snapshot.commit();
        // After an error the connection is not trusted any more; the next one opens another.
        if ended.is_ok() && !matches!(&found, Err(error) if error.spoils_transaction()) {
            self.put_back(connection, whereabouts);
        }
        found
    }

    /// The one used last is used next, so the others are closed when they have not been needed for long.
    fn put_back(&self, connection: Connection, whereabouts: Whereabouts) {
        let mut idle = self.lock();
        let unneeded: Vec<_> = idle.extract_if(.., |idle| idle.rest.is_long()).collect();
        idle.push(Idle {
            connection,
            whereabouts,
            rest: Rest::begin(self.long),
        });
        drop(idle);
        drop(unneeded);
    }

    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.lock().len()
    }

    /// Closes what is idle.
    pub(super) fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        // A list of connections is whole after any panic.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
