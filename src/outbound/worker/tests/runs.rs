//! Tests of what ends a run of attempts, or begins none.

use super::*;
use crate::domain::{Actor, Interface};

#[tokio::test(start_paused = true)]
async fn the_first_of_a_run_that_has_to_be_retried_ends_it() {
    let faults = Faults {
        retried: vec![1],
        ..Faults::default()
    };
    let harness = Harness::with(1, 4, faults);
    harness.end(2, Duration::ZERO).await;
    assert_eq!(harness.outcomes(4).await, "0d 1r 2u 3u");
    harness.end(4, Duration::ZERO).await;
    assert_eq!(harness.outcomes(8).await, "0d 1r 2u 3u 4d 5d 6d 7d");
    harness.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_run_returns_unstarted_messages() {
    let harness = Harness::with(1, 3, Faults::default());
    harness.end(1, RUN_TIME * 2).await;
    assert_eq!(harness.outcomes(2).await, "0d 2u");
    harness.end(1, Duration::ZERO).await;
    assert_eq!(harness.outcomes(3).await, "0d 2u 1d");
    harness.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_a_run_after_the_attempt_in_progress() {
    let harness = Harness::with(1, 3, Faults::default());
    harness.claims(&[1]).await;
    harness.stop.cancel();
    let queue = Arc::clone(&harness.queue);
    harness.end(1, Duration::ZERO).await;
    assert_eq!(harness.outcomes(3).await, "0d 1u 2u");
    harness.work.await.expect("no panic");
    assert_eq!(queue.faults().settled.len(), 3);
}

async fn pause_another(store: &Store) {
    let other = DestinationName::parse("other").expect("a name");
    let operator = Actor::operator("ada", Interface::CommandLine);
    let paused = store.pause_destination(other, true, operator, Timestamp::now());
    paused.await.expect("paused");
}

/// As [`pause_another`], while the paused clock of the test stands still: it advances only while the test's own
/// runtime is idle.
fn pause_another_at_once(store: &Store) {
    std::thread::scope(|scope| {
        let pausing = scope.spawn(|| {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(pause_another(store));
        });
        pausing.join().expect("no panic");
    });
}

#[tokio::test(start_paused = true)]
async fn an_action_of_an_operator_ends_a_run() {
    let harness = Harness::with(1, 3, Faults::default());
    harness.claims(&[1]).await;
    pause_another_at_once(&harness.queue.store);
    harness.end(1, Duration::ZERO).await;
    assert_eq!(harness.outcomes(3).await, "0d 1u 2u");
    harness.close().await;
}

#[tokio::test]
async fn an_action_of_an_operator_stops_a_group_of_attempts() {
    let harness = Harness::together(3, Faults::default());
    harness.claims(&[1]).await;
    pause_another(&harness.queue.store).await;
    assert_eq!(harness.outcomes(3).await, "0u 1u 2u");
    harness.end(1, Duration::ZERO).await;
    assert_eq!(harness.outcomes(6).await, "0u 1u 2u 3d 4d 5d");
    harness.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_a_group_of_attempts_counts_once() {
    let faults = Faults {
        is_down: true,
        ..Faults::default()
    };
    let harness = Harness::together(8, faults);
    for failures in 1..=5 {
        assert_eq!(harness.breaker.down_state(), None, "{failures}");
        harness.end(1, Duration::ZERO).await;
        harness.wait_for_settled(8 * failures).await;
    }
    assert!(harness.breaker.down_state().is_some());
    harness.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_begins_no_attempt_after_the_destination_requested_a_delay() {
    let harness = Harness::with(1, 3, Faults::default());
    harness.claims(&[1]).await;
    let now = Timestamp::now();
    let mut cause = Cause::of_destination("429 slow down");
    cause.not_before = Some(later(now, TIMEOUT));
    // The outcome of an attempt of another run.
    harness.breaker.note(&AttemptOutcome::Retry(cause), now);
    harness.end(1, Duration::ZERO).await;
    assert_eq!(harness.outcomes(3).await, "0d 1u 2u");
    harness.claims(&[1]).await;
    harness.close().await;
}

#[tokio::test]
async fn a_run_begins_no_attempt_that_may_outlast_its_lease() {
    let harness = Harness::with(1, 1, Faults::default());
    let queue = Arc::clone(&harness.queue);
    let now = Timestamp::now();
    for (lease, expected) in [(TIMEOUT / 2, [false; 2]), (TIMEOUT * 2, [true; 2])] {
        queue.ends.add_permits(3);
        let (early, _outcomes) = mpsc::unbounded_channel();
        let run = Run {
            queue: Arc::new(Arc::clone(&queue)),
            breaker: SharedBreaker::default(),
            stop: CancellationToken::new(),
            actions: queue.store.subscribe(Topic::OperatorActions),
            lease: later(now, lease),
            left: [100, 101].into(),
            done: Vec::new(),
        };
        let done = run.make(early).await;
        let attempted: Vec<_> = done.iter().map(|one| one.is_attempted).collect();
        assert_eq!(attempted, expected);
    }
    harness.close().await;
}
