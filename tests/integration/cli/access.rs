//! `vestibule access`.

use insta::assert_snapshot;
use serde_json::json;
use vestibule::domain::Verdict;

use super::harness::Harness;

#[test]
fn settings_are_shown_changed_and_compared() {
    let harness = Harness::new();
    assert_snapshot!("show", harness.run(&["access", "show"]).shown());
    assert_snapshot!(
        "set",
        harness
            .run(&[
                "access",
                "set",
                "external.verify=true",
                "internal.default_groups=staff,wiki"
            ])
            .shown()
    );
    assert_snapshot!(
        "approve_for_a_portal",
        harness
            .run(&["access", "approve", "--portal", "hr", "gmail.com"])
            .shown()
    );
    assert_snapshot!(
        "remove",
        harness
            .run(&["access", "remove", "partner.example"])
            .shown()
    );
    assert_snapshot!("history", harness.run(&["access", "history"]).shown());
    assert_snapshot!("diff", harness.run(&["access", "diff", "1"]).shown());
    assert_snapshot!("show_changed", harness.run(&["access", "show"]).shown());
    assert_snapshot!(
        "show_portal",
        harness.run(&["access", "show", "--portal", "hr"]).shown()
    );
    assert_snapshot!(
        "show_json",
        harness.run(&["access", "show", "--json"]).shown()
    );
    assert_snapshot!(
        "history_json",
        harness
            .run(&["access", "history", "--json", "--limit", "2"])
            .shown()
    );
    let rest = [
        "access", "history", "--json", "--limit", "2", "--after", "3",
    ];
    let rest = harness.run(&rest).objects();
    let revisions: Vec<_> = rest.iter().map(|row| &row["revision"]).collect();
    assert_eq!(revisions, [2, 1]);
    assert_eq!(rest[1].get("next"), None);
    let unknown = harness.run(&["access", "history", "--after", "first"]);
    assert_eq!(unknown.status, 3, "{}", unknown.err);
}

#[test]
fn accounts_created_under_wider_settings_are_listed_and_can_be_blocked() {
    let harness = Harness::new();
    let opened = harness.run(&["access", "set", "external.restrict_domains=false"]);
    assert_eq!(opened.status, 0, "{}", opened.err);
    assert!(!opened.out.contains("keep"), "{}", opened.out);
    for from in [
        "eve@spam.example",
        "bob@partner.example",
        "mallory@else.example",
    ] {
        harness.receive(from, "");
    }
    let dry = harness.run(&[
        "access",
        "set",
        "external.restrict_domains=true",
        "--dry-run",
    ]);
    assert!(
        dry.out
            .contains("2 active accounts would not be on any list"),
        "{}",
        dry.out
    );
    let closed = harness.run(&["access", "set", "external.restrict_domains=true"]);
    for part in [
        "2 active accounts are not on any list but keep their access: eve@spam.example, \
         mallory@else.example\n",
        "vestibule customers block --unlisted\n",
    ] {
        assert!(closed.out.contains(part), "{part}: {}", closed.out);
    }
    let listed = harness.run(&["customers", "block", "--unlisted", "--dry-run", "--json"]);
    assert_eq!(listed.objects().len(), 2);
    let blocked = harness.run(&["customers", "block", "--unlisted"]);
    assert_eq!(blocked.out, "2 accounts blocked\n", "{}", blocked.err);
    let shown = harness.run(&["customers", "list", "--status", "blocked", "--json"]);
    let addresses: Vec<_> = shown
        .objects()
        .iter()
        .map(|account| account["address"].clone())
        .collect();
    assert_eq!(addresses, ["eve@spam.example", "mallory@else.example"]);
    // A change that excludes nobody prints no warning.
    let allowed = harness.run(&["access", "allow", "else.example"]);
    assert!(!allowed.out.contains("on a list"), "{}", allowed.out);
}

