//! A pool of read-only connections, each used by one thread at a time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::store::engine::driver::{Driver, ReaderSession};
use crate::store::engine::transaction::catch_panic;
use crate::store::sql::Tx;
use crate::store::{Result, StoreError};

/// Idle time of a session after which it frees memory. Shorter than the interval between two rounds of
/// housekeeping, longer than a person looks at a page. There is no timer: the next read after an idle period
/// checks, and housekeeping reads every minute.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Increase of the nice value of the threads of long reads over that of the process: if both want the same processor,
/// a short read or the writer gets about nine times as much of it (`setpriority(2)`, `sched(7)`).
const LONG_READ_NICENESS: i32 = 10;

/// Runs `read` on a thread for blocking work, as soon as a connection is free.
pub(crate) async fn run<T: Send + 'static>(
    readers: &Arc<Readers>,
    read: impl FnOnce(&Tx) -> Result<T> + Send + 'static,
) -> Result<T> {
    let permit = readers.permit().await?;
    let readers = readers.clone();
    tokio::task::spawn_blocking(move || {
        let found = readers.read(read);
        drop(permit);
        found
    })
    .await
    .map_err(StoreError::fault)?
}

/// Like [`run`], for a read that takes long: it has a thread of its own, which yields the processor to others.
pub(crate) async fn run_long<T: Send + 'static>(
    readers: &Arc<Readers>,
    read: impl FnOnce(&Tx) -> Result<T> + Send + 'static,
) -> Result<T> {
    let permit = readers.permit().await?;
    let readers = readers.clone();
    let (reply, outcome) = oneshot::channel();
    let work = move || {
        // On Linux this concerns the calling thread alone, which begins with the nice value of the process; the kernel
        // lowers a value that is too high. If it is not allowed, the read keeps the normal priority.
        if let Ok(niceness) = rustix::process::getpriority_process(None) {
            let _ = rustix::process::setpriority_process(None, niceness + LONG_READ_NICENESS);
        }
        let found = catch_panic(|| readers.read(read));
        drop(permit);
        let _ = reply.send(found);
    };
    std::thread::Builder::new()
        .name("long-read".to_owned())
        .spawn(work)
        .map_err(|error| {
            StoreError::Other(format!("cannot start the thread of a long read: {error}"))
        })?;
    outcome.await.map_err(StoreError::fault)?
}

pub(crate) struct Readers {
    driver: Arc<dyn Driver>,
    idle: Mutex<Vec<Idle>>,
    permits: Arc<Semaphore>,
    idle_timeout: Duration,
}

/// An idle connection.
struct Idle {
    session: Box<dyn ReaderSession>,
    since: Instant,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readers")
    }
}

