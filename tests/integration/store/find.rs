//! The search, which has the same hits on both engines.

use vestibule::domain::{RequestState, Verdict};
use vestibule::operations;
use vestibule::store::{FindFilter, Page};

use super::harness::{Harness, mail, minutes};

/// Senders and subjects, oldest first.
const MAILS: &[(&str, &str)] = &[
    ("anna.miller@corp.example", "VPN drops every ten minutes"),
    (
        "gil@partner.example",
        "Certificate of sftp.corp.example expires",
    ),
    ("kim@berlin.corp.example", "Re: VPN-Zugang (2.14)"),
    ("ivo@acme.co", "100% off _everything_ 'now' 打印机坏了"),
    ("eve@closed.example", "Re: Re: MÜLLER wants a vpn"),
    ("anna.miller@corp.example", "re 100 and 1000 printers"),
];

async fn index(harness: &Harness) {
    while harness
        .store
        .index_entries(100)
        .await
        .expect("indexed")
        .more
    {}
}

async fn open() -> Harness {
    let harness = Harness::open().await;
    for (n, (from, subject)) in (0..).zip(MAILS) {
        let mut arrival = mail(from, &format!("{n}@x"), minutes(n));
        arrival.facts.subject = Some((*subject).to_owned());
        harness.accept(arrival).await;
    }
    index(&harness).await;
    harness
}

/// Indexes in [`MAILS`] of the hits, page after page.
async fn find(harness: &Harness, filter: &FindFilter, limit: usize) -> Vec<usize> {
    let mut filter = filter.clone();
    filter.page = Page::first(limit);
    let mut places = Vec::new();
    loop {
        let found = harness
            .store
            .find_entries(filter.clone())
            .await
            .expect("found");
        assert!(found.rows.len() <= limit);
        for entry in found.rows {
            let subject = entry.facts.subject.expect("one");
            places.extend(MAILS.iter().position(|(_, own)| *own == subject));
        }
        filter.page.after = found.next;
        if filter.page.after.is_none() {
            return places;
        }
    }
}

#[tokio::test]
async fn both_engines_find_the_same() {
    let harness = open().await;
    for (search_text, expected) in [
        ("vpn", &[4, 2, 0][..]),
        ("VPN drop", &[0]),
        ("corp.example", &[5, 2, 1, 0]),
        ("@corp.example", &[5, 0]),
        ("miller@corp re", &[5]),
        ("muller vpn re", &[4]),
        ("re", &[5, 4, 2, 1]),
        ("re vpn", &[4, 2]),
        ("印机", &[3]),
        ("100%", &[5, 3]),
        ("_everything_", &[3]),
        ("' OR 1=1", &[]),
        ("vpn nobody", &[]),
        ("", &[]),
    ] {
        let filter = FindFilter {
            search_text: search_text.to_owned(),
            ..FindFilter::default()
        };
        for limit in [1, 2, 50] {
            assert_eq!(
                find(&harness, &filter, limit).await,
                expected,
                "{search_text:?} {limit}"
            );
        }
        let within = FindFilter {
            since: Some(minutes(1)),
            until: Some(minutes(5)),
            ..filter.clone()
        };
        let expected: Vec<_> = expected
            .iter()
            .copied()
            .filter(|place| (1..5).contains(place))
            .collect();
        assert_eq!(
            find(&harness, &within, 2).await,
            expected,
            "{search_text:?} in a period"
        );
    }
    for (verdict, expected) in [(Verdict::Held, &[5, 0][..]), (Verdict::Dropped, &[])] {
        let filter = FindFilter {
            search_text: "corp.example".to_owned(),
            verdict: Some(verdict),
            ..FindFilter::default()
        };
        assert_eq!(find(&harness, &filter, 2).await, expected, "{verdict}");
    }
}

/// A sender can use somebody else's address as a Message-ID. The exact hit on it comes first, and is not repeated
/// on a later page.
#[tokio::test]
async fn no_page_repeats_an_exact_hit() {
    let harness = open().await;
    let mut arrival = mail("ann@partner.example", "ann@partner.example", minutes(10));
    arrival.facts.subject = Some("exact".to_owned());
    harness.accept(arrival).await;
    for n in 0..3 {
        let mut arrival = mail(
            "ann@partner.example",
            &format!("more-{n}@x"),
            minutes(11 + n),
        );
        arrival.facts.subject = Some(format!("more {n}"));
        harness.accept(arrival).await;
    }
    index(&harness).await;
    let mut filter = FindFilter {
        search_text: "ann@partner.example".to_owned(),
        page: Page::first(2),
        ..FindFilter::default()
    };
    let mut subjects = Vec::new();
    loop {
        let found = operations::find(&harness.store, filter.clone())
            .await
            .expect("found");
        for message in found.messages {
            // It has the state of its request.
            assert_eq!(message.state, Some(RequestState::Released));
            subjects.extend(message.subject);
        }
        filter.page.after = found.next;
        if filter.page.after.is_none() {
            break;
        }
    }
    assert_eq!(subjects, ["exact", "more 2", "more 1", "more 0"]);
}