#[test]
fn a_change_without_effect_makes_no_revision() {
    let harness = Harness::new();
    for arguments in [
        ["access", "approve", "corp.example", "--json"],
        ["access", "allow", "new.example", "--dry-run"],
    ] {
        assert_eq!(harness.run(&arguments).status, 0);
    }
    let same = harness
        .run(&["access", "approve", "corp.example", "--json"])
        .objects();
    assert_eq!(
        same,
        [json!({"revision": 1, "changes": [], "warnings": []})]
    );
}

#[test]
fn exported_settings_can_be_applied() {
    let harness = Harness::new();
    assert_eq!(
        harness
            .run(&["access", "approve", "--portal", "hr", "people.example"])
            .status,
        0
    );
    let exported = harness.run(&["access", "export"]);
    assert_snapshot!("export", exported.shown());
    let file = harness.write("kept.toml", &exported.out);
    assert_eq!(
        harness
            .run(&["access", "set", "external.verify=true"])
            .status,
        0
    );
    assert_snapshot!("apply", harness.run(&["access", "apply", &file]).shown());
    assert_snapshot!(
        "apply_again",
        harness.run(&["access", "apply", &file]).shown()
    );

    let typo = harness.write("typo.toml", "[internal]\nenabeld = true\n");
    let refused = harness.run(&["access", "apply", &typo]);
    assert_eq!(refused.status, 2);
    assert!(refused.err.contains("enabeld"), "{}", refused.err);
    let nowhere = harness.write("nowhere.toml", "[portal.sales.external]\nverify = true\n");
    assert_snapshot!(
        "apply_unknown_portal",
        harness.run(&["access", "apply", &nowhere]).shown()
    );
}

#[test]
fn an_address_is_tried_at_every_portal() {
    let harness = Harness::new();
    let answer = harness.run(&[
        "access",
        "test",
        "ann@corp.example",
        "--portal",
        "it",
        "--json",
    ]);
    assert_eq!(
        answer.objects(),
        [json!({
            "address": "ann@corp.example", "portal": "it", "domain": "corp.example",
            "pattern": "corp.example", "verdict": "held", "reason": "internal_account_created",
            "rule": 14, "account": "internal",
        })]
    );
    assert_snapshot!(
        "test",
        harness
            .run(&["access", "test", "bob@partner.example"])
            .shown()
    );
    assert_eq!(
        harness
            .run(&["access", "test", "eve@evil.example", "--json"])
            .objects()
            .len(),
        2
    );

    harness.receive("ann@corp.example", "");
    assert_snapshot!(
        "test_with_account",
        harness
            .run(&["access", "test", "Ann@corp.example", "--portal", "it"])
            .shown()
    );
    let draft = harness.write("draft.toml", "[internal]\nenabled = false\n");
    let under_draft = harness
        .run(&[
            "access",
            "test",
            "dan@corp.example",
            "--portal",
            "it",
            "--json",
            "--access",
            &draft,
        ])
        .objects();
    assert_eq!(under_draft[0]["reason"], "external_account_created");
}

#[test]
fn the_hold_quota_is_part_of_the_verdict() {
    let harness = Harness::new();
    // quota.requests is 50 by default.
    for n in 0..=50 {
        let entry = harness.receive("ann@corp.example", "");
        assert_eq!(entry.verdict == Verdict::Held, n < 50, "message {n}");
    }
    let message = "From: ann@corp.example\nTo: it-help@corp.example\nMessage-ID: <1@x>\n\nHelp!\n";
    let file = harness.write("one.eml", message);
    for command in [
        &[
            "access",
            "test",
            "ann@corp.example",
            "--portal",
            "it",
            "--json",
        ][..],
        &["replay", "--json", file.as_str()],
    ] {
        let row = &harness.run(command).objects()[0];
        assert_eq!(row["verdict"], "dropped", "{command:?}");
        assert_eq!(row["reason"], "hold_quota", "{command:?}");
    }
    let verified = harness.run(&["customers", "verify", "ann@corp.example"]);
    assert_eq!(verified.status, 0, "{}", verified.err);
    let row = &harness.run(&["replay", "--json", &file]).objects()[0];
    assert_eq!(row["reason"], "account_active");
}

