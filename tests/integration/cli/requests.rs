//! `vestibule requests`, `dropped` and `deliveries`.

use insta::assert_snapshot;

use super::harness::Harness;

#[test]
fn an_operator_lists_shows_releases_and_discards_requests() {
    let harness = Harness::new();
    let held = harness.receive("ann@corp.example", "Subject: Printer on fire\r\n");
    let other = harness.receive("ann@corp.example", "Subject: Never mind\r\n");
    harness.receive("bob@partner.example", "Subject: Invoice\r\n");
    let held = held.request.expect("a request").to_string();
    let other = other.request.expect("a request").to_string();
    assert_snapshot!("list", harness.run(&["requests", "list"]).shown());
    assert_snapshot!(
        "list_json",
        harness
            .run(&["requests", "list", "--state", "held", "--json"])
            .shown()
    );
    assert_snapshot!(
        "release",
        harness.run(&["requests", "release", &held]).shown()
    );
    assert_snapshot!(
        "discard",
        harness.run(&["requests", "discard", &other]).shown()
    );
    assert_snapshot!(
        "discard_released",
        harness.run(&["requests", "discard", &held]).shown()
    );
    assert_snapshot!(
        "discard_discarded",
        harness.run(&["requests", "discard", &held]).shown()
    );
    assert_eq!(harness.run(&["requests", "release", &held]).status, 0);
    assert_snapshot!(
        "release_several",
        harness
            .run(&["requests", "release", &other, "01J9ZQ4D8N0VXB7T3WKE5M2R6C"])
            .shown()
    );
    assert_snapshot!("show", harness.run(&["requests", "show", &held]).shown());
    let raw = harness.run(&["requests", "raw", &held]);
    assert!(raw.out.starts_with("From: ann@corp.example\r\n"));
    assert!(raw.out.ends_with("\r\n\r\nHelp!\r\n"));
    assert_snapshot!(
        "retry_none",
        harness.run(&["requests", "retry", "--all-failed"]).shown()
    );
}

#[test]
fn filters_and_their_mistakes() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "");
    let count = |arguments: &[&str]| {
        let arguments = [&["requests", "list", "--json"], arguments].concat();
        harness.run(&arguments).objects().len()
    };
    assert_eq!(
        count(&["--portal", "it", "--account", "ann@corp.example"]),
        1
    );
    assert_eq!(count(&["--portal", "hr"]), 0);
    assert_eq!(count(&["--newer-than", "1h"]), 1);
    assert_eq!(count(&["--older-than", "1h30m"]), 0);
    for arguments in [
        &["requests", "list", "--state", "waiting"][..],
        &["requests", "list", "--older-than", "soon"],
        &["requests", "list", "--portal", "sales"],
        &["requests", "list", "--limit", "0"],
        &["requests", "retry"],
        &["requests", "show", "1"],
    ] {
        let ran = harness.run(arguments);
        assert_eq!(ran.status, 2, "{arguments:?}: {}{}", ran.out, ran.err);
    }
    let unknown = harness.run(&["requests", "show", "01J9ZQ4D8N0VXB7T3WKE5M2R6C"]);
    assert_eq!(unknown.status, 3);
}

#[test]
fn dropped_messages_are_kept() {
    let harness = Harness::new();
    harness.receive("eve@evil.example", "Subject: Let me in\r\n");
    harness.receive("eve@evil.example", "Auto-Submitted: auto-replied\r\n");
    assert_snapshot!("dropped", harness.run(&["dropped", "list"]).shown());
    assert_snapshot!(
        "dropped_json",
        harness
            .run(&["dropped", "list", "--reason", "automatic", "--json"])
            .shown()
    );
}

