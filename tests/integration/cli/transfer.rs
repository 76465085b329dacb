//! `transfer`: the store moves to another file, and the old location is closed until the move is undone. Transfers
//! between the engines are tested in `tests/postgres/transfer.rs`.

use super::harness::Harness;

#[test]
fn a_store_moves_and_the_old_location_is_closed_until_undone() {
    let harness = Harness::new();
    let entry = harness.receive("ann@corp.example", "");
    let file = harness.path("new.db").display().to_string();

    // There is nothing to undo, and the arguments are wrong.
    assert_eq!(harness.run(&["transfer", "--undo"]).status, 1);
    let both = harness.run(&["transfer", "--undo", "--to", &file]);
    assert_eq!(both.status, 2, "{}", both.err);
    let no_server = harness.run(&["transfer", "--to", "postgres://u:secret@h/d"]);
    assert_eq!(no_server.status, 2);
    assert!(no_server.err.contains("password_file"), "{}", no_server.err);
    let file_with_password = harness.run(&["transfer", "--to", &file, "--password-file", "x"]);
    assert_eq!(file_with_password.status, 2, "{}", file_with_password.err);
    let cause = "--password-file and --ca-file apply to a server";
    assert!(
        file_with_password.err.contains(cause),
        "{}",
        file_with_password.err
    );
    for option in ["--password-file", "--ca-file"] {
        // Without --to, nothing must be undone.
        let alone = harness.run(&["transfer", option, "/nosuch"]);
        assert_eq!(alone.status, 2, "{}", alone.err);
        assert!(alone.err.contains("--to"), "{}", alone.err);
    }
    let server = "postgres://vestibule@db.example/vestibule";
    let missing = harness.run(&["transfer", "--to", server, "--password-file", "/nosuch"]);
    assert_eq!(missing.status, 1, "{}", missing.err);
    assert!(missing.err.contains("/nosuch"), "{}", missing.err);
    for no_location in ["new.db", "u:secret@h/d"] {
        let refused = harness.run(&["transfer", "--to", no_location]);
        assert_eq!(refused.status, 2, "{}", refused.out);
        assert!(refused.err.contains("the full path"), "{}", refused.err);
        assert!(!refused.err.contains("secret"), "{}", refused.err);
    }
    let itself = harness.path("data/vestibule.db").display().to_string();
    let refused = harness.run(&["transfer", "--to", &itself]);
    assert_eq!(refused.status, 1);
    assert!(
        refused.err.contains("already contains a store"),
        "{}",
        refused.err
    );
    assert_eq!(harness.run(&["stats"]).status, 0, "open as before");

    let moved = &harness
        .run(&["transfer", "--to", &file, "--json"])
        .objects()[0];
    assert!(moved["rows"].as_u64() > Some(20), "{moved}");
    for command in [&["stats"][..], &["serve"], &["access", "show"]] {
        let ran = harness.run(command);
        assert_eq!(ran.status, 1, "{command:?}");
        assert!(ran.err.contains(&file), "{}", ran.err);
        assert!(ran.err.contains("transfer --undo"), "{}", ran.err);
    }
    let told = harness.run(&["doctor", "--offline"]);
    assert_eq!(told.status, 1);
    let place = format!("it was moved to {file}");
    assert!(told.out.contains(&place), "{}", told.out);
    assert!(told.out.contains("transfer --undo"), "{}", told.out);
    assert!(!told.out.contains("a bug in vestibule"), "{}", told.out);
    let store = vestibule::store::Store::open(&harness.path("new.db")).expect("a store");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let there = runtime.block_on(store.ledger_entry(entry.ledger));
    assert!(there.expect("read").is_some());
    drop(store);

    let undone = harness.run(&["transfer", "--undo"]);
    assert_eq!(undone.status, 0, "{}", undone.err);
    assert!(undone.out.contains("reopened"), "{}", undone.out);
    assert_eq!(harness.run(&["stats"]).status, 0);
    let sound = harness.run(&["doctor", "--offline"]);
    assert_eq!(sound.status, 0, "{}{}", sound.out, sound.err);
}
