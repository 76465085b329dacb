//! Tests of the writer thread, with SQLite.

use super::*;
use crate::config::MAX_MESSAGE;
use crate::domain::Timestamp;
use crate::mail::AuthenticationResult;
use crate::store::engine::driver::ReaderSession;
use crate::store::engine::job::JobOutcome;
use crate::store::engine::transaction;
use crate::store::sqlite::driver::SqliteDriver;
use crate::store::sqlite::faults;
use crate::store::{Location, Store};
use crate::verification::tests::sample;

const TEBIBYTE: u64 = 1 << 40;

/// A database in a file, and the free space of its disk.
#[derive(Debug)]
struct DriverWithSpace {
    sqlite: SqliteDriver,
    available: u64,
}

impl Driver for DriverWithSpace {
    fn create(&self) -> Result<()> {
        self.sqlite.create()
    }

    fn migrate(&self) -> Result<()> {
        self.sqlite.migrate()
    }

    fn schema(&self) -> Result<(usize, usize)> {
        self.sqlite.schema()
    }

    fn open_writer(&self, in_doubt: bool) -> Result<Box<dyn WriterSession>> {
        self.sqlite.open_writer(in_doubt)
    }

    fn open_reader(&self) -> Result<Box<dyn ReaderSession>> {
        self.sqlite.open_reader()
    }

    fn erase_log(&self) -> Result<bool> {
        self.sqlite.erase_log()
    }

    fn disk_space(&self) -> Option<DiskSpace> {
        Some(DiskSpace {
            total: TEBIBYTE,
            available: self.available,
        })
    }
}

/// A new database.
fn create(folder: &std::path::Path, available: u64) -> DriverWithSpace {
    let sqlite = SqliteDriver::of(&folder.join("vestibule.db"));
    sqlite.create().expect("a file");
    sqlite.migrate().expect("a schema");
    DriverWithSpace { sqlite, available }
}

/// The writer of a new database.
fn start(folder: &std::path::Path) -> (Arc<DriverWithSpace>, Writer) {
    start_with_space(folder, TEBIBYTE)
}

fn start_with_space(folder: &std::path::Path, available: u64) -> (Arc<DriverWithSpace>, Writer) {
    let path = folder.join("vestibule.db");
    let driver = Arc::new(create(folder, available));
    let notifier = Arc::new(Notifier::beside(&path));
    let writer = Writer::start(driver.clone(), notifier, Arc::default(), |_, _| false);
    (driver, writer.expect("a thread"))
}

fn paused(driver: &DriverWithSpace) -> Vec<String> {
    let tx: &Tx = &*driver.open_reader().expect("open");
    let sql = "SELECT destination FROM paused_destination ORDER BY destination";
    tx.all(sql, &[]).expect("names")
}

fn pause(work: &Work, name: &str) -> Result<()> {
    let sql = "INSERT INTO paused_destination (destination, at, by) VALUES (?, 0, 'test')";
    work.tx.run(sql, &[&name]).map(drop)
}

/// Returns an operation that keeps the writer busy, and a future that ends it: the operations that are queued in between
/// are one batch.
fn keep_busy(writer: &Writer) -> (impl Future<Output = Result<()>>, impl Future) {
    let (release, released) = std::sync::mpsc::channel();
    let busy = writer.run(0, move |_| {
        let _ = released.recv();
        Ok(())
    });
    (busy, async move { release.send(()) })
}

#[tokio::test]
async fn an_operation_that_fails_or_panics_does_not_affect_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let (driver, writer) = start(folder.path());
    let (first, release) = keep_busy(&writer);
    let good = writer.run(0, |work| pause(work, "good"));
    let failing = writer.run(0, |work| {
        pause(work, "half done")?;
        Err::<(), _>(StoreError::NotAllowed("no".to_owned()))
    });
    let panicking = writer.run(0, |work| {
        pause(work, "half done, too")?;
        assert!(work.tx.next_number()? < 0, "it does not");
        Ok(())
    });
    let late = writer.run(0, |work| pause(work, "late"));
    let (first, good, failing, panicking, late, _) =
        tokio::join!(first, good, failing, panicking, late, release);
    first.expect("done");
    good.expect("done");
    assert!(matches!(failing, Err(StoreError::NotAllowed(_))));
    let fault = panicking.expect_err("it panicked").to_string();
    assert!(fault.contains("it does not"), "{fault}");
    late.expect("done");

    assert_eq!(paused(&driver), ["good", "late"]);
    writer.run(0, |_| Ok(())).await.expect("it goes on");
}

