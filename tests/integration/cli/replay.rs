//! `vestibule replay`.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::harness::Harness;
use crate::support::program::{run, run_in};

fn message(from: &str, subject: &str) -> String {
    format!(
        "From: {from}\nTo: it-help@corp.example\nSubject: {subject}\nMessage-ID: <1@x>\n\nHelp!\n"
    )
}

#[test]
fn the_samples_come_out_as_expected() {
    let ran = run(&["replay", "testdata/mail", "--expect"], &[]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let named = run(
        &[
            "replay",
            "testdata/mail",
            "--expect",
            "testdata/mail/expected.jsonl",
            "--json",
        ],
        &[],
    );
    let files: Vec<_> = named
        .objects()
        .iter()
        .map(|row| row["file"].to_string())
        .collect();
    assert!(files.len() >= 40);
    assert!(files.is_sorted());
}

#[test]
fn a_row_has_all_fields_that_scripts_rely_on() {
    let rows = run(&["replay", "testdata/mail/069-vacation.eml", "--json"], &[]).objects();
    assert_eq!(
        rows,
        [json!({
            "file": "069-vacation.eml", "portal": "it", "from": "ann@corp.example",
            "subject": rows[0]["subject"], "message_id": rows[0]["message_id"],
            "class": "automatic", "evidence": rows[0]["evidence"], "verdict": "dropped",
            "reason": "automatic", "rule": 8, "account": null,
        })]
    );
    assert!(rows[0]["evidence"].is_string());
}

#[test]
fn without_any_configuration_there_is_one_portal_for_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(
        folder.path().join("a.eml"),
        message("x@anywhere.example", "Hello"),
    )
    .expect("written");
    assert_snapshot!(
        "no_configuration",
        run_in(folder.path(), &["replay", "."], &[]).shown()
    );
}

#[test]
fn folders_mboxes_and_maildirs_in_order() {
    let harness = Harness::new();
    let folder = harness.path("mail");
    for below in ["b/new", "b/cur", "b/tmp"] {
        fs::create_dir_all(folder.join(below)).expect("a folder");
    }
    let mbox = format!(
        "From x Mon Nov 23 09:00:00 2026\n{}\nFrom x Mon Nov 23 09:00:00 2026\n{}",
        message("ann@corp.example", "one"),
        message("bob@partner.example", "two")
    );
    let one = format!(
        "From x Mon Nov 23 09:00:00 2026\n{}",
        message("ann@corp.example", "alone")
    );
    for (name, text) in [
        ("a.mbox", mbox.as_str()),
        ("alone.mbox", &one),
        ("b/new/1.host", &message("ann@corp.example", "new")),
        ("b/cur/2.host:2,S", &message("eve@evil.example", "cur")),
        ("b/tmp/3.host", &message("ann@corp.example", "unfinished")),
        ("c", &message("ann@corp.example", "without an ending")),
        ("notes.md", "nothing to see here"),
        ("broken", "this is no mail, and came all the same"),
        (".hidden.eml", &message("ann@corp.example", "hidden")),
    ] {
        fs::write(folder.join(name), text).expect("written");
    }
    let folder = folder.display().to_string();
    let shown = harness.run(&["replay", &folder]).shown();
    assert_snapshot!(
        "kinds_of_files",
        shown.replace(&harness.path("").display().to_string(), "…/")
    );
}

#[test]
fn accounts_and_settings_are_those_in_force() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "");
    assert_eq!(
        harness
            .run(&["customers", "verify", "ann@corp.example"])
            .status,
        0
    );
    assert_eq!(harness.run(&["access", "allow", "new.example"]).status, 0);
    let ann = harness.write("ann.eml", &message("ann@corp.example", "x"));
    let new = harness.write("new.eml", &message("x@new.example", "x"));
    let reasons = |arguments: &[&str]| -> Vec<Value> {
        let arguments = [&["replay", "--json"], arguments].concat();
        let rows = harness.run(&arguments).objects();
        rows.iter().map(|row| row["reason"].clone()).collect()
    };
    assert_eq!(
        reasons(&[&ann, &new]),
        ["account_active", "external_account_created"]
    );
    let draft = harness.write(
        "draft.toml",
        "[external]\nallow_portal_only_accounts = false\n",
    );
    assert_eq!(
        reasons(&[&ann, &new, "--access", &draft]),
        ["account_active", "external_accounts_disabled"]
    );
    assert_eq!(
        harness
            .run(&["replay", &new, "--portal", "hr", "--json"])
            .objects()[0]["portal"],
        "hr"
    );
    // It was not stored.
    assert_eq!(
        harness
            .run(&["customers", "list", "--json"])
            .objects()
            .len(),
        1
    );
}

