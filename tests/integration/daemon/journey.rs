//! One message through all steps: received, held, verification mail, link, button, delivered. And the other
//! paths.

use std::fs;

use crate::support::client::{Smtp, http, message, send};
use crate::support::harness::{Harness, STANDARD, Signal, wait_for};

#[test]
fn a_held_request_is_released_by_the_button_and_arrives_untouched() {
    let harness = Harness::start(STANDARD);
    let receipt = send(harness.smtp, "ann@corp.example", "first");
    let ledger = receipt.trim().rsplit(' ').next().expect("an id").to_owned();

    let link = harness.link_for("ann@corp.example");
    assert!(
        harness.delivered().is_empty(),
        "nothing is released before the verification"
    );

    // A scanner that opens the link, any number of times, changes nothing.
    for method in ["GET", "HEAD", "GET"] {
        let (status, page) = http(harness.http, method, &link, &[]);
        assert_eq!(status, 200, "{page}");
    }
    let (_, page) = http(harness.http, "GET", &link, &[]);
    assert!(page.contains("ann@corp.example") && page.contains("About first"));
    assert_eq!(harness.json(&["requests", "list"])[0]["state"], "held");

    let (status, page) = http(harness.http, "POST", &link, &[("action", "confirm")]);
    assert_eq!(status, 200, "{page}");
    let delivered = wait_for("the delivery", || harness.delivered().pop());

    let original = message("ann@corp.example", "first");
    assert!(delivered.ends_with(&original), "the original is unchanged");
    let added =
        String::from_utf8_lossy(&delivered[..delivered.len() - original.len()]).into_owned();
    let request = harness.json(&["requests", "list"])[0].clone();
    for field in [
        "Received: ",
        &format!(
            "X-Vestibule-Request: {}",
            request["id"].as_str().expect("an id")
        ),
        "X-Vestibule-Account: internal",
        "X-Vestibule-Verified: link ",
    ] {
        assert!(added.contains(field), "{field} in {added}");
    }

    // Confirming twice, and opening the link again, shows that all is well; nothing is delivered twice.
    for (method, form) in [("POST", &[("action", "confirm")][..]), ("GET", &[])] {
        let (status, page) = http(harness.http, method, &link, form);
        assert_eq!(status, 200, "{page}");
    }
    wait_for("the request's last state", || {
        (harness.json(&["requests", "list"])[0]["state"] == "delivered").then_some(())
    });
    assert_eq!(harness.delivered().len(), 1);

    let customer = &harness.json(&["customers", "list"])[0];
    assert_eq!(customer["status"], "active");
    assert_eq!(customer["kind"], "internal");
    assert_eq!(customer["verified_by"], "link");

    let explanation = &harness.json(&["explain", &ledger])[0];
    assert_eq!(explanation["verdict"], "held");
    assert_eq!(explanation["reason"], "internal_account_created");
    let rules = explanation["rules"].as_array().expect("rules");
    assert_eq!(rules.last().expect("a rule")["matched"], true);
}

#[test]
fn after_verification_the_next_message_is_accepted_immediately() {
    let harness = Harness::start(STANDARD);
    send(harness.smtp, "ann@corp.example", "first");
    let link = harness.link_for("ann@corp.example");
    http(harness.http, "POST", &link, &[("action", "confirm")]);
    send(harness.smtp, "Ann <ANN@corp.example>", "second");
    wait_for("both deliveries", || {
        (harness.delivered().len() == 2).then_some(())
    });
    assert_eq!(
        harness.verification_mails().len(),
        1,
        "one verification mail"
    );
}

#[test]
fn each_sender_is_treated_as_the_rules_say() {
    let harness = Harness::start(STANDARD);
    for (from, marker) in [
        ("ann@corp.example", "held"),
        ("bob@partner.example", "accepted"),
        ("eve@elsewhere.example", "dropped"),
        ("\"ann@corp.example\" <eve@elsewhere.example>", "forged"),
    ] {
        send(harness.smtp, from, marker);
    }
    let verdict = |marker: &str| {
        let id = format!("{marker}@client.example");
        let entry = harness.json(&["explain", &id]).remove(0);
        (
            entry["verdict"].as_str().expect("a verdict").to_owned(),
            entry["reason"].as_str().expect("a reason").to_owned(),
        )
    };
    let pair = |verdict: &str, reason: &str| (verdict.to_owned(), reason.to_owned());
    assert_eq!(verdict("held"), pair("held", "internal_account_created"));
    assert_eq!(
        verdict("accepted"),
        pair("accepted", "external_account_created")
    );
    assert_eq!(verdict("dropped"), pair("dropped", "domain_not_allowed"));
    assert_eq!(verdict("forged"), pair("dropped", "domain_not_allowed"));
    wait_for("the accepted request", || {
        (harness.delivered().len() == 1).then_some(())
    });
}

