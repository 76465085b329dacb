use super::*;
use crate::store::Arrival;
use crate::verification::tests::sample;

/// Records messages: their senders, subjects and Message-IDs.
async fn store_with(folder: &tempfile::TempDir, mails: &[(&str, &str, &str)]) -> Store {
    let store = Store::open(&folder.path().join("vestibule.db")).expect("a database");
    let config = sample::config("");
    let seeded = store.seed_access(config.access.clone(), Timestamp::now());
    assert!(seeded.await.expect("settings"));
    for (from, subject, message_id) in mails {
        let mut facts = sample::facts(from, subject);
        facts.message_id = Some((*message_id).to_owned());
        let arrival = Arrival {
            facts,
            ..sample::arrival(&config)
        };
        store.accept(arrival).await.expect("accepted");
    }
    while store.index_entries(100).await.expect("indexed").more {}
    store
}

async fn ask(store: &Store, search_text: &str) -> (Vec<String>, Vec<String>) {
    let filter = FindFilter {
        search_text: search_text.to_owned(),
        ..FindFilter::default()
    };
    let found = find(store, filter).await.expect("found");
    let customers = found.customers.iter().map(|one| one.address.to_string());
    let subjects = found.messages.into_iter().filter_map(|one| one.subject);
    (customers.collect(), subjects.collect())
}

/// A sender chooses the Message-ID, and can use somebody else's address as one.
#[tokio::test]
async fn a_message_id_that_looks_like_an_address_hides_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mails = [
        ("ann@corp.example", "Printer", "1@mail.corp.example"),
        ("eve@elsewhere.example", "Prize", "ann@corp.example"),
        ("ann@corp.example", "Screen", "2@mail.corp.example"),
    ];
    let store = store_with(&folder, &mails).await;
    for (search_text, customers, subjects) in [
        (
            "ann@corp.example",
            &["ann@corp.example"][..],
            &["Prize", "Screen", "Printer"][..],
        ),
        ("<ann@corp.example>", &[], &["Prize"]),
        ("<2@mail.corp.example>", &[], &["Screen"]),
        ("2@mail.corp.example", &[], &["Screen"]),
        ("ann@corp", &["ann@corp.example"], &["Screen", "Printer"]),
        // Angle brackets around what is no Message-ID are punctuation.
        ("<screen>", &[], &["Screen"]),
    ] {
        let (found_customers, found) = ask(&store, search_text).await;
        assert_eq!(found_customers, customers, "{search_text}");
        assert_eq!(found, subjects, "{search_text}");
    }
}

#[test]
fn a_gap_is_explained_by_its_size() {
    assert_eq!(explain_gap(0), None);
    for (many, says) in [
        (1, "1 message cannot be found yet. Try again in a moment."),
        (
            999,
            "999 messages cannot be found yet. Try again in a moment.",
        ),
        (MAX_NOT_INDEXED, "can take hours."),
    ] {
        let gap = explain_gap(many).expect("a gap");
        assert!(gap.ends_with(says), "{gap}");
        assert_eq!(gap.contains("moment"), many < MAX_NOT_INDEXED);
    }
}
