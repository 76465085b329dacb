use super::*;

/// Time before which the entries up to this number were received.
fn after(n: i64) -> Timestamp {
    Millis(FIRST + n * Millis::MINUTE + 1).timestamp()
}

#[tokio::test]
async fn a_scan_begins_at_the_end_of_its_period_and_ends_at_its_start() {
    let mail = Mail::new();
    let subjects: Vec<_> = (1..=6_000)
        .map(|n| format!("{} {n}", if n <= 3_000 { "scanner" } else { "printer" }))
        .collect();
    let mails: Vec<_> = subjects
        .iter()
        .map(|subject| ("ann@corp.example", subject.as_str()))
        .collect();
    mail.record(&mails).await;
    // Two entries that were overtaken.
    mail.run("UPDATE ledger SET received_at = received_at - 25 * 60000 WHERE n IN (1020, 4020)")
        .await;
    mail.index().await;
    let look = async |search_text: &str, since: Option<i64>, until: Option<i64>| {
        let filter = FindFilter {
            search_text: search_text.to_owned(),
            since: since.map(after),
            until: until.map(after),
            page: Page::first(3),
            ..FindFilter::default()
        };
        let found = mail.store.find_entries(filter).await.expect("found");
        let subjects = found.rows.into_iter().map(|entry| entry.facts.subject);
        let subjects: Vec<_> = subjects.map(Option::unwrap_or_default).collect();
        (subjects.join(", "), found.next.is_some())
    };
    for (search_text, since, until, subjects, more) in [
        (
            "printer",
            None,
            None,
            "printer 6000, printer 5999, printer 5998",
            true,
        ),
        (
            "scanner",
            None,
            Some(1_000),
            "scanner 1020, scanner 1000, scanner 999",
            true,
        ),
        (
            "scanner",
            Some(994),
            Some(999),
            "scanner 1020, scanner 999, scanner 998",
            true,
        ),
        ("printer", Some(5_999), None, "printer 6000", false),
        ("scanner", Some(3_000), None, "", false),
        ("printer", None, Some(3_000), "", false),
        (
            "printer",
            Some(3_994),
            Some(3_996),
            "printer 4020, printer 3996, printer 3995",
            false,
        ),
        ("ann", None, Some(0), "", false),
        ("ann", Some(6_000), None, "", false),
    ] {
        let found = look(search_text, since, until).await;
        assert_eq!(
            found,
            (subjects.to_owned(), more),
            "{search_text} {since:?} {until:?}"
        );
    }
    // Two entries recorded while the clock was ten hours slow.
    mail.run("UPDATE ledger SET received_at = (SELECT min(received_at) FROM ledger) - 36000000 WHERE n IN (5500, 5501)")
        .await;
    for (search_text, since, until, subjects) in [
        (
            "scanner",
            Some(-660),
            None,
            "scanner 3000, scanner 2999, scanner 2998",
        ),
        ("printer", None, Some(1_000), "printer 5501, printer 5500"),
    ] {
        let (found, _) = look(search_text, since, until).await;
        assert_eq!(found, subjects, "{search_text} {since:?} {until:?}");
    }
}