#[test]
fn errors_of_arguments_name_valid_values() {
    let harness = Harness::new();
    for (arguments, status) in [
        (&["access", "set", "external.verfy=true"][..], 2),
        (&["access", "set", "external.verify=maybe"], 2),
        (&["access", "set", "external.verify=inherit"], 2),
        (&["access", "approve", "co.uk"], 2),
        (
            &["access", "approve", "corp.example", "--portal", "sales"],
            2,
        ),
        (&["access", "remove", "never.example"], 3),
        (&["access", "diff", "1", "99"], 3),
        (&["access", "test", "not an address"], 2),
    ] {
        let ran = harness.run(arguments);
        assert_eq!(ran.status, status, "{arguments:?}: {}", ran.err);
        assert!(ran.out.is_empty(), "{arguments:?}");
    }
    assert_snapshot!(
        "set_unknown",
        harness
            .run(&["access", "set", "external.verfy=true"])
            .shown()
    );
    assert_snapshot!(
        "unknown_portal",
        harness
            .run(&["access", "show", "--portal", "sales"])
            .shown()
    );
}

#[test]
fn a_draft_is_simulated_on_received_mail() {
    let harness = Harness::new();
    harness.receive("Eve <eve@acme.example>", "Subject: First\r\n");
    harness.receive("Eve <eve@acme.example>", "Subject: Second\r\n");
    harness.receive("bob@partner.example", "Subject: Third\r\n");
    harness.receive("ann@corp.example", "Subject: Fourth\r\n");
    let draft = harness.write(
        "draft.toml",
        "[internal]\napproved_domains = [\"corp.example\", \"gmail.com\"]\n\
         [external]\nrestrict_domains = true\nallowed_domains = [\"acme.example\"]\n",
    );
    assert_snapshot!(
        "simulate",
        harness
            .run(&["access", "simulate", &draft, "--limit", "2"])
            .shown()
    );
    assert_snapshot!(
        "simulate_json",
        harness
            .run(&["access", "simulate", &draft, "--limit", "1", "--json"])
            .shown()
    );
    let same = harness.run(&["access", "export"]).out;
    let same = harness.write("same.toml", &same);
    assert_snapshot!(
        "simulate_same",
        harness
            .run(&["access", "simulate", &same, "--portal", "it"])
            .shown()
    );
    let unknown = harness.write("unknown.toml", "[portal.nowhere.external]\nverify = true\n");
    let refused = harness.run(&["access", "simulate", &unknown]);
    assert_eq!(refused.status, 2, "{}", refused.err);
    let text = "# A draft.\n\ninternal.enabled = true\nexternal.nonsense = true\n";
    let nonsense = harness.write("nonsense.toml", text);
    let refused = harness.run(&["access", "simulate", &nonsense]);
    assert_eq!(refused.status, 2, "{}", refused.err);
    let place = format!("error: {nonsense}:4: external.nonsense: there is no such key");
    assert!(refused.err.starts_with(&place), "{}", refused.err);
    let text = "internal.enabled = 1\ninternal.default_groups = [\"a;b\"]\n[external\n";
    let broken = harness.write("broken.toml", text);
    let refused = harness.run(&["access", "simulate", &broken]);
    let place = format!("error: {broken}:3: ");
    assert!(refused.err.starts_with(&place), "{}", refused.err);
    let wrong = harness.write("wrong.toml", text.trim_end_matches("[external\n"));
    let refused = harness.run(&["access", "simulate", &wrong]);
    for place in [
        format!("{wrong}:1: internal.enabled: "),
        format!("{wrong}:2: internal.default_groups: "),
    ] {
        assert!(refused.err.contains(&place), "{}", refused.err);
    }
}
