//! `vestibule requests`, `dropped` and `deliveries`.

use insta::assert_snapshot;

use super::harness::Harness;

#[test]
fn an_operator_lists_shows_releases_and_discards_requests() {
    let harness = Harness::new();
    let held = harness.receive_request("ann@corp.example", "Subject: Printer on fire\r\n");
    let other = harness.receive_request("ann@corp.example", "Subject: Never mind\r\n");
    harness.receive("bob@partner.example", "Subject: Invoice\r\n");
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
    for since in ["2026-01-01", "2026-01-01T00:00Z", "7d"] {
        let ranked = harness.run(&["dropped", "domains", "--since", since, "--json"]);
        assert_eq!(ranked.objects()[0]["domain"], "evil.example", "{since}");
    }
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
    harness.rename_portal("it", "computers");
    let ran = harness.run(&["dropped", "recover", &dropped]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    assert!(ran.err.contains("came for the portal it"), "{}", ran.err);
    harness.rename_portal("computers", "it");
    let ran = harness.run(&["dropped", "recover", &dropped]);
    assert_eq!(ran.status, 0, "{}", ran.err);
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

    let destination = harness.run(&["deliveries", "failed", "helpdesk"]);
    assert_eq!(destination.status, 2, "{}", destination.err);
    assert!(destination.err.contains("requests list --state failed"));
    assert_eq!(harness.run(&["deliveries", "failed", "dir"]).status, 3);

    harness.receive("ann@corp.example", "");
    harness.tamper(
        "INSERT INTO hook_call (id, hook, account, event, payload, created_at, state, attempts,
             released_at, settled_at, last_error)
         SELECT randomblob(16), 'directory', n, 'account.created', '{}', created_at, 'failed', 3, 0, 0,
             '410 Gone' FROM account",
    );
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
    for (since, messages) in [("2026-01-01", 4), ("2126-01-01T10:00Z", 0)] {
        let stats = harness.run(&["stats", "--since", since, "--json"]);
        assert_eq!(stats.objects()[0]["messages"], messages, "{since}");
    }
    let wrong = harness.run(&["stats", "--since", "tomorrow"]);
    assert_eq!(wrong.status, 2);
    assert!(wrong.err.contains("write a day"), "{}", wrong.err);
    let none = harness
        .run(&["stats", "--portal", "hr", "--json"])
        .objects();
    assert_eq!(none[0]["messages"], 0);
}