impl Readers {
    /// Creates a pool of at most `connections` connections. Those idle for `idle_timeout` are closed; the last one
    /// only frees its cache.
    pub(crate) fn new(driver: Arc<dyn Driver>, connections: usize, idle_timeout: Duration) -> Self {
        Self {
            driver,
            idle: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(connections)),
            idle_timeout,
        }
    }

    /// Waits for a free connection. The permit belongs to the work and not to the caller: work continues
    /// after its caller is cancelled, and still occupies its connection.
    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        self.permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)
    }

    /// Runs `read` on one snapshot of the database, whatever is committed meanwhile. Blocks.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Tx) -> Result<T>) -> Result<T> {
        let idle = self.lock().pop();
        let session = match idle {
            Some(idle) if idle.session.confirm().is_ok() => {
                if self.has_expired(&idle) {
                    idle.session.free_cache();
                }
                idle.session
            }
            _ => {
                // If the files were replaced, close all connections to the old ones.
                self.lock().clear();
                self.driver.open_reader()?
            }
        };
        session.begin_reading()?;
        let found = read(&*session);
        let ended = session.end_reading();
        // After an error the connection is not trusted any more; the next reader opens another.
        if ended.is_ok() && !matches!(&found, Err(error) if error.spoils_transaction()) {
            self.put_back(session);
        }
        found
    }

    /// Returns a session to the pool: last in, first out, so that unneeded ones stay idle and are closed.
    fn put_back(&self, session: Box<dyn ReaderSession>) {
        let mut idle = self.lock();
        let unneeded: Vec<_> = idle.extract_if(.., |idle| self.has_expired(idle)).collect();
        if !self.permits.is_closed() {
            let since = Instant::now();
            idle.push(Idle { session, since });
        }
        drop(idle);
        drop(unneeded);
    }

    fn has_expired(&self, idle: &Idle) -> bool {
        idle.since.elapsed() >= self.idle_timeout
    }

    /// Takes all connections, so that every read waits until they are returned.
    #[cfg(test)]
    pub(crate) fn take_all(&self) -> OwnedSemaphorePermit {
        let all = u32::try_from(self.permits.available_permits()).expect("a few");
        let taken = self.permits.clone().try_acquire_many_owned(all);
        taken.expect("all that were free")
    }

    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.lock().len()
    }

    /// Refuses later reads and closes idle connections.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        // The list of connections is consistent after any panic.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use crate::store::sqlite::driver::SqliteDriver;

    use super::*;

    /// An empty database and its readers.
    fn empty(connections: usize) -> (tempfile::TempDir, Arc<Readers>) {
        let folder = tempfile::tempdir().expect("a folder");
        let driver = SqliteDriver::of(&folder.path().join("vestibule.db"));
        driver.create().expect("a file");
        driver.migrate().expect("a schema");
        let readers = Readers::new(Arc::new(driver), connections, IDLE_TIMEOUT);
        (folder, Arc::new(readers))
    }

    #[tokio::test]
    async fn work_whose_caller_went_away_keeps_its_connection() {
        let (_folder, readers) = empty(4);
        let mut ends = Vec::new();
        for _ in 0..4 {
            let (began, begins) = mpsc::channel();
            let (end, ended) = mpsc::channel::<()>();
            let work = {
                let readers = readers.clone();
                tokio::spawn(async move {
                    run(&readers, move |_| {
                        let _ = began.send(());
                        let _ = ended.recv();
                        Ok(())
                    })
                    .await
                })
            };
            tokio::task::spawn_blocking(move || begins.recv())
                .await
                .expect("a thread")
                .expect("it began");
            work.abort();
            assert!(work.await.is_err_and(|error| error.is_cancelled()));
            ends.push(end);
        }
        assert_eq!(readers.permits.available_permits(), 0);
        drop(ends);
        run(&readers, |_| Ok(())).await.expect("a free connection");
    }

    /// A long read runs for seconds, concurrently with the reads of pages and with the writer.
    #[tokio::test]
    async fn a_long_read_has_a_lower_priority_than_all_others() {
        /// The kernel allows no higher nice value.
        const LOWEST_PRIORITY: i32 = 19;
        let (_folder, readers) = empty(1);
        let priority = || rustix::process::getpriority_process(None).expect("a priority");
        let before = priority();
        let long = run_long(&readers, move |_| Ok(priority())).await;
        assert_eq!(
            long.expect("read"),
            (before + LONG_READ_NICENESS).min(LOWEST_PRIORITY)
        );
        let short = run(&readers, move |_| Ok(priority())).await;
        assert_eq!((short.expect("read"), priority()), (before, before));
    }

    #[tokio::test]
    async fn a_long_read_that_panics_fails_and_keeps_no_connection() {
        let (_folder, readers) = empty(1);
        let read = run_long(&readers, |_| -> Result<()> { panic!("of this test") }).await;
        assert!(matches!(read, Err(StoreError::Other(_))), "{read:?}");
        run_long(&readers, |_| Ok(())).await.expect("a connection");
    }

    #[tokio::test]
    async fn a_closed_store_reads_nothing() {
        let (_folder, readers) = empty(4);
        run(&readers, |_| Ok(())).await.expect("a connection");
        readers.close();
        let read = run(&readers, |_| Ok(())).await;
        assert!(matches!(read, Err(StoreError::Closed)), "{read:?}");
        assert_eq!(readers.idle(), 0);
    }
}