#[test]
fn a_difference_fails_and_the_unreadable_is_named() {
    let harness = Harness::new();
    let folder = harness.path("mail");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("a.eml"), message("ann@corp.example", "a")).expect("written");
    fs::write(folder.join("b.eml"), message("ann@corp.example", "b")).expect("written");
    let expected = harness.write(
        "expected.jsonl",
        "{\"file\": \"a.eml\", \"verdict\": \"held\", \"remark\": \"fine\"}\n\
         {\"file\": \"b.eml\", \"verdict\": \"dropped\", \"rule\": 14}\n\
         {\"file\": \"c.eml\", \"verdict\": \"dropped\"}\n",
    );
    let folder = folder.display().to_string();
    let ran = harness.run(&["replay", &folder, "--expect", &expected]);
    let place = harness.path("").display().to_string();
    assert_snapshot!("differences", ran.shown().replace(&place, "…/"));
    let as_json = harness.run(&["replay", &folder, "--expect", &expected, "--json"]);
    assert_eq!(as_json.status, 1);
    assert!(
        as_json
            .out
            .contains(r#""differs":[{"field":"verdict","expected":"dropped","found":"held"}]"#)
    );

    let ran = harness.run(&[
        "replay",
        &format!("{folder}/a.eml"),
        &format!("{folder}/none.eml"),
        "--json",
    ]);
    assert_eq!(ran.status, 1);
    assert_eq!(ran.out.lines().count(), 1);
    assert!(ran.err.contains("none.eml"), "{}", ran.err);
}

#[test]
fn a_missing_file_is_reported_alone() {
    let ran = run(&["replay", "/nosuch"], &[]);
    assert_eq!(ran.status, 3);
    assert_eq!(ran.out, "");
    assert_eq!(ran.err, "error: there is no file or folder /nosuch\n");
}

#[test]
fn an_unknown_portal_is_refused_with_those_that_exist() {
    let ran = Harness::new().run(&["replay", "/dev/null", "--portal", "nope"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    assert_eq!(
        ran.err,
        "error: there is no portal nope; the portals are it, hr\n"
    );
}

#[test]
fn a_missing_file_of_expectations_is_not_found() {
    let ran = run(&["replay", "testdata/mail", "--expect", "/nosuch"], &[]);
    assert_eq!((ran.status, ran.out.as_str()), (3, ""));
    assert_eq!(ran.err, "error: there is no file /nosuch\n");
    let harness = Harness::new();
    fs::create_dir(harness.path("mail")).expect("a folder");
    harness.write("mail/a.eml", &message("ann@corp.example", "a"));
    let folder = harness.path("mail").display().to_string();
    let ran = harness.run(&["replay", &folder, "--expect"]);
    assert_eq!(ran.status, 3, "{}", ran.err);
    assert!(ran.err.contains("mail/expected.jsonl"), "{}", ran.err);
}

#[test]
fn the_account_can_change_the_verdict_on_automatic_mail_but_not_its_class() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "");
    let verified = harness.run(&["customers", "verify", "ann@corp.example"]);
    assert_eq!(verified.status, 0);
    let away = "Automatische Antwort: Drucker\nIn-Reply-To: <1@corp.example>";
    for (from, reason) in [
        ("ann@corp.example", "account_active"),
        ("bob@partner.example", "automatic"),
    ] {
        let file = harness.write("away.eml", &message(from, away));
        let row = harness.run(&["replay", "--json", &file]).objects()[0].clone();
        assert_eq!(row["class"], "automatic", "{from}");
        assert_eq!(row["reason"], reason, "{from}");
        assert_eq!(row["evidence"], "Subject: Automatische Antwort: Drucker");
    }
}
