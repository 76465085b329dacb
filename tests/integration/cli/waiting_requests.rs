//! Requests that nothing attempts, because of their portal, destination, account or another copy: `requests` and
//! `deliveries` say why, and an action that has no effect now is refused.

use super::harness::{FAIL_REQUESTS, Harness};

fn assert_retried(harness: &Harness, request: &str) {
    let retried = harness.run(&["requests", "retry", request]);
    let expected = format!("{request} is released\n");
    assert_eq!(retried.out, expected, "{}", retried.err);
}

/// Asserts that an operator cannot retry a request, and is told why.
fn assert_not_retried(harness: &Harness, request: &str, cause: &str) {
    let retried = harness.run(&["requests", "retry", request]);
    assert_eq!(retried.status, 1, "{}", retried.out);
    assert!(retried.err.contains(cause), "{}", retried.err);
}

#[test]
fn requests_of_a_removed_portal_are_listed_with_the_cause() {
    let harness = Harness::new();
    let request = harness.receive_request("bob@partner.example", "Subject: Invoice\r\n");
    let held = harness.receive_request("ann@corp.example", "");
    harness.rename_portal("it", "computers");

    let cause = "waiting: portal it is not in the configuration";
    let listed = harness.run(&[
        "requests", "list", "--portal", "it", "--state", "released", "--json",
    ]);
    let listed = listed.objects();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["last_error"], cause);
    assert_eq!(listed[0]["next_attempt_at"], serde_json::Value::Null);
    let shown = harness.run(&["requests", "show", &request]);
    assert!(shown.out.contains(cause), "{}", shown.out);
    for arguments in [&["dropped", "list"][..], &["find", "Invoice"], &["stats"]] {
        let arguments = [arguments, &["--portal", "it"]].concat();
        let ran = harness.run(&arguments);
        assert_eq!(ran.status, 0, "{arguments:?}: {}", ran.err);
    }
    let unknown = harness.run(&["requests", "list", "--portal", "sales"]);
    assert_eq!(unknown.status, 2, "{}", unknown.err);

    let cause = "portal it is not in the configuration";
    assert_not_retried(&harness, &request, cause);
    let released = harness.run(&["requests", "release", &held]);
    assert_eq!(
        released.out,
        format!("{held} is released, waiting: {cause}\n")
    );
    let doctor = harness.run(&["doctor", "--offline"]);
    let remedy = "vestibule requests list --portal it";
    assert!(doctor.out.contains(remedy), "{}", doctor.out);

    harness.rename_portal("computers", "it");
    assert_retried(&harness, &request);
}

#[test]
fn a_request_of_a_paused_destination_says_so_and_is_not_retried() {
    let harness = Harness::new();
    let request = harness.receive_request("bob@partner.example", "Subject: Invoice\r\n");
    harness.run(&["deliveries", "pause", "helpdesk"]);
    let cause = "destination helpdesk is paused";
    let shown = harness.run(&["requests", "show", &request]);
    assert!(
        shown.out.contains(&format!("waiting: {cause}")),
        "{}",
        shown.out
    );
    assert_not_retried(&harness, &request, cause);
    let retried = harness.run(&["deliveries", "retry", "helpdesk"]);
    assert_eq!(retried.status, 0);
    assert_eq!(retried.out, "helpdesk is paused; 1 waiting\n");
    let remedy = "until it is resumed: vestibule deliveries resume helpdesk";
    assert!(retried.err.contains(remedy), "{}", retried.err);
    harness.run(&["deliveries", "resume", "helpdesk"]);
    assert_retried(&harness, &request);
}

