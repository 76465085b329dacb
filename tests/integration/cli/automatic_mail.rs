//! `vestibule customers take-automatic` and `vestibule customers drop-automatic`.

use vestibule::store::ArrivalOutcome;

use super::harness::Harness;

const MONITOR: &str = "no-reply@partner.example";

/// Receives automatic mail of the monitor. Its verdict, its explanation and `access test` all give this reason by
/// this rule.
fn receive(harness: &Harness, reason: &str, rule: u8) -> ArrivalOutcome {
    let entry = harness.receive(MONITOR, "Auto-Submitted: auto-generated\r\n");
    assert_eq!((entry.reason.as_str(), entry.rule), (reason, rule));
    assert_explained(harness, &entry, reason, rule);
    let test = ["access", "test", MONITOR, "--portal", "it", "--json"];
    let tested = harness.run(&test).objects().remove(0);
    assert_eq!(tested["reason"], reason);
    assert_eq!(tested["rule"], rule);
    entry
}

fn assert_explained(harness: &Harness, entry: &ArrivalOutcome, reason: &str, rule: u8) {
    let ledger = entry.ledger.to_string();
    let explained = harness.run(&["explain", &ledger, "--json"]).objects();
    assert_eq!(explained[0]["reason"], reason);
    let rules = explained[0]["rules"].as_array().expect("a list");
    let last = rules.last().expect("a rule");
    assert_eq!(last["rule"], rule);
    assert_eq!(last["matched"], true);
    let text = harness.run(&["explain", &ledger]).out;
    let exemption = "automatic mail of this account is accepted";
    assert_eq!(
        text.contains(exemption),
        reason == "account_active",
        "{text}"
    );
}

#[test]
fn automatic_mail_of_an_account_is_accepted_and_dropped_again() {
    let harness = Harness::new();
    let run = |action: &str| {
        let ran = harness.run(&["customers", action, MONITOR]);
        assert_eq!(ran.status, 0, "{action}: {}", ran.err);
        ran
    };
    let command = format!("vestibule customers take-automatic {MONITOR}");
    let warning = run("add").err;
    assert!(warning.contains(&command), "{warning}");
    run("verify");
    let dropped = receive(&harness, "automatic", 8);

    let accepts =
        format!("{MONITOR} may send automatic mail: it is accepted as if a person wrote it\n");
    assert_eq!(run("take-automatic").out, accepts);
    assert_eq!(run("take-automatic").out, accepts);
    let accepted = receive(&harness, "account_active", 11);
    let shown = run("show").out;
    let command = format!("vestibule customers drop-automatic {MONITOR}");
    assert!(shown.contains(&command), "{shown}");
    let again = run("add");
    assert!(!again.err.contains("warning"), "{}", again.err);
    // An earlier message is recovered by the new setting.
    let ledger = dropped.ledger.to_string();
    let recovered = harness.run(&["dropped", "recover", &ledger]);
    assert_eq!(recovered.status, 0, "{}{}", recovered.out, recovered.err);

    let drops = format!(
        "{MONITOR} may not send automatic mail: it is dropped, except at portals that accept it\n"
    );
    assert_eq!(run("drop-automatic").out, drops);
    assert_eq!(run("drop-automatic").out, drops);
    receive(&harness, "automatic", 8);
    assert!(!run("show").out.contains("automatic mail"));
    // An explanation is by the setting of that time.
    assert_explained(&harness, &accepted, "account_active", 11);

    let audit = ["audit", "--event", "account.takes_automatic", "--json"];
    let rows = harness.run(&audit).objects();
    let details: Vec<_> = rows.iter().map(|row| &row["detail"]).collect();
    assert_eq!(details, ["off", "on"]);
    assert!(rows.iter().all(|row| row["account"] == MONITOR), "{rows:?}");
}

#[test]
fn the_setting_of_a_pending_account_waits_until_it_is_active() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "");
    let take = ["customers", "take-automatic", "ann@corp.example"];
    let ran = harness.run(&take);
    assert_eq!(
        ran.out,
        "ann@corp.example may send automatic mail once the account is active\n"
    );
    let json = harness.run(&[&take[..], &["--json"]].concat()).objects();
    assert_eq!(json[0]["takes_automatic"], true);
    assert_eq!(json[0]["status"], "pending");
    let entry = harness.receive("ann@corp.example", "Auto-Submitted: auto-generated\r\n");
    assert_eq!(entry.reason.as_str(), "automatic");
}
