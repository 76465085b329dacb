//! `vestibule customers`.

use insta::assert_snapshot;

use super::harness::Harness;

#[test]
fn the_quiet_time_is_described_by_the_ways_out_that_exist() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "");
    harness.refuse(harness.send_mail());
    let described = |expected: &[&str], absent: &[&str]| {
        for command in [&["customers", "show"][..], &["explain"]] {
            let shown = harness.run(&[command, &["ann@corp.example"]].concat());
            let has = |text: &&str| shown.out.contains(*text);
            assert!(expected.iter().all(has), "{}", shown.out);
            assert!(!absent.iter().any(has), "{}", shown.out);
        }
    };
    described(
        &["through their link until", "/resend"],
        &["the account is blocked"],
    );
    harness.run(&["customers", "block", "ann@corp.example"]);
    described(&["while the account is blocked"], &["/resend"]);
    let resent = harness.run(&["customers", "resend", "ann@corp.example"]);
    assert_eq!(resent.status, 1, "{}", resent.out);
    assert!(!resent.err.contains("warning"), "{}", resent.err);

    harness.receive("bea@corp.example", "");
    harness.refuse(harness.send_mail());
    let resent = harness.run(&["customers", "resend", "bea@corp.example"]);
    assert_eq!(resent.status, 0, "{}", resent.err);
    let warning = "this mail ends that period";
    assert!(resent.err.contains(warning), "{}", resent.err);
}

#[test]
fn waiting_mail_is_listed_with_the_words_of_the_json() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "");
    let listed = harness.run(&["customers", "mail"]);
    assert!(listed.out.contains(" verification "), "{}", listed.out);
    assert!(listed.out.contains(" waiting "), "{}", listed.out);
}

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
    let again = harness.run(&["customers", "unblock", "ann@corp.example"]);
    assert_eq!(
        again.out,
        "ann@corp.example was not blocked; it is active\n"
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
fn an_action_without_an_account_names_its_alternative() {
    let harness = Harness::new();
    for (action, option) in [("block", "--unlisted"), ("resend", "--given-up")] {
        let wrong: [&[&str]; 2] = [&[], &["ann@corp.example", option]];
        for rest in wrong {
            let ran = harness.run(&[&["customers", action][..], rest].concat());
            assert_eq!(ran.status, 2, "{}", ran.err);
            assert!(ran.err.contains(option), "{}", ran.err);
        }
    }
}

#[test]
fn an_unknown_account_is_not_found() {
    let harness = Harness::new();
    for (arguments, status) in [
        (["customers", "show", "nobody@corp.example"], 3),
        (["customers", "verify", "nobody@corp.example"], 3),
        (["customers", "show", "01J9ZQ4D8N0VXB7T3WKE5M2R6C"], 3),
        (["customers", "block", "no address"], 2),
        (["customers", "take-automatic", "nobody@corp.example"], 3),
        (["customers", "drop-automatic", "no address"], 2),
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

#[test]
fn mail_that_was_given_up_is_resent_except_to_those_who_asked_for_none() {
    let harness = Harness::new();
    for name in ["ann", "bea", "cat", "dan"] {
        harness.receive(&format!("{name}@corp.example"), "");
    }
    let given_up = || {
        let listed = harness.run(&["customers", "mail", "--state", "refused", "--json"]);
        listed.objects().len()
    };
    harness.tamper(
        "UPDATE letter SET state = 'refused', settled_at = created_at, due_at = NULL;
         UPDATE account SET quiet_until = 9000000000000, refused_at = 8000000000000
             WHERE address = 'cat@corp.example'",
    );
    let deny = ["access", "deny", "dan@corp.example"];
    assert_eq!(harness.run(&deny).status, 0);
    assert_eq!(given_up(), 3);
    let stats = harness.run(&["stats", "--json"]).objects();
    assert_eq!(stats[0]["refused_mails"], 3);
    let resent = harness.run(&["customers", "resend", "--given-up", "--json"]);
    assert_eq!(resent.objects()[0]["resent"], 2, "{}", resent.err);
    assert!(
        resent.err.contains("mail from dan@corp.example is denied")
            && resent.err.contains("customers block dan@corp.example"),
        "{}",
        resent.err
    );
    let waiting = harness.run(&["customers", "mail", "--json"]).objects();
    assert_eq!(waiting.len(), 2);
    let again = harness.run(&["customers", "resend", "--given-up"]);
    assert!(
        again.out.starts_with("0 new verification mails to be sent"),
        "{}",
        again.out
    );
    // The denied one is listed until their account is blocked.
    assert_eq!(given_up(), 1);
    let block = ["customers", "block", "dan@corp.example"];
    assert_eq!(harness.run(&block).status, 0);
    assert_eq!(given_up(), 0);
}

#[test]
fn stats_count_accounts_that_mail_cannot_reach() {
    let harness = Harness::new();
    harness.receive("ann@corp.example", "");
    let line = "Accounts that our mail cannot reach: 1 (vestibule customers list --undeliverable)";
    assert!(!harness.run(&["stats"]).out.contains(line));
    harness.tamper("UPDATE account SET undeliverable = 1");
    let stats = harness.run(&["stats"]).out;
    assert!(stats.contains(line), "{stats}");
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
