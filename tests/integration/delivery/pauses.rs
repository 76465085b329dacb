//! Pauses that a destination asked for, as operators see them.

use std::time::Duration;

use vestibule::domain::{Actor, DestinationName, Interface, RequestState, Timestamp};
use vestibule::operations::{QueueState, find_queue, retry_queue};
use vestibule::store::DownDestination;

use super::harness::{Harness, until};
use super::help_desk::HelpDesk;

const UNLIMITED: usize = 1_000_000;

/// A destination that asked for a pause, as operators see it, before and after "Retry all now" and `deliveries retry`.
#[tokio::test]
async fn a_destination_that_asks_for_a_pause_is_not_down_and_retried_immediately_on_request() {
    let help_desk = HelpDesk::open(0, UNLIMITED).await;
    help_desk.is_busy(true);
    let harness = Harness::open(&help_desk.destination()).await;
    let workers = harness.start();
    let request = harness.mail("shop", 1).await;
    let config = harness.config().borrow().clone();
    let name = DestinationName::parse("shop").expect("a name");
    let queue = async || {
        let found = find_queue(&harness.store, &config, &name).await;
        found.expect("a queue")
    };
    let asked = async || {
        let down = harness.store.down_destinations().await.expect("read");
        down.first().is_some_and(|down| down.is_requested)
    };
    until("asked", asked).await;
    // The failure of the request is recorded after that of the destination. A retry in between would come too early.
    until("recorded", async || {
        let request = harness.store.request(request).await.expect("read");
        request.expect("there").last_error.is_some()
    })
    .await;
    let waiting = queue().await;
    assert_eq!(waiting.state, QueueState::Retrying);
    assert!(
        waiting
            .last_error
            .is_some_and(|error| error.contains("429"))
    );
    let next = waiting.next_try_at.expect("a time");
    assert!(next > Timestamp::now() + Duration::from_mins(50));
    assert!(waiting.oldest_waiting.is_some() && waiting.down_since.is_none());
    assert_eq!((waiting.waiting, waiting.failed), (1, 0));

    help_desk.is_busy(false);
    let by = Actor::operator("root", Interface::CommandLine);
    let retried = retry_queue(&harness.store, &config, &name, by).await;
    retried.expect("recorded");
    // Without the retry, the next attempt would be at the time that the destination requested.
    until("delivered", async || {
        !harness
            .in_state("shop", RequestState::Delivered)
            .await
            .is_empty()
    })
    .await;
    let up = queue().await;
    assert_eq!((up.state, up.last_error), (QueueState::Up, None));
    workers.drain().await;

    let down = DownDestination {
        name: name.clone(),
        since: Timestamp::now(),
        next_try_at: Timestamp::now(),
        last_error: "unreachable".to_owned(),
        is_requested: false,
    };
    harness.store.record_down(down).await.expect("recorded");
    let down = queue().await;
    assert_eq!(down.state, QueueState::Down);
    assert!(down.down_since.is_some());
}
