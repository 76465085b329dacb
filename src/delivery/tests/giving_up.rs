//! Tests of the end of the retries: a clock that jumped ahead makes every request old.

use std::time::{Duration, Instant};

use crate::clock::{self, Clock};
use crate::delivery::request_queue::RequestQueue;
use crate::domain::Timestamp;
use crate::outbound::queue::WorkQueue;
use crate::outbound::{AttemptOutcome, Cause};
use crate::store::{Claim, Delivery, Settlement, Store};
use crate::verification::tests::sample;

#[tokio::test]
async fn a_request_is_given_up_only_by_a_clock_that_is_trusted() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("vestibule.db")).expect("a database");
    let config = sample::config("");
    let (name, settings) = config
        .destinations
        .first_key_value()
        .expect("a destination");
    let checked_at = |wall| Clock::start(None, wall, Instant::now()).0;
    let now = Timestamp::now();
    let (checks, clock) = clock::channel(checked_at(now));
    let queue = RequestQueue::of(name, settings, &config, store, clock);
    // Past the delays of the schedule, and a year old.
    let year = Duration::from_hours(365 * 24);
    let mut claim = Claim::for_testing();
    claim.attempt = 20;
    claim.released_at = now - year;
    let delivery = Delivery {
        claim,
        content: Ok(None),
    };
    let down = AttemptOutcome::Retry(Cause::of_destination("connection refused"));
    for (wall, is_given_up) in [(now - year, false), (now, true)] {
        checks.send_replace(checked_at(wall));
        let settlement = queue.conclude(&delivery, Some(&down), now);
        let is_failed = matches!(settlement, Settlement::Failed { .. });
        assert_eq!(is_failed, is_given_up, "{settlement:?}");
    }
}