type Answer<T, F> = oneshot::Receiver<JobOutcome<T, Closure<F>>>;

/// An operation for the queue, and the receiver of its outcome.
fn make_job<T, F>(run: F) -> (Box<dyn Job>, Answer<T, F>)
where
    T: Send + 'static,
    F: FnMut(&mut Work) -> Result<T> + Send + 'static,
{
    job(0, Closure(run))
}

/// Runs an operation that queues others, so that they are not there when its transaction begins.
async fn run_and_queue(writer: &Writer, mut late: Vec<Box<dyn Job>>) {
    let queue = writer.queue.clone();
    let first = writer.run(0, move |work| {
        for job in late.drain(..) {
            assert!(queue.try_send(Message::Run(job)).is_ok(), "it has room");
        }
        pause(work, "first")
    });
    first.await.expect("done");
}

#[tokio::test]
async fn operations_that_are_queued_during_a_transaction_join_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (driver, writer) = start(folder.path());
    let database = driver.clone();
    let (late, answer) = make_job(move |work| {
        pause(work, "late")?;
        Ok(paused(&database))
    });
    run_and_queue(&writer, vec![late]).await;
    let (seen_by_others, _) = answer.await.expect("an answer");
    let seen_by_others = seen_by_others.expect("done");
    assert!(seen_by_others.is_empty(), "{seen_by_others:?}");
    assert_eq!(paused(&driver), ["first", "late"]);
}

#[tokio::test]
async fn an_operation_that_joins_late_and_fails_does_not_affect_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let (driver, writer) = start(folder.path());
    let (failing, refusal) = make_job(|work| {
        pause(work, "half done")?;
        Err::<(), _>(StoreError::NotAllowed("no".to_owned()))
    });
    let (last, answer) = make_job(|work| pause(work, "last"));
    run_and_queue(&writer, vec![failing, last]).await;
    let (refused, _) = refusal.await.expect("an answer");
    assert!(matches!(refused, Err(StoreError::NotAllowed(_))));
    let (done, _) = answer.await.expect("an answer");
    done.expect("done");
    assert_eq!(paused(&driver), ["first", "last"]);
}

#[tokio::test]
async fn a_transaction_ends_before_other_processes_wait_too_long_for_its_lock() {
    let folder = tempfile::tempdir().expect("a folder");
    let (driver, writer) = start(folder.path());
    let (first, release) = keep_busy(&writer);
    let slow = writer.run(0, |work| {
        std::thread::sleep(transaction::MAX_DURATION);
        pause(work, "slow")
    });
    let failing = writer.run(0, |work| {
        pause(work, "half done")?;
        Err::<(), _>(StoreError::NotAllowed("no".to_owned()))
    });
    let late = writer.run(0, move |work| {
        pause(work, "late")?;
        Ok(paused(&driver))
    });
    let (first, slow, failing, late, _) = tokio::join!(first, slow, failing, late, release);
    first.expect("done");
    slow.expect("done");
    assert!(matches!(failing, Err(StoreError::NotAllowed(_))));
    assert_eq!(
        late.expect("done"),
        ["slow"],
        "others see it in the meantime"
    );
}

fn log_length(folder: &std::path::Path) -> u64 {
    let log = folder.join("vestibule.db-wal");
    std::fs::metadata(log).expect("a log").len()
}

#[tokio::test]
async fn the_log_is_extended_in_steps_between_transactions() {
    let folder = tempfile::tempdir().expect("a folder");
    let (driver, writer) = start(folder.path());
    let pausing = |name: &'static str| writer.run(0, move |work| pause(work, name));
    pausing("before").await.expect("done");
    let mut length = log_length(folder.path());
    while writer.extend_log().await {
        let before = length;
        length = log_length(folder.path());
        assert!(length > before, "{length}");
        pausing("meanwhile").await.ok();
    }
    let length = log_length(folder.path());
    assert!(length >= 64 << 20, "{length}");
    pausing("after").await.expect("done");
    assert!(!writer.extend_log().await);
    assert_eq!(log_length(folder.path()), length);
    assert_eq!(paused(&driver), ["after", "before", "meanwhile"]);
}

