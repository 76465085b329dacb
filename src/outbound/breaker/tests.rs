//! Tests of the breaker.

use super::*;
use crate::outbound::Cause;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("in range")
}

fn unreachable() -> AttemptOutcome {
    AttemptOutcome::Retry(Cause::of_destination("refused"))
}

fn asks_for(seconds: i64) -> AttemptOutcome {
    let mut cause = Cause::of_destination("429 slow down");
    cause.not_before = Some(at(seconds));
    AttemptOutcome::Retry(cause)
}

fn after(attempts: &[(i64, AttemptOutcome)]) -> Breaker {
    attempts
        .iter()
        .fold(Breaker::default(), |breaker, (seconds, attempt)| {
            breaker.after(attempt, at(*seconds))
        })
}

#[test]
fn a_destination_that_fails_in_a_row_gets_one_message_at_a_time() {
    let mut failures = vec![(0, unreachable()); 4];
    assert_eq!(after(&failures).capacity(8, 3, at(0)), Capacity::For(5));
    failures.push((0, unreachable()));
    // Three more attempts were in progress.
    failures.extend(vec![(1, unreachable()); 3]);
    let down = after(&failures);
    assert_eq!(down.capacity(8, 0, at(14)), Capacity::NotBefore(at(15)));
    assert_eq!(down.capacity(8, 0, at(15)), Capacity::For(1));
    assert_eq!(down.capacity(8, 1, at(15)), Capacity::For(0));
    for (tried, next) in [
        (15, 45),
        (45, 105),
        (105, 225),
        (225, 465),
        (465, 765),
        (765, 1065),
    ] {
        failures.push((tried, unreachable()));
        assert_eq!(
            after(&failures).capacity(8, 0, at(tried)),
            Capacity::NotBefore(at(next))
        );
    }
}

#[test]
fn any_answer_about_a_request_brings_it_up_again() {
    for answer in [
        AttemptOutcome::Delivered,
        AttemptOutcome::Refused(Cause::of_request("no such user")),
        AttemptOutcome::Retry(Cause::of_request("greylisted")),
    ] {
        let mut attempts = vec![(0, unreachable()); 9];
        attempts.push((20, answer));
        assert_eq!(after(&attempts), Breaker::Up { failures: 0 });
    }
}

/// Otherwise a message that cannot be read would end the outage of a destination that nobody has reached.
#[test]
fn an_error_of_our_own_says_nothing_about_the_destination() {
    let internal = || Cause::internal("the content is no longer kept");
    for error in [
        AttemptOutcome::Refused(internal()),
        AttemptOutcome::Retry(internal()),
        AttemptOutcome::Unknown(internal()),
    ] {
        for failures in [4, 5] {
            let before = after(&vec![(0, unreachable()); failures]);
            assert_eq!(before.after(&error, at(15)), before);
        }
        let paused = after(&[(0, asks_for(90))]);
        assert_eq!(paused.after(&error, at(90)), paused);
    }
}

#[test]
fn a_message_without_a_reply_counts_as_a_failure() {
    let silent = || AttemptOutcome::Unknown(Cause::of_destination("no reply to the content"));
    let down = after(&[0, 1, 2, 3, 4].map(|at| (at, silent())));
    assert_eq!(down.capacity(8, 0, at(5)), Capacity::NotBefore(at(19)));
}

#[test]
fn a_clock_that_is_set_back_makes_the_trial_due() {
    let down = after(&vec![(100_000, unreachable()); 5]);
    assert_eq!(
        down.capacity(8, 0, at(100_000)),
        Capacity::NotBefore(at(100_015))
    );
    assert_eq!(down.capacity(8, 0, at(50_000)), Capacity::For(1));
    let down = down.after(&unreachable(), at(50_000));
    assert_eq!(
        down.capacity(8, 0, at(50_000)),
        Capacity::NotBefore(at(50_030))
    );
}

#[test]
fn a_destination_can_ask_for_a_pause_but_not_for_ever() {
    for (asked, granted) in [(90, 90), (1_000_000, 3600)] {
        let paused = after(&[(0, asks_for(asked))]);
        assert_eq!(
            paused.capacity(8, 0, at(0)),
            Capacity::NotBefore(at(granted))
        );
        // An attempt that was in progress succeeds.
        let paused = paused.after(&AttemptOutcome::Delivered, at(1));
        assert_eq!(
            paused.capacity(8, 0, at(1)),
            Capacity::NotBefore(at(granted))
        );
        let up = paused.after(&AttemptOutcome::Delivered, at(granted));
        assert_eq!(up, Breaker::Up { failures: 0 });
    }
}