#[test]
fn a_message_that_cannot_be_recovered_does_not_block_others() {
    let harness = Harness::new();
    let receive = |from| harness.receive(from, "").ledger.to_string();
    let (one, held, two) = (
        receive("eve@evil.example"),
        receive("ann@corp.example"),
        receive("eve@evil.example"),
    );
    harness.run(&["access", "allow", "evil.example"]);
    let ran = harness.run(&["dropped", "recover", &one, &held, &two, "--json"]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    assert!(
        ran.err.contains(&format!("{held} was not dropped")),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("2 of 3 recovered"), "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
    let nothing = harness.run(&["dropped", "recover", "--all"]);
    assert_eq!(nothing.status, 1, "{}{}", nothing.out, nothing.err);
    let alone = harness.run(&["dropped", "recover", &held]);
    assert_eq!(alone.status, 1, "{}", alone.err);
}

#[test]
fn messages_for_a_removed_portal_are_not_recovered() {
    let harness = Harness::new();
    let dropped = harness.receive("eve@evil.example", "").ledger.to_string();
    harness.run(&["access", "allow", "evil.example"]);
    let file = harness.path("vestibule.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let renamed = text.replace("name = \"it\"", "name = \"computers\"");
    assert_ne!(renamed, text, "the portal is named");
    std::fs::write(&file, renamed).expect("written");
    let ran = harness.run(&["dropped", "recover", &dropped]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    assert!(ran.err.contains("came for the portal it"), "{}", ran.err);
    std::fs::write(&file, text).expect("written");
    let ran = harness.run(&["dropped", "recover", &dropped]);
    assert_eq!(ran.status, 0, "{}", ran.err);
}

#[test]
fn requests_of_a_removed_portal_are_listed_with_the_cause() {
    let harness = Harness::new();
    let request = harness.receive("bob@partner.example", "Subject: Invoice\r\n");
    let request = request.request.expect("a request").to_string();
    let held = harness.receive("ann@corp.example", "").request;
    let held = held.expect("a request").to_string();
    let file = harness.path("vestibule.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let renamed = text.replace("name = \"it\"", "name = \"computers\"");
    std::fs::write(&file, &renamed).expect("written");

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

    let retried = harness.run(&["requests", "retry", &request]);
    assert_eq!(retried.status, 1, "{}", retried.out);
    let cause = "portal it is not in the configuration";
    assert!(retried.err.contains(cause), "{}", retried.err);
    let released = harness.run(&["requests", "release", &held]);
    assert_eq!(
        released.out,
        format!("{held} is released, waiting: {cause}\n")
    );
    let doctor = harness.run(&["doctor", "--offline"]);
    let remedy = "vestibule requests list --portal it";
    assert!(doctor.out.contains(remedy), "{}", doctor.out);

    std::fs::write(&file, text).expect("written");
    let retried = harness.run(&["requests", "retry", &request]);
    assert_eq!(retried.out, format!("{request} is released\n"));
}

#[test]
fn a_request_of_a_paused_destination_says_so_and_is_not_retried() {
    let harness = Harness::new();
    let request = harness.receive("bob@partner.example", "Subject: Invoice\r\n");
    let request = request.request.expect("a request").to_string();
    harness.run(&["deliveries", "pause", "helpdesk"]);
    let cause = "destination helpdesk is paused";
    let shown = harness.run(&["requests", "show", &request]);
    assert!(
        shown.out.contains(&format!("waiting: {cause}")),
        "{}",
        shown.out
    );
    let retried = harness.run(&["requests", "retry", &request]);
    assert_eq!(retried.status, 1, "{}", retried.out);
    assert!(retried.err.contains(cause), "{}", retried.err);
    harness.run(&["deliveries", "resume", "helpdesk"]);
    let retried = harness.run(&["requests", "retry", &request]);
    assert_eq!(retried.out, format!("{request} is released\n"));
}

#[test]
fn a_request_of_a_destination_that_is_down_is_not_retried_alone() {
    let harness = Harness::new();
    let request = harness.receive("bob@partner.example", "Subject: Invoice\r\n");
    let request = request.request.expect("a request").to_string();
    let connection = rusqlite::Connection::open(harness.path("data/vestibule.db")).expect("opened");
    connection
        .execute(
            "INSERT INTO down_destination (destination, since, next_try_at, last_error, requested)
             VALUES ('helpdesk', 0, 4102444800000, '503', 0)",
            [],
        )
        .expect("recorded");
    let shown = harness.run(&["requests", "show", &request]);
    for expected in [
        "waiting: destination helpdesk is down",
        "2100-01-01T00:00:00Z",
    ] {
        assert!(shown.out.contains(expected), "{}", shown.out);
    }
    let retried = harness.run(&["requests", "retry", &request]);
    assert_eq!(retried.status, 1, "{}", retried.out);
    let remedy = "vestibule deliveries retry helpdesk";
    assert!(retried.err.contains(remedy), "{}", retried.err);
    harness.run(&["deliveries", "retry", "helpdesk"]);
    let retried = harness.run(&["requests", "retry", &request]);
    assert_eq!(retried.out, format!("{request} is released\n"));
}

#[test]
fn a_request_of_a_blocked_account_is_not_retried_but_released() {
    let harness = Harness::new();
    let request = harness.receive("bob@partner.example", "Subject: Invoice\r\n");
    let request = request.request.expect("a request").to_string();
    harness.run(&["customers", "block", "bob@partner.example"]);
    let retried = harness.run(&["requests", "retry", &request]);
    assert_eq!(retried.status, 1, "{}", retried.out);
    assert!(
        retried.err.contains("the account is blocked"),
        "{}",
        retried.err
    );
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
    let request = harness.receive("bob@partner.example", "Subject: Invoice\r\n");
    let request = request.request.expect("a request").to_string();
    let file = harness.path("vestibule.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let renamed = text.replace("name = \"it\"", "name = \"computers\"");
    std::fs::write(&file, &renamed).expect("written");
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
        let connection =
            rusqlite::Connection::open(harness.path("data/vestibule.db")).expect("opened");
        let failed = connection.execute(
            "UPDATE request SET state = 'failed', settled_at = 1, due_at = NULL",
            [],
        );
        assert_eq!(failed.expect("failed"), 1);
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
    let raw = "From: ann@corp.example\r\nTo: it-help@corp.example\r\n\
         Message-ID: <1@corp.example>\r\n\r\nHelp!\r\n";
    let receive = || {
        let request = harness.receive_raw(raw).request;
        request.expect("a request").to_string()
    };
    let old = receive();
    harness.run(&["requests", "discard", &old]);
    let copy = receive();
    let released = harness.run(&["requests", "release", &old]);
    assert_eq!(released.status, 1, "{}", released.out);
    let cause = format!("already request {copy}, held");
    assert!(released.err.contains(&cause), "{}", released.err);
    let released = harness.run(&["requests", "release", &copy]);
    assert_eq!(released.status, 0, "{}", released.err);
}

#[test]
fn a_destination_is_paused_and_resumed() {
    let harness = Harness::new();
    harness.receive("bob@partner.example", "Subject: Invoice\r\n");
    assert_snapshot!("deliveries", harness.run(&["deliveries", "list"]).shown());
    assert_snapshot!(
        "pause",
        harness.run(&["deliveries", "pause", "helpdesk"]).shown()
    );
    assert_snapshot!(
        "deliveries_json",
        harness.run(&["deliveries", "list", "--json"]).shown()
    );
    assert_snapshot!(
        "resume",
        harness.run(&["deliveries", "resume", "helpdesk"]).shown()
    );
    assert_snapshot!(
        "pause_unknown",
        harness.run(&["deliveries", "pause", "desk"]).shown()
    );
}

#[test]
fn queued_requests_of_a_destination_are_retried_immediately() {
    let harness = Harness::new();
    harness.receive("bob@partner.example", "Subject: Invoice\r\n");
    let retry = |arguments: &[&str]| {
        let arguments = [&["requests", "retry", "--destination"], arguments].concat();
        harness.run(&arguments).shown()
    };
    assert_snapshot!(
        "retry_released",
        retry(&["helpdesk", "--state", "released"])
    );
    assert_snapshot!("retry_failed", retry(&["helpdesk", "--state", "failed"]));
    assert_snapshot!("retry_nowhere", retry(&["nowhere"]));
    assert_snapshot!(
        "retry_both",
        retry(&["helpdesk", "01J9ZQ4D8N0VXB7T3WKE5M2R6C"])
    );
    assert_snapshot!(
        "retry_destination",
        harness.run(&["deliveries", "retry", "helpdesk"]).shown()
    );
}

#[test]
fn hooks_are_listed_with_the_destinations() {
    let harness = Harness::new();
    let file = harness.path("vestibule.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let hook = "[[hook]]\nname = \"directory\"\nurl = \"https://directory.example/\"\n\
         events = [\"account.*\", \"request.delivered\"]\n";
    std::fs::write(
        &file,
        text.replace("[verification]", &format!("{hook}[verification]")),
    )
    .expect("written");
    assert_snapshot!("hooks", harness.run(&["deliveries", "list"]).shown());
    assert_snapshot!(
        "hook_paused",
        harness.run(&["deliveries", "pause", "directory"]).shown()
    );
    assert_snapshot!(
        "hook_json",
        harness
            .run(&["deliveries", "resume", "directory", "--json"])
            .shown()
    );
    assert_snapshot!(
        "hook_retry",
        harness.run(&["deliveries", "retry", "directory"]).shown()
    );
    assert_snapshot!(
        "hook_unknown",
        harness.run(&["deliveries", "pause", "dir"]).shown()
    );

    harness.receive("ann@corp.example", "");
    let connection = rusqlite::Connection::open(harness.path("data/vestibule.db")).expect("opened");
    connection
        .execute(
            "INSERT INTO hook_call (id, hook, account, event, payload, created_at, state, attempts,
                 released_at, settled_at, last_error)
             SELECT randomblob(16), 'directory', n, 'account.created', '{}', created_at, 'failed', 3, 0, 0,
                 '410 Gone' FROM account",
            [],
        )
        .expect("a failed call");
    for (filter, count) in [
        (&["--account", "ann@corp.example"][..], 1),
        (&["--account", "bea@corp.example"], 0),
        (&["--event", "account.created", "--since", "1d"], 1),
        (&["--event", "request.held"], 0),
        (&["--until", "1d"], 0),
    ] {
        let command = [&["deliveries", "failed", "directory", "--json"], filter].concat();
        let calls = harness.run(&command).objects();
        assert_eq!(calls.len(), count, "{filter:?}");
    }
    for (filter, count) in [
        (
            &["--account", "ann@corp.example", "--state", "waiting"][..],
            1,
        ),
        (&["--account", "bea@corp.example"], 0),
        (&["--state", "claimed"], 0),
        (&["--state", "refused"], 0),
        (&["--until", "1d"], 0),
        (&["--since", "1d"], 1),
    ] {
        let command = [&["customers", "mail", "--json"], filter].concat();
        let mails = harness.run(&command).objects();
        assert_eq!(mails.len(), count, "{filter:?}");
    }
}

#[test]
fn received_messages_are_counted() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "");
    harness.receive("ann@corp.example", "");
    harness.receive("bob@partner.example", "");
    harness.receive("eve@evil.example", "");
    assert_snapshot!("stats", harness.run(&["stats"]).shown());
    let stats = harness.run(&["stats", "--since", "1h", "--json"]).objects();
    assert_eq!(stats[0]["messages"], 4);
    let none = harness
        .run(&["stats", "--portal", "hr", "--json"])
        .objects();
    assert_eq!(none[0]["messages"], 0);
}
