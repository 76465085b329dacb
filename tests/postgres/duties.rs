//! Duties: what one of several nodes does for all.

use std::time::Duration;

use jiff::Timestamp;
use vestibule::store::Duty;

use crate::store_harness::open;
use crate::support::postgres::server;

const ASKED: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_has_a_duty_until_its_lease_ends() {
    let schema = server().schema();
    let (first, second) = (open(&schema.url).await, open(&schema.url).await);
    let now = Timestamp::now();
    for duty in [Duty::Housekeeping, Duty::OperatorLog, Duty::Canary] {
        assert!(first.hold_duty(duty, ASKED, now).await.expect("asked"));
        assert!(!second.hold_duty(duty, ASKED, now).await.expect("asked"));
        // Each duty is renewed by itself.
        let later = now + ASKED;
        assert!(first.hold_duty(duty, ASKED, later).await.expect("asked"));
        let old_end = now + Duration::from_secs(91);
        assert!(!second.hold_duty(duty, ASKED, old_end).await.expect("asked"));
        // The first node is gone.
        let end = later + Duration::from_secs(91);
        assert!(second.hold_duty(duty, ASKED, end).await.expect("asked"));
        assert!(!first.hold_duty(duty, ASKED, end).await.expect("asked"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_of_a_clock_that_was_wrong_ends() {
    let schema = server().schema();
    let (first, second) = (open(&schema.url).await, open(&schema.url).await);
    let now = Timestamp::now();
    let ahead = now + Duration::from_hours(24);
    let duty = Duty::Housekeeping;
    assert!(first.hold_duty(duty, ASKED, ahead).await.expect("asked"));
    assert!(second.hold_duty(duty, ASKED, now).await.expect("asked"));
}