#[test]
fn this_was_not_me_discards_and_keeps_quiet() {
    let harness = Harness::start(STANDARD);
    send(harness.smtp, "ann@corp.example", "forged");
    let link = harness.link_for("ann@corp.example");
    let (status, page) = http(harness.http, "POST", &link, &[("action", "not-me")]);
    assert_eq!(status, 200, "{page}");
    assert_eq!(harness.json(&["requests", "list"])[0]["state"], "discarded");

    send(harness.smtp, "ann@corp.example", "forged-again");
    let (_, page) = http(harness.http, "POST", &link, &[("action", "confirm")]);
    assert!(
        !page.contains("forged-again"),
        "a refused link opens nothing"
    );
    assert_eq!(
        harness.verification_mails().len(),
        1,
        "and no further mail goes out"
    );
    assert!(harness.delivered().is_empty());
}

#[test]
fn unticked_requests_are_discarded_and_the_others_released() {
    let harness = Harness::start(STANDARD);
    send(harness.smtp, "ann@corp.example", "mine");
    send(harness.smtp, "ann@corp.example", "not-mine");
    let link = harness.link_for("ann@corp.example");
    let requests = harness.json(&["requests", "list"]);
    let id = |subject: &str| {
        requests
            .iter()
            .find(|request| request["subject"] == subject)
            .and_then(|request| request["id"].as_str())
            .expect("the request")
            .to_owned()
    };
    let mine = id("About mine");
    http(
        harness.http,
        "POST",
        &link,
        &[("action", "confirm"), ("request", &mine)],
    );
    let delivered = wait_for("the delivery", || harness.delivered().pop());
    assert!(String::from_utf8_lossy(&delivered).contains("The body of mine."));
    let left_out = harness
        .json(&["requests", "show", &id("About not-mine")])
        .remove(0);
    assert_eq!(left_out["state"], "discarded");
}

#[test]
fn an_operator_can_verify_release_discard_and_block() {
    let harness = Harness::start(STANDARD);
    send(harness.smtp, "ann@corp.example", "by-verify");
    harness.json(&["customers", "verify", "ann@corp.example"]);
    wait_for("the first delivery", || {
        (harness.delivered().len() == 1).then_some(())
    });

    send(harness.smtp, "bea@corp.example", "by-release");
    let held = harness
        .json(&["requests", "list", "--state", "held"])
        .remove(0);
    let id = held["id"].as_str().expect("an id");
    harness.json(&["requests", "release", id]);
    wait_for("the second delivery", || {
        (harness.delivered().len() == 2).then_some(())
    });
    let customer = harness
        .json(&["customers", "show", "bea@corp.example"])
        .remove(0);
    assert_eq!(
        customer["status"], "pending",
        "releasing one request does not verify the account"
    );

    send(harness.smtp, "bea@corp.example", "to-discard");
    let held = harness
        .json(&["requests", "list", "--state", "held"])
        .remove(0);
    harness.json(&["requests", "discard", held["id"].as_str().expect("an id")]);
    assert!(
        harness
            .json(&["requests", "list", "--state", "held"])
            .is_empty()
    );

    harness.json(&["customers", "block", "bea@corp.example"]);
    send(harness.smtp, "bea@corp.example", "blocked");
    let entry = harness
        .json(&["explain", "blocked@client.example"])
        .remove(0);
    assert_eq!(entry["reason"], "account_blocked");

    harness.json(&["customers", "unblock", "bea@corp.example"]);
    harness.json(&["customers", "verify", "bea@corp.example"]);
    harness.json(&["customers", "take-automatic", "bea@corp.example"]);
    for event in [
        "request.released",
        "request.discarded",
        "account.blocked",
        "account.unblocked",
        "account.verified",
        "account.takes_automatic",
    ] {
        wait_for(event, || {
            let log = harness.log();
            let mut lines = log.lines().filter(|line| line.contains(" by=operator:"));
            lines.any(|line| line.contains(event)).then_some(())
        });
    }
}

#[test]
fn a_recovery_by_an_operator_is_logged_once() {
    let harness = Harness::start(STANDARD);
    send(harness.smtp, "eve@elsewhere.example", "before");
    harness.json(&["access", "allow", "elsewhere.example"]);
    harness.json(&["dropped", "recover", "--domain", "elsewhere.example"]);
    harness.json(&["customers", "add", "gil@corp.example"]);
    let told = |event: &str| {
        let log = harness.log();
        log.lines().filter(|line| line.contains(event)).count()
    };
    // The events are in the order of the actions.
    wait_for("the accounts, that of the recovered request too", || {
        (told("account.created") == 2).then_some(())
    });
    assert_eq!(told("request.recovered"), 1);
    assert_eq!(told("access.changed revision=2"), 1);
}

