//! Tests of the record of an outage.

use super::*;

/// Waits until the destination is recorded as down, or no longer is.
async fn wait_for_record(queue: &Endless, name: &DestinationName, is_down: bool) {
    let begin = std::time::Instant::now();
    while queue.store.is_down(name.clone()).await.expect("read") != is_down {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(begin.elapsed() < TIMEOUT, "still not {is_down}");
    }
}

/// After a reload, an attempt of the previous worker can succeed before the next worker begins.
#[tokio::test]
async fn an_outage_that_ends_between_two_workers_does_not_stay_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = DestinationName::parse("desk").expect("a name");
    let queue = Arc::new(Endless {
        name: Some(name.clone()),
        store: Store::open(&folder.path().join("vestibule.db")).expect("a database"),
        slots: 1,
        of_run: 1,
        is_together: false,
        ends: Semaphore::new(0),
        claims: Mutex::default(),
        faults: Mutex::default(),
    });
    let breaker = SharedBreaker::default();
    for _ in 0..5 {
        let failure = AttemptOutcome::Retry(Cause::of_destination("down"));
        breaker.note(&failure, Timestamp::now());
    }
    for (is_down, outcome) in [(true, Some(AttemptOutcome::Delivered)), (false, None)] {
        let stop = CancellationToken::new();
        let worker = Worker::run(Arc::clone(&queue), breaker.clone(), stop.clone());
        let worker = tokio::spawn(worker);
        wait_for_record(&queue, &name, is_down).await;
        stop.cancel();
        queue.ends.add_permits(1);
        worker.await.expect("no panic");
        if let Some(outcome) = outcome {
            breaker.note(&outcome, Timestamp::now());
        }
    }
}
