//! `vestibule find`.

use super::harness::Harness;

#[test]
fn messages_and_customers_are_found_by_parts() {
    let harness = Harness::new();
    let printer = harness.receive(
        "Anna M\u{fc}ller <anna.miller@corp.example>",
        "Subject: Printer on fire\r\n",
    );
    let news = harness.receive(
        "eve@evil.example",
        "Precedence: list\r\nSubject: Printer news\r\n",
    );
    let ledgers = |arguments: &[&str]| -> Vec<String> {
        let found = harness.run(&[&["find", "--json"], arguments].concat());
        let objects = found.objects();
        let ledger = objects
            .iter()
            .filter_map(|row| Some(row["ledger"].as_str()?.to_owned()));
        ledger.collect()
    };
    let (printer, news) = (printer.ledger.to_string(), news.ledger.to_string());
    for (words, expected) in [
        (&["printer"][..], vec![&news, &printer]),
        (&["printer", "miller"], vec![&printer]),
        (&["muller"], vec![&printer]),
        (&["miller@corp"], vec![&printer]),
        (&["@evil.example"], vec![&news]),
        (&["printer", "--since", "1h"], vec![&news, &printer]),
        (&[&news], vec![&news]),
    ] {
        assert_eq!(
            ledgers(words),
            expected.into_iter().cloned().collect::<Vec<_>>(),
            "{words:?}"
        );
    }

    let table = harness.run(&["find", "miller"]).out;
    assert!(
        table.contains("CUSTOMER") && table.contains("anna.miller@corp.example"),
        "{table}"
    );
    assert!(table.contains("New customer, internal"), "{table}");

    let old = harness.run(&["find", "printer", "--until", "2020-01-01"]);
    assert_eq!((old.status, old.out.as_str()), (3, ""));
    assert_eq!(
        harness.run(&["find", "printer", "--since", "then"]).status,
        2
    );
    assert_eq!(harness.run(&["find"]).status, 2);

    // Nothing about a forgotten person is found.
    let forgotten = harness.run(&["customers", "forget", "anna.miller@corp.example", "--yes"]);
    assert_eq!(forgotten.status, 0, "{}", forgotten.err);
    assert_eq!(harness.run(&["find", "miller"]).status, 3);
    assert_eq!(ledgers(&["printer"]), [news]);
}

#[test]
fn customers_come_before_the_messages_in_json_too() {
    let harness = Harness::new();
    let printer = harness.receive("ann@corp.example", "Subject: Printer on fire\r\n");
    let added = harness.run(&["customers", "add", "zoe@partner.example"]);
    assert_eq!(added.status, 0, "{}", added.err);
    let customer = |text: &str| {
        let listed = harness.run(&["customers", "list", "--search", text, "--json"]);
        listed.objects()
    };
    let found = harness.run(&["find", "ann@corp", "--json"]).objects();
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[..1], customer("ann@corp"));
    assert_eq!(found[1]["ledger"], printer.ledger.to_string());
    // A customer without messages.
    let found = harness.run(&["find", "zoe@partner", "--json"]).objects();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found, customer("zoe@partner"));
}
