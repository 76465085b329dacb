//! `vestibule customers import`.

use std::fs;

use super::harness::Harness;

const PEOPLE: &str = "\
\u{feff}address;kind;groups;verified\r
ann@corp.example;internal;\"staff;vpn users\";yes\r
bob@partner.example;;;no\r
eve@corp.example;external;;\r
not an address;;;\r
ann@corp.example;;;\r
";

#[test]
fn a_file_is_imported_once_with_an_outcome_for_each_line() {
    let harness = Harness::new();
    let file = harness.path("people.csv");
    fs::write(&file, PEOPLE).expect("written");
    let name = file.display().to_string();
    let import = |more: &[&str]| {
        let arguments = [&["customers", "import", &name], more].concat();
        harness.run(&arguments)
    };
    let dry = import(&["--dry-run"]);
    assert_eq!(dry.status, 1, "{}", dry.err);
    assert!(
        dry.out.contains(&format!(
            "{name}:2: ann@corp.example: would be created: internal, active\n"
        )),
        "{}",
        dry.out
    );
    assert_eq!(harness.run(&["customers", "list", "--json"]).out, "");

    let ran = import(&[]);
    assert_eq!(ran.status, 1);
    for says in [
        "2: ann@corp.example: created: internal, active\n",
        "3: bob@partner.example: created: external, active\n",
        "4: eve@corp.example: its domain is approved, so it cannot be external; leave the kind empty\n",
        "5: address: \"not an address\": ",
        "6: ann@corp.example: ann@corp.example is already in line 2; remove one of the two\n",
    ] {
        assert!(
            ran.out.contains(&format!("{name}:{says}")),
            "{says}: {}",
            ran.out
        );
    }
    assert!(
        ran.out
            .ends_with("2 accounts created, 0 changed, 0 unchanged, 0 blocked, 3 refused\n"),
        "{}",
        ran.out
    );
    let ann = harness
        .run(&["customers", "show", "ann@corp.example", "--json"])
        .objects();
    assert_eq!(ann[0]["groups"], serde_json::json!(["staff", "vpn users"]));
    assert_eq!(ann[0]["status"], "active");

    let again = import(&["--json"]);
    assert_eq!(again.status, 1);
    let parse = |line: &str| -> serde_json::Value { serde_json::from_str(line).expect("JSON") };
    let outcomes: Vec<_> = again
        .out
        .lines()
        .map(|line| parse(line)["outcome"].clone())
        .collect();
    assert_eq!(
        outcomes,
        ["unchanged", "unchanged", "refused", "refused", "refused"]
    );
}

#[test]
fn an_import_lifts_no_block_and_weakens_nothing() {
    let harness = Harness::new();
    let file = harness.path("people.csv");
    let name = file.display().to_string();
    let import = |text: &str| {
        fs::write(&file, text).expect("written");
        harness.run(&["customers", "import", &name])
    };
    assert_eq!(
        import("address,verified\nann@corp.example,yes\nbob@corp.example,yes\n").status,
        0
    );
    assert_eq!(
        harness
            .run(&["customers", "block", "bob@corp.example"])
            .status,
        0
    );
    let ran = import(
        "address,kind,groups,verified\nann@corp.example,external,,no\nbob@corp.example,,staff,yes\n",
    );
    assert_eq!(ran.status, 1);
    assert!(
        ran.out.contains(
            "ann@corp.example: its account is internal, and an import does not make it external"
        ),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("bob@corp.example: the account is blocked, and an import does not unblock it; unblock it first"),
        "{}",
        ran.out
    );
    let ran = import("address,verified\nann@corp.example,no\nbob@corp.example,yes\n");
    assert_eq!(ran.status, 0, "{}", ran.out);
    let list = harness.run(&["customers", "list", "--json"]).objects();
    assert_eq!(list[0]["kind"], "internal");
    assert!(list[0]["verified_at"].is_string());
    assert_eq!(list[1]["status"], "blocked");
}

#[test]
fn an_invalid_file_changes_nothing() {
    let harness = Harness::new();
    let missing = harness.run(&["customers", "import", "/nonexistent.csv"]);
    assert_eq!(missing.status, 3);
    let file = harness.path("people.csv");
    fs::write(&file, "mail,kind\nann@corp.example,internal\n").expect("written");
    let ran = harness.run(&["customers", "import", &file.display().to_string()]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.err.contains(
            "\"mail\" is not a column; the columns are address, kind, groups and verified"
        ),
        "{}",
        ran.err
    );
}