#[test]
fn a_request_of_a_destination_that_is_down_is_not_retried_alone() {
    let harness = Harness::new();
    let request = harness.receive_request("bob@partner.example", "Subject: Invoice\r\n");
    harness.tamper(
        "INSERT INTO down_destination (destination, since, next_try_at, last_error, requested)
         VALUES ('helpdesk', 0, 4102444800000, '503', 0)",
    );
    let shown = harness.run(&["requests", "show", &request]);
    for expected in [
        "waiting: destination helpdesk is down",
        "2100-01-01T00:00:00Z",
    ] {
        assert!(shown.out.contains(expected), "{}", shown.out);
    }
    let remedy = "vestibule deliveries retry helpdesk";
    assert_not_retried(&harness, &request, remedy);
    harness.run(&["deliveries", "retry", "helpdesk"]);
    assert_retried(&harness, &request);
}

#[test]
fn a_request_of_a_blocked_account_is_not_retried_but_released() {
    let harness = Harness::new();
    let request = harness.receive_request("bob@partner.example", "Subject: Invoice\r\n");
    harness.run(&["customers", "block", "bob@partner.example"]);
    assert_not_retried(&harness, &request, "the account is blocked");
    let released = harness.run(&["requests", "release", &request]);
    assert_eq!(released.out, format!("{request} is released\n"));
    let shown = harness.run(&["requests", "show", &request]);
    assert!(!shown.out.contains("stopped"), "{}", shown.out);
}

#[test]
fn stopped_requests_are_not_counted_as_waiting() {
    let harness = Harness::new();
    harness.receive("bob@partner.example", "Subject: Invoice\r\n");
    harness.receive("bea@partner.example", "Subject: Offer\r\n");
    let counts = || {
        let queues = harness.run(&["deliveries", "list", "--json"]).objects();
        (queues[0]["waiting"].as_u64(), queues[0]["stopped"].as_u64())
    };
    assert_eq!(counts(), (Some(2), Some(0)));
    harness.run(&["customers", "block", "bob@partner.example"]);
    assert_eq!(counts(), (Some(1), Some(1)));
    let resumed = harness.run(&["deliveries", "resume", "helpdesk"]);
    assert_eq!(
        resumed.out,
        "helpdesk is up; 1 waiting, 1 stopped because their accounts are blocked\n"
    );
}

#[test]
fn failed_requests_of_a_removed_portal_are_retried_with_the_others() {
    let harness = Harness::new();
    let request = harness.receive_request("bob@partner.example", "Subject: Invoice\r\n");
    harness.rename_portal("it", "computers");
    let cause = "portal it is not in the configuration";
    for filter in [
        &["--state", "released"][..],
        &["--state", "released", "--portal", "it"],
    ] {
        let arguments = [&["requests", "retry"], filter].concat();
        let refused = harness.run(&arguments);
        assert_eq!(refused.status, 1, "{filter:?}: {}", refused.err);
        assert!(refused.err.contains(cause), "{filter:?}: {}", refused.err);
    }
    for filter in [&["--all-failed"][..], &["--all-failed", "--portal", "it"]] {
        harness.tamper(FAIL_REQUESTS);
        let arguments = [&["requests", "retry"], filter].concat();
        let retried = harness.run(&arguments);
        let expected = format!("{request} is released, waiting: {cause}\n");
        assert_eq!(retried.out, expected, "{filter:?}: {}", retried.err);
    }
    let unknown = harness.run(&["requests", "retry", "--all-failed", "--portal", "sales"]);
    assert_eq!(unknown.status, 2, "{}", unknown.err);
}

#[test]
fn of_two_copies_only_one_is_released() {
    let harness = Harness::new();
    let old = harness.receive_copy("ann@corp.example");
    harness.run(&["requests", "discard", &old]);
    let copy = harness.receive_copy("ann@corp.example");
    let released = harness.run(&["requests", "release", &old]);
    assert_eq!(released.status, 1, "{}", released.out);
    let cause = format!("already request {copy}, held");
    assert!(released.err.contains(&cause), "{}", released.err);
    let released = harness.run(&["requests", "release", &copy]);
    assert_eq!(released.status, 0, "{}", released.err);
}
