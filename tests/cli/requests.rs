//! `vestibule requests`, `dropped` and `deliveries`.

use insta::assert_snapshot;

use crate::house::House;

#[test]
fn a_request_in_an_operators_hands() {
    let house = House::new();
    let held = house.receive("ann@corp.example", "Subject: Printer on fire\r\n");
    let other = house.receive("ann@corp.example", "Subject: Never mind\r\n");
    house.receive("bob@partner.example", "Subject: Invoice\r\n");
    let held = held.request.expect("a request").to_string();
    let other = other.request.expect("a request").to_string();
    assert_snapshot!("list", house.run(&["requests", "list"]).shown());
    assert_snapshot!(
        "list_json",
        house
            .run(&["requests", "list", "--state", "held", "--json"])
            .shown()
    );
    assert_snapshot!(
        "release",
        house.run(&["requests", "release", &held]).shown()
    );
    assert_snapshot!(
        "discard",
        house.run(&["requests", "discard", &other]).shown()
    );
    assert_snapshot!(
        "discard_released",
        house.run(&["requests", "discard", &held]).shown()
    );
    assert_snapshot!(
        "discard_discarded",
        house.run(&["requests", "discard", &held]).shown()
    );
    assert_eq!(house.run(&["requests", "release", &held]).status, 0);
    assert_snapshot!(
        "release_several",
        house
            .run(&["requests", "release", &other, "01J9ZQ4D8N0VXB7T3WKE5M2R6C"])
            .shown()
    );
    assert_snapshot!("show", house.run(&["requests", "show", &held]).shown());
    let raw = house.run(&["requests", "raw", &held]);
    assert!(raw.out.starts_with("From: ann@corp.example\r\n"));
    assert!(raw.out.ends_with("\r\n\r\nHelp!\r\n"));
    assert_snapshot!(
        "retry_none",
        house.run(&["requests", "retry", "--all-failed"]).shown()
    );
}

#[test]
fn filters_and_their_mistakes() {
    let house = House::new();
    house.receive("ann@corp.example", "");
    let count = |arguments: &[&str]| {
        let arguments = [&["requests", "list", "--json"], arguments].concat();
        house.run(&arguments).objects().len()
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
        let ran = house.run(arguments);
        assert_eq!(ran.status, 2, "{arguments:?}: {}{}", ran.out, ran.err);
    }
    let unknown = house.run(&["requests", "show", "01J9ZQ4D8N0VXB7T3WKE5M2R6C"]);
    assert_eq!(unknown.status, 3);
}

#[test]
fn what_was_dropped_is_not_gone() {
    let house = House::new();
    house.receive("eve@evil.example", "Subject: Let me in\r\n");
    house.receive("eve@evil.example", "Auto-Submitted: auto-replied\r\n");
    assert_snapshot!("dropped", house.run(&["dropped", "list"]).shown());
    assert_snapshot!(
        "dropped_json",
        house
            .run(&["dropped", "list", "--reason", "automatic", "--json"])
            .shown()
    );
}

#[test]
fn one_that_cannot_be_recovered_keeps_no_other_from_it() {
    let house = House::new();
    let receive = |from| house.receive(from, "").ledger.to_string();
    let (one, held, two) = (
        receive("eve@evil.example"),
        receive("ann@corp.example"),
        receive("eve@evil.example"),
    );
    house.run(&["access", "allow", "evil.example"]);
    let ran = house.run(&["dropped", "recover", &one, &held, &two, "--json"]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    assert!(
        ran.err.contains(&format!("{held} was not dropped")),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("2 of 3 recovered"), "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
    let nothing = house.run(&["dropped", "recover", "--all"]);
    assert_eq!(nothing.status, 1, "{}{}", nothing.out, nothing.err);
    let alone = house.run(&["dropped", "recover", &held]);
    assert_eq!(alone.status, 1, "{}", alone.err);
}

#[test]
fn what_came_for_a_portal_that_is_gone_is_not_recovered() {
    let house = House::new();
    let dropped = house.receive("eve@evil.example", "").ledger.to_string();
    house.run(&["access", "allow", "evil.example"]);
    let file = house.path("vestibule.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let renamed = text.replace("name = \"it\"", "name = \"computers\"");
    assert_ne!(renamed, text, "the portal is named");
    std::fs::write(&file, renamed).expect("written");
    let ran = house.run(&["dropped", "recover", &dropped]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    assert!(ran.err.contains("came for the portal it"), "{}", ran.err);
    std::fs::write(&file, text).expect("written");
    let ran = house.run(&["dropped", "recover", &dropped]);
    assert_eq!(ran.status, 0, "{}", ran.err);
}

#[test]
fn a_destination_is_paused_and_goes_on() {
    let house = House::new();
    house.receive("bob@partner.example", "Subject: Invoice\r\n");
    assert_snapshot!("deliveries", house.run(&["deliveries", "list"]).shown());
    assert_snapshot!(
        "pause",
        house.run(&["deliveries", "pause", "helpdesk"]).shown()
    );
    assert_snapshot!(
        "deliveries_json",
        house.run(&["deliveries", "list", "--json"]).shown()
    );
    assert_snapshot!(
        "resume",
        house.run(&["deliveries", "resume", "helpdesk"]).shown()
    );
    assert_snapshot!(
        "pause_unknown",
        house.run(&["deliveries", "pause", "desk"]).shown()
    );
}

#[test]
fn what_waits_for_a_destination_is_tried_at_once() {
    let house = House::new();
    house.receive("bob@partner.example", "Subject: Invoice\r\n");
    let retry = |arguments: &[&str]| {
        let arguments = [&["requests", "retry", "--destination"], arguments].concat();
        house.run(&arguments).shown()
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
        house.run(&["deliveries", "retry", "helpdesk"]).shown()
    );
}

#[test]
fn a_hook_stands_beside_the_destinations() {
    let house = House::new();
    let file = house.path("vestibule.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let hook = "[[hook]]\nname = \"directory\"\nurl = \"https://directory.example/\"\n\
         events = [\"account.*\", \"request.delivered\"]\n";
    std::fs::write(
        &file,
        text.replace("[verification]", &format!("{hook}[verification]")),
    )
    .expect("written");
    assert_snapshot!("hooks", house.run(&["deliveries", "list"]).shown());
    assert_snapshot!(
        "hook_paused",
        house.run(&["deliveries", "pause", "directory"]).shown()
    );
    assert_snapshot!(
        "hook_json",
        house
            .run(&["deliveries", "resume", "directory", "--json"])
            .shown()
    );
    assert_snapshot!(
        "hook_retry",
        house.run(&["deliveries", "retry", "directory"]).shown()
    );
    assert_snapshot!(
        "hook_unknown",
        house.run(&["deliveries", "pause", "dir"]).shown()
    );
}

#[test]
fn what_came_is_counted() {
    let house = House::new();
    house.receive("ann@corp.example", "");
    house.receive("ann@corp.example", "");
    house.receive("bob@partner.example", "");
    house.receive("eve@evil.example", "");
    assert_snapshot!("stats", house.run(&["stats"]).shown());
    let stats = house.run(&["stats", "--since", "1h", "--json"]).objects();
    assert_eq!(stats[0]["messages"], 4);
    let none = house.run(&["stats", "--portal", "hr", "--json"]).objects();
    assert_eq!(none[0]["messages"], 0);
}
