//! `vestibule customers`.

use insta::assert_snapshot;

use super::harness::Harness;

#[test]
fn an_account_from_first_mail_to_blocked() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "Subject: Printer on fire\r\n");
    harness.receive(
        "ann@corp.example",
        "Subject: =?utf-8?Q?And_now=1B[31m_the_=E2=80=AEroof?=\r\n",
    );
    harness.receive("bob@partner.example", "Subject: Invoice\r\n");
    assert_snapshot!("list", harness.run(&["customers", "list"]).shown());
    assert_snapshot!(
        "show",
        harness
            .run(&["customers", "show", "ann@corp.example"])
            .shown()
    );
    assert_snapshot!(
        "verify",
        harness
            .run(&["customers", "verify", "ANN@corp.example"])
            .shown()
    );
    assert_snapshot!(
        "verify_again",
        harness
            .run(&["customers", "verify", "ann@corp.example"])
            .shown()
    );
    assert_snapshot!(
        "show_verified",
        harness
            .run(&["customers", "show", "ann@corp.example"])
            .shown()
    );
    assert_snapshot!(
        "show_json",
        harness
            .run(&["customers", "show", "ann@corp.example", "--json"])
            .shown()
    );
    assert_snapshot!(
        "block",
        harness
            .run(&["customers", "block", "ann@corp.example"])
            .shown()
    );
    assert_snapshot!(
        "verify_blocked",
        harness
            .run(&["customers", "verify", "ann@corp.example"])
            .shown()
    );
    assert_snapshot!(
        "unblock",
        harness
            .run(&["customers", "unblock", "ann@corp.example"])
            .shown()
    );
}

#[test]
fn the_access_settings_hold_for_operators_too() {
    let harness = Harness::new();
    assert_snapshot!(
        "add",
        harness
            .run(&["customers", "add", "dan@corp.example"])
            .shown()
    );
    assert_snapshot!(
        "add_again",
        harness
            .run(&["customers", "add", "dan@corp.example"])
            .shown()
    );
    assert_snapshot!(
        "add_refused",
        harness
            .run(&["customers", "add", "eve@evil.example"])
            .shown()
    );
    assert_snapshot!(
        "resend",
        harness
            .run(&["customers", "resend", "dan@corp.example"])
            .shown()
    );
}

#[test]
fn lists_are_filtered_and_paged() {
    let harness = Harness::new();
    for name in ["a", "b", "c"] {
        harness.receive(&format!("{name}@corp.example"), "");
        harness.receive(&format!("{name}@partner.example"), "");
    }
    let addresses = |arguments: &[&str]| -> Vec<String> {
        let arguments = [&["customers", "list", "--json"], arguments].concat();
        harness
            .run(&arguments)
            .objects()
            .iter()
            .map(|account| account["address"].as_str().expect("a text").to_owned())
            .collect()
    };
    assert_eq!(
        addresses(&["--kind", "internal", "--status", "pending"]),
        ["a@corp.example", "b@corp.example", "c@corp.example"]
    );
    assert_eq!(
        addresses(&["--domain", "partner.example", "--search", "b@"]),
        ["b@partner.example"]
    );

    let mut all = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut arguments = vec!["customers", "list", "--json", "--limit", "4"];
        if let Some(cursor) = &cursor {
            arguments.extend(["--after", cursor]);
        }
        let rows = harness.run(&arguments).objects();
        all.extend(rows.iter().map(|row| row["address"].to_string()));
        cursor = rows
            .last()
            .and_then(|row| Some(row.get("next")?.as_str()?.to_owned()));
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), 6);
    assert!(all.is_sorted());
}

#[test]
fn an_unknown_account_is_not_found() {
    let harness = Harness::new();
    for (arguments, status) in [
        (["customers", "show", "nobody@corp.example"], 3),
        (["customers", "verify", "nobody@corp.example"], 3),
        (["customers", "show", "01J9ZQ4D8N0VXB7T3WKE5M2R6C"], 3),
        (["customers", "block", "no address"], 2),
    ] {
        let ran = harness.run(&arguments);
        assert_eq!(ran.status, status, "{arguments:?}: {}", ran.err);
    }
    assert_snapshot!(
        "not_found",
        harness
            .run(&["customers", "show", "nobody@corp.example"])
            .shown()
    );
}

#[test]
fn an_address_of_the_installation_is_not_a_customer() {
    let harness = Harness::new();
    for ours in [
        "it-help@corp.example",
        "it-help+x@corp.example",
        "no-reply@corp.example",
    ] {
        let ran = harness.run(&["customers", "add", ours]);
        assert_eq!(ran.status, 1, "{ours}: {}", ran.out);
        assert!(ran.err.contains("cannot be a customer's"), "{}", ran.err);
    }
    assert_eq!(harness.run(&["customers", "list", "--json"]).out, "");
}

#[test]
fn a_domain_is_found_however_it_is_written() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "");
    for domain in ["corp.example", "Corp.Example", "corp.example."] {
        let found = harness.run(&["customers", "list", "--domain", domain, "--json"]);
        assert_eq!(found.objects().len(), 1, "{domain}");
    }
}

/// An operator who looks at a denied account, or acts on it, learns that its mail is dropped all the same.
#[test]
fn a_denied_address_is_named_with_its_pattern() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "Subject: Printer on fire\r\n");
    let deny = ["access", "deny", "ann@corp.example", "eve@evil.example"];
    assert_eq!(harness.run(&deny).status, 0);
    let by = "by ann@corp.example (vestibule access remove ann@corp.example)";
    for command in [
        ["customers", "show"].as_slice(),
        &["explain"],
        &["customers", "resend"],
        &["customers", "verify"],
    ] {
        let ran = harness.run(&[command, &["ann@corp.example"]].concat());
        assert_eq!(ran.status, 0, "{command:?}: {}", ran.err);
        let acts = command.len() == 2 && command[1] != "show";
        let said = if acts { &ran.err } else { &ran.out };
        assert!(said.contains(by), "{command:?}: {said}");
        let warning = "warning: mail from ann@corp.example is denied";
        assert_eq!(ran.err.contains(warning), acts, "{command:?}: {}", ran.err);
    }
    // An address without an account.
    harness.receive("eve@evil.example", "Subject: Spam\r\n");
    let explained = harness.run(&["explain", "eve@evil.example"]).out;
    assert!(
        explained.contains("mail from eve@evil.example is denied by eve@evil.example"),
        "{explained}"
    );
    let remove = ["access", "remove", "ann@corp.example"];
    assert_eq!(harness.run(&remove).status, 0);
    let shown = harness.run(&["customers", "show", "ann@corp.example"]).out;
    assert!(!shown.contains("denied"), "{shown}");
}