#[test]
fn actions_after_a_person_is_forgotten_are_logged() {
    let harness = Harness::start(STANDARD);
    harness.json(&["customers", "add", "gil@corp.example"]);
    let tells = |event: &str| harness.log().contains(event).then_some(());
    wait_for("the account in the log", || tells("account.created"));
    // All recent events are deleted together with the person.
    harness.json(&["customers", "forget", "gil@corp.example", "--yes"]);
    wait_for("its end in the log", || tells("account.forgotten"));
}

#[test]
fn a_change_of_the_settings_is_in_force_immediately() {
    let harness = Harness::start(STANDARD);
    send(harness.smtp, "eve@elsewhere.example", "before");
    harness.json(&["access", "allow", "elsewhere.example"]);
    send(harness.smtp, "eve@elsewhere.example", "after");
    let reason = |marker: &str| {
        harness.json(&["explain", &format!("{marker}@client.example")])[0]["reason"].clone()
    };
    assert_eq!(reason("before"), "domain_not_allowed");
    assert_eq!(reason("after"), "external_account_created");
    wait_for("the event", || {
        harness
            .log()
            .contains("access.changed revision=2")
            .then_some(())
    });
}

#[test]
fn an_unknown_recipient_is_refused_and_a_subaddress_is_not() {
    let harness = Harness::start(STANDARD);
    let mut client = Smtp::connect(harness.smtp).expect("a connection");
    client.say("MAIL FROM:<>").expect("an answer");
    let nobody = client
        .say("RCPT TO:<nobody@corp.example>")
        .expect("an answer");
    assert!(nobody.starts_with("550 5.1.1"), "{nobody}");
    let detail = client
        .say("RCPT TO:<it-help+printer@corp.example>")
        .expect("an answer");
    assert!(detail.starts_with("250"), "{detail}");
}

#[test]
fn the_same_message_again_makes_nothing_new() {
    let harness = Harness::start(STANDARD);
    send(harness.smtp, "bob@partner.example", "once");
    send(harness.smtp, "bob@partner.example", "once");
    wait_for("the delivery", || {
        (!harness.delivered().is_empty()).then_some(())
    });
    assert_eq!(harness.json(&["requests", "list"]).len(), 1);
    let entries = harness.json(&["explain", "once@client.example"]);
    let mut reasons: Vec<_> = entries.iter().map(|e| e["reason"].as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [Some("duplicate"), Some("external_account_created")]
    );
}

#[test]
fn nothing_secret_or_private_is_in_the_log() {
    let mut harness = Harness::start(&STANDARD.replace(
        "[access]",
        "[log]\nlevel = \"trace\"\nformat = \"json\"\n\n[access]",
    ));
    send(harness.smtp, "ann@corp.example", "canary");
    let link = harness.link_for("ann@corp.example");
    http(harness.http, "GET", &link, &[]);
    http(harness.http, "POST", &link, &[("action", "confirm")]);
    wait_for("the delivery", || harness.delivered().pop());
    // Then the last line of the log is whole.
    harness.signal(Signal::TERM);
    assert_eq!(harness.exit_status(), Some(0));
    let log = harness.log();
    assert!(log.contains("message.held"), "{log}");
    let token = link.rsplit('/').next().expect("a token");
    for secret in [token, "About canary", "The body of canary"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect(line);
    }
    let database = fs::read(harness.path("data/vestibule.db")).expect("the database");
    assert!(
        !database
            .windows(token.len())
            .any(|window| window == token.as_bytes()),
        "the token is not in the database"
    );
}

#[test]
fn dropped_domains_are_ranked_and_recovered_after_a_change_of_the_settings() {
    let harness = Harness::start(STANDARD);
    for marker in ["one", "two"] {
        send(harness.smtp, "eve@partners.example", marker);
    }
    let ranked = harness.json(&["dropped", "domains"]).remove(0);
    assert_eq!(ranked["domain"], "partners.example");
    assert_eq!(ranked["messages"], 2);
    assert_eq!(ranked["people"], 1);
    assert_eq!(ranked["nearest"], "partner.example");

    harness.json(&["access", "allow", "partners.example", "--recover"]);
    wait_for("both at the help desk", || {
        (harness.delivered().len() == 2).then_some(())
    });
    let entry = harness.json(&["explain", "one@client.example"]).remove(0);
    assert_eq!(entry["verdict"], "accepted");
    let events = entry["events"].to_string();
    assert!(events.contains("request.recovered"), "{events}");
}
