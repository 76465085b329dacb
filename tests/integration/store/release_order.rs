//! Order of release, although the clocks of the nodes that release differ by seconds.

use jiff::SignedDuration;
use vestibule::domain::Timestamp;
use vestibule::store::Settlement;

use super::harness::{Harness, mail, minutes, operator, start};

/// The Message-IDs of all waiting requests, in the order of delivery.
async fn deliver(harness: &Harness) -> Vec<String> {
    let mut delivered = Vec::new();
    loop {
        let claims = harness.claim(minutes(1)).await;
        let Some(claim) = claims.into_iter().next() else {
            return delivered;
        };
        delivered.extend(claim.message_id.clone());
        harness
            .settle(&claim, Settlement::Delivered, minutes(1))
            .await;
    }
}

fn seconds(count: i64) -> Timestamp {
    start() + SignedDuration::from_secs(count)
}

#[tokio::test]
async fn messages_of_one_sender_keep_their_order_across_nodes() {
    let harness = Harness::open().await;
    // The clock of the node that accepts the first, third and fourth message is ahead.
    for (number, second) in [(1, 4), (2, 0), (3, 5), (4, 5), (5, 1)] {
        let id = format!("{number}@x");
        let arrival = mail("bob@shop.example", &id, seconds(second));
        harness.accept(arrival).await;
    }
    harness.assert_sound().await;
    assert_eq!(deliver(&harness).await, ["1@x", "2@x", "3@x", "4@x", "5@x"]);
}

#[tokio::test]
async fn a_retried_request_goes_to_the_end_of_its_queue_whatever_the_clock_of_the_node() {
    let harness = Harness::open().await;
    let entry = harness
        .accept(mail("bob@shop.example", "1@x", start()))
        .await;
    let failed = Settlement::Failed {
        cause: "550".to_owned(),
    };
    let claims = harness.claim(start()).await;
    harness.settle(&claims[0], failed, start()).await;
    harness
        .accept(mail("bob@shop.example", "2@x", seconds(5)))
        .await;
    let id = entry.request.expect("a request");
    let retried = harness
        .store
        .retry_request(id, operator("root"), seconds(1));
    retried.await.expect("tried");
    harness.assert_sound().await;
    assert_eq!(deliver(&harness).await, ["2@x", "1@x"]);
}

#[tokio::test]
async fn the_time_of_a_wrong_clock_is_not_taken_over() {
    let harness = Harness::open().await;
    let an_hour = minutes(60);
    harness
        .accept(mail("bob@shop.example", "1@x", an_hour))
        .await;
    let second = harness
        .accept(mail("bob@shop.example", "2@x", start()))
        .await;
    let second = harness.request(second.request.expect("a request")).await;
    assert_eq!(second.released_at, Some(start()));
}