#[test]
fn a_destination_that_asks_for_a_pause_is_down_after_as_many_failures_as_any_other() {
    let is_down = |breaker| matches!(breaker, Breaker::Down { .. });
    // Eight attempts in progress are refused at once: that is one failure.
    let mut attempts = vec![(0, asks_for(10)); 8];
    attempts.push((1, asks_for(12)));
    let waiting = after(&attempts);
    assert_eq!(waiting.capacity(8, 0, at(11)), Capacity::NotBefore(at(12)));
    assert_eq!(waiting.capacity(8, 0, at(12)), Capacity::For(1));
    for n in 2..5 {
        attempts.push((n * 20, asks_for(n * 20 + 10)));
        assert!(!is_down(after(&attempts)), "failure {n}");
    }
    let mut recovered = attempts.clone();
    recovered.push((100, AttemptOutcome::Delivered));
    recovered.push((101, asks_for(110)));
    assert!(!is_down(after(&recovered)));
    for last in [asks_for(110), unreachable()] {
        let mut attempts = attempts.clone();
        attempts.push((100, last));
        assert!(is_down(after(&attempts)));
    }
}

#[test]
fn a_destination_that_is_down_cannot_ask_for_a_shorter_wait() {
    // The pauses of the first four failures end at once.
    let mut failures: Vec<_> = (0..4).map(|second| (second, asks_for(second))).collect();
    for (tried, asked, next) in [
        (4, 4, 19),
        // Sent before it was down.
        (5, 5, 19),
        (19, 24, 49),
        // A date in the past.
        (49, 0, 109),
        // A longer pause counts, and is not cut short either.
        (109, 300, 300),
        (110, 115, 300),
        (300, 301, 540),
    ] {
        failures.push((tried, asks_for(asked)));
        assert_eq!(
            after(&failures).capacity(8, 0, at(tried)),
            Capacity::NotBefore(at(next)),
            "at {tried}"
        );
    }
}

fn recorded(next: i64, is_requested: bool) -> DownDestination {
    DownDestination {
        name: crate::domain::DestinationName::parse("desk").expect("a name"),
        since: at(0),
        next_try_at: at(next),
        last_error: "429 slow down".to_owned(),
        is_requested,
    }
}

#[test]
fn the_state_of_another_node_is_adopted_with_the_pause_that_the_destination_asked_for() {
    let now = at(1000);
    for (next, is_requested, capacity) in [
        (1060, true, Capacity::NotBefore(at(1060))),
        // An outage: one message tells whether it is over.
        (1015, false, Capacity::For(1)),
        (1300, false, Capacity::For(1)),
        // Its last answer asked for a pause.
        (2800, false, Capacity::NotBefore(at(2800))),
        // By a clock that was wrong.
        (1_000_000, false, Capacity::For(1)),
    ] {
        let breaker = SharedBreaker::default();
        breaker.adopt(&recorded(next, is_requested), now);
        assert_eq!(breaker.capacity(8, 0, now), capacity, "{next}");
        let down = breaker.down_state().expect("not up");
        assert_eq!(down.is_requested, is_requested, "{next}");
    }
}

#[test]
fn each_change_is_logged_once() {
    let breaker = SharedBreaker::default();
    let of_old_worker = breaker.clone();
    breaker.note(&asks_for(10), at(0));
    assert_eq!(breaker.take_change(), None, "a pause is no outage");
    for _ in 0..FAILURES {
        breaker.note(&unreachable(), at(20));
    }
    let down = BreakerChange::Down("refused".to_owned());
    assert_eq!(breaker.take_change(), Some(down));
    // The database may be away meanwhile, so that the outage is not recorded yet.
    breaker.note(&unreachable(), at(40));
    assert_eq!(of_old_worker.take_change(), None);
    assert_eq!(breaker.take_change(), None);
    of_old_worker.close();
    assert_eq!(breaker.take_change(), Some(BreakerChange::Up));
    assert_eq!(of_old_worker.take_change(), None);
}