#[tokio::test]
async fn the_log_is_not_extended_while_operations_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let (driver, writer) = start(folder.path());
    let length = log_length(folder.path());
    let (first, release) = keep_busy(&writer);
    let waiting = writer.run(0, |work| pause(work, "waiting"));
    let (first, waiting, is_useful, _) = tokio::join!(first, waiting, writer.extend_log(), release);
    first.expect("done");
    waiting.expect("done");
    assert!(!is_useful);
    assert!(log_length(folder.path()) <= length + (1 << 20));
    assert_eq!(paused(&driver), ["waiting"]);
}

#[tokio::test]
async fn the_log_is_not_extended_unless_there_is_ample_space() {
    let folder = tempfile::tempdir().expect("a folder");
    let (driver, writer) = start_with_space(folder.path(), 1 << 30);
    let pausing = writer.run(0, |work| pause(work, "desk"));
    pausing.await.expect("done");
    let length = log_length(folder.path());
    assert!(!writer.extend_log().await);
    assert_eq!(log_length(folder.path()), length);
    assert_eq!(paused(&driver), ["desk"]);
}

/// Commits would have to wait again and again until the log was emptied.
#[tokio::test]
async fn the_log_is_not_extended_again_after_a_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let (driver, writer) = start(folder.path());
    let pausing = |name: &'static str| writer.run(0, move |work| pause(work, name));
    pausing("before").await.expect("done");
    // In the thread of the writer. The transaction writes nothing, so the next step is the first to sync.
    let failing = writer.run(0, |_| {
        faults::fail_sync();
        Ok(())
    });
    failing.await.expect("done");
    assert!(!writer.extend_log().await, "the sync failed");
    pausing("after").await.expect("done");
    let length = log_length(folder.path());
    assert!(!writer.extend_log().await);
    assert_eq!(log_length(folder.path()), length);
    assert_eq!(paused(&driver), ["after", "before"]);
}

/// A message needs more than the reserve, and a large one more than is left when the log is extended in advance.
#[test]
fn unused_pages_count_as_space_unless_any_message_fits_without_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut driver = create(folder.path(), 0);
    let session = driver.open_writer(false).expect("open");
    let tx: &Tx = &*session;
    for sql in [
        "CREATE TABLE filling AS SELECT zeroblob(1000000) AS octets",
        "DROP TABLE filling",
    ] {
        tx.run(sql, &[]).expect(sql);
    }
    let reserve = 512 << 20;
    let largest = reserve + 2 * MAX_MESSAGE;
    for (available, counts) in [
        (reserve - 1, true),
        (reserve, true),
        (largest - 1, true),
        (largest, false),
        (TEBIBYTE, false),
    ] {
        driver.available = available;
        let measured = measure(&driver, tx).expect("a disk").available;
        assert_eq!(measured >= available + 1_000_000, counts, "{available}");
        assert!(counts || measured == available, "{measured}");
    }
}

/// Verifications, deliveries and expiry still have room then.
#[tokio::test]
async fn mail_is_refused_before_the_disk_is_full_and_unauthenticated_mail_first() {
    const RESERVE: u64 = 512 << 20;
    /// More than a message and the unused pages of a new database.
    const MARGIN: u64 = 16 << 20;
    let config = sample::config("");
    for (available, expected) in [
        (RESERVE + MARGIN, [true, true]),
        (RESERVE - MARGIN, [false, true]),
        (RESERVE / 2 + MARGIN, [false, true]),
        (RESERVE / 2 - MARGIN, [false, false]),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let location = Location::from(&folder.path().join("vestibule.db"));
        let driver = Arc::new(create(folder.path(), available));
        let store = Store::start(&location, driver, "").expect("a store");
        let seeded = store.seed_access(config.access.clone(), Timestamp::now());
        seeded.await.expect("settings");
        // The space is measured after the caller of a commit was answered, and before the next commit.
        store.writable().await.expect("committed");
        let mut accepted = [false; 2];
        for (is_authenticated, is_accepted) in [false, true].into_iter().zip(&mut accepted) {
            let mut arrival = sample::arrival(&config);
            if is_authenticated {
                arrival.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
            }
            *is_accepted = match store.accept(arrival).await {
                Ok(_) => true,
                Err(StoreError::Full(_)) => false,
                Err(error) => panic!("{available}: {error}"),
            };
        }
        assert_eq!(accepted, expected, "{available}");
        assert_eq!(store.is_writable(), expected[1], "{available}");
        store.close().await;
    }
}
