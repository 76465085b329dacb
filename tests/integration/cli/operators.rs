//! `vestibule operators`.

use std::fs;

use serde_json::json;

use super::harness::Harness;

#[test]
fn an_operator_is_added_and_removed() {
    let harness = Harness::new();
    let file = harness.path("password");
    fs::write(&file, "correct horse battery\nwhat stands below\n").expect("written");
    let file = file.display().to_string();
    let add = ["operators", "add", "ann", "--role", "agent"];
    let add: Vec<&str> = [&add[..], &["--password-file", &file]].concat();
    let ran = harness.run(&add);
    assert_eq!(
        (ran.status, ran.out.as_str()),
        (0, "ann may log in as agent\n"),
        "{}",
        ran.err
    );
    let again = harness.run(&add);
    assert_eq!(again.status, 1);
    assert!(again.err.contains("an operator ann already exists"));

    let listed = harness.run(&["operators", "list", "--json"]).objects();
    assert_eq!(listed[0]["name"], "ann");
    let revoked = harness.run(&["operators", "revoke", "ann"]);
    assert_eq!(revoked.out, "ann: 0 sessions and tokens were revoked\n");
    assert_eq!(harness.run(&["operators", "remove", "ann"]).status, 0);
    assert_eq!(harness.run(&["operators", "remove", "ann"]).status, 3);
    assert_eq!(harness.run(&["operators", "revoke", "ann"]).status, 3);

    let reused = harness.run(&add);
    assert_eq!(reused.status, 1);
    assert!(reused.err.contains("--same-person"), "{}", reused.err);
    let returned: Vec<&str> = [&add[..], &["--same-person"]].concat();
    assert_eq!(harness.run(&returned).status, 0);
}

#[test]
fn every_action_on_an_operator_has_json() {
    let harness = Harness::new();
    let file = harness.path("password");
    fs::write(&file, "correct horse battery\n").expect("written");
    let file = file.display().to_string();
    let act = |arguments: &[&str]| {
        let arguments = [&["operators"][..], arguments, &["--json"]].concat();
        harness.run(&arguments).objects().remove(0)
    };
    let added = act(&["add", "ann", "--role", "agent", "--password-file", &file]);
    assert_eq!(
        (&added["name"], &added["role"]),
        (&"ann".into(), &"agent".into())
    );
    let changed = act(&["password", "ann", "--password-file", &file]);
    assert_eq!(changed["name"], "ann");
    let token = act(&["token", "ann"]);
    let id = token["id"].as_str().expect("an id");
    let ended = json!({ "operator": "ann", "ended": 1 });
    assert_eq!(act(&["revoke", "ann", "--token", id]), ended);
    act(&["token", "ann"]);
    assert_eq!(act(&["revoke", "ann"]), ended);
    act(&["token", "ann"]);
    assert_eq!(act(&["remove", "ann"]), ended);
}

#[test]
fn a_password_that_is_too_short_is_refused() {
    let harness = Harness::new();
    let file = harness.path("password");
    fs::write(&file, "hunter2\n").expect("written");
    let file = file.display().to_string();
    let ran = harness.run(&["operators", "add", "ann", "--password-file", &file]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.err
            .contains("at least 15 characters, but this one has 7"),
        "{}",
        ran.err
    );
}

#[test]
fn a_token_is_shown_once_listed_without_its_secret_and_revoked() {
    let harness = Harness::new();
    let file = harness.path("password");
    fs::write(&file, "correct horse battery\n").expect("written");
    let file = file.display().to_string();
    let add = ["operators", "add", "ann", "--role", "agent"];
    let add: Vec<&str> = [&add[..], &["--password-file", &file]].concat();
    assert_eq!(harness.run(&add).status, 0);

    let ran = harness.run(&["operators", "token", "ann"]);
    assert_eq!((ran.status, ran.out.len()), (0, 44), "{}", ran.err);
    let secret = ran.out.trim().to_owned();
    assert!(ran.err.contains("of ann, viewer, until"), "{}", ran.err);
    let more = ["operators", "token", "ann", "--role", "agent", "--json"];
    let more: Vec<&str> = [&more[..], &["--expires", "1h", "--note", "nightly"]].concat();
    let made = &harness.run(&more).objects()[0];
    assert_eq!(
        (&made["role"], &made["note"]),
        (&"agent".into(), &"nightly".into())
    );

    let listed = harness.run(&["operators", "tokens", "--json"]);
    assert!(!listed.out.contains(&secret), "{}", listed.out);
    let listed = listed.objects();
    assert_eq!(listed.len(), 2);
    let nightly = listed.iter().find(|token| token["note"] == "nightly");
    let id = nightly.expect("listed")["id"].as_str().expect("an id");
    assert_eq!(made["id"], id);
    let end = ["operators", "revoke", "ann", "--token", id];
    assert_eq!(
        harness.run(&end).out,
        format!("ann: token {id} was revoked\n")
    );
    assert_eq!(harness.run(&end).status, 3);
    assert_eq!(
        harness
            .run(&["operators", "tokens", "ann", "--json"])
            .objects()
            .len(),
        1
    );

    let too_much = harness.run(&["operators", "token", "ann", "--role", "admin"]);
    assert_eq!(too_much.status, 2);
    assert!(too_much.err.contains("ann is agent"), "{}", too_much.err);
    assert_eq!(harness.run(&["operators", "token", "bob"]).status, 3);
}
