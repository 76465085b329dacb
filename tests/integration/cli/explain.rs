//! `vestibule explain`.

use insta::assert_snapshot;

use super::harness::Harness;

#[test]
fn a_message_is_explained_rule_by_rule() {
    let harness = Harness::new();
    let held = harness.receive("ann@corp.example", "Subject: Printer on fire\r\n");
    let dropped = harness.receive("eve@evil.example", "Precedence: list\r\nSubject: News\r\n");
    assert_eq!(
        harness
            .run(&["customers", "verify", "ann@corp.example"])
            .status,
        0
    );
    // The explanation is by the settings of that time.
    assert_eq!(harness.run(&["access", "remove", "corp.example"]).status, 0);
    assert_snapshot!(
        "held",
        harness.run(&["explain", &held.ledger.to_string()]).shown()
    );
    assert_snapshot!(
        "dropped",
        harness
            .run(&["explain", &dropped.ledger.to_string()])
            .shown()
    );

    let by_request = harness.run(&["explain", &held.request.expect("a request").to_string()]);
    assert_eq!(by_request.status, 0);
    let message_id = format!("<{}>", held.message_id.expect("a Message-ID"));
    assert_eq!(harness.run(&["explain", &message_id]).out, by_request.out);
    assert_eq!(
        harness
            .run(&["explain", message_id.trim_matches(['<', '>'])])
            .out,
        by_request.out
    );
}

#[test]
fn the_removed_mbox_line_is_shown() {
    let harness = Harness::new();
    let line = "From ann@corp.example Mon Nov 23 09:00:00 2026";
    let raw = format!("{line}\r\nFrom: ann@corp.example\r\nSubject: x\r\n\r\nHelp!\r\n");
    let ledger = harness.receive_raw(&raw).ledger.to_string();
    let told = harness.run(&["explain", &ledger]).out;
    assert!(told.contains(&format!("mbox line: {line}")), "{told}");
    let json = harness.run(&["explain", &ledger, "--json"]).objects();
    assert_eq!(json[0]["facts"]["mbox_line"]["value"], line);
    let plain = harness.receive("bob@corp.example", "Subject: y\r\n");
    let json = harness.run(&["explain", &plain.ledger.to_string(), "--json"]);
    assert!(json.objects()[0]["facts"]["mbox_line"].is_null());
}

#[test]
fn the_json_has_all_fields_that_scripts_rely_on() {
    let harness = Harness::new();
    let entry = harness.receive("ann@corp.example", "Subject: Printer on fire\r\n");
    let explained = harness
        .run(&["explain", &entry.ledger.to_string(), "--json"])
        .objects();
    let [explanation] = explained.as_slice() else {
        panic!("one object, not {explained:?}");
    };
    for field in [
        "ledger", "verdict", "reason", "rules", "revision", "facts", "events",
    ] {
        assert!(!explanation[field].is_null(), "{field}");
    }
    let rules = explanation["rules"].as_array().expect("a list");
    let matched: Vec<_> = rules
        .iter()
        .filter(|rule| rule["matched"] == true)
        .collect();
    assert_eq!(matched.len(), 1);
    assert_eq!(matched[0]["rule"], 14);
    assert_eq!(
        matched[0]["evidence"],
        "internal.approved_domains: corp.example"
    );
    assert_eq!(rules.last(), Some(matched[0]));
}

#[test]
fn the_verification_mail_of_an_account() {
    let harness = Harness::new();
    let first = harness.receive("ann@corp.example", "Subject: One\r\n");
    let ran = harness.run(&["explain", &first.ledger.to_string()]);
    assert!(
        ran.out.contains("verification is to be sent at "),
        "{}",
        ran.out
    );
    harness.send_mail();
    let second = harness.receive("ann@corp.example", "Subject: Two\r\n");
    for entry in [first, second] {
        let explained = harness
            .run(&["explain", &entry.ledger.to_string(), "--json"])
            .objects();
        let events = explained[0]["events"].as_array().expect("a list");
        let named = |name: &str| events.iter().any(|event| event["event"] == name);
        assert!(
            named("message.held") && named("verification.sent"),
            "{events:?}"
        );
    }
    let ran = harness.run(&["explain", "ann@corp.example"]);
    let mut lines = ran.out.lines();
    assert!(lines.any(|line| line.starts_with("verification ") && line.contains(" sent ")));
}

#[test]
fn an_address_has_all_its_mail() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "Subject: One\r\n");
    harness.receive(
        "ann@corp.example",
        "Subject: Two\r\nAuto-Submitted: auto-replied\r\n",
    );
    harness.receive("eve@evil.example", "Subject: Three\r\n");
    assert_snapshot!(
        "address",
        harness.run(&["explain", "ann@corp.example"]).shown()
    );
    assert_snapshot!(
        "address_without_account",
        harness.run(&["explain", "eve@evil.example"]).shown()
    );
    assert_eq!(
        harness
            .run(&["explain", "ann@corp.example", "--json"])
            .objects()
            .len(),
        2
    );
    assert_snapshot!(
        "not_found",
        harness.run(&["explain", "nobody@corp.example"]).shown()
    );
    assert_snapshot!(
        "no_such_id",
        harness
            .run(&["explain", "01J9ZQ4D8N0VXB7T3WKE5M2R6C"])
            .shown()
    );
}
